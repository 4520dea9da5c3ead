"""What the voice log may prove, and when it is asked."""

from __future__ import annotations

from typing import Any

import pytest

from swcalls._core.decoding import read
from swcalls._core.limits import Limits
from swcalls._core.log_queries import LogQueries, Reconcile
from swcalls._core.operation import CallOperation, Operation, Options
from swcalls._core.registry import Registry
from swcalls._core.voice_log import read_log
from swcalls.errors import ActionExpired, ActionFailed, CallEnded
from swcalls.events import Event
from swcalls.results import Detection, Playback, Recording

RECONCILE = Reconcile(patience=20, sweep=60, longest_sweep=200)


class Scene:
    """A call that is up, with a waiter on whatever is started on it."""

    def __init__(self, reconcile: Reconcile | None = RECONCILE, limits: Limits = Limits()) -> None:
        self.registry = Registry(limits, reconcile)
        self.now = 0.0
        self.call = CallOperation("key", None)
        self.registry.expect_call(self.call, 0)
        self.registry.identify(self.call, "call-1")
        self.registry.check_liveness(self.call, self.now)
        self.tell_call("answered")

    def start(
        self, kind: str, key: str, options: Options = Options(), deadline: float | None = None, *, watched: bool = True
    ) -> Operation:
        action = Operation(kind, key, self.call, options)
        if watched:
            action.watch(lambda: None)
        self.registry.expect(action, self.now, deadline)
        self.registry.confirm(action, self.now)
        return action

    def tell(self, kind: str, key: str, payload: dict[str, Any]) -> None:
        self.registry.deliver(kind, key, read(kind, payload), 10, self.now)

    def tell_call(self, state: str) -> None:
        self.tell("call", "key", {"call_id": "call-1", "call_state": state})

    def at(self, now: float) -> list[CallOperation]:
        """Let time pass, and return whose log is asked."""
        self.now = now
        self.registry.expire(now)
        return self.registry.log_queries.take()

    def log(self, *events: tuple[str, dict[str, Any]], status: str | None = "answered") -> None:
        lines = [{"name": name, "details": details} for name, details in events]
        evidence = read_log("call-1", {"status": status}, {"data": lines})
        self.registry.log_answered(self.call, evidence, self.now)


# What the log proves


def test_the_log_settles_what_it_proves() -> None:
    scene = Scene()
    play = scene.start("play", "p", deadline=10)
    assert scene.at(9.9) == []
    assert scene.at(10) == [scene.call]
    scene.log(("calling_call_play", {"control_id": "p", "state": "finished"}))
    assert play.outcome is not None
    assert play.outcome.settled_by == "reconciled"
    assert isinstance(play.outcome.result, Playback)
    assert play.outcome.event is not None
    assert play.outcome.event.raw["params"] == {"control_id": "p", "state": "finished"}
    assert not scene.registry.actions


def test_the_log_settles_failures_too() -> None:
    scene = Scene()
    record = scene.start("record", "r", deadline=10)
    scene.at(10)
    scene.log(("calling_call_record", {"control_id": "r", "state": "error"}))
    assert record.outcome is not None
    assert record.outcome.settled_by == "reconciled"
    assert isinstance(record.outcome.error, ActionFailed)


def test_a_recordings_file_is_in_the_log() -> None:
    scene = Scene()
    record = scene.start("record", "r")
    scene.tell_call("ended")
    assert scene.at(60) == [scene.call]
    scene.log(("calling_call_record", {"control_id": "r", "state": "finished", "url": "https://x/r.wav"}))
    assert record.outcome is not None
    assert isinstance(record.outcome.result, Recording)
    assert record.outcome.result.url == "https://x/r.wav"


@pytest.mark.parametrize(
    "events",
    [
        (),
        (("calling_call_play", {"control_id": "p", "state": "playing"}),),
        (("calling_call_play", {"control_id": "another", "state": "finished"}),),
        (("calling_call_play", {"state": "finished"}),),
        (("calling_call_record", {"control_id": "p", "state": "finished"}),),
        (("calling_call_play", {"control_id": "p", "call_id": "another", "state": "finished"}),),
        (("calling_call_levitate", {"control_id": "p", "state": "finished"}),),
        (("calling_call_play", {"control_id": "p", "state": None}),),
    ],
)
def test_what_the_log_does_not_prove_never_becomes_a_guessed_success(events: Any) -> None:
    scene = Scene()
    play = scene.start("play", "p", deadline=10)
    scene.at(10)
    scene.log(*events)
    assert play.outcome is not None
    assert play.outcome.settled_by == "deadline"
    assert isinstance(play.outcome.error, ActionExpired)


