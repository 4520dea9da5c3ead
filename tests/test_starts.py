"""What a verb returns: a coroutine, which owns what it starts until somebody has the handle."""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import Any

import pytest
from aiohttp import web

from swcalls import (
    TTS,
    ActionExpired,
    Call,
    CallEnded,
    Client,
    ClientClosed,
    CommandNotSent,
    CommandUnconfirmed,
    DetectMachine,
    Digits,
    Retry,
    ServerFault,
)

FROM = "+12069708643"


async def sent(space, command: str) -> dict[str, Any]:
    """Wait for *command* to arrive."""
    while True:
        arrived = await space.arrived.get()
        if arrived["command"] == command:
            return arrived["params"]


def names(space) -> list[str]:
    return [command["command"].removeprefix("calling.") for command in space.commands]


# A coroutine


async def test_a_start_is_a_coroutine_for_tasks_groups_and_gather(space, call: Call) -> None:
    task = asyncio.create_task(call.play(TTS("one")))
    assert (await task).kind == "play"
    async with asyncio.TaskGroup() as group:
        second = group.create_task(call.collect(digits=Digits(1)))
    assert second.result().kind == "collect"
    plays = await asyncio.gather(call.play(TTS("two")), call.say("three"))
    assert [play.kind for play in plays] == ["play", "play"]
    assert (await asyncio.wait_for(call.record(), 10)).kind == "record"


async def test_a_dial_is_a_coroutine_too(space, client: Client) -> None:
    start = client.dial(to="+15550198765", from_=FROM)
    assert asyncio.iscoroutine(start)
    assert repr(start) == "<CallStart Client.dial>"
    task = asyncio.create_task(start)
    assert "Client.dial" in repr(task)
    assert isinstance(await task, Call)


@pytest.mark.parametrize(
    ("verb", "name"),
    [
        (lambda call: call.play(TTS("Hi")), "Call.play"),
        (lambda call: call.say("Hi"), "Call.say"),
        (lambda call: call.record(), "Call.record"),
        (lambda call: call.prompt(TTS("Hi"), digits=Digits(1)), "Call.prompt"),
        (lambda call: call.sidecar("en-US"), "Call.sidecar"),
        (lambda call: call.sidecar_summary("en-US"), "Call.sidecar_summary"),
        (lambda call: call.live_transcribe("en-US", "remote-caller"), "Call.live_transcribe"),
    ],
)
async def test_a_start_that_was_never_awaited_is_named_in_the_warning(space, call: Call, verb, name: str) -> None:
    with pytest.warns(RuntimeWarning, match=f"coroutine '{name}' was never awaited"):
        verb(call)


async def test_a_dial_that_was_never_awaited_is_named_in_the_warning(space, client: Client) -> None:
    with pytest.warns(RuntimeWarning, match=r"coroutine 'Client\.dial' was never awaited"):
        client.dial(to="+15550198765", from_=FROM)
    assert not space.commands


async def test_a_start_can_be_closed_without_a_warning_and_sends_nothing(space, call: Call) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call.play(TTS("Hi")).close()
        gc.collect()
    assert names(space) == ["dial"]


async def test_a_start_can_be_used_once(space, call: Call) -> None:
    start = call.play(TTS("Hi"))
    await start
    with pytest.raises(RuntimeError, match="already awaited"):
        await start
    with pytest.raises(RuntimeError, match="already awaited"):
        await start.finished()
    assert names(space) == ["dial", "play"]


# Who owns what was started

STARTS = [
    (lambda call: call.play(TTS("Hi"), control_id="mine"), "calling.play", "calling.play.stop"),
    (lambda call: call.record(control_id="mine"), "calling.record", "calling.record.stop"),
    (lambda call: call.collect(digits=Digits(1), control_id="mine"), "calling.collect", "calling.collect.stop"),
    (lambda call: call.detect(control_id="mine"), "calling.detect", "calling.detect.stop"),
    (lambda call: call.stream("wss://example.com", control_id="mine"), "calling.stream", "calling.stream.stop"),
    (lambda call: call.transcribe(control_id="mine"), "calling.transcribe", "calling.transcribe.stop"),
    (lambda call: call.sidecar("en-US", control_id="mine"), "calling.ai_sidecar", "calling.ai_sidecar.stop"),
]


