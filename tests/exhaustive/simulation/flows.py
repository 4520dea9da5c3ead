"""What users write: each flow by the public interface only, on calls that a `Callee` answers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterable
from contextlib import suppress

from swcalls import (
    TTS,
    ActionExpired,
    ActionFailed,
    Audio,
    Call,
    CallEnded,
    DetectMachine,
    Digits,
    PlayAction,
    Silence,
    Speech,
    SwcallsError,
    WsDevice,
)
from swcalls.errors import Replaced
from swcalls.testing.callee import Callee

from .loop import describe
from .stage import FLOWS, Stage, flow

TO = "+15550198765"
FROM = "+12069708643"
MUSIC = Audio("https://ours.example/music.mp3")
"""With ``loop=0`` it never ends."""
AUDIO = {"audio_url": "wss://ours.example"}


@flow()
async def dial_and_play(stage: Stage) -> None:
    call = stage.hold(await stage.client.dial(to=TO, from_=FROM))
    await call.answered(timeout=60)
    await call.play(TTS("Welcome.")).finished(timeout=60)
    await call.end()
    await call.ended(timeout=60)
    stage.release(call)


@flow(callee=Callee(presses="12"))
async def dial_block(stage: Stage) -> None:
    async with stage.block(stage.client.dial(to=TO, from_=FROM)) as call:
        await call.answered(timeout=60)
        await call.say("Hello.").finished(timeout=60)
        async with stage.block(call.play(MUSIC, loop=0)):
            await call.collect(digits=Digits(max=2)).finished(timeout=60)


@flow(callee=Callee(answers="busy"))
async def dial_busy(stage: Stage) -> None:
    async with stage.block(stage.client.dial(to=TO, from_=FROM)) as call:
        with suppress(CallEnded):
            await call.answered(timeout=60)
        await call.end()


@flow(callee=Callee(rings_for=20))
async def dial_and_give_up(stage: Stage) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(5), stage.block(stage.client.dial(to=TO, from_=FROM)) as call:
            await call.answered()


@flow(callee=Callee(hangs_up_after=30))
async def dial_in_a_task(stage: Stage) -> None:
    async with asyncio.TaskGroup() as group:
        dials = [group.create_task(stage.client.dial(to=TO, from_=FROM)) for _ in range(2)]
        for dial in dials:
            dial.add_done_callback(stage.hold_result)
    await asyncio.gather(*(dial.result().ended(timeout=120) for dial in dials))


@flow(callee=Callee(hangs_up_after=20))
async def campaign(stage: Stage) -> None:
    """Four calls, two at once: whatever becomes of one of them, the others get their turn."""

    async def remind() -> None:
        with suppress(SwcallsError):
            async with stage.block(stage.client.dial(to=TO, from_=FROM, max_calls=2)) as call:
                await call.answered(timeout=60)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(remind())
    except* (SwcallsError, TimeoutError) as errors:
        stage.hold_of(errors)


@flow(wants_call=True)
async def say(stage: Stage) -> None:
    await stage.call.say("Hello.").finished(timeout=60)


@flow(wants_call=True)
async def finished_in_time(stage: Stage) -> None:
    """The command's answer alone takes longer than 0.01 s."""
    for timeout in (0.01, 2.0):
        with suppress(TimeoutError):
            await stage.call.play(MUSIC, loop=0).finished(timeout=timeout)


@flow(wants_call=True, callee=Callee(presses="42"))
async def prompt_barge_in(stage: Stage) -> None:
    result = await stage.call.prompt(MUSIC, loop=0, digits=Digits(max=2)).finished(timeout=60)
    stage.expect(is_so=result.digits == "42", what=f"pressed: {result}")


@flow(wants_call=True, callee=Callee(presses="7"))
async def prompt_one_key(stage: Stage) -> None:
    result = await stage.call.prompt(TTS("Press seven."), digits=Digits(max=1)).finished(timeout=60)
    stage.expect(is_so=result.digits == "7", what=f"pressed: {result}")


@flow(wants_call=True)
async def prompt_no_input(stage: Stage) -> None:
    await stage.call.prompt(TTS("Well?"), digits=Digits(max=1), initial_timeout=2).finished(timeout=60)


