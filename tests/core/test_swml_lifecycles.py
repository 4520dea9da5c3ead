"""What ends a connect, a conference, digits and a document: in any order, with anything lost or repeated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from swcalls._core.decoding import READERS, read
from swcalls._core.lifecycle import step_of
from swcalls._core.limits import Limits
from swcalls._core.operation import CallOperation, Operation
from swcalls._core.registry import Registry
from swcalls._core.steps import Ends
from swcalls._core.swml_lifecycles import peer_of
from swcalls.errors import ActionFailed
from swcalls.events import Event
from swcalls.results import ConferenceResult, ConnectResult, SendDigitsResult, SwmlResult

OURS, PEER, STRANGER = "our-call", "peer-call", "a-stranger"
KINDS = ("connect", "conference", "digits", "swml")


class Run:
    """One operation on one call, and what it is told."""

    def __init__(self, kind: str) -> None:
        self.registry = Registry(Limits())
        self.call = CallOperation(OURS, OURS)
        self.operation = Operation(kind, "k", self.call)
        self.registry.expect(self.operation, 0)

    def tell(self, url_kind: str, payload: dict[str, Any]) -> str:
        kind = READERS[url_kind].about or url_kind
        return self.registry.deliver(kind, "k", read(url_kind, payload), 1, 0)

    @property
    def result(self) -> Any:
        assert self.operation.outcome is not None
        return self.operation.outcome.result

    @property
    def words(self) -> list[str]:
        return [event.state for event in self.operation.history or ()]


def connect(state: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return "connect", {"call_id": OURS, "connect_state": state, **more}


def leg(state: str, call_id: str = PEER) -> tuple[str, dict[str, Any]]:
    return "connect.leg", {"call_id": call_id, "call_state": state}


def member(status: str, call_id: str | None = OURS) -> tuple[str, dict[str, Any]]:
    return "conference", {"call_id": call_id, "status": status, "conference_id": "c-1", "name": "room"}


def tail(kind: str, **variables: str) -> tuple[str, dict[str, Any]]:
    return kind, {"op": "k", "call_id": OURS, **variables}


CONNECTED = connect("connected", peer={"call_id": PEER})
ANSWERED_TAIL = tail("connect.tail", connect_result="connected", connect_failed_reason="")
FAILED_TAIL = tail("connect.tail", connect_result="failed", connect_failed_reason="busy")


def after(kind: str, *told: tuple[str, dict[str, Any]]) -> Run:
    run = Run(kind)
    for event in told:
        run.tell(*event)
    return run


# connect


def test_a_bridge_ends_when_the_peer_hangs_up() -> None:
    run = after("connect", connect("connecting"), CONNECTED)
    assert (run.operation.state, run.operation.outcome) == ("connected", None)
    run.tell(*connect("disconnected"))
    assert run.result == ConnectResult(answered=True, peer_id=PEER, payload=run.result.payload)


def test_a_connect_that_nobody_answered_is_a_result() -> None:
    run = after("connect", connect("connecting"), connect("failed", failed_reason="no_answer"))
    assert (run.result.answered, run.result.reason, run.result.peer_id) == (False, "no_answer", None)


@pytest.mark.parametrize(
    ("told", "answered", "reason", "peer"),
    [
        ((ANSWERED_TAIL,), True, None, None),
        ((FAILED_TAIL,), False, "busy", None),
        ((connect("connecting"), CONNECTED, tail("connect.tail", connect_result="")), True, None, PEER),
        ((leg("ringing"), leg("answered"), ANSWERED_TAIL), True, None, PEER),
        ((leg("answered", STRANGER), CONNECTED, ANSWERED_TAIL), True, None, PEER),
        ((leg("ended"), FAILED_TAIL), False, "busy", None),
        ((tail("connect.tail"),), False, None, None),
    ],
)
def test_the_tail_settles_a_connect_whose_events_were_lost(
    told: Sequence[tuple[str, dict[str, Any]]], answered: bool, reason: str | None, peer: str | None
) -> None:
    result = after("connect", *told).result
    assert (result.answered, result.reason, result.peer_id) == (answered, reason, peer)


def test_the_states_of_the_dialled_legs_are_events_and_move_nothing() -> None:
    run = after("connect", connect("connecting"), leg("ringing"), leg("answered"), leg("ended", STRANGER))
    assert run.words == ["connecting", "ringing", "answered", "ended"]
    assert (run.operation.state, run.operation.outcome) == ("connecting", None)
    assert peer_of(run.operation) == PEER


# conference


def test_a_conference_ends_with_our_own_leave() -> None:
    run = after("conference", member("participant-join"), member("participant-join", STRANGER))
    assert (run.operation.state, run.operation.outcome) == ("joined", None)
    run.tell(*member("participant-leave", STRANGER))
    assert run.operation.outcome is None
    run.tell(*member("participant-leave"))
    assert run.words == ["joined", "participant-join", "participant-leave", "left"]
    assert run.result == ConferenceResult(state="left", conference_id="c-1", payload=run.result.payload)


def test_a_conference_that_is_over_is_over_for_us() -> None:
    run = after("conference", ("conference", {"status": "conference-end", "reason_ended": "ended-by-host"}))
    assert (run.result.state, run.result.reason) == ("ended", "ended-by-host")


def test_others_may_come_before_us() -> None:
    run = after("conference", member("conference-start", None), member("participant-join", STRANGER))
    assert run.operation.state is None
    run.tell(*member("participant-join"))
    assert run.operation.state == "joined"


@pytest.mark.parametrize(
    ("word", "state"), [("completed", "left"), ("canceled", "finished"), ("no-answer", "finished"), ("", "finished")]
)
def test_the_tail_settles_a_conference_whose_events_were_lost(word: str, state: str) -> None:
    assert after("conference", tail("conference.tail", join_conference_result=word)).result.state == state


def test_a_conference_that_could_not_be_joined_fails() -> None:
    run = after("conference", tail("conference.tail", join_conference_result="failed"))
    assert run.operation.outcome is not None
    assert isinstance(run.operation.outcome.error, ActionFailed)


# digits and documents


def test_digits_settle_by_their_tail() -> None:
    sent = after("digits", tail("digits", send_digits_result="success"))
    assert isinstance(sent.result, SendDigitsResult)
    refused = after("digits", tail("digits", send_digits_result="failed"))
    assert refused.operation.outcome is not None
    assert isinstance(refused.operation.outcome.error, ActionFailed)


def test_a_document_tells_its_variables() -> None:
    assert after("swml", tail("swml", prompt_value="12", empty="")).result == SwmlResult(
        variables={"prompt_value": "12", "empty": ""},
        payload={"op": "k", "call_id": OURS, "prompt_value": "12", "empty": ""},
    )


def test_the_variables_of_a_tail_are_bounded() -> None:
    run = after("swml", tail("swml", **{f"v{number}": "x" * 5000 for number in range(100)}))
    assert len(run.result.variables) == 64
    assert {len(value) for value in run.result.variables.values()} == {4096}


# any order

EVENTS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "connect": [
        *(connect(word) for word in ("connecting", "disconnected", "failed", "levitating", "")),
        CONNECTED,
        *(leg(word, call_id) for word in ("created", "answered", "ended") for call_id in (PEER, STRANGER)),
        ANSWERED_TAIL,
        FAILED_TAIL,
    ],
    "conference": [
        *(
            member(word, call_id)
            for word in ("participant-join", "participant-leave", "participant-mute", "levitating")
            for call_id in (OURS, STRANGER, None)
        ),
        member("conference-end", None),
        tail("conference.tail", join_conference_result="completed"),
        tail("conference.tail", join_conference_result="failed"),
    ],
    "digits": [tail("digits", send_digits_result=word) for word in ("success", "failed", "")],
    "swml": [tail("swml", prompt_value=word) for word in ("", "1")],
}
SETTLING = {"disconnected", "failed", "finished", "left", "ended"}


@st.composite
def runs(draw: st.DrawFn) -> tuple[str, list[tuple[str, dict[str, Any]]]]:
    kind = draw(st.sampled_from(KINDS))
    return kind, draw(st.lists(st.sampled_from(EVENTS[kind]), max_size=12))


@given(runs())
@example(("connect", [connect("disconnected"), CONNECTED, ANSWERED_TAIL]))
def test_it_settles_once_by_the_first_event_that_ends_it_and_nothing_moves_it_then(
    case: tuple[str, list[tuple[str, dict[str, Any]]]],
) -> None:
    kind, told = case
    run = Run(kind)
    ranks = [0]
    for event in told:
        settled = run.operation.outcome
        verdict = run.tell(*event)
        last = run.operation.last_event
        if settled is not None:
            assert verdict == "late"
            assert run.operation.outcome is settled
        elif verdict == "applied":
            assert last is not None
            about_a_leg = event[0] == "connect.leg"
            assert (run.operation.outcome is not None) == (last.state in SETTLING and not about_a_leg)
        ranks.append(run.operation.rank)
    assert ranks == sorted(ranks)
    assert run.operation.state not in ("participant-join", "participant-leave", "answered")


@given(st.permutations([connect("connecting"), CONNECTED, leg("answered"), connect("disconnected"), ANSWERED_TAIL]))
def test_in_whatever_order_a_bridge_is_told_of_it_was_answered(told: list[tuple[str, dict[str, Any]]]) -> None:
    run = after("connect", *told)
    assert run.result.answered
    assert run.result.reason is None
    assert run.result.peer_id in (PEER, None)


@given(st.permutations([connect("connecting"), leg("ended"), connect("failed", failed_reason="busy"), FAILED_TAIL]))
def test_in_whatever_order_a_failure_is_told_of_it_has_its_reason(told: list[tuple[str, dict[str, Any]]]) -> None:
    result = after("connect", *told).result
    assert (result.answered, result.reason, result.peer_id) == (False, "busy", None)


@given(runs(), st.data())
def test_events_of_other_members_change_nothing(
    case: tuple[str, list[tuple[str, dict[str, Any]]]], data: st.DataObject
) -> None:
    _, told = case
    told = [event for event in told if event[0].startswith("conference")]
    noise = [member(word, STRANGER) for word in ("participant-join", "participant-leave", "participant-hold")]
    mixed: list[tuple[str, dict[str, Any]]] = []
    for event in told:
        mixed += data.draw(st.lists(st.sampled_from(noise), max_size=2))
        mixed.append(event)
    plain, noisy = after("conference", *told), after("conference", *mixed)
    assert plain.operation.state == noisy.operation.state
    assert (plain.operation.outcome is None) == (noisy.operation.outcome is None)
    if plain.operation.outcome is not None and plain.operation.outcome.result is not None:
        assert plain.result.state == noisy.result.state


def test_an_unknown_word_is_an_event_and_ends_nothing() -> None:
    for kind, url_kind in (("connect", "connect"), ("conference", "conference")):
        operation = Operation(kind, "k", CallOperation(OURS, OURS))
        event: Event = read(url_kind, {"connect_state": "humming", "status": "humming"})
        assert step_of(operation, event) is None


@pytest.mark.parametrize("kind", ["connect.tail", "conference.tail", "digits", "swml"])
def test_what_does_not_name_the_operation_is_no_tail(kind: str) -> None:
    about = READERS[kind].about or kind
    named, nameless = read(kind, {"op": "k", "x": "1"}), read(kind, {"x": "1"})
    step = step_of(Operation(about, "k", None), named)
    assert step is not None
    assert step.ends is Ends.RUN
    assert step_of(Operation(about, "k", None), nameless) is None
