"""The registry, rule by rule; interleavings are tried in test_registry_properties."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from msgspec import Struct

from swcalls._core.decoding import read
from swcalls._core.limits import Limits
from swcalls._core.log_queries import Reconcile
from swcalls._core.operation import CallOperation, Operation, Options
from swcalls._core.registry import Registry
from swcalls.errors import ActionExpired, ActionFailed, CallEnded, ClientClosed
from swcalls.events import CallEvent
from swcalls.timeline import Journal


class Handle(Struct):
    """Stands in for the handle that a user holds."""

    kind: str
    control_id: str
    state: str | None = None

    def _accepted(self, answer: object) -> None: ...

    def _abandon(self) -> None: ...


def setup(**limits: Any) -> tuple[Registry, CallOperation]:
    registry = Registry(Limits(**limits))
    call = CallOperation("call-key")
    registry.expect_call(call, 0)
    registry.identify(call, "call-1")
    return registry, call


def expect(registry: Registry, call: CallOperation, kind: str = "play", key: str = "x", **options: bool) -> Operation:
    action = Operation(kind, key, call, Options(**options))
    action.handle = Handle(kind, key)
    registry.expect(action, 0)
    return action


def deliver(registry: Registry, key: str = "x", kind: str = "play", now: float = 0, **payload: Any) -> str:
    return registry.deliver(kind, key, read(kind, payload), 100, now)


def report(registry: Registry, call: CallOperation, state: str, now: float = 0) -> None:
    event = read("call", {"id": call.id, "status": state})
    assert isinstance(event, CallEvent)
    registry.report(call, event, now)


def stamped(state: str, timestamp: float) -> dict[str, Any]:
    return {"event_type": "calling.call.play", "timestamp": timestamp, "params": {"state": state}}


def test_verdicts() -> None:
    registry, call = setup()
    expect(registry, call)
    assert deliver(registry, state="playing") == "applied"
    assert deliver(registry, state="playing") == "duplicate"
    assert deliver(registry, state="humming") == "unknown"
    assert deliver(registry, state="finished") == "applied"
    assert deliver(registry, state="finished") == "late"
    assert deliver(registry, "other", state="finished") == "early"
    assert deliver(registry, kind="record", state="finished") == "late"


def test_what_comes_for_no_running_action_stands_in_the_timeline_of_its_call() -> None:
    registry, call = setup()
    call.observer = Journal(100, lambda: 0.0, 0.0, [])
    expect(registry, call)
    deliver(registry, state="finished")
    assert deliver(registry, state="finished", call_id="call-1") == "late"
    assert deliver(registry, "other", state="playing", call_id="call-1") == "early"
    assert deliver(registry, "other", state="playing", call_id="call-2") == "early"
    marks, _ = call.observer.read()
    assert [(mark.key, mark.verdict) for mark in marks if mark.what == "event"] == [
        ("x", "applied"),
        ("x", "late"),
        ("other", "early"),
    ]


def test_without_a_timestamp_only_a_repetition_with_nothing_between_is_a_duplicate() -> None:
    registry, call = setup()
    action = expect(registry, call)
    for state in ("playing", "paused", "playing"):
        assert deliver(registry, state=state) == "applied"
    assert [event.state for event in action.history or ()] == ["playing", "paused", "playing"]


def test_with_a_timestamp_a_duplicate_is_known_after_any_number_of_events() -> None:
    registry, call = setup()
    expect(registry, call)
    for state, time in (("playing", 1.0), ("paused", 2.0), ("playing", 3.0)):
        assert deliver(registry, **stamped(state, time)) == "applied"
    assert deliver(registry, **stamped("playing", 1.0)) == "duplicate"


def test_where_answers_can_repeat_none_without_a_timestamp_is_a_duplicate() -> None:
    registry, call = setup()
    action = expect(registry, call, "collect", continuous=True)
    for _ in range(2):
        assert deliver(registry, kind="collect", result={"type": "speech", "params": {"text": "yes"}}) == "applied"
    assert len(action.history or ()) == 2


def test_an_older_event_of_the_same_rank_does_not_set_the_state() -> None:
    registry, call = setup()
    action = expect(registry, call)
    deliver(registry, **stamped("paused", 2.0))
    assert deliver(registry, **stamped("playing", 1.0)) == "applied"
    assert action.state == "paused"
    deliver(registry, **stamped("playing", 3.0))
    assert action.state == "playing"


def test_a_state_of_a_lower_rank_is_recorded_but_does_not_set_the_state() -> None:
    registry, call = setup()
    for state in ("answered", "ringing", "created"):
        assert (
            registry.deliver("call", "call-key", read("call", {"call_id": "call-1", "call_state": state}), 1, 0)
            == "applied"
        )
    assert call.state == "answered"
    assert call.states_reached == ("answered", "ringing", "created")


def test_a_key_in_use_is_refused_and_free_again_after_the_end() -> None:
    registry, call = setup()
    expect(registry, call)
    with pytest.raises(ValueError, match="control_id='x' must be unique"):
        expect(registry, call, "record")
    deliver(registry, state="finished")
    assert expect(registry, call, "record").outcome is None


@pytest.mark.parametrize(
    ("kind", "grace"), [("play", 5), ("record", 60), ("transcribe", 600), ("collect", 5), ("detect", 5)]
)
def test_grace_after_the_end_of_the_call(kind: str, grace: float) -> None:
    registry, call = setup(grace=5, long_grace=60, transcript_grace=600)
    action = expect(registry, call, kind)
    registry.deliver("call", "call-key", read("call", {"call_state": "ended", "end_reason": "busy"}), 1, 100)
    assert registry.deadlines.next == 100 + grace
    registry.expire(100 + grace - 0.1)
    assert action.outcome is None
    registry.expire(100 + grace)
    assert action.outcome is not None
    assert action.outcome.settled_by == "call_ended"
    assert isinstance(action.outcome.error, CallEnded)
    assert action.outcome.error.reason == "busy"
    assert action.outcome.error.outcome is action.outcome
    assert action.outcome.error.action == Handle(kind, "x")
    assert action.handle is None, "nothing refers to a handle that its user has let go of"


def test_what_starts_on_a_call_that_has_ended_has_its_grace() -> None:
    registry, call = setup()
    registry.deliver("call", "call-key", read("call", {"call_state": "ended"}), 1, 0)
    action = expect(registry, call)
    registry.expire(5)
    assert action.closed


def test_an_earlier_deadline_holds_after_the_end_of_the_call() -> None:
    registry, call = setup(grace=50)
    action = Operation("play", "x", call)
    registry.expect(action, 0, deadline=10)
    registry.deliver("call", "call-key", read("call", {"call_state": "ended"}), 1, 5)
    registry.expire(10)
    assert action.outcome is not None
    assert action.outcome.settled_by == "call_ended"


def test_deadline() -> None:
    registry, call = setup()
    action = Operation("play", "x", call)
    registry.expect(action, 0, deadline=10)
    registry.expire(9.9)
    assert action.outcome is None
    registry.expire(10)
    assert action.outcome is not None
    assert isinstance(action.outcome.error, ActionExpired)
    assert action.due is None


def test_early_events_are_applied_when_their_action_is_expected() -> None:
    registry, call = setup()
    deliver(registry, state="playing")
    deliver(registry, state="finished")
    action = expect(registry, call)
    assert [event.state for event in action.history or ()] == ["playing", "finished"]
    assert action.closed
    assert len(registry.early) == 0
    deliver(registry, key="y", state="finished")
    assert expect(registry, call, "record", key="y").outcome is None


def test_early_events_are_bounded_in_number_bytes_and_age() -> None:
    registry, _ = setup(early_events=2)
    for number in range(5):
        deliver(registry, f"k{number}", state="playing")
    assert (len(registry.early), registry.early.dropped) == (2, 3)
    registry, _ = setup(early_bytes=250)
    for number in range(5):
        deliver(registry, f"k{number}", state="playing")
    assert (len(registry.early), registry.early.dropped) == (2, 3)
    registry, call = setup(early_age=30)
    deliver(registry, state="playing")
    action = Operation("play", "x", call)
    registry.expect(action, 31)
    assert action.history is None
    assert registry.early.dropped == 1


def test_a_detector_tells_on_after_its_answer_until_its_run_ends() -> None:
    registry, call = setup()
    action = expect(registry, call, "detect")
    assert deliver(registry, kind="detect", detect={"type": "machine", "params": {"event": "HUMAN"}}) == "applied"
    assert action.outcome is not None
    assert not action.closed
    assert not registry.actions
    assert deliver(registry, kind="detect", detect={"type": "machine", "params": {"event": "finished"}}) == "applied"
    assert action.closed
    assert deliver(registry, kind="detect", detect={"type": "machine", "params": {"event": "HUMAN"}}) == "late"


@pytest.mark.parametrize("how", ["call", "deadline", "limit", "close"])
def test_a_detector_that_has_answered_does_not_tell_for_ever(how: str) -> None:
    registry, call = setup(running=1)
    action = Operation("detect", "x", call)
    registry.expect(action, 0, deadline=10)
    deliver(registry, kind="detect", detect={"type": "machine", "params": {"event": "HUMAN"}})
    settled = action.outcome
    if how == "call":
        registry.deliver("call", "call-key", read("call", {"call_state": "ended"}), 1, 0)
    elif how == "deadline":
        registry.expire(10)
    elif how == "close":
        registry.close()
    else:
        expect(registry, call, "detect", "y")
        deliver(registry, "y", "detect", detect={"type": "machine", "params": {"event": "HUMAN"}})
    assert action.closed
    assert action.outcome is settled


def test_the_memory_of_settled_actions_is_bounded() -> None:
    registry, call = setup(settled=4)
    for number in range(4):
        expect(registry, call, key=f"k{number}")
        deliver(registry, f"k{number}", state="finished")
    assert [deliver(registry, f"k{number}", state="finished") for number in range(4)] == [
        "early",
        "early",
        "late",
        "late",
    ]


def test_history_is_bounded_and_counts_what_it_dropped() -> None:
    registry, call = setup(history=2)
    action = expect(registry, call)
    for state in ("playing", "paused", "playing", "paused"):
        deliver(registry, state=state)
    assert ([event.state for event in action.history or ()], action.dropped) == (["playing", "paused"], 2)
    assert action.states_reached == ("playing", "paused")


def test_close_settles_everything() -> None:
    registry, call = setup()
    action = expect(registry, call)
    registry.close()
    for operation in (action, call):
        assert operation.outcome is not None
        assert operation.outcome.settled_by == "closed"
        assert isinstance(operation.outcome.error, ClientClosed)
    registry.close()


def test_withdrawing_leaves_nothing_and_tells_who_waits() -> None:
    registry, call = setup()
    action = Operation("play", "x", call)
    registry.expect(action, 0, deadline=5)
    error = RuntimeError("refused")
    registry.withdraw(action, error)
    assert not registry.actions
    assert not call.actions
    assert action.due is None
    assert action.outcome is not None
    assert action.outcome.error is error
    assert deliver(registry, state="finished") == "early"


def test_a_report_of_a_state_moves_the_call_but_is_no_event() -> None:
    registry, call = setup()
    for state in ("ringing", "answered", "ringing", "levitating", ""):
        event = read("call", {"id": "call-1", "status": state})
        assert isinstance(event, CallEvent)
        registry.report(call, event, 0)
    assert (call.state, call.history) == ("answered", None)


def test_an_end_that_was_inferred_leaves_a_moment_for_the_event_that_tells_of_it() -> None:
    registry, call = setup(grace=5)
    call.asked_reason = "hangup"
    registry.lose(call, 100)
    assert (call.has_ended, call.closed, call.end_reason) == (True, False, "hangup")
    assert (
        registry.deliver("call", "call-key", read("call", {"call_state": "ended", "end_reason": "busy"}), 1, 101)
        == "applied"
    )
    assert (call.closed, call.end_reason, len(call.history or ())) == (True, "hangup", 1)
    registry, call = setup(grace=5)
    registry.lose(call, 100)
    registry.expire(105)
    assert call.closed
    assert registry.deliver("call", "call-key", read("call", {"call_state": "ended"}), 1, 106) == "late"


def test_an_event_before_the_answer_to_the_dial_tells_the_id() -> None:
    registry = Registry(Limits())
    call = CallOperation("key")
    registry.expect_call(call, 0)
    registry.deliver("call", "key", read("call", {"call_id": "call-9", "call_state": "created"}), 1, 0)
    assert call.id == "call-9"
    assert registry.calls.with_id("call-9") is call


def test_an_adopted_call_is_up() -> None:
    registry = Registry(Limits())
    call = CallOperation("key", "call-9")
    registry.deliver("call", "call-9", read("call", {"call_id": "call-9", "call_state": "ringing"}), 1, 0)
    registry.adopt(call, 0)
    assert call.stage == "accepted"
    assert (call.state, call.states_reached) == ("answered", ("answered", "ringing"))
    assert len(call.history or ()) == 1
    assert (
        registry.deliver("call", "call-9", read("call", {"call_id": "call-9", "call_state": "ended"}), 1, 0)
        == "applied"
    )


def test_an_adopted_call_that_is_silent_for_too_long_is_let_go() -> None:
    registry, call = Registry(Limits(silence=1000)), CallOperation("key", "call-9")
    registry.adopt(call, 0)
    registry.expire(1000)
    assert not registry.calls.is_held(call)


def test_limits_are_checked() -> None:
    with pytest.raises(ValueError, match="history=0"):
        Limits(history=0)
    with pytest.raises(TypeError, match="grace="):
        Limits(grace="soon")  # type: ignore[arg-type]
    assert Limits(grace=0).grace == 0


def test_a_refusal_that_comes_late_does_not_take_the_place_of_who_has_the_key_now() -> None:
    registry, call = Registry(Limits()), CallOperation("key", "call-1")
    old = Operation("play", "mine", call)
    registry.expect(old, 0, deadline=1)
    registry.expire(1)
    new = Operation("play", "mine", call)
    registry.expect(new, 2)
    registry.withdraw(old, RuntimeError("refused"))
    assert registry.actions == {"mine": new}
    assert call.actions == {"mine": new}
    assert registry.deliver("play", "mine", read("play", {"state": "finished"}), 10, 3) == "applied"


# Time that must not run, and time that must


def test_the_time_of_a_command_that_waits_for_its_turn_does_not_run() -> None:
    registry, call = setup()
    report(registry, call, "ringing")
    action = Operation("play", "x", call, Options(bound=2))
    registry.expect(action, 0)
    report(registry, call, "answered")
    assert action.due is None
    action.note_sent()
    registry.confirm(action, 100)
    assert action.due == 100 + 2 + registry.limits.margin


def test_a_deadline_that_passes_before_the_command_is_sent_says_so() -> None:
    registry, call = setup()
    action = Operation("play", "x", call)
    registry.expect(action, 0, deadline=5)
    registry.expire(5)
    assert action.outcome is not None
    assert action.outcome.stage == "not_sent"
    assert "before its command was sent" in str(action.outcome.error)


def test_a_doubtful_action_expires_when_its_grace_is_over() -> None:
    registry, call = setup(margin=10)
    action = Operation("play", "x", call)
    registry.expect(action, 0)
    action.note_sent()
    registry.time_limits.expect_unconfirmed(action, 1)
    registry.expire(10.9)
    assert action.outcome is None
    registry.expire(11)
    assert action.outcome is not None
    assert action.outcome.settled_by == "deadline"
    assert not registry.time_limits._unconfirmed


def test_a_doubtful_action_that_bounds_itself_has_its_own_time() -> None:
    registry, call = setup(margin=10)
    action = Operation("play", "x", call, Options(bound=100))
    registry.expect(action, 0)
    action.note_sent()
    registry.time_limits.expect_unconfirmed(action, 1)
    assert action.due == 111
    assert not registry.time_limits._unconfirmed


def test_what_is_being_stopped_is_not_paused() -> None:
    registry, call = setup(margin=10)
    action = Operation("play", "x", call, Options(bound=100))
    registry.expect(action, 0)
    registry.confirm(action, 0)
    action.stopping = True
    registry.stopped(action, 1)
    registry.time_limits.pause_bound(action)
    assert action.due == 11


def test_an_event_takes_the_doubt_away() -> None:
    registry, call = setup(margin=10)
    action = Operation("play", "x", call)
    registry.expect(action, 0)
    action.note_sent()
    registry.time_limits.expect_unconfirmed(action, 1)
    deliver(registry, state="playing")
    assert action.due is None
    assert not registry.time_limits._unconfirmed
    registry.expire(1000)
    assert action.outcome is None


def test_a_doubtful_action_keeps_the_deadline_that_it_was_given() -> None:
    registry, call = setup(margin=10)
    action = Operation("play", "x", call)
    registry.expect(action, 0, deadline=100)
    action.note_sent()
    registry.time_limits.expect_unconfirmed(action, 1)
    assert action.due == 100
    deliver(registry, state="playing")
    assert action.due == 100


def test_the_end_of_the_call_is_not_forgotten_when_the_doubt_is_taken_away() -> None:
    registry, call = setup(margin=10, grace=5)
    action = Operation("play", "x", call)
    registry.expect(action, 0)
    action.note_sent()
    registry.time_limits.expect_unconfirmed(action, 1)
    report(registry, call, "ended", now=2)
    deliver(registry, state="playing")
    assert action.due == 7


# Silence


def test_a_call_that_is_silent_for_too_long_while_somebody_waits_is_taken_for_ended() -> None:
    for waits in (True, False):
        registry, call = setup(silence=1000, grace=5)
        action = Operation("play", "x", call)
        registry.expect(action, 0)
        action.note_sent()
        registry.confirm(action, 0)
        if waits:
            call.watch(lambda: None)
            registry.check_liveness(call, 0)
        registry.expire(999)
        assert not call.has_ended
        registry.expire(1000)
        assert call.has_ended
        assert call.state == "ended"
        assert not call.is_known_to_have_ended, "it may be up, and commands may be sent"
        registry.expire(1005)
        assert action.outcome is not None
        assert action.outcome.settled_by == "call_ended"
        assert registry.deadlines.next is None


def test_whatever_is_heard_of_a_call_breaks_its_silence() -> None:
    registry, call = setup(silence=1000)
    call.watch(lambda: None)
    registry.check_liveness(call, 0)
    report(registry, call, "answered", now=900)
    registry.expire(1000)
    assert not call.has_ended
    registry.expire(1899)
    assert not call.has_ended
    registry.expire(1900)
    assert call.has_ended


def test_a_call_whose_end_nobody_told_and_nobody_waits_for_is_let_go() -> None:
    registry, call = setup(silence=1000)
    registry.check_liveness(call, 0)
    gone = weakref.ref(call)
    del call
    gc.collect()
    assert gone() is not None, "its webhooks may still come"
    registry.expire(1000)
    gc.collect()
    assert gone() is None
    assert registry.deadlines.next is None


def test_a_call_that_was_let_go_but_is_still_held_by_a_user_gets_its_webhooks() -> None:
    registry, call = setup(silence=1000)
    registry.check_liveness(call, 0)
    registry.expire(1000)
    assert not call.has_ended
    assert registry.deliver("call", "call-key", read("call", {"call_state": "ended"}), 1, 2000) == "applied"
    assert call.is_known_to_have_ended


def test_a_call_whose_webhooks_go_elsewhere_is_held_by_its_user_only() -> None:
    registry = Registry(Limits())
    call = CallOperation("key")
    registry.expect_call(call, 0, hold=False)
    gone = weakref.ref(call)
    del call
    gc.collect()
    assert gone() is None


def test_a_dial_that_may_not_have_arrived_ends_after_its_own_time_whatever_the_clock_says() -> None:
    """A clock that has run for weeks makes no silence of what has just begun."""
    start = 3_000_000.0
    for reconcile in (Reconcile(), None):
        registry = Registry(Limits(unconfirmed=600), reconcile)
        call = CallOperation("key")
        registry.expect_call(call, start)
        call.note_sent()
        registry.check_liveness(call, start)
        for at in (60, 61, 200, 599):
            registry.expire(start + at)
            assert not call.has_ended, at
        registry.expire(start + 600)
        assert call.has_ended


# After the end


def test_a_closed_registry_asks_nothing_and_gives_nothing_up() -> None:
    registry = Registry(Limits(), Reconcile())
    call = CallOperation("key")
    registry.expect_call(call, 0)
    registry.identify(call, "call-1")
    action = Operation("play", "x", call)
    action.watch(lambda: None)
    registry.expect(action, 0, deadline=5)
    action.note_sent()
    registry.expire(5)
    assert registry.log_queries.take() == [call]
    late = Operation("play", "y", call)
    late.watch(lambda: None)
    registry.expect(late, 5, deadline=1)
    late.note_sent()
    registry.expire(6)
    registry.close()
    registry.log_answered(call, None, 7)
    assert registry.log_queries.take() == []


def test_the_log_is_not_asked_again_for_what_has_settled() -> None:
    registry = Registry(Limits(), Reconcile())
    call = CallOperation("key")
    registry.expect_call(call, 0)
    registry.identify(call, "call-1")
    first, second = Operation("play", "x", call), Operation("play", "y", call)
    for number, action in enumerate((first, second)):
        action.watch(lambda: None)
        registry.expect(action, 0, deadline=5 + number)
        action.note_sent()
    registry.expire(5)
    assert registry.log_queries.take() == [call]
    registry.expire(6)
    deliver(registry, key="y", state="finished")
    registry.log_answered(call, None, 7)
    assert registry.log_queries.take() == []
    assert not [action for action in (first, second) if registry.log_queries.was_queried(action)], "nothing is kept"


def test_who_follows_a_detector_is_told_of_each_answer() -> None:
    registry, call = setup()
    action = expect(registry, call, "detect")
    told: list[str | None] = []
    action.watch(lambda: told.append(action.last_event and action.last_event.state))
    for event in ("HUMAN", "MACHINE", "finished"):
        deliver(registry, kind="detect", detect={"type": "machine", "params": {"event": event}})
    assert told == ["HUMAN", "MACHINE", "finished"]


def test_a_call_that_the_platform_does_not_know_has_ended() -> None:
    registry, call = setup()
    registry.lose(call, 0)
    assert (call.state, call.has_ended, call.end_reason) == ("ended", True, None)
    assert call.outcome is not None
    registry.lose(call, 1)
    assert call.due == registry.limits.grace


def test_a_closed_registry_holds_nothing_that_waited_for_the_log() -> None:
    registry = Registry(Limits(), Reconcile())
    call = CallOperation("key")
    registry.expect_call(call, 0)
    registry.identify(call, "call-1")
    seen: list[weakref.ref[Any]] = []
    for number in range(3):
        # The first is being asked about, the others join the next question.
        action = Handled("play", f"{number}", call)
        seen.append(weakref.ref(action))
        action.watch(lambda: None)
        registry.expect(action, 0, deadline=5 + number)
        action.note_sent()
        registry.expire(5 + number)
        registry.log_queries.take()
    del action
    registry.close()
    gc.collect()
    assert [found() for found in seen] == [None, None, None]


class Handled(Operation):
    """An operation that a weak reference can point at."""


def test_the_state_of_a_leg_is_kept_for_its_own_call_if_it_names_one() -> None:
    registry, call = setup()
    expect(registry, call, "connect", key="c")
    leg = {"call_state": "ringing"}
    registry.deliver("connect.leg", "c", read("connect.leg", leg), 10, 0)
    assert len(registry.early) == 0
    registry.deliver("connect.leg", "c", read("connect.leg", leg | {"call_id": "leg-1"}), 10, 0)
    assert [event.call_id for event in registry.early.take("call", "leg-1", 0)] == ["leg-1"]


def test_the_state_of_a_leg_whose_connect_is_not_running_is_early_or_late() -> None:
    registry, call = setup()
    leg = {"call_state": "ringing", "call_id": "leg-1"}
    assert deliver(registry, "c", "connect.leg", **leg) == "early"
    connect = expect(registry, call, "connect", key="c")
    registry.settler.settle(connect, "callback", error=ActionFailed("failed", action=connect.handle))
    assert deliver(registry, "c", "connect.leg", **leg) == "late"


def test_an_event_proves_that_the_command_was_accepted() -> None:
    registry, call = setup()
    action = expect(registry, call)
    action.note_sent()
    assert action.stage == "unconfirmed"
    deliver(registry, state="playing")
    assert action.stage == "accepted"


# What the engine is told


class Told:
    """A listener that notes what it is told."""

    def __init__(self) -> None:
        self.over: list[Operation] = []
        self.identified: list[CallOperation] = []
        self.due: list[float] = []

    def operation_over(self, operation: Operation) -> None:
        self.over.append(operation)

    def call_identified(self, call: CallOperation) -> None:
        self.identified.append(call)

    def deadline_moved(self, due: float) -> None:
        self.due.append(due)


def test_the_listener_is_told_once_of_an_id_that_a_webhook_has_brought() -> None:
    told = Told()
    registry, call = Registry(Limits(), listener=told), CallOperation("call-key")
    registry.expect_call(call, 0)
    for state in ("created", "ringing"):
        deliver(registry, "call-key", "call", call_id="call-1", call_state=state)
    assert told.identified == [call]


def test_the_listener_is_told_of_a_call_that_is_let_go() -> None:
    told = Told()
    registry, call = Registry(Limits(silence=1000), listener=told), CallOperation("call-key")
    registry.expect_call(call, 0)
    registry.check_liveness(call, 0)
    registry.expire(1000)
    assert told.over == [call]


def test_a_call_whose_webhooks_go_elsewhere_is_closed_when_it_has_ended() -> None:
    registry, call = Registry(Limits()), CallOperation("call-key", "call-1")
    registry.calls.add(call)
    registry.lose(call, 0)
    assert call.closed
    assert registry.deadlines.next is None


def test_what_another_process_has_taken_over_is_settled_and_the_rest_goes_on() -> None:
    registry, call = setup()
    other = CallOperation("other-key")
    registry.expect_call(other, 0)
    mine, theirs = expect(registry, call, key="mine"), expect(registry, other, key="theirs")
    registry.disown(lambda operation: operation in (theirs, other), "another process has the name")
    for operation in (theirs, other):
        assert operation.outcome is not None
        assert isinstance(operation.outcome.error, ClientClosed)
        assert operation.closed
    assert (mine.outcome, call.outcome) == (None, None)


def test_a_summary_that_was_asked_for_has_its_grace_after_the_stop() -> None:
    registry, call = setup(grace=5)
    with_summary = expect(registry, call, "live_transcribe", "x", summary=True)
    without = expect(registry, call, "live_transcribe", "y")
    for action in (with_summary, without):
        action.stopping = True
        registry.stopped(action, 100)
    assert without.closed
    registry.expire(104.9)
    assert with_summary.outcome is None
    registry.expire(105)
    assert with_summary.outcome is not None
    assert with_summary.outcome.error is None


# Questions to a sidecar


def ask(registry: Registry, call: CallOperation, sidecar: Operation, key: str, ask_id: str) -> Operation:
    question = expect(registry, call, "ai_sidecar.ask", key)
    registry.expect_answer(sidecar, ask_id, question, 0)
    return question


def test_an_answer_of_a_sidecar_settles_its_question_whether_it_comes_before_or_after() -> None:
    registry, call = setup()
    sidecar = expect(registry, call, "ai_sidecar", "s")
    deliver(registry, "s", "ai_sidecar", type="ask_answer", ask_id="2", text="no")
    first, second = (ask(registry, call, sidecar, f"q{number}", f"{number}") for number in (1, 2))
    deliver(registry, "s", "ai_sidecar", type="ask_answer", ask_id="1", text="yes")
    for question in (first, second):
        assert question.outcome is not None
        assert question.outcome.error is None
    assert sidecar.outcome is None


def test_the_end_of_a_sidecar_fails_its_open_questions_and_later_ones() -> None:
    registry, call = setup()
    sidecar = expect(registry, call, "ai_sidecar", "s")
    before = ask(registry, call, sidecar, "q1", "1")
    deliver(registry, "s", "ai_sidecar", type="final")
    after = ask(registry, call, sidecar, "q2", "2")
    for question in (before, after):
        assert question.outcome is not None
        assert isinstance(question.outcome.error, ActionFailed)
        assert "the sidecar ended before it answered" in str(question.outcome.error)


def test_the_end_of_the_client_closes_the_questions_to_a_sidecar() -> None:
    registry, call = setup()
    sidecar = expect(registry, call, "ai_sidecar", "s")
    question = ask(registry, call, sidecar, "q", "1")
    registry.close()
    assert question.outcome is not None
    assert isinstance(question.outcome.error, ClientClosed)