@flow(wants_call=True)
async def prompt_gives_up(stage: Stage) -> None:
    with suppress(TimeoutError):
        await stage.call.prompt(MUSIC, loop=0, digits=Digits(max=1)).finished(timeout=3)


@flow(wants_call=True, callee=Callee(says="Good morning"))
async def prompt_block(stage: Stage) -> None:
    async with stage.block(stage.call.prompt(TTS("Who is it?"), speech=Speech())) as prompt:
        stage.hold(prompt)
        await prompt.finished(timeout=60)
        stage.release(prompt)


@flow(wants_call=True, callee=Callee(presses=["9", "", "2"]))
async def ask_until_it_will_do(stage: Stage) -> None:
    answer = await stage.call.ask(
        TTS("Press two."), digits=Digits(max=1), accept={"2"}, initial_timeout=2, on_wrong=TTS("No.")
    )
    stage.expect(is_so=answer.attempts == 3 or answer.value is None, what=f"asked: {answer}")


@flow(wants_call=True)
async def ask_and_give_up(stage: Stage) -> None:
    with suppress(TimeoutError):
        await stage.call.ask(MUSIC, loop=0, digits=Digits(max=1)).finished(timeout=3)


@flow(wants_call=True, callee=Callee(is_machine=True))
async def message_after_the_beep(stage: Stage) -> None:
    if (await stage.call.wait_for_beep()).is_machine:
        await stage.call.say("Please call back.").finished(timeout=60)


@flow(wants_call=True)
async def record_block(stage: Stage) -> None:
    async with stage.block(stage.call.record(stereo=True)) as recording:
        await stage.call.say("Leave a message.").finished(timeout=60)
    await recording.finished(timeout=60)


@flow(wants_call=True, callee=Callee(presses="1234"))
async def collect_and_stop(stage: Stage) -> None:
    play = stage.hold(await stage.call.play(MUSIC, loop=0))
    await stage.call.collect(digits=Digits(max=4)).finished(timeout=60)
    await play.stop()
    await play.finished(timeout=60)
    stage.release(play)


@flow(wants_call=True, callee=Callee(presses="1"))
async def collect_continuous(stage: Stage) -> None:
    async with stage.block(stage.call.collect(digits=Digits(max=1), continuous=True)) as collect:
        async for _ in collect:
            break
    await collect.finished(timeout=60)


@flow(wants_call=True, callee=Callee(is_machine=True))
async def detect_block(stage: Stage) -> None:
    async with stage.block(stage.call.detect(DetectMachine(detect_message_end=True))) as detect:
        await detect.finished(timeout=60)


@flow(wants_call=True, callee=Callee(is_machine=True))
async def detect_and_leave(stage: Stage) -> None:
    """The detector has answered MACHINE, and would run on."""
    async with stage.block(stage.call.detect(DetectMachine(detect_message_end=False), timeout=600)) as detect:
        await detect.finished(timeout=60)
        async for _ in detect:
            break


@flow(wants_call=True)
async def fan_out(stage: Stage) -> None:
    call = stage.call
    async with asyncio.TaskGroup() as group:
        group.create_task(call.play(MUSIC).finished(timeout=60))
        group.create_task(call.play(Silence(2)).finished(timeout=60))
        group.create_task(call.collect(digits=Digits(max=1), initial_timeout=3).finished(timeout=60))


@flow(wants_call=True)
async def starts_as_tasks(stage: Stage) -> None:
    async with asyncio.TaskGroup() as group:
        starts = [group.create_task(stage.call.record()), group.create_task(stage.call.play(MUSIC, loop=0))]
        for start in starts:
            start.add_done_callback(stage.hold_result)
    for start in starts:
        await start.result().stop()
        await start.result().finished(timeout=60)
        stage.release(start.result())


@flow(wants_call=True)
async def one_of_many_fails(stage: Stage) -> None:
    """A failure in a group cancels the others wherever they are."""

    async def fail() -> None:
        await asyncio.sleep(0.03)
        raise TimeoutError("enough")

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(stage.call.play(MUSIC, loop=0).finished())
            group.create_task(fail())
    except* (SwcallsError, TimeoutError) as errors:
        stage.hold_of(errors)


