"""`call.timeline`: what a client notes about its calls, and how much of it."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from swcalls import TTS, CallEnded, Digits, InvalidParams, Limits, Retry, Timeline

from ..conftest import CALL_ID


def told(timeline: Timeline, *, without: tuple[str, ...] = ("reported",)) -> list[tuple[str, str, str, str]]:
    marks = (mark for mark in timeline if mark.verdict not in without)
    return [(mark.what, mark.kind, mark.word, mark.verdict) for mark in marks]


async def test_commands_events_waits_and_outcomes_are_there_in_their_order(space, client) -> None:
    call = await client.dial(to="+15550198765", from_="+12069708643")
    waiting = asyncio.create_task(call.ended())
    await asyncio.sleep(0)
    action = await call.play(TTS("Hi"))
    await space.tell("calling.play", state="playing")
    finished = asyncio.create_task(action.finished())
    await asyncio.sleep(0)
    await space.tell("calling.play", state="finished")
    await finished
    await space.tell_call("ended", end_reason="hangup")
    await waiting
    assert told(call.timeline) == [
        ("command", "call", "dial", "accepted"),
        ("wait", "call", "ended", "result"),
        ("command", "play", "calling.play", "accepted"),
        ("event", "play", "playing", "applied"),
        ("wait", "play", "finished", "result"),
        ("event", "play", "finished", "applied"),
        ("settled", "play", "result", "callback"),
        ("event", "call", "ended: hangup", "applied"),
        ("settled", "call", "result", "callback"),
    ]
    assert call.timeline.call_id == CALL_ID
    times = [mark.at for mark in call.timeline]
    assert times == sorted(times)


async def test_an_event_has_its_payload_and_an_action_its_control_id(space, call) -> None:
    action = await call.play(TTS("Hi"), control_id="p1")
    await space.tell("calling.play", state="playing", volume=3)
    mark = next(mark for mark in call.timeline if mark.what == "event" and mark.kind == "play")
    assert mark.key == action.control_id == "p1"
    assert mark.event is not None
    assert mark.event.raw["volume"] == 3
    assert all(mark.key is None for mark in call.timeline if mark.kind == "call")


async def test_what_came_twice_late_or_early_is_there_as_such(space, client, call) -> None:
    await call.play(TTS("Hi"), control_id="p1")
    for state in ("playing", "playing", "finished", "playing"):
        await space.tell("calling.play", state=state)
    early = client._engine.urls.mint("play", "p2")
    await space.post(early, {"call_id": CALL_ID, "control_id": "p2", "state": "playing"})
    assert [said[2:] for said in told(call.timeline) if said[:2] == ("event", "play")] == [
        ("playing", "applied"),
        ("playing", "duplicate"),
        ("finished", "applied"),
        ("playing", "late"),
        ("playing", "early"),
    ]


async def test_a_command_that_failed_says_why_and_one_that_was_repeated_shows_it(space, connect) -> None:
    client = await connect(retry=Retry(attempts=2))
    call = await client.dial(to="+15550198765", from_="+12069708643")
    refusal = {"errors": [{"code": "invalid", "message": "no", "attribute": "params.volume"}]}
    space.answers += [web.Response(status=429, headers={"Retry-After": "0"}), web.json_response(refusal, status=422)]
    with pytest.raises(InvalidParams):
        await call.play(TTS("Hi"))
    repeated = next(mark for mark in call.timeline if mark.what == "retry")
    assert (repeated.kind, repeated.word) == ("play", "calling.play")
    assert "429" in repeated.detail
    failed = next(mark for mark in call.timeline if mark.verdict == "failed")
    assert (failed.what, failed.word, failed.key) == ("command", "calling.play", repeated.key)
    assert failed.detail.startswith("InvalidParams: ")


async def test_a_wait_that_timed_out_or_was_cancelled_says_so(space, call) -> None:
    action = await call.play(TTS("Hi"))
    with pytest.raises(TimeoutError):
        await action.finished(timeout=0)
    task = asyncio.create_task(action.reached("playing"))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    open_wait = asyncio.create_task(action.outcome())
    await asyncio.sleep(0)
    waits = [mark for mark in call.timeline if mark.what == "wait"]
    assert [(mark.word, mark.verdict, mark.took is None) for mark in waits] == [
        ("finished", "timeout", False),
        ("reached playing", "cancelled", False),
        ("outcome", "", True),
    ]
    open_wait.cancel()
    await asyncio.gather(open_wait, return_exceptions=True)


async def test_an_action_that_its_call_ended_is_shown_as_lost(space, call) -> None:
    action = await call.play(TTS("Hi"))
    await space.tell_call("ended", end_reason="hangup")
    with pytest.raises(CallEnded):
        await action.finished()
    lost = next(mark for mark in call.timeline if mark.what == "settled" and mark.kind == "play")
    assert (lost.word, lost.verdict, lost.event) == ("CallEnded", "call_ended", None)


async def test_what_is_done_already_is_not_waited_for(space, call) -> None:
    action = await call.play(TTS("Hi"))
    await space.tell("calling.play", state="finished")
    await action.finished()
    assert not [mark for mark in call.timeline if mark.what == "wait"]


async def test_the_limits_say_how_much_is_kept_and_the_rest_is_counted(space, connect) -> None:
    client = await connect(limits=Limits(timeline=8))
    call = await client.dial(to="+15550198765", from_="+12069708643")
    action = await call.collect(digits=Digits(max=20))
    for number in range(20):
        await space.tell("calling.collect", result={"type": "digit", "params": {"digits": str(number)}}, final=False)
    timeline = call.timeline
    assert len(timeline) == 8
    # Two commands, an answer that told a state, and twenty webhooks.
    assert timeline.dropped == 2 + 1 + 20 - 8
    assert timeline.marks[-1].word == "19"
    assert f"after {timeline.dropped} that were dropped" in repr(timeline)
    assert str(timeline).startswith(f"{timeline.dropped} earlier marks were dropped\n")
    assert not action.done()


async def test_no_timeline_is_kept_where_the_limit_is_zero(space, connect) -> None:
    client = await connect(limits=Limits(timeline=0))
    call = await client.dial(to="+15550198765", from_="+12069708643")
    await call.play(TTS("Hi"))
    await space.tell("calling.play", state="finished")
    assert call.timeline.marks == ()
    assert str(call.timeline) == "nothing has happened yet"