async def awaited(start) -> None:
    await start


async def finished(start) -> None:
    await start.finished()


async def in_a_block(start) -> None:
    async with start:
        pytest.fail("the block must not be entered")


@pytest.mark.parametrize("use", [awaited, finished, in_a_block])
@pytest.mark.parametrize(("start", "command", "stop"), STARTS)
async def test_a_start_that_is_cancelled_under_way_is_stopped(space, call: Call, start, command, stop, use) -> None:
    release = asyncio.Event()
    space.answers.append(space.held(release))
    task = asyncio.create_task(use(start(call)))
    await sent(space, command)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await sent(space, stop)
    release.set()


async def test_a_live_transcription_that_is_cancelled_under_way_is_stopped(space, call: Call) -> None:
    release = asyncio.Event()
    space.answers.append(space.held(release))
    task = asyncio.create_task(awaited(call.live_transcribe("en-US", "remote-caller")))
    await sent(space, "calling.live_transcribe")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await sent(space, "calling.live_transcribe"))["action"] == "stop"
    release.set()


async def test_a_stop_that_comes_before_the_command_that_was_cut_off_is_repeated(
    space, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swcalls.actions.action.PAUSES", (3600.0,))
    release = asyncio.Event()
    space.answers.extend([space.held(release), web.json_response({}, status=404)])
    task = asyncio.create_task(awaited(call.play(TTS("Hi"))))
    await sent(space, "calling.play")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await sent(space, "calling.play.stop")
    # Only now it begins to play.
    await space.tell("calling.play", state="playing")
    await sent(space, "calling.play.stop")
    release.set()


async def test_a_start_that_is_cancelled_before_it_leaves_sends_nothing(space, connect) -> None:
    client = await connect(max_connections=1)
    call = await client.dial(to="+15550198765", from_=FROM)
    release = asyncio.Event()
    space.answers.append(space.held(release))
    first = asyncio.create_task(call.play(TTS("one")))
    await sent(space, "calling.play")
    second = asyncio.create_task(call.record())
    while len(client.actions) < 2:
        await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    assert len(client.actions) == 1
    release.set()
    await first
    assert names(space) == ["dial", "play"]


async def test_the_timeout_of_a_start_covers_the_sending(space, call: Call, client: Client) -> None:
    release = asyncio.Event()
    space.answers.append(space.held(release))
    with pytest.raises(TimeoutError, match=r"play mine: not finished after 0\.2 s; last: no event yet"):
        await call.play(TTS("Hi"), control_id="mine").finished(timeout=0.2)
    await sent(space, "calling.play.stop")
    release.set()


async def test_a_start_whose_wait_times_out_is_stopped(space, call: Call) -> None:
    with pytest.raises(TimeoutError, match="not finished after"):
        await call.record().finished(timeout=0.2)
    await sent(space, "calling.record.stop")


async def test_a_start_whose_wait_is_cancelled_is_stopped(space, call: Call) -> None:
    task = asyncio.create_task(call.play(TTS("Hi")).finished())
    await sent(space, "calling.play")
    await space.tell("calling.play", state="playing")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await sent(space, "calling.play.stop")


async def test_a_start_in_one_expression_whose_deadline_passes_is_stopped(space, call: Call) -> None:
    with pytest.raises(ActionExpired):
        await call.play(TTS("Hi"), deadline=0.2).finished()
    await sent(space, "calling.play.stop")


async def test_a_wait_for_a_handle_that_times_out_stops_nothing(space, call: Call) -> None:
    play = await call.play(TTS("Hi"))
    with pytest.raises(TimeoutError):
        await play.finished(timeout=0)
    task = asyncio.create_task(play.finished())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await space.tell("calling.play", state="finished")
    await play
    assert names(space) == ["dial", "play"]


async def test_closing_waits_for_the_stop_of_what_was_cancelled(space, connect) -> None:
    client = await connect()
    call = await client.dial(to="+15550198765", from_=FROM)
    release = asyncio.Event()
    space.answers.append(space.held(release))
    task = asyncio.create_task(awaited(call.record()))
    await sent(space, "calling.record")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await client.close()
    assert names(space)[-1] == "record.stop"
    release.set()


# What ended here, and not at the platform


async def test_what_expired_here_is_still_stopped_by_stop(space, call: Call) -> None:
    play = await call.play(TTS("Hi"), deadline=60)
    space.overdue(play)
    with pytest.raises(ActionExpired):
        await play
    assert await play.stop() is not None
    assert names(space)[-1] == "play.stop"


async def test_what_expired_in_a_block_is_stopped_at_its_end(space, call: Call) -> None:
    async with call.play(TTS("Hi"), deadline=60) as play:
        space.overdue(play)
        await play.outcome()
    assert names(space)[-1] == "play.stop"


async def test_a_detector_that_has_answered_and_runs_on_is_stopped_at_the_end_of_its_block(space, call: Call) -> None:
    async with call.detect(DetectMachine(detect_message_end=False)) as detect:
        await space.tell("calling.detect", detect={"type": "machine", "params": {"event": "HUMAN"}})
        assert (await detect).event == "HUMAN"
    assert names(space)[-1] == "detect.stop"


@pytest.mark.parametrize("state", ["finished", "error"])
async def test_what_the_platform_has_ended_is_not_stopped(space, call: Call, state: str) -> None:
    async with call.play(TTS("Hi")) as play:
        await space.tell("calling.play", state=state)
        await play.outcome()
    assert await play.stop() is None
    assert names(space) == ["dial", "play"]


async def test_a_stop_that_fails_at_the_end_of_a_block_is_raised(space, call: Call) -> None:
    with pytest.raises(ServerFault):
        async with call.record():
            space.answers.append(web.Response(status=500))


async def test_a_stop_that_fails_hides_no_error_of_the_block(space, call: Call) -> None:
    async def block() -> None:
        async with call.record():
            space.answers.append(web.Response(status=500))
            raise KeyError

    with pytest.raises(KeyError):
        await block()


async def test_a_block_whose_stop_is_cancelled_hands_it_on(space, call: Call) -> None:
    release, inside = asyncio.Event(), asyncio.Event()

    async def block() -> None:
        async with call.record():
            space.answers.append(space.held(release))
            inside.set()

    task = asyncio.create_task(block())
    await sent(space, "calling.record.stop")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await sent(space, "calling.record.stop")
    release.set()


async def test_a_call_whose_hanging_up_is_cancelled_is_hung_up_all_the_same(space, call: Call) -> None:
    release = asyncio.Event()

    async def block() -> None:
        async with call:
            space.answers.append(space.held(release))

    task = asyncio.create_task(block())
    await sent(space, "calling.end")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await sent(space, "calling.end")
    release.set()


async def test_any_call_can_be_hung_up_by_a_block(space, client: Client) -> None:
    async with client.call("2e1e66e5-5d07-413d-9668-55542992eec0") as call:
        await call.play(TTS("Hi"))
    assert names(space) == ["play", "end"]


# A deadline that passes, or a call that ends, while a command waits for its turn


async def test_a_command_whose_deadline_passes_while_it_waits_for_its_turn_is_not_sent(space, connect) -> None:
    client = await connect(command_rate=0.001)
    call = await client.dial(to="+15550198765", from_=FROM)
    with pytest.raises(ActionExpired, match="before its command was sent") as caught:
        await call.play(TTS("Hi"), deadline=0.05)
    assert caught.value.outcome is not None
    assert caught.value.outcome.stage == "not_sent"
    assert not client.actions
    assert names(space) == ["dial"]


async def test_a_command_whose_deadline_passes_while_it_waits_for_a_connection_is_not_sent(space, connect) -> None:
    client = await connect(max_connections=1)
    call = await client.dial(to="+15550198765", from_=FROM)
    release = asyncio.Event()
    space.answers.append(space.held(release))
    first = asyncio.create_task(call.play(TTS("one")))
    await sent(space, "calling.play")
    with pytest.raises(ActionExpired):
        await call.play(TTS("two"), deadline=0.05)
    release.set()
    await first
    assert names(space) == ["dial", "play"]


async def test_a_command_is_not_repeated_after_its_deadline(space, connect) -> None:
    client = await connect(retry=Retry(attempts=3, longest_wait=1000))
    call = await client.dial(to="+15550198765", from_=FROM)
    space.answers.append(web.Response(status=429, headers={"Retry-After": "900"}))
    with pytest.raises(Exception, match="429"):
        await call.play(TTS("Hi"), deadline=60)
    assert not client.actions


async def test_a_command_whose_call_ends_while_it_waits_for_its_turn_is_not_sent(space, connect) -> None:
    client = await connect(max_connections=1)
    call = await client.dial(to="+15550198765", from_=FROM)
    release = asyncio.Event()
    space.answers.append(space.held(release))
    first = asyncio.create_task(call.play(TTS("one")))
    await sent(space, "calling.play")
    second = asyncio.create_task(call.play(TTS("two")))
    while len(client.actions) < 2:
        await asyncio.sleep(0)
    await space.tell_call("ended", end_reason="hangup")
    release.set()
    with pytest.raises(CallEnded) as caught:
        await second
    assert caught.value.reason == "hangup"
    await asyncio.gather(first, return_exceptions=True)
    assert names(space) == ["dial", "play"]


@pytest.mark.parametrize("what", ["end", "stop"])
async def test_an_end_that_waits_for_its_turn_while_the_call_ends_does_nothing(space, connect, what: str) -> None:
    client = await connect(max_connections=1)
    call = await client.dial(to="+15550198765", from_=FROM)
    record = await call.record()
    release = asyncio.Event()
    space.answers.append(space.held(release))
    first = asyncio.create_task(call.play(TTS("one")))
    await sent(space, "calling.play")
    end = asyncio.create_task(call.end() if what == "end" else record.stop())
    await asyncio.sleep(0)
    await space.tell_call("ended", end_reason="hangup")
    release.set()
    assert await end is None
    await asyncio.gather(first, return_exceptions=True)
    assert names(space) == ["dial", "record", "play"]


async def test_the_rate_counts_what_leaves_and_not_what_waits_for_a_connection(space, connect) -> None:
    client = await connect(command_rate=20, max_connections=1)
    call = await client.dial(to="+15550198765", from_=FROM)
    release = asyncio.Event()
    space.answers.append(space.held(release))
    gate = client._engine.transport._commands
    passed: list[float] = []
    pace = gate.passed

    def note() -> None:
        passed.append(asyncio.get_running_loop().time())
        pace()

    gate.passed = note
    waiting = [asyncio.create_task(call.play(TTS(str(n)))) for n in range(6)]
    await sent(space, "calling.play")
    assert len(passed) == 1, "the others have no connection yet, and so no turn"
    release.set()
    await asyncio.gather(*waiting)
    # The waits may catch up by the slack, 50 ms, and no more.
    assert passed[-1] - passed[1] >= 4 / 20 - 0.051


# What may have arrived


@pytest.mark.parametrize("answer", [web.Response(status=502), web.Response(status=504), web.Response(text="<html>")])
async def test_after_an_answer_that_says_nothing_the_action_is_kept_and_a_callback_settles_it(
    space, call: Call, client: Client, answer: web.Response
) -> None:
    space.answers.append(answer)
    with pytest.raises(CommandUnconfirmed) as caught:
        await call.play(TTS("Hi"))
    action: Any = caught.value.action
    assert client.actions == {action.control_id: action}
    await space.tell("calling.play", state="finished")
    assert (await action.outcome()).settled_by == "callback"


async def test_a_stop_that_is_cancelled_before_it_leaves_marks_nothing(space, connect) -> None:
    client = await connect(max_connections=1)
    call = await client.dial(to="+15550198765", from_=FROM)
    collect = await call.collect(digits=Digits(1), continuous=True)
    release = asyncio.Event()
    space.answers.append(space.held(release))
    first = asyncio.create_task(call.play(TTS("one")))
    await sent(space, "calling.play")
    stop = asyncio.create_task(collect.stop())
    await asyncio.sleep(0)
    stop.cancel()
    await asyncio.gather(stop, return_exceptions=True)
    await space.tell("calling.collect", result={"type": "digit", "params": {"digits": "1"}})
    assert not collect.done(), "a continuous collect goes on"
    release.set()
    await first


async def test_a_stop_that_is_refused_marks_nothing(space, call: Call) -> None:
    collect = await call.collect(digits=Digits(1), continuous=True)
    space.answers.append(web.Response(status=500))
    with pytest.raises(ServerFault):
        await collect.stop()
    await space.tell("calling.collect", result={"type": "digit", "params": {"digits": "1"}})
    assert not collect.done()


# Calls that have ended, or were never confirmed


async def test_nothing_is_sent_to_a_call_that_is_known_to_have_ended(space, call: Call) -> None:
    play = await call.play(TTS("Hi"))
    await space.tell_call("ended", end_reason="busy")
    verbs = [
        lambda: call.say("Hi"),
        call.record,
        lambda: call.prompt(TTS("Hi"), digits=Digits(1)),
        lambda: call.transfer("sip:a@example.com"),
        call.complete,
        call.cancel,
        call.denoise,
        call.disconnect,
        play.pause,
    ]
    for verb in verbs:
        with pytest.raises(CallEnded) as caught:
            await verb()
        assert caught.value.reason == "busy"
    assert await call.end() is None
    assert await play.stop() is None
    assert names(space) == ["dial", "play"]


async def test_a_call_that_is_not_found_has_ended_and_one_except_is_enough(space, call: Call) -> None:
    space.answers.append(web.json_response({}, status=404))
    with pytest.raises(CallEnded) as caught:
        await call.say("Hi")
    assert caught.value.status == 404
    with pytest.raises(CallEnded):
        await call.say("Hi")
    assert names(space) == ["dial", "play"]


async def test_a_refused_end_leaves_no_reason_behind(space, call: Call) -> None:
    space.answers.append(web.Response(status=500))
    with pytest.raises(ServerFault):
        await call.end("busy")
    await space.tell_call("ended")
    assert await call.ended() is None


async def test_the_call_of_an_unconfirmed_dial_has_no_id_and_takes_no_commands(space, client: Client) -> None:
    space.answers.append(web.Response(status=504))
    with pytest.raises(CommandUnconfirmed) as caught:
        await client.dial(to="+15550198765", from_=FROM)
    call = caught.value.call
    for verb in (call.say("Hi"), call.end(), call.cancel(), call.update(url="https://example.com"), call.denoise()):
        with pytest.raises(CommandNotSent, match="no id"):
            await verb
    # As soon as a webhook tells the id, it is a call like any other.
    await space.tell_call("answered")
    await call.say("Hi")
    assert names(space) == ["dial", "play"]


async def test_closing_tells_whoever_waits_for_a_turn(space, connect) -> None:
    client = await connect(command_rate=0.001)
    call = await client.dial(to="+15550198765", from_=FROM)
    waiting = [asyncio.create_task(awaited(call.play(TTS("Hi")))), asyncio.create_task(call.end())]
    while not client.actions:
        await asyncio.sleep(0)
    await client.close()
    for result in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(result, ClientClosed)
    assert names(space) == ["dial"]


@pytest.mark.parametrize("control", ["pause", "resume", "volume"])
async def test_an_action_that_has_ended_cannot_be_controlled_and_its_call_goes_on(
    space, call: Call, control: str
) -> None:
    play = await call.play(TTS("Hi"))
    await space.tell("calling.play", state="finished")
    sent = len(space.commands)
    with pytest.raises(CommandNotSent, match=rf"calling.play.{control}: not sent, since play .* has ended") as raised:
        await getattr(play, control)(*([1] if control == "volume" else []))
    assert not isinstance(raised.value, CallEnded), "a handler must not take it for a caller who has hung up"
    assert len(space.commands) == sent
    await call.say("bye")
    await space.tell_call("ended", end_reason="hangup")
    with pytest.raises(CallEnded):
        await getattr(play, control)(*([1] if control == "volume" else []))
