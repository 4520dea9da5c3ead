"""Bridges, digits, conferences and documents on live calls, against the simulator over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from swcalls import (
    TTS,
    ActionExpired,
    ActionFailed,
    Call,
    CallEnded,
    Client,
    CommandNotSent,
    ConfigurationError,
    InvalidParams,
    Limits,
    Retry,
)
from swcalls.errors import Replaced
from swcalls.events import CallEvent, ConferenceEvent, ConnectEvent
from swcalls.results import ConferenceResult
from swcalls.swml import Hangup, SendDigits, Sleep, Switch
from swcalls.testing import Callee, Faults, Simulator, replay
from swcalls.testing.calls import SimulatedCall
from swcalls.testing.swml import check_swml

FROM, TO, BOB, EVE = "+12069708643", "+15550198765", "+15550100001", "+15550100002"
pytestmark = pytest.mark.usefixtures("nothing_is_left_running")


class Scene:
    def __init__(self, space: Simulator, client: Client) -> None:
        self.space = space
        self.client = client

    async def dial(self, to: str = TO) -> tuple[Call, SimulatedCall]:
        call = await self.client.dial(to=to, from_=FROM)
        await call.answered(timeout=10)
        return call, self.of(call)

    def of(self, call: Call) -> SimulatedCall:
        return self.space.calls[str(call.id)]

    def sent(self, command: str) -> list[dict[str, Any]]:
        return [told.params for told in self.space.commands if told.command == command]


@asynccontextmanager
async def scene(*, faults: Faults = Faults(), **settings: Any) -> AsyncIterator[Scene]:
    settings = {"retry": Retry(attempts=1), "limits": Limits(grace=0.05, margin=0.2), **settings}
    async with (
        Simulator(speed=100, callee=Callee(rings_for=0)) as space,
        Client("project", "token", space.url, **settings) as client,
        client.receiver.serve(),
    ):
        s = Scene(space, client)
        yield s
        space.faults = Faults()


# Documents


async def test_a_document_runs_and_tells_its_variables_and_the_call_stays_up() -> None:
    async with scene() as s:
        call, simulated = await s.dial()
        steps = [SendDigits("12"), {"set": {"mood": "good"}}]
        result = await call.run_swml(steps).finished(timeout=10)
        assert result.variables == {"send_digits_result": "success", "mood": "good"}
        assert simulated.received_digits == "12"
        await call.play(TTS("Still here.")).finished(timeout=10)
        assert s.sent("update")[0]["swml"]["sections"]["main"][-1] == {"sleep": -1}


async def test_the_handle_of_a_document_has_its_variables_too() -> None:
    async with scene() as s:
        call, _ = await s.dial()
        action = await call.run_swml([SendDigits("W" * 50)])
        assert action.variables == {}
        await action
        assert action.variables == {"send_digits_result": "success"}


async def test_a_new_document_replaces_the_one_that_runs() -> None:
    async with scene() as s:
        call, simulated = await s.dial()
        first = await call.run_swml([SendDigits("W" * 1000)])
        await call.send_digits("7").finished(timeout=10)
        outcome = await first.outcome()
        assert isinstance(outcome.error, Replaced)
        assert isinstance(outcome.error, ActionFailed)
        assert "another SWML document" in str(outcome.error)
        assert simulated.received_digits == "7"


@pytest.mark.parametrize(
    "replace",
    [
        lambda call: call.update(swml={"sections": {"main": [{"sleep": -1}]}}),
        lambda call: call.update(url="https://example.com/other"),
        lambda call: call.transfer("sip:bob@example.com"),
    ],
)
async def test_whatever_gives_the_call_another_dialplan_replaces_the_document(replace: Callable[[Call], Any]) -> None:
    async with scene() as s:
        call, _ = await s.dial()
        first = await call.run_swml([Sleep(3_600_000)])
        await replace(call)
        with pytest.raises(Replaced):
            await first.finished(timeout=10)


async def test_documents_are_put_on_a_call_one_at_a_time_and_the_last_one_wins() -> None:
    async with scene() as s:
        call, simulated = await s.dial()
        starts = [call.run_swml([SendDigits("W" * 20 + str(number))]) for number in range(5)]
        actions = [await start for start in starts]
        outcomes = [await action.outcome() for action in actions]
        assert [type(outcome.error) for outcome in outcomes] == [Replaced] * 4 + [type(None)]
        assert simulated.received_digits == "4"


async def test_concurrent_documents_leave_exactly_one() -> None:
    async with scene() as s:
        call, simulated = await s.dial()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call.run_swml([SendDigits("W" * 20 + str(n))])) for n in range(5)]
        outcomes = [await task.result().outcome() for task in tasks]
        assert sum(outcome.error is None for outcome in outcomes) == 1
        assert len(simulated.received_digits) == 1


async def test_before_the_answer_a_document_waits_for_it() -> None:
    async with scene() as s:
        s.space.callees[TO] = Callee(rings_for=20)
        call = await s.client.dial(to=TO, from_=FROM)
        result = await call.send_digits("1").finished(timeout=10)
        assert result.payload
        assert s.of(call).received_digits == "1"


async def test_a_document_for_a_call_that_nobody_answers_is_not_sent() -> None:
    async with scene() as s:
        s.space.callees[TO] = Callee(answers="busy", rings_for=20)
        call = await s.client.dial(to=TO, from_=FROM)
        with pytest.raises(CallEnded, match="busy"):
            await call.send_digits("1")
        assert not s.sent("update")
        assert not s.client.actions


async def test_a_document_that_waits_for_the_answer_has_its_deadline() -> None:
    async with scene() as s:
        s.space.callees[TO] = Callee(answers=False)
        call = await s.client.dial(to=TO, from_=FROM)
        with pytest.raises(ActionExpired, match="before its command was sent"):
            await call.send_digits("1", deadline=0.01)
        assert not s.sent("update")


async def test_a_wait_for_the_answer_can_be_cancelled() -> None:
    async with scene() as s:
        s.space.callees[TO] = Callee(answers=False)
        call = await s.client.dial(to=TO, from_=FROM)
        with pytest.raises(TimeoutError):
            await call.run_swml([Sleep(1)]).finished(timeout=0.05)
        assert not s.client.actions
        assert not s.sent("update")


async def test_what_update_refuses_is_tried_as_a_transfer() -> None:
    async with scene() as s:
        call, _ = await s.dial()
        real = s.space._exchange.calls
        assert call.id in real
        s.space.faults = Faults(status={422: 1.0})
        with pytest.raises(InvalidParams, match="as far as is known, the call was answered"):
            await call.run_swml([Sleep(1)])
        assert [told.command for told in list(s.space.commands)[-2:]] == ["update", "calling.transfer"]
        assert call.state == "answered"
        assert not s.client.actions


async def test_a_404_to_a_document_is_no_proof_that_the_call_is_over() -> None:
    async with scene() as s:
        call, _ = await s.dial()
        s.space.faults = Faults(status={404: 1.0})
        with pytest.raises(CallEnded):
            await call.run_swml([Sleep(1)])
        assert [told.command for told in list(s.space.commands)[-2:]] == ["update", "calling.transfer"]


async def test_without_a_receiver_nothing_is_sent() -> None:
    async with Simulator() as space, Client("project", "token", space.url) as client:
        with pytest.raises(ConfigurationError, match="public_url"):
            await client.call("some-call").run_swml([Hangup()])
        assert not space.commands


async def test_a_document_that_hangs_up_ends_with_its_call() -> None:
    async with scene() as s:
        call, _ = await s.dial()
        with pytest.raises(CallEnded, match="busy"):
            await call.run_swml([Switch("x", {}, [Hangup("busy")])]).finished(timeout=10)


async def test_a_document_whose_tail_is_lost_has_its_deadline() -> None:
    async with scene() as s:
        call, _ = await s.dial()
        s.space.faults = Faults(lost_requests=1)
        with pytest.raises(ActionExpired):
            await call.run_swml([Sleep(1)], deadline=0.1).finished(timeout=10)


async def test_digits_whose_tail_is_lost_expire_after_their_own_time_and_a_margin() -> None:
    async with scene(reconcile=None) as s:
        call, _ = await s.dial()
        s.space.faults = Faults(lost_requests=1)
        with pytest.raises(ActionExpired):
            await call.send_digits("1").finished(timeout=10)


async def test_a_document_that_is_killed_ends_with_its_call() -> None:
    async with scene() as s:
        call, _ = await s.dial()
        s.space.faults = Faults(killed=1)
        with pytest.raises(CallEnded, match="error"):
            await call.send_digits("12").finished(timeout=10)


async def test_the_tail_needs_no_signature_though_all_webhooks_must_have_one() -> None:
    async with (
        Simulator(speed=100, callee=Callee(rings_for=0), signing_key="PSK-1") as space,
        Client("project", "token", space.url, signing_key="PSK-1", require_signature=True) as client,
        client.receiver.serve(),
    ):
        call = await client.dial(to=TO, from_=FROM)
        await call.answered(timeout=10)
        await call.send_digits("1").finished(timeout=10)
        assert (await call.connect(BOB, timeout=1, max_duration=1).finished(timeout=10)).answered


# connect


async def test_two_people_are_connected_and_the_peer_is_a_call() -> None:
    async with scene() as s:
        call, ours = await s.dial()
        connect = await call.connect(BOB)
        peer = await connect.connected(timeout=10)
        assert (peer.to, peer.from_, peer.state) == (BOB, FROM, "answered")
        assert peer is not call
        theirs = s.of(peer)
        ours.say("Hello?")
        assert list(theirs.heard) == ["Hello?"]
        await peer.play(TTS("You are being recorded.")).finished(timeout=10)
        assert await connect.connected() is peer
        theirs.hang_up()
        assert await peer.ended(timeout=10) == "hangup"
        result = await connect.finished(timeout=10)
        assert (result.answered, result.peer_id, result.reason) == (True, peer.id, None)
        assert call.state == "answered"


async def test_no_event_moves_a_deadline_that_was_asked_for() -> None:
    async with scene() as s:
        call, _ = await s.dial()
        connect = await call.connect(BOB, max_duration=1, deadline=600)
        due = connect._operation.due
        await connect.connected(timeout=10)
        assert connect._operation.due == due


async def test_the_peer_can_be_hung_up() -> None:
    async with scene() as s:
        call, _ = await s.dial()
        connect = await call.connect(BOB)
        async with await connect.connected(timeout=10) as peer:
            assert peer.id != call.id
        assert await peer.ended(timeout=10) == "hangup"
        assert (await connect.finished(timeout=10)).answered
        assert call.state == "answered"


async def test_a_bridge_whose_end_is_refused_is_not_being_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(call: Call) -> None:
        raise CommandNotSent("refused", command="calling.end")

    async with scene() as s:
        call, _ = await s.dial()
        connect = await call.connect(BOB)
        await connect.reached("connected", timeout=10)
        with monkeypatch.context() as patched:
            patched.setattr(Call, "end", refuse)
            with pytest.raises(CommandNotSent, match="refused"):
                await connect.stop()
        assert not connect._operation.stopping


@pytest.mark.parametrize(("answers", "reason"), [("busy", "busy"), (False, "no_answer")])
async def test_a_connect_that_nobody_answers_is_a_result(answers: str | bool, reason: str) -> None:
    async with scene() as s:
        s.space.callees[BOB] = Callee(answers=answers)
        call, _ = await s.dial()
        connect = await call.connect(BOB, timeout=5)
        with pytest.raises(ActionFailed, match=f"not connected: {reason}") as failure:
            await connect.connected(timeout=10)
        assert failure.value.outcome is await connect.outcome()
        result = await connect.finished(timeout=10)
        assert (result.answered, result.reason, result.peer_id) == (False, reason, None)
        assert call.state == "answered"


async def test_a_connect_ends_with_our_own_call() -> None:
    async with scene() as s:
        call, ours = await s.dial()
        connect = await call.connect(BOB)
        peer = await connect.connected(timeout=10)
        ours.hang_up()
        await call.ended(timeout=10)
        assert await peer.ended(timeout=10) == "hangup"
        outcome = await connect.outcome()
        assert outcome.settled_by in ("callback", "call_ended")


async def test_what_a_connect_sends() -> None:
    async with scene() as s:
        call, _ = await s.dial()
        start = call.connect(
            [BOB, EVE],
            caller_id="+15550100009",
            max_duration=60,
            ringback="ring:us",
            parallel=True,
            confirm=[{"play": {"url": "say:A call."}}],
            headers={"X-Case": "7"},
        )
        await (await start).connected(timeout=10)
        sent = s.sent("update")[0]
        step = sent["swml"]["sections"]["main"][0]["connect"]
        urls = {step.pop("status_url"), step.pop("call_state_url"), sent["status_url"]}
        assert len(urls) == 3
        assert step == {
            "parallel": [{"to": BOB}, {"to": EVE}],
            "from": "+15550100009",
            "timeout": 30,
            "max_duration": 60,
            "ringback": ["ring:us"],
            "confirm": [{"play": {"url": "say:A call."}}],
            "headers": [{"name": "X-Case", "value": "7"}],
            "call_state_events": ["created", "ringing", "answered", "ended"],
        }


async def test_the_events_of_a_connect_have_those_of_the_legs() -> None:
    async with scene() as s:
        call, _ = await s.dial()
        connect = await call.connect(BOB)
        await connect.reached("connected", timeout=10)
        await connect.reached("answered", timeout=10)
        await connect.stop()
        events = [event async for event in connect]
        states = [event.state for event in events if isinstance(event, ConnectEvent)]
        legs = [event.state for event in events if isinstance(event, CallEvent)]
        # The tail may overtake the last one.
        assert states[:2] == ["connecting", "connected"]
        assert legs[:3] == ["created", "ringing", "answered"]


async def test_stop_parts_a_bridge_and_both_calls_stay_up() -> None:
    async with scene() as s:
        call, ours = await s.dial()
        connect = await call.connect(BOB)
        peer = await connect.connected(timeout=10)
        await connect.stop()
        assert (await connect.finished(timeout=10)).answered
        assert (ours.state, s.of(peer).state) == ("answered", "answered")
        await peer.end()
        await call.play(TTS("Back with you.")).finished(timeout=10)


async def test_stop_hangs_up_a_peer_that_nobody_could_reach() -> None:
    async with scene() as s:
        call, ours = await s.dial()
        async with call.connect(BOB) as connect:
            await connect.reached("connected", timeout=10)
        assert (await connect.finished(timeout=10)).answered
        (leg,) = [leg for leg in s.space.calls.values() if leg.to == BOB]
        assert (leg.state, ours.state) == ("ended", "answered")
        assert await connect.stop() is None


async def test_stop_cancels_what_still_rings() -> None:
    async with scene() as s:
        s.space.callees[BOB] = Callee(answers=False)
        call, ours = await s.dial()
        async with call.connect(BOB) as connect:
            await connect.reached("ringing", timeout=10)
        result = await connect.finished(timeout=10)
        assert not result.answered
        assert ours.state == "answered"
        (leg,) = [leg for leg in s.space.calls.values() if leg.to == BOB]
        assert leg.end_reason == "cancel"


async def test_a_connect_that_is_cancelled_before_anybody_has_the_handle_is_stopped() -> None:
    async with scene() as s:
        s.space.callees[BOB] = Callee(answers=False)
        call, ours = await s.dial()
        with pytest.raises(TimeoutError):
            await call.connect(BOB).finished(timeout=0.05)
        (leg,) = [leg for leg in s.space.calls.values() if leg.to == BOB]
        async with asyncio.timeout(10):
            await s.space._exchange.scripts.until([leg], "ended")
        assert ours.state == "answered"


async def test_digits_are_refused_on_either_end_of_a_bridge() -> None:
    async with scene() as s:
        call, ours = await s.dial()
        connect = await call.connect(BOB)
        peer = await connect.connected(timeout=10)
        for end in (call, peer):
            with pytest.raises(CommandNotSent, match=f"connect {connect.control_id} has bridged"):
                await end.send_digits("1")
        assert len(s.sent("update")) == 1
        await connect.stop()
        await connect
        await peer.send_digits("2").finished(timeout=10)
        assert s.of(peer).received_digits == "2"
        assert ours.received_digits == ""


@pytest.mark.parametrize("fault", [Faults(lost_results=1), Faults(lost_requests=1)])
@pytest.mark.parametrize("answers", [True, "busy"])
async def test_either_the_last_event_or_the_tail_is_enough(fault: Faults, answers: bool | str) -> None:
    async with scene() as s:
        s.space.callees[BOB] = Callee(answers=answers, rings_for=0, hangs_up_after=1)
        call, _ = await s.dial()
        s.space.faults = fault
        result = await call.connect(BOB).finished(timeout=10)
        assert result.answered is (answers is True)
        assert result.reason == (None if answers is True else "busy")


async def test_who_is_connected_is_known_though_the_event_that_tells_was_lost() -> None:
    async with scene() as s:
        call, _ = await s.dial()
        s.space.faults = Faults(drop=0.5, seed=0)
        while True:
            connect = await call.connect(BOB, max_duration=1000)
            await s.space.settled()
            words = connect._operation.states_reached
            if "connected" not in words and "answered" in words:
                break
        s.space.faults = Faults()
        peer = await connect.connected(timeout=10)
        assert s.of(peer).to == BOB


async def test_a_connect_can_be_attached_to_again() -> None:
    async with scene() as s:
        call, _ = await s.dial()
        connect = await call.connect(BOB)
        assert call.action("connect", connect.control_id) is connect
        assert call.action("conference", "other").kind == "conference"


async def test_late_events_of_a_replaced_connect_change_nothing() -> None:
    async with scene() as s:
        call, _ = await s.dial()
        first = await call.connect(BOB)
        await first.connected(timeout=10)
        second = await call.connect(EVE)
        peer = await second.connected(timeout=10)
        assert peer.to == EVE
        await s.space.settled()
        outcome = await first.outcome()
        assert isinstance(outcome.error, Replaced)
        assert not second.done()


async def test_what_has_expired_does_not_stop_the_document_that_came_after_it() -> None:
    async with scene() as s:
        s.space.callees[BOB] = Callee(answers=False)
        call, _ = await s.dial()
        connect = await call.connect(BOB, deadline=0.01)
        with pytest.raises(ActionExpired):
            await connect.finished(timeout=10)
        conference = await call.conference("room")
        await conference.reached("joined", timeout=10)
        assert await connect.stop() is None
        assert conference.state == "joined"
        await conference.stop()
        assert (await conference.finished(timeout=10)).state in ("left", "ended", "finished")
        await connect.stop()


# conference


async def test_three_meet_in_a_conference() -> None:
    async with scene() as s:
        rooms = []
        for number in range(3):
            call, simulated = await s.dial()
            conference = await call.conference("room", beep=False, record=number == 0)
            await conference.reached("joined", timeout=10)
            rooms.append((call, simulated, conference))
        rooms[0][1].say("Hello everybody.")
        assert [list(simulated.heard) for _, simulated, _ in rooms] == [[], *[["Hello everybody."]] * 2]
        (first, _, mine), (_, _, second), (third, _, last) = rooms
        await second.stop()
        assert (await second.finished(timeout=10)).state in ("left", "finished")
        assert not mine.done()
        await third.end()
        outcome = await last.outcome()
        assert outcome.error is None or isinstance(outcome.error, CallEnded)
        await mine.stop()
        result = await mine.finished(timeout=10)
        assert isinstance(result, ConferenceResult)
        assert first.state == "answered"
        others = [event for event in mine._operation.history or () if isinstance(event, ConferenceEvent)]
        assert {"joined", "participant-join", "participant-leave"} <= {event.state for event in others}


async def test_a_conference_that_ends_ends_for_all_its_members() -> None:
    async with scene() as s:
        (host, _), (guest, _) = await s.dial(), await s.dial()
        hosting = await host.conference("room", end_on_exit=True)
        await hosting.reached("joined", timeout=10)
        visiting = await guest.conference("room", muted=True, start_on_enter=False)
        await visiting.reached("joined", timeout=10)
        await host.end()
        assert (await visiting.finished(timeout=10)).state in ("ended", "left")
        assert guest.state == "answered"


async def test_what_a_conference_sends() -> None:
    async with scene() as s:
        call, _ = await s.dial()
        await call.conference("room", beep="onEnter", record=True, muted=False)
        step = s.sent("update")[0]["swml"]["sections"]["main"][0]["join_conference"]
        assert step.pop("status_callback")
        assert step == {
            "name": "room",
            "beep": "onEnter",
            "record": "record-from-start",
            "muted": False,
            "status_callback_event": "join leave end",
            "status_callback_event_type": "relay",
        }


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (lambda call: call.connect("Bob"), r"connect: to="),
        (lambda call: call.connect([]), r"connect: to="),
        (lambda call: call.connect([BOB, "x"], parallel=True), r"connect: to="),
        (lambda call: call.connect(BOB, parallel=1), r"connect: parallel=1 must be True or False"),
        (lambda call: call.connect(BOB, confirm=[7]), r"connect: confirm=\[7\] must be a list of steps; item 0"),
        (lambda call: call.send_digits("hi"), r"send_digits: digits='hi'"),
        (lambda call: call.conference("", beep=True), r"join_conference: name=''"),
        (lambda call: call.conference("x", beep=1), r"join_conference: beep=1"),
        (lambda call: call.conference("x", record="yes"), r"join_conference: record='yes'"),
        (lambda call: call.run_swml([]), r"run_swml: steps=\[\]"),
        (lambda call: call.run_swml([{}]), r"steps=\[{}\] must be a list of steps; item 0"),
        (lambda call: call.run_swml([Hangup()], deadline=0), r"deadline=0"),
    ],
)
async def test_a_wrong_argument_is_refused_by_its_name(start: Callable[[Call], Any], words: str) -> None:
    call = Client("project", "token", "example").call("some-call")
    with pytest.raises((TypeError, ValueError), match=words):
        start(call)


async def test_a_refusal_that_repeats_a_callback_url_is_shown_without_it(space, connect) -> None:
    client = await connect()
    call = await client.dial(to=TO, from_=FROM)
    seen: list[str] = []

    async def refuse(request: web.Request) -> web.StreamResponse:
        sent = msgspec.json.decode(await request.read())["params"]
        main = sent.get("swml", sent.get("dest"))["sections"]["main"]
        urls = [main[0]["connect"]["status_url"], main[0]["connect"]["call_state_url"], main[1]["request"]["url"]]
        seen.extend(url.rpartition("/")[2] for url in urls)
        return web.json_response({"errors": [{"code": "invalid_parameter", "message": " ".join(urls)}]}, status=422)

    space.answers.extend([refuse, refuse])
    with pytest.raises(InvalidParams) as refused:
        await call.connect(BOB)
    assert len(seen) == 6
    shown = f"{refused.value} {refused.value!r} {refused.value.errors}"
    assert not [mac for mac in seen if mac in shown]


async def test_no_name_is_sent_that_the_platform_does_not_know(space, connect) -> None:
    """Every name in what is sent is one that the simulator, by the vendor's specification, knows."""
    client = await connect()
    call = await client.dial(to=TO, from_=FROM)
    starts = [
        call.connect([BOB, EVE], caller_id="+1555", max_duration=9, ringback=["ring:us"], confirm=[Hangup()], headers={"X": "1"}),
        call.send_digits("1w2W"),
        call.conference("room", muted=True, beep="onExit", start_on_enter=False, end_on_exit=True, record=False),
        call.run_swml([SendDigits("1"), Switch("x", {"a": [Hangup("busy")]}, [Sleep(1)])]),
    ]  # fmt: skip
    for start in starts:
        await start
        check_swml(space.last("update")["swml"], "swml")