@flow(wants_call=True)
async def pause_with_deadline(stage: Stage) -> None:
    begun = stage.loop.now
    play = stage.hold(await stage.call.play(MUSIC, loop=0, deadline=20))
    await play.reached("playing", timeout=60)
    await play.pause()
    await play.reached("paused", timeout=60)
    await asyncio.sleep(5)
    await play.resume()
    with suppress(ActionExpired):
        await play.finished()
    took = stage.loop.now - begun
    stage.expect(is_so=took < 60, what=f"a deadline of 20 s passed after {took:.1f} s")
    await play.stop()
    stage.release(play)


@flow(wants_call=True, settings={"reconcile": None})
async def pause_bounded(stage: Stage) -> None:
    """Its own length bounds it: 4 seconds and a margin, from when it goes on."""
    play = stage.hold(await stage.call.play(Silence(4)))
    await play.reached("playing", timeout=60)
    await play.pause()
    await play.reached("paused", timeout=60)
    await asyncio.sleep(60)
    await play.resume()
    with suppress(ActionExpired):
        await play.finished()
    stage.release(play)


@flow(wants_call=True)
async def stop_after_expiry(stage: Stage) -> None:
    play = stage.hold(await stage.call.play(MUSIC, loop=0, deadline=2))
    with suppress(ActionExpired):
        await play.finished()
    await play.stop()
    stage.release(play)


@flow(wants_call=True)
async def expiry_in_a_block(stage: Stage) -> None:
    with suppress(ActionExpired):
        async with stage.block(stage.call.play(MUSIC, loop=0, deadline=2)) as play:
            await play.finished()


@flow(wants_call=True)
async def sidecar_ask(stage: Stage) -> None:
    async with stage.block(stage.call.sidecar("en-US")) as sidecar:
        await sidecar.ask("What do they want?").finished(timeout=60)
        await sidecar.status()
    await sidecar.finished(timeout=60)


@flow(wants_call=True)
async def live_transcribe(stage: Stage) -> None:
    async with stage.block(
        stage.call.live_transcribe("en-US", ["remote-caller", "local-caller"], ai_summary=True)
    ) as transcript:
        await stage.call.say("Good morning.").finished(timeout=60)
        await transcript.summarize()
    await transcript.finished(timeout=60)


@flow(wants_call=True)
async def transcribe(stage: Stage) -> None:
    transcript = stage.hold(await stage.call.transcribe())
    await stage.call.say("Good morning.").finished(timeout=60)
    await transcript.stop()
    await transcript.finished(timeout=900)
    stage.release(transcript)


@flow(wants_call=True)
async def tap_and_stream(stage: Stage) -> None:
    call = stage.call
    async with (
        stage.block(call.tap(WsDevice("wss://ours.example/tap"))),
        stage.block(call.stream("wss://ours.example/stream")),
    ):
        await call.say("Hello.").finished(timeout=60)


@flow(wants_call=True, settings=AUDIO)
async def listen_block(stage: Stage) -> None:
    async with stage.block(stage.call.listen(track="both")) as audio:
        await stage.call.say("Hello.").finished(timeout=60)
        async for frame in audio:
            if frame.timestamp_ms >= 1000:
                break
    stage.expect(is_so=audio.ended_by is not None, what="the block has ended, and its audio has not")
    await audio.action.finished(timeout=60)


@flow(wants_call=True, settings=AUDIO, callee=Callee(hangs_up_after=3), may_refuse=True)
async def listen_to_the_end(stage: Stage) -> None:
    with suppress(CallEnded):
        async with stage.block(stage.call.listen()) as audio:
            frames = [frame async for frame in audio]
            stage.expect(is_so=audio.ended_by is not None, what="the iteration has ended, and the audio has not")
            stage.expect(is_so=bool(frames) or audio.ended_by != "stop", what="nothing was heard")