def test_an_action_of_another_call_is_not_touched() -> None:
    scene = Scene()
    other = CallOperation("other", None)
    scene.registry.expect_call(other, 0)
    scene.registry.identify(other, "call-2")
    theirs = Operation("play", "theirs", other)
    scene.registry.expect(theirs, 0)
    scene.start("play", "p", deadline=10)
    scene.at(10)
    scene.log(("calling_call_play", {"control_id": "theirs", "state": "finished"}))
    assert theirs.outcome is None


def test_what_the_log_repeats_is_no_second_event() -> None:
    scene = Scene()
    play = scene.start("play", "p", deadline=10)
    details = {"control_id": "p", "state": "playing"}
    scene.tell("play", "p", {"event_type": "calling.call.play", "timestamp": 1.5, "params": details})
    scene.at(10)
    scene.log(("calling_call_play", details), ("calling_call_play", {"control_id": "p", "state": "finished"}))
    assert [event.state for event in play.history or ()] == ["playing", "finished"]


def test_a_detection_is_put_together_of_what_came_and_what_was_lost() -> None:
    scene = Scene()
    detect = scene.start("detect", "d", Options(message_end=True), deadline=10)

    def heard(word: str) -> dict[str, Any]:
        return {"control_id": "d", "detect": {"type": "machine", "params": {"event": word}}}

    scene.tell("detect", "d", heard("NOT_READY"))
    scene.at(10)
    lines = [("calling_call_detect", heard(word)) for word in ("MACHINE", "NOT_READY", "finished")]
    scene.log(*lines)
    assert detect.outcome is not None
    assert detect.outcome.settled_by == "reconciled"
    assert isinstance(detect.outcome.result, Detection)
    assert detect.outcome.result.event == "MACHINE"


def test_lines_are_read_by_their_time_and_not_by_their_place() -> None:
    lines = [
        {"event_at": "2026-01-01T00:00:05Z", "name": "calling_call_play", "details": {"control_id": "p", "n": 3}},
        {"event_at": "2026-01-01T00:00:01+00:00", "name": "calling_call_play", "details": {"control_id": "p", "n": 1}},
        {"event_at": "nonsense", "name": "calling_call_play", "details": {"control_id": "p", "n": 2}},
        {"event_at": "2026-01-01T00:00:09", "name": "calling_call_play", "details": {"control_id": "p", "n": 4}},
    ]
    evidence = read_log("call-1", {}, {"data": lines})
    assert [line.payload["params"]["n"] for line in evidence.events] == [1, 2, 3, 4]


@pytest.mark.parametrize("junk", [None, [], "x", {"data": None}, {"data": [None, 7, {}, {"name": 3, "details": []}]}])
def test_a_log_of_any_shape_is_read(junk: Any) -> None:
    evidence = read_log("call-1", {"status": [junk]}, junk if isinstance(junk, dict) else {"data": junk})
    assert not evidence.events
    assert not evidence.call


# What the log tells of the call


@pytest.mark.parametrize("status", ["ended", "completed", "busy", "no-answer", "canceled", "failed"])
def test_a_final_status_in_the_log_ends_the_call(status: str) -> None:
    scene = Scene()
    play = scene.start("play", "p", deadline=10)
    scene.at(10)
    scene.log(status=status)
    assert scene.call.outcome is not None
    assert scene.call.outcome.settled_by == "reconciled"
    assert play.outcome is None, "its own last event may be on its way, now that the call is known to be over"
    scene.at(15)
    assert play.outcome is not None
    assert play.outcome.settled_by == "call_ended"


