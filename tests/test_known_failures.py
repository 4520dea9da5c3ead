"""Twenty-two ways in which call control is known to go wrong elsewhere; none of them does here.

Each was seen in a vendor's client for the same platform: awaits that hang, results that are lost or wrong, calls that
are made twice. The names say what happens here instead.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import hmac

import msgspec
import pytest
from aiohttp import web

from swcalls import (
    TTS,
    ActionExpired,
    ActionFailed,
    Call,
    CallEnded,
    CallNotFound,
    Client,
    ClientClosed,
    CommandUnconfirmed,
    DetectMachine,
    Digits,
    Limits,
    Playback,
    Reconcile,
    Retry,
    ServerFault,
    Speech,
    TapAction,
    WsDevice,
)
from swcalls.receiver import ObservingReceiver

FROM = "+12069708643"
NUMBER = "+15550198765"


async def test_01_the_end_of_a_call_ends_what_runs_on_it(space, call: Call, client: Client) -> None:
    actions = [await call.say("Hi"), await call.record(), await call.detect(), await call.collect(digits=Digits(max=1))]
    await space.tell_call("ended", end_reason="hangup")
    outcomes = await asyncio.gather(*(action.outcome() for action in actions))
    assert {outcome.settled_by for outcome in outcomes} == {"call_ended"}
    assert {type(outcome.error) for outcome in outcomes} == {CallEnded}
    assert not client.actions


async def test_02_a_recording_that_is_ready_after_the_hang_up_is_not_lost(space, connect) -> None:
    client = await connect(limits=Limits(grace=0))
    call = await client.dial(to=NUMBER, from_=FROM)
    recording = await call.record()
    await space.tell_call("ended")
    assert not recording.done()
    await space.tell("calling.record", state="finished", url="https://files.example/r.wav")
    assert (await recording).url == "https://files.example/r.wav"


@pytest.mark.parametrize("kind", ["record", "tap", "stream", "transcribe"])
async def test_03_an_error_ends_every_kind(space, call: Call, kind: str) -> None:
    action = await {
        "record": call.record,
        "tap": lambda: call.tap(WsDevice("wss://media.example/a")),
        "stream": lambda: call.stream("wss://media.example/a"),
        "transcribe": call.transcribe,
    }[kind]()
    if kind == "transcribe":
        url = space.last("calling.transcribe")["status_url"]
        await space.post(url, {"event_type": "calling.transcript.failed", "params": {"id": "t"}})
    else:
        await space.tell(f"calling.{kind}", state="error")
    with pytest.raises(ActionFailed):
        await action


async def test_04_a_playback_that_failed_is_no_success(space, call: Call) -> None:
    play = await call.say("Hi")
    await space.tell("calling.play", state="error")
    with pytest.raises(ActionFailed):
        await play
    assert (await play.outcome()).result is None


@pytest.mark.parametrize("command", ["collect", "prompt"])
async def test_05_a_partial_result_is_not_the_result(space, call: Call, command: str) -> None:
    speech = Speech(end_silence_timeout=1)
    start = {
        "collect": lambda: call.collect(speech=speech, partial_results=True),
        "prompt": lambda: call.prompt(TTS("Say something."), speech=speech, partial_results=True),
    }[command]
    action = await start()
    partial = {"type": "speech", "params": {"text": "hel"}}
    await space.tell("calling.collect", result=partial, final=False)
    assert not action.done()
    whole = {"type": "speech", "params": {"text": "hello there"}}
    await space.tell("calling.collect", result=whole, final=True)
    assert (await action).text == "hello there"


async def test_06_the_moment_to_leave_a_message_is_not_lost_behind_the_first_answer(space, call: Call) -> None:
    detect = await call.detect(DetectMachine(detect_message_end=True))

    async def heard(event: str, *, beep: bool = False) -> None:
        await space.tell("calling.detect", detect={"type": "machine", "params": {"event": event, "beep": beep}})

    await heard("MACHINE")
    await heard("NOT_READY")
    assert not detect.done()
    await heard("READY", beep=True)
    assert (await detect).event == "MACHINE"
    await detect.reached("READY")
    await heard("finished")
    assert [event.state async for event in detect] == ["MACHINE", "NOT_READY", "READY", "finished"]


async def test_07_a_wait_that_timed_out_spoils_no_later_one(space, call: Call) -> None:
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await call.ended(timeout=0.001)
    await space.tell_call("ended", end_reason="hangup")
    assert await call.ended(timeout=5) == "hangup"


async def test_08_cancelling_one_waiter_cancels_no_other_and_leaks_nothing(space, call: Call, client: Client) -> None:
    play = await call.say("Hi")
    first, second = (asyncio.create_task(play.finished()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await space.tell("calling.play", state="finished")
    assert isinstance(await second, Playback)
    assert isinstance(await play, Playback)
    assert not client.actions
    assert not play._operation.watchers


@pytest.mark.parametrize("reason", ["busy", "noAnswer", "decline"])
async def test_09_waiting_for_an_answer_ends_when_there_will_be_none(space, client: Client, reason: str) -> None:
    space.leg_status = "queued"
    call = await client.dial(to=NUMBER, from_=FROM)
    waiter = asyncio.create_task(call.answered())
    await asyncio.sleep(0)
    await space.tell_call("ended", end_reason=reason)
    with pytest.raises(CallEnded) as caught:
        await waiter
    assert caught.value.reason == reason


@pytest.mark.parametrize("status", [404, 410])
async def test_10_a_command_to_a_call_that_is_gone_is_an_error(space, call: Call, client: Client, status: int) -> None:
    space.answers.append(web.Response(status=status))
    with pytest.raises(CallNotFound):
        await call.say("Hi")
    assert not client.actions
    await call.ended()


async def test_11_a_null_where_an_object_should_be_disturbs_nobody(space, connect) -> None:
    client = await connect()
    call = await client.dial(to=NUMBER, from_=FROM)
    recording, play = await call.record(), await call.say("Hi")
    assert await space.tell("calling.record", state="finished", record=None, url=None, duration=None) == 200
    assert (await recording).url is None
    await space.tell("calling.play", state="finished")
    assert isinstance(await play, Playback)


async def test_12_closing_releases_everybody_and_what_was_missed_is_in_the_log(space, connect) -> None:
    client = await connect()
    call = await client.dial(to=NUMBER, from_=FROM)
    space.logs(("calling_call_play", {"control_id": "missed", "state": "finished"}))
    play = await call.play(TTS("Hi"), control_id="missed", deadline=0.1)
    await play
    assert (await play.outcome()).settled_by == "reconciled"
    pending = await call.say("Hi")
    waiter = asyncio.create_task(pending.finished())
    await asyncio.sleep(0)
    await client.close()
    with pytest.raises(ClientClosed):
        await waiter


async def test_13_a_dial_that_nobody_waits_for_any_more_leaves_no_phone_ringing(space, client: Client) -> None:
    release = asyncio.Event()
    space.answers.append(space.held(release))

    async def impatient() -> None:
        async with asyncio.timeout(0.05):
            await client.dial(to=NUMBER, from_=FROM)

    with pytest.raises(TimeoutError):
        await impatient()
    release.set()
    while (await space.arrived.get())["command"] != "calling.end":
        pass


async def test_14_a_state_that_comes_late_is_not_a_step_back(space, call: Call) -> None:
    await space.tell_call("ended", end_reason="hangup")
    await space.tell_call("answered")
    assert call.state == "ended"
    assert await call.ended() == "hangup"


async def test_15_an_id_in_use_does_not_orphan_its_action(space, call: Call, client: Client) -> None:
    first = await call.play(TTS("Hi"), control_id="mine")
    with pytest.raises(ValueError, match="control_id='mine'"):
        await call.play(TTS("Hi"), control_id="mine")
    assert client.actions["mine"] is first
    await space.tell("calling.play", state="finished")
    await first


async def test_16_a_prompt_whose_playback_fails_ends(space, call: Call) -> None:
    prompt = await call.prompt(TTS("Your PIN, please."), digits=Digits(max=4))
    await space.tell("calling.play", state="error")
    with pytest.raises(ActionFailed):
        await prompt


async def test_17_what_never_ends_does_not_pile_up_beyond_its_call(space, connect) -> None:
    client = await connect()
    call = await client.dial(to=NUMBER, from_=FROM)
    taps = [await call.tap(WsDevice("wss://media.example/a"), deadline=1000) for _ in range(200)]
    assert client.stats.pending == 200
    await space.tell_call("ended")
    outcomes = await asyncio.gather(*(tap.outcome() for tap in taps))
    assert {type(outcome.error) for outcome in outcomes} == {CallEnded}
    assert client.stats.pending == 0
    keys = {tap.control_id for tap in taps}
    del taps, outcomes
    await asyncio.sleep(0)  # until then the loop holds what the last step was given
    gc.collect()
    assert not [thing for thing in gc.get_objects() if isinstance(thing, TapAction) and thing.control_id in keys]


async def test_18_an_event_that_nobody_knows_is_kept_and_counted(space, connect) -> None:
    client = await connect(limits=Limits(early_events=2))
    await client.dial(to=NUMBER, from_=FROM)
    for n in range(3):
        url = client._engine.urls.mint("play", f"unknown-{n}")
        assert await space.post(url, {"control_id": f"unknown-{n}", "state": "finished"}) == 200
    assert (client.stats.webhooks["early"], client.stats.early, client.stats.early_dropped) == (3, 2, 1)
    play = client.call("c").action("play", "unknown-2")
    assert isinstance(await play, Playback)


async def test_19_a_slow_platform_does_not_stall_the_loop(space, call: Call) -> None:
    release = asyncio.Event()
    space.answers.append(space.held(release))
    start = asyncio.create_task(call.say("Hi"))
    while (await space.arrived.get())["command"] != "calling.play":
        pass
    # Webhooks, and other commands, go on in the meantime.
    await space.tell("calling.play", state="finished")
    await call.denoise()
    assert not start.done()
    release.set()
    assert (await start).done()


async def test_20_one_dial_is_one_call_whatever_happens_to_its_answer(space, connect) -> None:
    client = await connect(retry=Retry(attempts=4, first_wait=0.001), timeout=0.2)

    async def lost(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    for answer in (lost, space.hang, web.Response(status=502), web.Response(status=500)):
        space.answers.append(answer)
        with pytest.raises((CommandUnconfirmed, ServerFault)):
            await client.dial(to=NUMBER, from_=FROM)
    assert len(space.commands) == 4
    assert client.stats.retried == 0


async def test_21_a_signature_that_covers_the_url_alone_is_refused(space, connect) -> None:
    client = await connect(signing_key="PSK-key")
    call = await client.dial(to=NUMBER, from_=FROM)
    play = await call.say("Hi")
    url = space.last("calling.play")["status_url"]
    signature = hmac.digest(b"PSK-key", url.encode(), hashlib.sha1).hex()
    assert await space.post(url, {"state": "finished"}, **{"X-SignalWire-Signature": signature}) == 403
    assert not play.done()
    body = msgspec.json.encode({"state": "finished"})
    signature = hmac.digest(b"PSK-key", url.encode() + body, hashlib.sha1).hex()
    assert await space.post(url, body, **{"X-SignalWire-Signature": signature}) == 200
    await play


async def test_22_any_server_can_receive_and_media_have_types(space, client: Client) -> None:
    call = await client.dial(to=NUMBER, from_=FROM)
    play = await call.play(TTS("Hi", voice="amy"))
    path = space.last("calling.play")["status_url"].removeprefix(client._engine.urls.public_url)
    reply = await client.accept(path=path, headers={}, body=b'{"state": "finished"}')
    assert reply.status == 200
    await play
    alone = ObservingReceiver("project", "token")
    async with alone.serve() as server:
        assert await space.post(server.url + path, {"state": "finished"}) == 200
    with pytest.raises(TypeError):
        call.play({"type": "tts", "params": {"text": "Hi"}})


async def test_and_what_is_lost_altogether_ends_at_its_bound(space, connect) -> None:
    """No webhook, no log, no end of the call: what bounds itself, and what was given a deadline, ends all the same."""
    client = await connect(limits=Limits(margin=0.01, grace=0), reconcile=Reconcile(timeout=0.05))
    call = await client.dial(to=NUMBER, from_=FROM)
    for start in (call.detect(timeout=0.01), call.say("Hi", deadline=0.1)):
        with pytest.raises(ActionExpired):
            await start.finished()