async def test_what_was_recorded_of_a_bridge_is_replayed(tmp_path: Path) -> None:
    file = tmp_path / "incident.jsonl"
    async with scene() as s:
        with s.client.receiver.record(file):
            call, _ = await s.dial()
            connect = await call.connect(BOB)
            peer = await connect.connected(timeout=10)
            s.of(peer).hang_up()
            await connect.finished(timeout=10)
            await call.send_digits("1").finished(timeout=10)
            await call.end()
            await s.space.settled()
    replayed = replay(file)
    outcomes = {kind: outcome for (kind, _), outcome in replayed.actions.items()}
    assert set(outcomes) == {"connect", "digits"}
    assert outcomes["connect"] is not None
    assert outcomes["connect"].result.answered
    assert outcomes["connect"].result.peer_id == peer.id
    assert outcomes["digits"] is not None
    assert outcomes["digits"].error is None
    assert {delivery.verdict for delivery in replayed.deliveries} <= {"applied", "late", "early"}


# What replaces a document takes its turn


class _Gate:
    """Holds the first command that replaces a document back until it is opened, and notes what is sent."""

    def __init__(self, s: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[str] = []
        self.entered, self.open = asyncio.Event(), asyncio.Event()
        self._post = s.client._engine.transport.post
        monkeypatch.setattr(s.client._engine.transport, "post", self.post)

    async def post(self, request: Any, **more: Any) -> Any:
        self.sent.append(request.command)
        if len(self.sent) == 1:
            self.entered.set()
            await self.open.wait()
        return await self._post(request, **more)


@pytest.mark.parametrize(
    ("replace", "command"),
    [
        (lambda call: call.update(swml={"sections": {"main": [{"sleep": -1}]}}), "update"),
        (lambda call: call.transfer({"sections": {"main": [{"sleep": -1}]}}), "calling.transfer"),
    ],
)
async def test_what_the_user_runs_does_not_overtake_a_document_that_is_being_sent(
    replace: Callable[[Call], Any], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene() as s:
        call, simulated = await s.dial()
        gate = _Gate(s, monkeypatch)
        start = asyncio.ensure_future(call.send_digits("W" * 1000))
        await gate.entered.wait()
        replacing = asyncio.ensure_future(replace(call))
        for _ in range(5):
            await asyncio.sleep(0)
        assert gate.sent == ["update"]
        gate.open.set()
        digits = await start
        await replacing
        assert gate.sent == ["update", command]
        assert isinstance((await digits.outcome()).error, Replaced)
        assert simulated.state == "answered"


async def test_a_document_does_not_overtake_what_the_user_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scene() as s:
        call, simulated = await s.dial()
        gate = _Gate(s, monkeypatch)
        replacing = asyncio.ensure_future(call.update(swml={"sections": {"main": [{"sleep": -1}]}}))
        await gate.entered.wait()
        finishing = asyncio.ensure_future(call.send_digits("7").finished(timeout=10))
        for _ in range(5):
            await asyncio.sleep(0)
        assert gate.sent == ["update"]
        gate.open.set()
        await replacing
        # It was not settled as replaced by what was sent before it.
        await finishing
        assert simulated.received_digits == "7"


@pytest.mark.parametrize("verb", ["conference", "connect"])
async def test_a_stop_that_waits_behind_another_document_sends_nothing(
    verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene() as s:
        s.space.callees[BOB] = Callee(rings_for=1000)
        call, simulated = await s.dial()
        action = await (call.conference("room") if verb == "conference" else call.connect(BOB))
        gate = _Gate(s, monkeypatch)
        start = asyncio.ensure_future(call.send_digits("7"))
        await gate.entered.wait()
        stopping = asyncio.ensure_future(action.stop())
        for _ in range(5):
            await asyncio.sleep(0)
        gate.open.set()
        await (await start).finished(timeout=10)
        assert await stopping is None
        assert gate.sent == ["update"]
        assert isinstance((await action.outcome()).error, Replaced)
        assert simulated.received_digits == "7"


async def test_commands_that_replace_nothing_need_no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scene() as s:
        call, _ = await s.dial()
        gate = _Gate(s, monkeypatch)
        start = asyncio.ensure_future(call.send_digits("7"))
        await gate.entered.wait()
        await call.update(status_url="https://example.com/status")
        await call.play(TTS("Meanwhile.")).finished(timeout=10)
        gate.open.set()
        await (await start).finished(timeout=10)