@flow(wants_call=True, settings=AUDIO, callee=Callee(presses="42"), may_refuse=True)
async def listen_in_tasks(stage: Stage) -> None:
    """Frames and digits are read by a task each, and the stream is stopped by a third, and then by the block."""
    call = stage.call
    async with stage.block(call.listen(idle_timeout=30)) as audio, asyncio.TaskGroup() as group:
        group.create_task(_drain(audio))
        digits = group.create_task(_drain(audio.digits()))
        with suppress(TimeoutError):
            await call.collect(digits=Digits(max=2)).finished(timeout=5)
        await audio.action.stop()
    stage.expect(is_so=digits.result() in (0, 1, 2), what=f"{digits.result()} digits")


@flow(wants_call=True, settings=AUDIO, may_refuse=True)
async def listen_and_give_up(stage: Stage) -> None:
    """The first frame alone takes longer than some of these. What is given up loses its connection, and then it stops."""
    for seconds in (0.005, 0.03, 0.2):
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), stage.block(stage.call.listen()) as audio:
                await _drain(audio)


@flow(wants_call=True)
async def several_waiters(stage: Stage) -> None:
    play = stage.hold(await stage.call.play(MUSIC))
    waiters = [asyncio.ensure_future(play.finished(timeout=60)) for _ in range(3)]
    events = asyncio.ensure_future(_drain(play))
    try:
        await play.reached("playing", timeout=60)
        waiters[0].cancel()
        results = await asyncio.gather(*waiters[1:])
        stage.expect(is_so=results[0] is results[1], what="two waiters got different results")
        await events
        stage.release(play)
    finally:
        for waiter in (*waiters, events):
            waiter.cancel()
        await asyncio.gather(*waiters, events, return_exceptions=True)


async def _drain(iterable: AsyncIterable[object]) -> int:
    return len([each async for each in iterable])


@flow(wants_call=True, settings={"command_rate": 5, "max_connections": 3})
async def paced(stage: Stage) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(stage.call.play(Silence(1)).finished(timeout=60))
    times = [attempt.at for attempt in stage.space.attempts]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    stage.expect(is_so=min(pauses) > 0.1, what=f"commands left too fast: {pauses}")


@flow(wants_call=True, settings={"command_rate": 0.5})
async def too_late_to_send(stage: Stage) -> None:
    """A deadline passes while the command waits for its turn: it is not sent."""
    await stage.call.user_event({"number": 1})
    before = stage.loop.now
    with suppress(SwcallsError):
        await stage.call.play(MUSIC, loop=0, deadline=0.5).finished(timeout=60)
    late = [str(one) for one in stage.space.attempts if one.command == "calling.play" and one.at > before + 0.5]
    stage.expect(is_so=not late, what=f"sent after its deadline: {late}")


@flow(wants_call=True, callee=Callee(hangs_up_after=4), may_refuse=True)
async def hang_up_in_the_middle(stage: Stage) -> None:
    call = stage.call
    with suppress(CallEnded):
        async with stage.block(call.record()) as recording:
            with suppress(CallEnded):
                await call.play(MUSIC, loop=0).finished(timeout=60)
        await recording.finished(timeout=60)
    for command in (lambda: call.say("Hello?").finished(), lambda: call.user_event({}), lambda: call.play(MUSIC)):
        try:
            await command()
        except CallEnded:
            continue
        stage.trouble.append("a command to a call that is over was sent")
    await call.end()
    await call.end()


@flow(wants_call=True)
async def end_twice_at_once(stage: Stage) -> None:
    play = stage.hold(await stage.call.play(MUSIC, loop=0))
    await asyncio.gather(stage.call.end(), stage.call.ended(timeout=60))
    await stage.call.end()
    await play.outcome()


@flow(wants_call=True)
async def call_events(stage: Stage) -> None:
    async def end() -> None:
        await asyncio.sleep(1)
        await stage.call.end()

    async with asyncio.TaskGroup() as group:
        group.create_task(end())
        async for event in stage.call.events():
            if event.state == "ended":
                break


@flow(wants_call=True)
async def attach_and_stop(stage: Stage) -> None:
    play = stage.hold(await stage.call.play(MUSIC, loop=0))
    same = stage.call.action("play", play.control_id)
    assert isinstance(same, PlayAction)
    await same.stop()
    await same.finished(timeout=60)
    stage.release(play)