def test_the_end_in_the_log_has_its_reason() -> None:
    scene = Scene()
    scene.call.watch(lambda: None)
    assert scene.at(60) == [scene.call]
    scene.log(("calling_call_state", {"call_state": "ended", "end_reason": "noAnswer"}), status="ended")
    assert scene.call.end_reason == "noAnswer"


def test_an_answer_that_no_webhook_told_is_in_the_log() -> None:
    scene = Scene()
    call = CallOperation("second", None)
    call.watch(lambda: None)
    scene.registry.expect_call(call, 0)
    scene.registry.identify(call, "call-2")
    scene.registry.check_liveness(call, 0)
    scene.at(60)
    scene.registry.log_answered(call, read_log("call-2", {"status": "in-progress"}, {}), 60)
    assert "in-progress" in call.states_reached


# When it is asked


def test_it_is_asked_once_for_each_overdue_action() -> None:
    scene = Scene()
    play = scene.start("play", "p", deadline=10)
    assert scene.at(10) == [scene.call]
    assert play.outcome is None
    scene.registry.log_answered(scene.call, None, 11)
    assert play.outcome is not None
    assert play.outcome.settled_by == "deadline"
    assert scene.at(12) == []


def test_it_is_not_waited_for_without_end() -> None:
    scene = Scene()
    play = scene.start("play", "p", deadline=10)
    scene.at(10)
    scene.at(29.9)
    assert play.outcome is None
    assert scene.at(30) == []
    assert play.outcome is not None
    assert play.outcome.settled_by == "deadline"


def test_a_callback_that_comes_while_the_log_is_asked_wins() -> None:
    scene = Scene()
    play = scene.start("play", "p", deadline=10)
    scene.at(10)
    scene.tell("play", "p", {"state": "finished"})
    assert play.outcome is not None
    outcome = play.outcome
    assert outcome.settled_by == "callback"
    scene.log(("calling_call_play", {"control_id": "p", "state": "error"}))
    assert play.outcome is outcome


def test_it_is_not_asked_for_an_action_that_nobody_waits_on() -> None:
    scene = Scene()
    play = scene.start("play", "p", deadline=10, watched=False)
    assert scene.at(10) == []
    assert play.outcome is not None
    assert play.outcome.settled_by == "deadline"


def test_it_is_not_asked_when_it_is_switched_off() -> None:
    scene = Scene(reconcile=None)
    play = scene.start("play", "p", deadline=10)
    assert scene.at(10) == []
    assert play.outcome is not None


def test_it_is_not_asked_about_a_call_whose_id_is_unknown() -> None:
    scene = Scene()
    call = CallOperation("nameless", None)
    play = Operation("play", "q", call)
    play.watch(lambda: None)
    scene.registry.expect(play, 0, 10)
    assert scene.at(10) == []
    assert play.outcome is not None


def test_overdue_actions_of_one_call_share_one_question() -> None:
    scene = Scene()
    plays = [scene.start("play", f"p{n}", deadline=10) for n in range(50)]
    assert scene.at(10) == [scene.call]
    scene.log(*(("calling_call_play", {"control_id": f"p{n}", "state": "finished"}) for n in range(50)))
    assert {play.outcome.settled_by for play in plays if play.outcome} == {"reconciled"}


def test_what_is_overdue_while_a_question_is_on_its_way_waits_for_the_next() -> None:
    scene = Scene()
    early = scene.start("play", "early", deadline=10)
    late = scene.start("play", "late", deadline=11)
    assert scene.at(10) == [scene.call]
    assert scene.at(11) == []
    scene.log()
    assert early.outcome is not None
    assert late.outcome is None
    assert scene.registry.log_queries.take() == [scene.call]
    scene.log(("calling_call_play", {"control_id": "late", "state": "finished"}))
    assert late.outcome is not None
    assert late.outcome.settled_by == "reconciled"


def test_a_call_that_has_ended_is_asked_about_when_the_grace_has_passed() -> None:
    scene = Scene()
    play = scene.start("play", "p")
    scene.tell_call("ended")
    assert scene.at(4.9) == []
    assert scene.at(5) == [scene.call]
    scene.log(status="ended")
    assert play.outcome is not None
    assert isinstance(play.outcome.error, CallEnded)


