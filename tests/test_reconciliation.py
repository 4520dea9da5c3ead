"""Webhooks that are lost, and what the voice log makes up for; over real HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

import pytest
from aiohttp import web

from swcalls import TTS, ActionExpired, CallEnded, Client, Digits, Limits, Playback, Reconcile, Recording, Silence

FROM = "+12069708643"
AT_ONCE = Limits(grace=0, long_grace=0, margin=0.001)


async def dialled(client: Client):
    return await client.dial(to="+15550198765", from_=FROM)


def finished(control_id: str, kind: str = "play", **more: object) -> tuple[str, dict[str, object]]:
    return f"calling_call_{kind}", {"control_id": control_id, "state": "finished", **more}


async def test_a_lost_end_is_found_in_the_log(space, connect) -> None:
    client = await connect()
    call = await dialled(client)
    space.logs(finished("mine"))
    play = await call.play(TTS("Hi"), control_id="mine", deadline=0.1)
    assert isinstance(await play, Playback)
    outcome = await play.outcome()
    assert outcome.settled_by == "reconciled"
    assert client.stats.settled == {"reconciled": 1}
    assert client.stats.log_questions == 1
    assert not client.actions


async def test_a_lost_recording_is_found_in_the_log_after_the_call(space, connect) -> None:
    client = await connect()
    call = await dialled(client)
    space.logs(finished("mine", "record", url="https://files.example/r.wav", duration=15.5), status="ended")
    recording = await call.record(control_id="mine")
    waiter = asyncio.create_task(recording.finished())
    await asyncio.sleep(0)
    await space.tell_call("ended")
    result = await waiter
    assert isinstance(result, Recording)
    assert (result.url, result.duration) == ("https://files.example/r.wav", 15.5)
    assert space.log_requests == [f"/api/voice/logs/{call.id}/events"], "that the call is over is known already"


async def test_a_lost_end_of_a_call_is_found_in_the_log(space, connect) -> None:
    client = await connect(reconcile=Reconcile(sweep=0.01))
    call = await dialled(client)
    space.logs(("calling_call_state", {"call_state": "ended", "end_reason": "busy"}), status="ended")
    assert await call.ended() in {"busy", None}
    assert call._operation.outcome.settled_by == "reconciled"


async def test_the_end_of_a_call_that_was_dialled_elsewhere_is_found_in_the_log(space, connect) -> None:
    client = await connect(reconcile=Reconcile(sweep=0.01))
    space.logs(status="completed")
    await client.call("2e1e66e5-5d07-413d-9668-55542992eec0").ended()
    with pytest.raises(CallEnded):
        await client.call("2e1e66e5-5d07-413d-9668-55542992eec0").answered()


async def test_the_events_of_a_call_that_was_dialled_elsewhere_come_to_their_end(space, connect) -> None:
    client = await connect(reconcile=Reconcile(sweep=0.01))
    space.logs(status="completed")
    async with asyncio.timeout(10):
        async for event in client.call("2e1e66e5-5d07-413d-9668-55542992eec0").events():
            pytest.fail(f"{event} is no event of the call, but what the log says")


async def test_they_do_so_when_an_action_has_come_and_gone_before_they_are_waited_for(space, connect) -> None:
    client = await connect(reconcile=Reconcile(sweep=0.01))
    call = client.call("2e1e66e5-5d07-413d-9668-55542992eec0")
    events = call.events()
    play = await call.play(TTS("Hi"))
    await space.tell("calling.play", state="finished")
    await play
    space.logs(status="completed")
    async with asyncio.timeout(10):
        async for event in events:
            pytest.fail(f"{event} is no event of the call, but what the log says")


async def test_a_lost_answer_is_found_in_the_log(space, connect) -> None:
    space.leg_status = "queued"
    client = await connect(reconcile=Reconcile(sweep=0.01))
    call = await dialled(client)
    space.logs(status="in-progress")
    await call.answered()


async def test_a_lost_end_of_what_nothing_bounds_is_found_in_the_log(space, connect) -> None:
    client = await connect(reconcile=Reconcile(sweep=0.01))
    call = await dialled(client)
    space.logs(finished("mine"))
    assert isinstance(await call.play(TTS("Hi"), control_id="mine").finished(), Playback)


async def test_many_overdue_actions_of_one_call_share_one_request(space, connect) -> None:
    client = await connect()
    call = await dialled(client)
    keys = [f"play-{n}" for n in range(30)]
    space.logs(*(finished(key) for key in keys))
    await asyncio.gather(*(call.play(TTS("Hi"), control_id=key, deadline=1.0).finished() for key in keys))
    assert client.stats.settled == {"reconciled": 30}
    # They were started one after another, so a few may have had to wait for the next question.
    assert len(space.log_requests) <= 6


async def test_what_the_log_does_not_prove_expires(space, connect) -> None:
    client = await connect()
    call = await dialled(client)
    space.logs(finished("another"), status="answered")
    with pytest.raises(ActionExpired):
        await call.play(TTS("Hi"), control_id="mine", deadline=0.1).finished()
    assert len(space.log_requests) == 2


def _answer(**response: object):
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(**response)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        _answer(status=500),
        _answer(status=404),
        _answer(text="<html>"),
        _answer(text="[]"),
        _answer(body=b" " * 5000),
        None,
    ],
    ids=["500", "404", "html", "list", "huge", "silent"],
)
async def test_a_log_that_cannot_be_read_keeps_nobody_waiting(space, connect, answer, caplog) -> None:
    caplog.set_level("INFO", "swcalls")
    client = await connect(reconcile=Reconcile(timeout=0.05, body=4096))
    call = await dialled(client)
    space.log = dict.fromkeys((call.id, "events"), answer or space.hang)
    with pytest.raises(ActionExpired):
        await call.play(TTS("Hi"), deadline=0.1).finished()
    assert client._engine.log_checker.unanswered == 1
    assert f"call {call.id}: the voice log cannot be read: " in caplog.text


async def test_it_can_be_switched_off(space, connect) -> None:
    client = await connect(reconcile=None)
    call = await dialled(client)
    with pytest.raises(ActionExpired):
        await call.play(TTS("Hi"), deadline=0.1).finished()
    assert not space.log_requests


async def test_what_nobody_waits_on_asks_nothing(space, connect) -> None:
    client = await connect()
    call = await dialled(client)
    play = await call.play(TTS("Hi"), deadline=60)
    space.overdue(play)
    while not play.done():
        await asyncio.sleep(0)
    with pytest.raises(ActionExpired):
        await play
    assert not space.log_requests


async def test_questions_are_asked_a_few_at_a_time(space, connect) -> None:
    client = await connect(reconcile=Reconcile(at_once=2))
    release = asyncio.Event()
    at_once = Counter[str]()
    asked = asyncio.Queue[str]()

    async def held(request: web.Request) -> web.StreamResponse:
        at_once["now"] += 1
        at_once["most"] = max(at_once["most"], at_once["now"])
        asked.put_nowait(request.path)
        await release.wait()
        at_once["now"] -= 1
        return web.json_response({"data": []})

    space.log = {"events": held} | {f"call-{n}": held for n in range(6)}
    calls = [client.call(f"call-{n}") for n in range(6)]
    waits = [asyncio.create_task(call.play(TTS("Hi"), deadline=0.1).finished()) for call in calls]
    for _ in range(4):
        await asked.get()
    release.set()
    assert {type(r) for r in await asyncio.gather(*waits, return_exceptions=True)} == {ActionExpired}
    assert at_once["most"] == 4, "two calls, two requests each"


async def test_closing_while_the_log_is_asked(space, connect, caplog) -> None:
    client = await connect()
    call = await dialled(client)
    asked = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        asked.set()
        return await space.hang(request)

    space.log = {call.id: hang, "events": hang}
    play = await call.play(TTS("Hi"), deadline=0.1)
    waiter = asyncio.create_task(play.outcome())
    await asked.wait()
    await client.close()
    assert (await waiter).settled_by == "closed"


async def test_the_log_is_asked_with_the_credentials_and_shows_them_to_nobody(space, connect, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    client = await connect()
    call = await dialled(client)
    headers = []

    async def look(request: web.Request) -> web.StreamResponse:
        headers.append(request.headers["Authorization"])
        return web.Response(status=500)

    space.log = {call.id: look, "events": look}
    with pytest.raises(ActionExpired):
        await call.play(TTS("Hi"), deadline=0.1).finished()
    assert headers == [space.headers[0]["Authorization"]] * 2
    assert headers[0] not in caplog.text


# What bounds itself


async def test_kinds_that_bound_themselves_have_a_deadline_of_their_own(space, connect) -> None:
    client = await connect(limits=AT_ONCE, reconcile=None)
    call = await dialled(client)
    detect = await call.detect(timeout=0.001)
    silence = await call.play(Silence(0.001))
    collect = await call.collect(
        digits=Digits(max=1, digit_timeout=0.001), initial_timeout=0.001, start_input_timers=False
    )
    for action in (detect, silence):
        assert (await action.outcome()).settled_by == "deadline"
    assert collect._operation.due is None, "its clock does not run yet"
    await collect.start_input_timers()
    assert (await collect.outcome()).settled_by == "deadline"


@pytest.mark.parametrize("command", ["say", "tap", "transcribe", "record", "endless", "continuous", "prompt"])
async def test_what_nothing_bounds_has_none_unless_asked_for(space, connect, command: str) -> None:
    from swcalls import RtpDevice

    client = await connect(limits=AT_ONCE)
    call = await dialled(client)
    start = {
        "say": lambda: call.say("Hi"),
        "tap": lambda: call.tap(RtpDevice("8.8.4.4", 5000)),
        "transcribe": call.transcribe,
        "record": call.record,
        "endless": lambda: call.play(Silence(1), loop=0),
        "continuous": lambda: call.collect(digits=Digits(max=1), continuous=True),
        "prompt": lambda: call.prompt(TTS("Hi"), digits=Digits(max=1)),
    }[command]
    action = await start()
    assert action._operation.due is None


async def test_a_deadline_that_was_asked_for_takes_its_place(space, connect) -> None:
    client = await connect(limits=AT_ONCE, reconcile=None)
    call = await dialled(client)
    detect = await call.detect(timeout=0.001, deadline=1000)
    silence = await call.play(Silence(0.001))
    await silence.outcome()
    assert not detect.done()


async def test_a_stop_whose_end_is_lost_ends_all_the_same(space, connect) -> None:
    client = await connect(limits=AT_ONCE, reconcile=None)
    call = await dialled(client)
    play = await call.say("Hi")
    await play.stop()
    outcome = await play.outcome()
    assert outcome.settled_by == "deadline"
    assert outcome.stage == "accepted"


async def test_a_stop_of_what_the_platform_has_forgotten_ends_all_the_same(space, connect) -> None:
    client = await connect(limits=AT_ONCE, reconcile=None)
    call = await dialled(client)
    play = await call.say("Hi")
    space.answers.append(web.Response(status=404))
    assert await play.stop() is None
    assert (await play.outcome()).settled_by == "deadline"


async def test_a_dial_without_an_answer_is_not_waited_for_without_end(space, connect) -> None:
    from swcalls import CommandUnconfirmed

    client = await connect(limits=Limits(unconfirmed=0.01), reconcile=None)

    async def reset(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    space.answers.append(reset)
    with pytest.raises(CommandUnconfirmed) as caught:
        await dialled(client)
    with pytest.raises(CallEnded):
        await caught.value.call.answered()