@flow(callee=Callee(presses="1", hangs_up_after=60), takes_calls=True)
async def inbound_menu(stage: Stage) -> None:
    done = asyncio.Event()

    async def handler(call: Call) -> None:
        try:
            choice = await call.prompt(TTS("Press one."), digits=Digits(max=1)).finished(timeout=60)
            await call.say(f"You pressed {choice.digits}.").finished(timeout=60)
        finally:
            done.set()

    stage.take_calls(stage.client, handler)
    stage.space.ring(stage.client.receiver.inbound_url)
    async with asyncio.timeout(600):
        await done.wait()


@flow(callee=Callee(hangs_up_after=3), takes_calls=True)
async def inbound_hangs_up(stage: Stage) -> None:
    done = asyncio.Event()

    async def handler(call: Call) -> None:
        try:
            await call.play(MUSIC, loop=0).finished(timeout=60)
        finally:
            done.set()

    stage.take_calls(stage.client, handler)
    stage.space.ring(stage.client.receiver.inbound_url)
    async with asyncio.timeout(600):
        await done.wait()


@flow(callee=Callee(hangs_up_after=600), owns_client=True)
async def inbound_and_close(stage: Stage) -> None:
    """A client is closed while a handler runs: it is drained, cancelled, and its call ended."""
    entered = asyncio.Event()

    async def handler(call: Call) -> None:
        entered.set()
        async with stage.block(call.play(MUSIC, loop=0)):
            await call.ended()

    async with stage.make_client() as client:
        stage.take_calls(client, handler)
        stage.space.ring(client.receiver.inbound_url)
        async with asyncio.timeout(600):
            await entered.wait()
        await asyncio.sleep(1)


@flow(owns_client=True)
async def close_in_the_middle(stage: Stage) -> None:
    client = stage.make_client()
    tasks: list[asyncio.Task[object]] = []
    try:
        await client.open()
        call = await stage.dial(client)
        play = stage.hold(await call.play(MUSIC, loop=0))
        waits = (play.finished(), call.ended(), _drain(play), call.record().finished())
        tasks += [asyncio.ensure_future(wait) for wait in waits]
        for task in tasks:
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.sleep(0.006)
    finally:
        try:
            await client.close()
        finally:
            done, late = await asyncio.wait(tasks, timeout=1) if tasks else (set(), set())
            stage.expect(is_so=not late, what=f"waiters of a closed client wait on: {[*map(describe, late)]}")
            errors = [task.exception() for task in done if not task.cancelled()]
            for error in filter(None, errors):
                stage.hold_of(error)
            odd = [error for error in errors if not isinstance(error, SwcallsError | None)]
            stage.expect(is_so=not odd, what=f"waiters of a closed client got {odd}")


@flow(owns_client=True, callee=Callee(rings_for=5))
async def close_in_a_dial(stage: Stage) -> None:
    """The session is borrowed, so that the dial goes on to its end."""
    client = stage.make_client(session=stage.space.lend())

    async def dial() -> None:
        try:
            stage.hold(await client.dial(to=TO, from_=FROM))
        except SwcallsError as error:
            stage.hold_of(error)

    await client.open()
    dialling = asyncio.ensure_future(dial())
    try:
        await asyncio.sleep(0.009)
    finally:
        try:
            await client.close()
        finally:
            _, late = await asyncio.wait([dialling], timeout=60)
            stage.expect(is_so=not late, what="a dial goes on, although its client is closed")