def test_a_silent_call_that_somebody_waits_on_is_looked_up_now_and_then() -> None:
    scene = Scene()
    play = scene.start("play", "p")
    for when in (60, 180, 380, 580):  # 60 seconds, doubled, and never more than the longest
        assert scene.at(when - 0.1) == []
        assert scene.at(when) == [scene.call]
        scene.log(status=None)
    assert play.outcome is None, "nothing was proved, and nothing bounds it"


def test_a_call_that_is_heard_of_is_not_looked_up() -> None:
    scene = Scene()
    scene.start("play", "p")
    for minute in range(10):
        scene.now = minute * 59.0
        scene.tell("play", "p", {"state": "playing" if minute % 2 else "paused"})
        assert scene.at(scene.now + 58.9) == []


def test_a_call_that_nobody_waits_on_is_not_looked_up() -> None:
    scene = Scene()
    scene.start("play", "p", watched=False)
    for when in (60, 180, 1000):
        assert scene.at(when) == []


def test_a_call_that_nobody_holds_is_kept_by_nobody() -> None:
    registry = Registry(Limits(), RECONCILE)
    call = CallOperation("key", "call-1")
    registry.calls.add(call)
    one, other = (Operation("play", key, call) for key in ("one", "other"))
    for action in (one, other):
        registry.expect(action, 0)
    registry.deliver("play", "one", read("play", {"state": "finished"}), 10, 1)
    assert registry.deadlines.next is not None
    registry.deliver("play", "other", read("play", {"state": "finished"}), 10, 1)
    assert registry.deadlines.next is None
    del one, other, action, call
    assert not len(registry.calls)


def test_a_call_that_somebody_waits_for_is_looked_after_when_its_last_action_is_over() -> None:
    registry = Registry(Limits(), RECONCILE)
    call = CallOperation("key", "call-1")
    call.watch(lambda: None)
    registry.expect(Operation("play", "p", call), 0)
    registry.deliver("play", "p", read("play", {"state": "finished"}), 10, 1)
    registry.expire(61.1)
    assert registry.log_queries.take() == [call]


def test_a_sweep_finds_the_end_of_an_action_that_nothing_bounds() -> None:
    scene = Scene()
    play = scene.start("play", "p")
    scene.at(60)
    scene.log(("calling_call_play", {"control_id": "p", "state": "finished"}))
    assert play.outcome is not None
    assert play.outcome.settled_by == "reconciled"


def test_a_dial_that_may_not_have_arrived_is_not_waited_for_without_end() -> None:
    for reconcile in (RECONCILE, None):
        registry = Registry(Limits(unconfirmed=300), reconcile)
        call = CallOperation("key", None)
        call.watch(lambda: None)
        registry.expect_call(call, 0)
        call.note_sent()
        registry.check_liveness(call, 0)
        for now in (60, 180, 299):
            registry.expire(now)
            assert not call.has_ended
        while (due := registry.deadlines.next) is not None:
            registry.expire(due)
        assert call.has_ended
        assert not registry.log_queries.take()


# How long what its own parameters bound may take


def test_a_bounded_action_expires_a_margin_after_its_bound() -> None:
    scene = Scene(reconcile=None, limits=Limits(margin=10))
    detect = scene.start("detect", "d", Options(bound=30))
    scene.at(39.9)
    assert detect.outcome is None
    scene.at(40)
    assert detect.outcome is not None
    assert detect.outcome.settled_by == "deadline"


def test_the_margin_of_a_recording_is_its_grace() -> None:
    scene = Scene(reconcile=None)
    record = scene.start("record", "r", Options(bound=30))
    scene.at(89.9)
    assert record.outcome is None
    scene.at(90)
    assert record.outcome is not None


def test_the_bound_counts_from_the_last_that_was_heard() -> None:
    scene = Scene(reconcile=None, limits=Limits(margin=10))
    collect = scene.start("collect", "c", Options(bound=30))
    scene.now = 25.0
    scene.tell("collect", "c", {"result": {"type": "start_of_input"}})
    scene.at(64.9)
    assert collect.outcome is None
    scene.at(65)
    assert collect.outcome is not None


