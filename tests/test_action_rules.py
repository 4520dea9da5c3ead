"""The rules of the public contract's Action section, one by one, over real HTTP."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest
from aiohttp import web

from swcalls import (
    TTS,
    ActionExpired,
    ActionFailed,
    Call,
    CallEnded,
    Client,
    ClientClosed,
    Digits,
    InvalidParams,
    Limits,
    Playback,
)


async def started(waiter: asyncio.Task[object]) -> None:
    """Let *waiter* run until it waits."""
    await asyncio.sleep(0)
    assert not waiter.done()


# Rule 1: registered before the command is sent


async def test_a_webhook_that_overtakes_the_response_is_not_lost(space, call: Call, client: Client) -> None:
    release = asyncio.Event()
    space.answers.append(space.held(release))
    start = asyncio.create_task(call.play(TTS("Hi")))
    while (await space.arrived.get())["command"] != "calling.play":
        pass
    assert await space.tell("calling.play", state="finished") == 200
    release.set()
    play = await start
    assert play.done()
    assert isinstance(play.result(), Playback)


async def test_a_refused_command_raises_and_leaves_nothing_registered(space, call: Call, client: Client) -> None:
    space.answers.append(web.json_response({"errors": [{"code": "invalid_parameter", "message": "no"}]}, status=422))
    with pytest.raises(InvalidParams):
        await call.play(TTS("Hi"))
    assert not client.actions
    assert not call._operation.actions


async def test_whoever_found_a_refused_action_is_not_left_waiting(space, call: Call, client: Client) -> None:
    release = asyncio.Event()
    space.answers.append(space.held(release, web.json_response({}, status=422)))
    start = asyncio.create_task(call.play(TTS("Hi"), control_id="mine"))
    while (await space.arrived.get())["command"] != "calling.play":
        pass
    found = client.actions["mine"]
    release.set()
    with pytest.raises(InvalidParams):
        await found.finished()
    with pytest.raises(InvalidParams):
        await start


async def test_a_control_id_in_use_is_a_value_error(space, call: Call) -> None:
    await call.play(TTS("Hi"), control_id="mine")
    sent = len(space.commands)
    with pytest.raises(ValueError, match="control_id='mine'"):
        await call.play(TTS("Hi"), control_id="mine")
    with pytest.raises(ValueError, match="control_id='mine'"):
        await call.record(control_id="mine")
    assert len(space.commands) == sent


async def test_a_control_id_is_free_again_once_its_action_has_settled(space, call: Call) -> None:
    for _ in range(2):
        play = await call.play(TTS("Hi"), control_id="mine")
        await space.tell("calling.play", state="finished")
        await play


# Rule 2: nobody waits for ever; an action settles exactly once


async def test_settles_by_callback(space, call: Call) -> None:
    play = await call.play(TTS("Hi"))
    await space.tell("calling.play", state="finished")
    outcome = await play.outcome()
    assert outcome.settled_by == "callback"
    assert outcome.error is None
    assert outcome.event is not None
    assert outcome.event.state == "finished"
    assert outcome.stage == "accepted"
    assert await play is outcome.result


async def test_settles_by_the_end_of_the_call(space, call: Call) -> None:
    play = await call.play(TTS("Hi"))
    await space.tell_call("ended", end_reason="hangup")
    with pytest.raises(CallEnded) as caught:
        await play
    assert caught.value.reason == "hangup"
    assert caught.value.action is play
    assert (await play.outcome()).settled_by == "call_ended"


async def test_settles_by_its_deadline(space, call: Call) -> None:
    play = await call.play(TTS("Hi"), deadline=60)
    space.overdue(play)
    with pytest.raises(ActionExpired) as caught:
        await play
    assert not isinstance(caught.value, TimeoutError)
    assert (await play.outcome()).settled_by == "deadline"


async def test_settles_by_closing_the_client(space, call: Call, client: Client) -> None:
    play = await call.play(TTS("Hi"))
    waiter = asyncio.create_task(play.finished())
    ended = asyncio.create_task(call.ended())
    await started(waiter)
    await client.close()
    with pytest.raises(ClientClosed):
        await waiter
    with pytest.raises(ClientClosed):
        await ended
    assert (await play.outcome()).settled_by == "closed"


async def test_an_error_of_the_platform_fails_the_action(space, call: Call) -> None:
    play = await call.play(TTS("Hi"))
    await space.tell("calling.play", state="error")
    with pytest.raises(ActionFailed, match="error") as caught:
        await play
    assert caught.value.outcome is await play.outcome()


async def test_settles_once(space, call: Call) -> None:
    play = await call.play(TTS("Hi"))
    await space.tell("calling.play", state="finished")
    outcome = await play.outcome()
    await space.tell("calling.play", state="error")
    await space.tell_call("ended", end_reason="hangup")
    assert await play.outcome() is outcome


# Rule 3: timeout bounds a wait, deadline bounds the action


async def test_a_timeout_is_the_builtin_one_and_the_action_lives_on(space, call: Call, client: Client) -> None:
    play = await call.play(TTS("Hi"))
    with pytest.raises(TimeoutError):
        await play.finished(timeout=0.001)
    with pytest.raises(TimeoutError):
        await play.reached("playing", timeout=0.001)
    assert client.actions[play.control_id] is play
    await space.tell("calling.play", state="finished")
    assert isinstance(await play, Playback)


async def test_a_deadline_ends_the_action(space, call: Call, client: Client) -> None:
    play = await call.play(TTS("Hi"), deadline=60)
    space.overdue(play)
    await play.outcome()
    assert not client.actions
    await space.tell("calling.play", state="finished")
    with pytest.raises(ActionExpired):
        play.result()


# Rule 4: cancelling a waiter cancels only that waiter


async def test_cancelling_a_waiter_leaves_the_others_and_the_action(space, call: Call) -> None:
    play = await call.play(TTS("Hi"))
    waiters = [asyncio.create_task(play.finished()) for _ in range(3)]
    await started(waiters[2])
    waiters[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiters[0]
    await space.tell("calling.play", state="finished")
    first, second = await asyncio.gather(*waiters[1:])
    assert first is second


async def test_a_failure_that_nobody_awaited_is_not_reported_as_never_retrieved(space, call: Call, caplog) -> None:
    play = await call.play(TTS("Hi"))
    await space.tell("calling.play", state="error")
    assert play.done()
    del play
    gc.collect()
    assert "never retrieved" not in caplog.text


# Rule 5: duplicates and late events change nothing; a state never runs backwards


async def test_duplicates_and_late_events_change_nothing(space, call: Call, client: Client) -> None:
    play = await call.play(TTS("Hi"))
    for _ in range(3):
        assert await space.tell("calling.play", state="finished") == 200
    assert await space.tell("calling.play", state="playing") == 200
    assert play.state == "finished"
    assert [event.state async for event in play] == ["finished"]
    assert client.stats.webhooks == {"applied": 1, "late": 3}


async def test_a_state_never_runs_backwards(space, call: Call) -> None:
    await space.tell_call("ringing")
    await space.tell_call("created")
    assert call.state == "answered"  # as the response to the dial said
    await space.tell_call("ended", end_reason="hangup")
    await space.tell_call("answered")
    assert call.state == "ended"


# Rule 6: events are not results


async def test_partial_results_and_start_of_input_are_events_never_results(space, call: Call) -> None:
    collect = await call.collect(digits=Digits(4), partial_results=True, send_start_of_input=True)
    await space.tell("calling.collect", result={"type": "start_of_input"})
    await space.tell("calling.collect", result={"type": "digit", "params": {"digits": "12"}}, final=False)
    assert not collect.done()
    await space.tell("calling.collect", result={"type": "digit", "params": {"digits": "1234"}}, final=True)
    assert (await collect).digits == "1234"
    assert [event.final async for event in collect] == [None, False, True]


async def test_a_detect_ends_for_its_waiters_when_its_answer_can_no_longer_change(space, call: Call) -> None:
    detect = await call.detect()
    await space.tell("calling.detect", detect={"type": "machine", "params": {"event": "MACHINE"}})
    assert not detect.done()
    await space.tell("calling.detect", detect={"type": "machine", "params": {"event": "READY"}})
    await detect.reached("READY")
    assert (await detect).event == "MACHINE"
    await space.tell("calling.detect", detect={"type": "machine", "params": {"event": "NOT_READY"}})
    await space.tell("calling.detect", detect={"type": "machine", "params": {"event": "finished"}})
    assert [event.state async for event in detect] == ["MACHINE", "READY", "NOT_READY", "finished"]


async def test_paused_is_an_event_never_a_result(space, call: Call) -> None:
    play = await call.play(TTS("Hi"))
    await play.pause()
    await space.tell("calling.play", state="paused")
    assert play.state == "paused"
    assert not play.done()


# Rule 7: no_input and no_match are results


@pytest.mark.parametrize("type_", ["no_input", "no_match"])
async def test_no_input_and_no_match_are_results_of_a_collect(space, call: Call, type_: str) -> None:
    collect = await call.collect(digits=Digits(4))
    await space.tell("calling.collect", result={"type": type_})
    result = await collect
    assert (result.type, result.digits) == (type_, None)


async def test_no_input_is_a_result_of_a_record(space, call: Call) -> None:
    record = await call.record(initial_timeout=3)
    await space.tell("calling.record", state="no_input", duration=3)
    assert (await record).state == "no_input"


# Rule 8: grace after the end of the call


async def test_an_action_may_settle_by_its_own_callback_within_the_grace(space, connect) -> None:
    client = await connect(limits=Limits(grace=30, long_grace=60))
    call = await client.dial(to="+15550198765", from_="+12069708643")
    play, record = await call.play(TTS("Hi")), await call.record()
    await space.tell_call("ended", end_reason="hangup")
    assert await call.ended() == "hangup"
    assert not play.done()
    assert not record.done()
    await space.tell("calling.record", state="finished", url="https://example.com/r.mp3")
    await space.tell("calling.play", state="finished")
    assert (await record).url == "https://example.com/r.mp3"
    assert isinstance(await play, Playback)


async def test_a_record_has_a_longer_grace(space, connect) -> None:
    client = await connect(limits=Limits(grace=0, long_grace=60))
    call = await client.dial(to="+15550198765", from_="+12069708643")
    play, record = await call.play(TTS("Hi")), await call.record()
    await space.tell_call("ended", end_reason="hangup")
    with pytest.raises(CallEnded):
        await play
    assert not record.done()


# Rule 9: a settled action is forgotten, its handle keeps its result


async def test_a_settled_action_is_forgotten_and_its_handle_keeps_its_result(space, call: Call, client: Client) -> None:
    play = await call.play(TTS("Hi"))
    assert client.actions == {play.control_id: play}
    await space.tell("calling.play", state="finished")
    assert client.actions == {}
    assert play.result() is await play.finished() is await play


# The members of the table


async def test_reached_returns_at_once_for_a_state_that_was(space, call: Call) -> None:
    play = await call.play(TTS("Hi"))
    await space.tell("calling.play", state="playing")
    await space.tell("calling.play", state="finished")
    await play.reached("playing", timeout=0.001)


async def test_reached_wakes_when_the_state_comes(space, call: Call) -> None:
    play = await call.play(TTS("Hi"))
    waiter = asyncio.create_task(play.reached("playing"))
    await started(waiter)
    await space.tell("calling.play", state="playing")
    await waiter


async def test_an_end_without_the_state_is_action_failed(space, call: Call) -> None:
    play = await call.play(TTS("Hi"))
    waiter = asyncio.create_task(play.reached("paused"))
    await started(waiter)
    await space.tell("calling.play", state="finished")
    with pytest.raises(ActionFailed, match="paused"):
        await waiter


async def test_iteration_sees_events_from_before_and_after_it_began(space, call: Call) -> None:
    play = await call.play(TTS("Hi"))
    await space.tell("calling.play", state="playing")

    async def read() -> list[str]:
        return [event.state async for event in play]

    reader = asyncio.create_task(read())
    await started(reader)
    await space.tell("calling.play", state="paused")
    await space.tell("calling.play", state="finished")
    assert await reader == ["playing", "paused", "finished"]


async def test_history_is_bounded_and_says_when_it_dropped_some(space, connect, caplog) -> None:
    client = await connect(limits=Limits(history=2))
    call = await client.dial(to="+15550198765", from_="+12069708643")
    play = await call.play(TTS("Hi"))
    for state in ("playing", "paused", "playing", "finished"):
        await space.tell("calling.play", state=state)
    assert play.dropped == 2
    with caplog.at_level(logging.WARNING, "swcalls.actions"):
        assert [event.state async for event in play] == ["playing", "finished"]
        another = await call.play(TTS("Hi"))
        await space.tell("calling.play", state="finished")
        assert [event.state async for event in another] == ["finished"]
    assert "2 events were dropped" in caplog.text
    assert caplog.text.count("were dropped unread") == 1


async def test_result_and_exception_are_as_on_a_future(space, call: Call) -> None:
    play = await call.play(TTS("Hi"))
    assert not play.done()
    with pytest.raises(asyncio.InvalidStateError):
        play.result()
    with pytest.raises(asyncio.InvalidStateError):
        play.exception()
    await space.tell("calling.play", state="error")
    assert isinstance(play.exception(), ActionFailed)
    with pytest.raises(ActionFailed):
        play.result()


async def test_done_callbacks_are_as_on_a_future(space, call: Call) -> None:
    play = await call.play(TTS("Hi"))
    called: asyncio.Queue[object] = asyncio.Queue()
    play.add_done_callback(called.put_nowait)
    play.add_done_callback(removed := called.put_nowait)
    assert play.remove_done_callback(removed) == 2
    play.add_done_callback(called.put_nowait)
    await space.tell("calling.play", state="finished")
    assert await called.get() is play
    play.add_done_callback(called.put_nowait)
    assert await called.get() is play
    assert called.empty()


async def test_only_the_callback_that_is_named_is_removed(space, call: Call) -> None:
    play = await call.play(TTS("Hi"))
    kept: asyncio.Queue[object] = asyncio.Queue()
    removed: list[object] = []
    play.add_done_callback(kept.put_nowait)
    play.add_done_callback(removed.append)
    assert play.remove_done_callback(removed.append) == 1
    await space.tell("calling.play", state="finished")
    assert await kept.get() is play
    assert not removed


async def test_an_exception_in_a_callback_reaches_the_handler_and_harms_nobody(space, call: Call) -> None:
    faults: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.put_nowait(context))
    play = await call.play(TTS("Hi"))
    play.add_done_callback(lambda _: 1 / 0)
    assert await space.tell("calling.play", state="finished") == 200
    assert isinstance((await faults.get())["exception"], ZeroDivisionError)
    assert isinstance(await play, Playback)


async def test_start_and_wait_in_one_expression(space, call: Call) -> None:
    waiter = asyncio.create_task(call.play(TTS("Hi")).finished(timeout=5))
    while (await space.arrived.get())["command"] != "calling.play":
        pass
    await space.tell("calling.play", state="finished")
    assert isinstance(await waiter, Playback)


async def test_a_block_stops_its_action_at_the_end(space, call: Call) -> None:
    async with call.record() as record:
        assert space.commands[-1]["command"] == "calling.record"
    assert space.commands[-1] == {
        "command": "calling.record.stop",
        "id": call.id,
        "params": {"control_id": record.control_id},
    }


async def test_a_block_does_not_stop_an_action_that_has_ended(space, call: Call) -> None:
    async with call.record():
        await space.tell("calling.record", state="finished")
    assert space.commands[-1]["command"] == "calling.record"


async def test_a_block_that_raises_stops_its_action_too(space, call: Call) -> None:
    space.answers.extend([space.leg({"id": call.id}), web.json_response({}, status=500)])
    with pytest.raises(KeyError):
        async with call.record():
            raise KeyError
    assert space.commands[-1]["command"] == "calling.record.stop"


@pytest.mark.parametrize("status", [404, 409, 422])
async def test_a_block_whose_stop_is_refused_ends_quietly(space, call: Call, status: int, caplog) -> None:
    caplog.set_level("INFO", "swcalls")
    space.answers.extend([space.leg({"id": call.id}), web.json_response({}, status=status)])
    async with call.record(control_id="r"):
        pass
    assert call._operation.outcome is None
    assert ("record r: not stopped" in caplog.text) == (status != 404)


async def test_a_stop_that_comes_too_late_is_no_error(space, call: Call) -> None:
    play = await call.play(TTS("Hi"))
    space.answers.append(web.json_response({"error": "Not Found"}, status=404))
    assert await play.stop() is None
    await space.tell("calling.play", state="finished")
    assert isinstance(await play, Playback)


async def test_a_stop_that_is_refused_otherwise_raises(space, call: Call) -> None:
    play = await call.play(TTS("Hi"))
    space.answers.append(web.json_response({}, status=422))
    with pytest.raises(InvalidParams):
        await play.stop()
    assert not play._operation.stopping


async def test_after_our_own_stop_the_next_event_ends_a_collect(space, call: Call) -> None:
    collect = await call.collect(digits=Digits(4), continuous=True)
    await space.tell("calling.collect", result={"type": "digit", "params": {"digits": "1"}}, state="collecting")
    assert not collect.done()
    await collect.stop()
    await space.tell("calling.collect", result={"type": "no_input"}, state="collecting")
    assert (await collect).type == "no_input"


async def test_a_stop_of_what_is_over_sends_nothing(space, call: Call) -> None:
    play = await call.play(TTS("Hi"))
    await space.tell("calling.play", state="finished")
    sent = len(space.commands)
    assert await play.stop() is None
    assert len(space.commands) == sent


async def test_cancelling_a_start_stops_what_it_may_have_started(space, call: Call, client: Client) -> None:
    release = asyncio.Event()
    space.answers.append(space.held(release))
    start = asyncio.create_task(call.play(TTS("Hi"), control_id="mine"))
    while (await space.arrived.get())["command"] != "calling.play":
        pass
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    release.set()
    assert (await space.arrived.get())["params"] == {"control_id": "mine"}
    assert space.commands[-1]["command"] == "calling.play.stop"
    # Whoever attaches to it in the meantime loses nothing.
    attached = call.action("play", "mine")
    await space.tell("calling.play", state="finished")
    assert isinstance(await attached, Playback)
    assert not client.actions


async def test_attaching_to_an_action_that_was_started_elsewhere(space, call: Call, client: Client) -> None:
    again = client.call(call.id)
    assert again is call
    play = call.action("play", "elsewhere")
    assert call.action("play", "elsewhere") is play
    url = client._engine.urls.mint("play", "elsewhere")
    assert await space.post(url, {"control_id": "elsewhere", "state": "finished"}) == 200
    assert isinstance(await play, Playback)
    with pytest.raises(ValueError, match="kind='dance'"):
        call.action("dance", "x")