@flow(owns_client=True, callee=Callee(hangs_up_after=200))
async def recover(stage: Stage) -> None:
    """A process dies in the middle of a call; its successor takes up what it has left."""
    # Webhooks come to a process that lives on.
    async with stage.make_client("ours.example", backplane=stage.hub.member("front")):
        first = stage.make_client(
            "first.example", public_url="http://ours.example", backplane=stage.hub.member("worker")
        )
        await first.open()
        try:
            call = await stage.dial(first)
            play = stage.hold(await call.play(MUSIC, loop=0))
            silence = stage.hold(await call.play(Silence(20)))
        finally:
            stage.hub.kill("worker")
            was_running = set(first.actions)
            await first.close()
        async with stage.make_client(
            "second.example", public_url="http://ours.example", backplane=stage.hub.member("worker")
        ) as second:
            found = {action.control_id: action async for action in second.recover()}
            stage.expect(is_so=found.keys() == was_running, what=f"recovered {sorted(found)} of {sorted(was_running)}")
            for action in found.values():
                stage.hold(action)
            if silence.control_id in found:
                await found[silence.control_id].finished(timeout=120)
            again = found[play.control_id]
            assert isinstance(again, PlayAction)
            await again.stop()
            await again.finished(timeout=60)
            stage.release(play)
            stage.release(again)
            same = second.call(call.id or "")
            await same.end()
            await same.ended(timeout=60)


@flow(owns_client=True, callee=Callee(presses="1", hangs_up_after=120))
async def shared_inbound(stage: Stage) -> None:
    """Two processes: one has the webhooks, the other one takes the calls."""
    done = asyncio.Event()

    async def handler(call: Call) -> None:
        try:
            await call.prompt(TTS("Press one."), digits=Digits(max=1)).finished(timeout=60)
        finally:
            done.set()

    async with (
        stage.make_client("ours.example", backplane=stage.hub.member("front")) as front,
        stage.make_client(
            "second.example", public_url="http://ours.example", backplane=stage.hub.member("worker")
        ) as worker,
    ):
        stage.take_calls(worker, handler)
        stage.space.ring(front.receiver.inbound_url)
        async with asyncio.timeout(600):
            await done.wait()
        await asyncio.sleep(130)


@flow(wants_call=True, settings={"max_connections": 1})
async def narrow(stage: Stage) -> None:
    """There is one connection for all, and who waits for it gives up."""
    call = stage.call
    with suppress(TimeoutError):
        async with asyncio.timeout(0.03), asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(call.play(MUSIC, loop=0).finished())
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(call.play(Silence(1)).finished(timeout=60))


@flow(callee=Callee(rings_for=20))
async def cancel_while_it_rings(stage: Stage) -> None:
    call = stage.hold(await stage.client.dial(to=TO, from_=FROM))
    await asyncio.sleep(1)
    await call.cancel()
    with suppress(CallEnded):
        await call.answered(timeout=60)
    await call.ended(timeout=60)
    stage.release(call)


@flow(wants_call=True)
async def sidecar_ends_first(stage: Stage) -> None:
    """Its question is never answered, since it is stopped before."""
    async with stage.block(stage.call.sidecar("en-US")) as sidecar:
        ask = await sidecar.ask("Well?")
    with suppress(ActionFailed):
        await ask.finished(timeout=200)


@flow(wants_call=True)
async def every_way_to_wait(stage: Stage) -> None:
    told: list[str] = []
    play = stage.hold(await stage.call.play(Silence(2)))
    play.add_done_callback(lambda action: told.append(action.kind))
    await play.reached("playing", timeout=60)
    with suppress(TimeoutError):
        await play.finished(timeout=0.5)
    async for event in play:
        if event.state == "playing":
            break
    await play.outcome()
    await asyncio.sleep(0)
    stage.expect(is_so=told == ["play"], what=f"its callback was called {len(told)} times")
    stage.release(play)


@flow(wants_call=True)
async def raw_commands(stage: Stage) -> None:
    ids = {"control_id": "raw", "status_url": "https://elsewhere.example/"}
    params = {**ids, "play": [{"type": "silence", "params": {"duration": 0.5}}]}
    await stage.client.execute("calling.play", call_id=stage.call.id, params=params)
    await stage.client.execute("calling.play.stop", call_id=stage.call.id, params={"control_id": "raw"})