def test_what_is_paused_has_all_the_time() -> None:
    scene = Scene(reconcile=None, limits=Limits(margin=10))
    play = scene.start("play", "p", Options(bound=5))
    scene.tell("play", "p", {"state": "paused"})
    scene.at(1000)
    assert play.outcome is None
    scene.tell("play", "p", {"state": "playing"})
    scene.at(1015)
    assert play.outcome is not None


def test_the_bound_counts_from_the_answer_of_a_call_that_still_rings() -> None:
    registry = Registry(Limits(margin=10))
    call = CallOperation("key", None)
    registry.expect_call(call, 0)
    registry.identify(call, "call-1")
    ring = read("call", {"call_id": "call-1", "call_state": "ringing"})
    registry.deliver("call", "key", ring, 10, 0)
    detect = Operation("detect", "d", call, Options(bound=30))
    registry.expect(detect, 0)
    registry.confirm(detect, 0)
    registry.expire(500)
    assert detect.outcome is None
    registry.deliver("call", "key", read("call", {"call_id": "call-1", "call_state": "answered"}), 10, 500)
    registry.expire(539)
    assert detect.outcome is None
    registry.expire(540)
    assert detect.outcome is not None


def test_a_clock_that_is_held_does_not_run() -> None:
    scene = Scene(reconcile=None)
    collect = scene.start("collect", "c", Options(bound=5, held=True))
    scene.at(1000)
    assert collect.outcome is None


def test_what_was_told_to_stop_has_a_margin_to_do_so() -> None:
    scene = Scene(reconcile=None, limits=Limits(margin=10))
    play = scene.start("play", "p")
    play.stopping = True
    scene.registry.stopped(play, 5)
    scene.at(14.9)
    assert play.outcome is None
    scene.at(15)
    assert play.outcome is not None
    assert play.outcome.settled_by == "deadline"
    assert "stopped" in str(play.outcome.error)


def test_a_deadline_that_was_asked_for_is_not_moved() -> None:
    scene = Scene(reconcile=None)
    play = scene.start("play", "p", deadline=10)
    scene.now = 9
    scene.tell("play", "p", {"state": "playing"})
    scene.at(10)
    assert play.outcome is not None


# The questions


def test_a_question_that_is_new_is_asked_once() -> None:
    log_queries = LogQueries()
    call = CallOperation("key", "call-1")
    actions = [Operation("play", f"p{n}", call) for n in range(3)]
    log_queries.add(call, actions[0])
    log_queries.add(call)
    log_queries.add(call, actions[1])
    assert log_queries.take() == [call]
    assert log_queries.take() == []
    log_queries.add(call, actions[2])
    log_queries.add(call)
    assert log_queries.finish(call) == actions[:2]
    assert log_queries.take() == [call]
    assert log_queries.finish(call) == actions[2:]
    assert log_queries.take() == []


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match=r"Reconcile: timeout=0 must be greater than 0"):
        Reconcile(timeout=0)
    with pytest.raises(TypeError, match=r"Reconcile: sweep='x' must be a number"):
        Reconcile(sweep="x")  # type: ignore[arg-type]


def test_an_event_is_an_event_wherever_it_comes_from() -> None:
    evidence = read_log(
        "call-1", {}, {"data": [{"name": "calling_call_play", "details": {"control_id": "p", "state": "x"}}]}
    )
    (line,) = evidence.events
    event = line.about("play")
    assert isinstance(event, Event)
    assert (event.state, event.control_id) == ("x", "p")
    assert line.about("record") is None


def test_lines_of_the_log_have_the_time_at_which_they_were_written() -> None:
    times = ["2026-01-01T00:00:01Z", "2026-01-01T00:00:02+01:00", "yesterday", None]
    lines = [
        {"name": "calling_call_play", "event_at": at, "details": {"control_id": f"{number}", "state": "playing"}}
        for number, at in enumerate(times)
    ]
    found = {line.control_id: line.payload.get("timestamp") for line in read_log("call-1", {}, {"data": lines}).events}
    assert found == {"0": 1767225601.0, "1": 1767222002.0, "2": None, "3": None}
    assert [
        event.timestamp
        for event in (line.about("play") for line in read_log("call-1", {}, {"data": lines[:1]}).events)
        if event
    ] == [1767225601.0]