@flow(callee=Callee(hangs_up_after=120), takes_calls=True)
async def inbound_hands_on(stage: Stage) -> None:
    """What was transferred is somebody else's, and is not hung up."""
    done = asyncio.Event()
    handed_on: list[float] = []

    async def handler(call: Call) -> None:
        try:
            await call.say("One moment.").finished(timeout=60)
            await call.transfer("+15550198765")
            stage.hold(call)
            handed_on.append(stage.loop.now)
        finally:
            done.set()

    stage.take_calls(stage.client, handler)
    stage.space.ring(stage.client.receiver.inbound_url)
    async with asyncio.timeout(600):
        await done.wait()
    await asyncio.sleep(10)
    ends = [one for one in stage.space.attempts if one.command == "calling.end" and handed_on and one.at > handed_on[0]]
    stage.expect(is_so=not ends, what="a call that was handed on was ended")


@flow(callee=Callee(hangs_up_after=600), takes_calls=True, may_refuse=True)
async def inbound_gives_up(stage: Stage) -> None:
    done = asyncio.Event()

    async def handler(call: Call) -> None:
        try:
            await call.play(MUSIC, loop=0).finished(timeout=2)
        except TimeoutError:
            await call.end("busy")
        finally:
            done.set()

    stage.take_calls(stage.client, handler)
    stage.space.ring(stage.client.receiver.inbound_url)
    async with asyncio.timeout(600):
        await done.wait()


@flow(owns_client=True)
async def close_at_once(stage: Stage) -> None:
    """Several tasks close a client, one of them in the middle of the opening."""
    client = stage.make_client(backplane=stage.hub.member("worker"))
    tasks = [asyncio.ensure_future(client.open())]
    try:
        await asyncio.sleep(0)
        tasks += [asyncio.ensure_future(client.close()) for _ in range(2)]
        await asyncio.wait(tasks)
    finally:
        for task in tasks:
            task.cancel()
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        await client.close()


@flow(owns_client=True, callee=Callee(hangs_up_after=100))
async def recover_in_part(stage: Stage) -> None:
    """Another process takes over what is left, and loses interest after the first action."""
    async with stage.make_client("ours.example", backplane=stage.hub.member("front")):
        first = stage.make_client(
            "first.example", public_url="http://ours.example", backplane=stage.hub.member("first")
        )
        await first.open()
        try:
            call = await stage.dial(first)
            for _ in range(2):
                stage.hold(await call.play(Silence(5)))
        finally:
            stage.hub.kill("first")
            await first.close()
        async with stage.make_client(
            "second.example", public_url="http://ours.example", backplane=stage.hub.member("second")
        ) as second:
            async for action in second.recover("first"):
                await action.finished(timeout=60)
                break
            await second.call(call.id or "").ended(timeout=200)
            await asyncio.sleep(100)


BOB = "+15550100001"


@flow(wants_call=True, callee=Callee(hangs_up_after=120))
async def connect_and_talk(stage: Stage) -> None:
    async with stage.block(stage.call.connect(BOB, max_duration=60)) as connect:
        peer = stage.hold(await connect.connected(timeout=60))
        await peer.say("Somebody for you.").finished(timeout=60)
        await peer.end()
        await peer.ended(timeout=60)
        stage.release(peer)
    result = await connect.finished(timeout=60)
    stage.expect(is_so=result.answered, what=f"the bridge came to {result}")


@flow(wants_call=True, callee=Callee(hangs_up_after=120))
async def connect_and_part(stage: Stage) -> None:
    """The peer's handle is never asked for, so that the end of the block hangs it up."""
    async with stage.block(stage.call.connect(BOB)) as connect:
        await connect.reached("connected", timeout=60)
    await connect.finished(timeout=60)


@flow(wants_call=True, callee=Callee(hangs_up_after=200))
async def connect_gives_up(stage: Stage) -> None:
    """Nobody has the handle of what still rings when the time is over."""
    stage.space.exchange.callees[BOB] = Callee(answers=False)
    with suppress(TimeoutError):
        await stage.call.connect(BOB, timeout=300).finished(timeout=5)
    await stage.call.say("Nobody is there.").finished(timeout=60)


@flow(wants_call=True, callee=Callee(hangs_up_after=200))
async def connect_nobody(stage: Stage) -> None:
    stage.space.exchange.callees[BOB] = Callee(answers="busy")
    result = await stage.call.connect(BOB).finished(timeout=60)
    stage.expect(is_so=not result.answered, what=f"somebody answered: {result}")


@flow(wants_call=True, callee=Callee(hangs_up_after=200))
async def documents_in_turn(stage: Stage) -> None:
    """The second one replaces the first one."""
    first = stage.hold(await stage.call.run_swml([{"sleep": 600_000}]))
    await stage.call.send_digits("1w2#").finished(timeout=60)
    with suppress(Replaced):
        await first.finished(timeout=60)
    stage.release(first)


@flow(callee=Callee(rings_for=5, hangs_up_after=200))
async def digits_before_the_answer(stage: Stage) -> None:
    """They wait for it."""
    async with stage.block(stage.client.dial(to=TO, from_=FROM)) as call:
        await call.send_digits("12").finished(timeout=60)


@flow(wants_call=True, callee=Callee(hangs_up_after=200))
async def conference_of_two(stage: Stage) -> None:
    other = stage.hold(await stage.client.dial(to=TO, from_=FROM))
    async with stage.block(other.conference("room", end_on_exit=True)) as first:
        await first.reached("joined", timeout=60)
        second = stage.hold(await stage.call.conference("room"))
        await second.reached("joined", timeout=60)
        await other.end()
        await second.finished(timeout=60)
        stage.release(second)
    await other.ended(timeout=60)
    stage.release(other)


@flow(callee=Callee(hangs_up_after=120), takes_calls=True)
async def inbound_refused(stage: Stage) -> None:
    """The first one is refused before it was answered, and the second one is answered by the handler."""
    for refuses in (True, False):
        done = asyncio.Event()

        async def handler(call: Call, *, refuses: bool = refuses, done: asyncio.Event = done) -> None:
            try:
                if refuses:
                    await call.reject("busy")
                else:
                    await call.answer()
                    await call.say("Hello.").finished(timeout=60)
            finally:
                done.set()

        stage.take_calls(stage.client, handler, answer=False)
        stage.space.ring(stage.client.receiver.inbound_url)
        async with asyncio.timeout(600):
            await done.wait()


@flow(owns_client=True, callee=Callee(hangs_up_after=120))
async def refused_elsewhere(stage: Stage) -> None:
    """Two processes: one is asked about calls that are not answered yet, and the other one decides."""
    async with (
        stage.make_client("ours.example", backplane=stage.hub.member("front")) as front,
        stage.make_client(
            "second.example", public_url="http://ours.example", backplane=stage.hub.member("worker")
        ) as worker,
    ):
        for refuses in (True, False):
            done = asyncio.Event()

            async def handler(call: Call, *, refuses: bool = refuses, done: asyncio.Event = done) -> None:
                try:
                    if refuses:
                        await call.reject("busy")
                    else:
                        await call.answer()
                        await call.say("Hello.").finished(timeout=60)
                finally:
                    done.set()

            stage.take_calls(worker, handler, answer=False)
            stage.space.ring(front.receiver.inbound_url)
            async with asyncio.timeout(600):
                await done.wait()
        await asyncio.sleep(130)


@flow(owns_client=True, callee=Callee(hangs_up_after=100))
async def recover_a_bridge(stage: Stage) -> None:
    """A process dies while two people talk, and another one takes up the bridge."""
    async with stage.make_client("ours.example", backplane=stage.hub.member("front")):
        first = stage.make_client(
            "first.example", public_url="http://ours.example", backplane=stage.hub.member("first")
        )
        await first.open()
        try:
            call = await stage.dial(first)
            connect = stage.hold(await call.connect(BOB, max_duration=50))
            await connect.reached("connected", timeout=60)
        finally:
            stage.hub.kill("first")
            await first.close()
        async with stage.make_client(
            "second.example", public_url="http://ours.example", backplane=stage.hub.member("second")
        ) as second:
            async for action in second.recover("first"):
                if action.kind == "connect":
                    stage.expect(is_so=(await action.finished(timeout=200)).answered, what="nobody was connected")
            await second.call(call.id or "").ended(timeout=200)
            await asyncio.sleep(100)


FLOW_COUNT = len(FLOWS)
