"""Random interleavings of commands, webhooks, time and closing: every action settles once, and nothing is left over."""

from __future__ import annotations

import itertools
import os
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)
from msgspec.structs import replace

from swcalls._core.decoding import READERS, read
from swcalls._core.lifecycle import CALL, LIFECYCLES
from swcalls._core.limits import Limits
from swcalls._core.log_queries import Reconcile
from swcalls._core.operation import CallOperation, Operation, Options
from swcalls._core.registry import Registry
from swcalls._core.voice_log import read_log
from swcalls.errors import ActionExpired, ActionFailed, CallEnded, ClientClosed
from swcalls.events import CallEvent

SCALE = float(os.environ.get("SWCALLS_DEEP", "1"))
LIMITS = Limits(
    history=5,
    grace=5,
    long_grace=60,
    transcript_grace=600,
    early_events=6,
    early_bytes=600,
    early_age=30,
    settled=8,
    running=2,
    margin=10,
    unconfirmed=300,
)
RECONCILE = Reconcile(patience=20, sweep=60, longest_sweep=200)

WORDS: dict[str, list[dict[str, Any]]] = {
    "play": [{"state": word} for word in ("playing", "paused", "finished", "error", "humming")],
    "record": [{"state": word} for word in ("recording", "paused", "finished", "no_input", "error", None)],
    "stream": [{"state": word} for word in ("streaming", "finished")],
    "collect": [
        {"result": {"type": "start_of_input"}},
        {"result": {"type": "digit", "params": {"digits": "1"}}, "final": False},
        {"result": {"type": "digit", "params": {"digits": "12"}}},
        {"result": {"type": "speech", "params": {"text": "hi"}}, "state": "collecting", "final": True},
        {"result": {"type": "finished"}, "state": "finished"},
        {"result": {"type": "no_match"}},
        {"result": {"type": "error"}},
        {"result": None},
    ],
    "detect": [
        {"detect": {"type": "machine", "params": {"event": word}}}
        for word in ("HUMAN", "MACHINE", "UNKNOWN", "READY", "NOT_READY", "finished", "error", "PARROT", "5")
    ],
    "live_transcribe": [{"event_type": word, "text": "x"} for word in ("utterance", "summary", "tone")],
    "transcribe": [
        {"event_type": f"calling.{word}", "params": {"state": "finished"}}
        for word in ("transcript.completed", "transcript.failed", "call.transcribe", "call.play")
    ],
    "connect": [
        *({"connect_state": word} for word in ("connecting", "connected", "disconnected", "failed", "humming")),
        *({"op": "x", "connect_result": word} for word in ("connected", "failed", "")),
    ],
    "conference": [
        *(
            {"status": word, "call_id": member}
            for word in ("participant-join", "participant-leave", "participant-mute", "conference-start", "humming")
            for member in ("call-0", "a-stranger", None)
        ),
        {"status": "conference-end"},
        *({"op": "x", "join_conference_result": word} for word in ("completed", "failed", "canceled")),
    ],
    "digits": [{"op": "x", "send_digits_result": word} for word in ("success", "failed", None)],
    "swml": [{"op": "x", "prompt_value": "1"}],
}
OPTIONS = st.builds(
    Options,
    continuous=st.booleans(),
    message_end=st.booleans(),
    summary=st.booleans(),
    bound=st.none() | st.integers(1, 50),
    held=st.booleans(),
)
CALL_STATES = st.sampled_from([*CALL, "levitating"])


class Ledger(Operation):
    """An operation that notes what happens to it, as a handle would see it."""

    def __init__(self, kind: str, key: str, call: CallOperation, options: Options) -> None:
        super().__init__(kind, key, call, options)
        self.outcomes: list[object] = []
        self.ranks: list[int] = []
        self.refused = False
        self.deadline: float | None = None

    def changed(self) -> None:
        super().changed()
        if self.outcome is not None and self.outcome not in self.outcomes:
            self.outcomes.append(self.outcome)
        self.ranks.append(self.rank)


def nobody() -> None:
    """Somebody who waits."""


class Correlation(RuleBasedStateMachine):
    actions = Bundle("actions")
    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.registry = Registry(LIMITS, RECONCILE)
        self.asking: list[CallOperation] = []
        self.now = 1000.0
        self.ids = itertools.count()
        self.everything: list[Ledger] = []
        self.all_calls: list[CallOperation] = []
        self.timestamps = itertools.count(1)
        self.kept_early = 0

    @initialize(target=calls)
    def first_call(self) -> CallOperation:
        return self.dial()

    @rule(target=calls)
    def dial(self) -> CallOperation:
        number = next(self.ids)
        call = CallOperation(f"call-key-{number}")
        self.registry.expect_call(call, self.now)
        self.registry.identify(call, f"call-{number}")
        self.registry.check_liveness(call, self.now)
        self.all_calls.append(call)
        return call

    @rule(
        target=actions,
        call=calls,
        kind=st.sampled_from(sorted(WORDS)),
        options=OPTIONS,
        deadline=st.none() | st.integers(1, 100),
    )
    def expect(self, call: CallOperation, kind: str, options: Options, deadline: int | None) -> Ledger:
        return self._expect(call, kind, f"key-{next(self.ids)}", options, deadline)

    @rule(target=actions, call=calls, kind=st.sampled_from(sorted(WORDS)), other=actions, options=OPTIONS)
    def expect_again(self, call: CallOperation, kind: str, other: Ledger, options: Options) -> Any:
        """Use a key once more: refused while its action runs, and fine after."""
        if any(action.key == other.key and not action.closed for action in self.everything):
            with pytest.raises(ValueError, match="control_id"):
                self.registry.expect(Ledger(kind, other.key, call, options), self.now)
            return multiple()
        return self._expect(call, kind, other.key, options, None)

    def _expect(self, call: CallOperation, kind: str, key: str, options: Options, deadline: float | None) -> Ledger:
        action = Ledger(kind, key, call, options)
        self.everything.append(action)
        if deadline is not None:
            action.deadline = self.now + deadline
            action.options = replace(options, bound=None)
        self.registry.expect(action, self.now, deadline)
        return action

    @rule(action=actions)
    def wait_for(self, action: Ledger) -> None:
        action.watch(nobody)

    @rule(action=actions)
    def wait_no_more(self, action: Ledger) -> None:
        action.unwatch(nobody)

    @rule(action=actions)
    def start_its_clock(self, action: Ledger) -> None:
        action.options = replace(action.options, held=False)
        self.registry.time_limits.start_bound(action, self.now)

    @rule(action=actions)
    def confirm(self, action: Ledger) -> None:
        if not action.refused:
            self.registry.confirm(action, self.now)

    @rule(action=consumes(actions))
    def refuse(self, action: Ledger) -> None:
        if action.closed:
            return
        action.refused = True
        self.registry.withdraw(action, RuntimeError("refused"))

    @rule(action=actions, data=st.data(), stamped=st.booleans(), age=st.integers(0, 3))
    def deliver(self, action: Ledger, data: st.DataObject, stamped: bool, age: int) -> None:
        payload = data.draw(st.sampled_from(WORDS[action.kind]))
        if stamped and "event_type" not in payload:
            stamp = next(self.timestamps) - age
            event_type = next(iter(READERS[action.kind].event_types), f"calling.call.{action.kind}")
            payload = {"event_type": event_type, "timestamp": stamp, "params": payload}
        self._post(action.kind, action.key, payload, twice=data.draw(st.booleans()))

    @rule(kind=st.sampled_from(sorted(WORDS)), number=st.integers(0, 60), data=st.data())
    def deliver_to_anybody(self, kind: str, number: int, data: st.DataObject) -> None:
        """Early for an action that comes later, late for one that was, or for one of another kind."""
        self._post(kind, f"key-{number}", data.draw(st.sampled_from(WORDS[kind])), twice=False)

    def _post(self, kind: str, key: str, payload: dict[str, Any], *, twice: bool) -> None:
        before = {id(action): (action.outcome, action.last_event) for action in self.everything}
        mine = [a for a in self.everything if (a.kind, a.key) == (kind, key) and not a.closed]
        is_tail = "op" in payload and f"{kind}.tail" in READERS
        event = read(f"{kind}.tail" if is_tail else kind, payload)
        verdict = self.registry.deliver(kind, key, event, 100, self.now)
        assert (verdict in ("late", "early")) == (not mine)
        if twice and mine and event.timestamp is not None and not mine[0].closed:
            assert self.registry.deliver(kind, key, event, 100, self.now) == "duplicate"
        for action in self.everything:
            if action not in mine:
                assert before[id(action)] == (action.outcome, action.last_event), "another's event was applied"

    @rule(call=calls, state=CALL_STATES, how=st.sampled_from(["webhook", "report", "lose"]))
    def tell_call(self, call: CallOperation, state: str, how: str) -> None:
        event = read("call", {"call_id": call.id, "call_state": state})
        if how == "webhook":
            self.registry.deliver("call", call.key, event, 100, self.now)
        elif how == "report" and isinstance(event, CallEvent):
            self.registry.report(call, event, self.now)
        elif how == "lose" and state == "ended":
            self.registry.lose(call, self.now)

    @rule(action=actions)
    def stop(self, action: Ledger) -> None:
        if not action.closed:
            action.stopping = True
            self.registry.stopped(action, self.now)

    @rule(seconds=st.sampled_from([0.5, 4, 6, 21, 61, 601]))
    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds
        self.registry.expire(self.now)
        assert self.registry.deadlines.next is None or self.registry.deadlines.next > self.now
        self._take_questions()

    def _take_questions(self) -> None:
        for call in self.registry.log_queries.take():
            assert call not in self.asking, "one question at a time"
            self.asking.append(call)

    @precondition(lambda self: self.asking)
    @rule(data=st.data())
    def the_log_answers(self, data: st.DataObject) -> None:
        call = self.asking.pop(0)
        lines = []
        for action in self.everything:
            if action.call is call and READERS[action.kind].event_types and data.draw(st.booleans()):
                details = {"call_id": call.id, **data.draw(st.sampled_from(WORDS[action.kind]))}
                name = READERS[action.kind].event_types[0].replace(".", "_")
                if data.draw(st.booleans()):
                    details["control_id"] = action.key
                lines.append({"event_at": None, "name": name, "details": details})
        status = data.draw(st.none() | CALL_STATES)
        before = {id(action): action.outcome for action in self.everything}
        self.registry.log_answered(call, read_log(call.id or "", {"status": status}, {"data": lines}), self.now)
        proved = {line["details"].get("control_id") for line in lines}
        for action in self.everything:
            if action.outcome is not before[id(action)] and action.outcome.result is not None:
                assert action.call is call
                assert action.key in proved, "a success that nothing proved"
                assert action.outcome.settled_by == "reconciled"
        self._take_questions()

    @precondition(lambda self: self.asking)
    @rule()
    def the_log_cannot_be_read(self) -> None:
        self.registry.log_answered(self.asking.pop(0), None, self.now)
        self._take_questions()

    @rule()
    def close(self) -> None:
        self._close()
        self.registry = Registry(LIMITS, RECONCILE)
        # The next client starts from nothing; what came before it is only looked at.
        self.everything = [action for action in self.everything if action.closed]

    def _close(self) -> None:
        self.registry.close()
        while self.asking:
            self.registry.log_answered(self.asking.pop(), None, self.now)
        assert not self.registry.log_queries.take()
        for action in self.everything:
            assert action.closed
            assert action.outcome is not None
        for call in self.all_calls:
            assert call.outcome is not None
            assert not call.actions
        assert not self.registry.actions
        assert not self.registry.settler.answered
        assert not self.registry.calls._held
        assert self.registry.deadlines.next is None
        assert not self.registry.deadlines._slots
        for call in self.all_calls:
            self.registry.withdraw_call(call)
        self.all_calls = [call for call in self.all_calls if not call.closed]

    @invariant()
    def every_action_settles_exactly_once(self) -> None:
        for action in self.everything:
            assert len(action.outcomes) == (action.outcome is not None)
            if action.outcome is None:
                continue
            outcome = action.outcome
            if action.refused or outcome.result is not None:
                continue
            expected = {
                "callback": ActionFailed,
                "call_ended": CallEnded,
                "deadline": ActionExpired,
                "closed": ClientClosed,
                "reconciled": ActionFailed,
            }
            assert isinstance(outcome.error, expected[outcome.settled_by])

    @invariant()
    def an_action_is_over_only_when_it_has_settled(self) -> None:
        for action in self.everything:
            assert not action.closed or action.outcome is not None
            assert action.outcome is None or action.closed or action.kind == "detect"

    @invariant()
    def the_registry_knows_exactly_what_is_pending(self) -> None:
        pending = {action.key: action for action in self.everything if action.outcome is None}
        assert self.registry.actions == pending
        telling = {action.key for action in self.everything if action.outcome is not None and not action.closed}
        assert self.registry.settler.answered.keys() == telling
        assert len(telling) <= LIMITS.running
        for call in self.all_calls:
            mine = {action.key: action for action in self.everything if action.call is call and not action.closed}
            assert call.actions == mine

    @invariant()
    def a_state_never_runs_backwards(self) -> None:
        for action in self.everything:
            assert action.ranks == sorted(action.ranks)

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.registry.early) <= LIMITS.early_events
        assert self.registry.early._bytes <= LIMITS.early_bytes
        assert len(self.registry.settler.recent) <= LIMITS.settled
        for action in self.everything:
            assert len(action.history or ()) <= LIMITS.history

    @invariant()
    def what_has_a_call_that_ended_has_a_time_to_end(self) -> None:
        for action in self.everything:
            if action.outcome is None and action.call is not None and action.call.has_ended:
                assert action.due is not None

    @invariant()
    def nothing_outlives_its_deadline_but_to_wait_for_the_log(self) -> None:
        for action in self.everything:
            if action.outcome is None and action.deadline is not None and action.deadline <= self.now:
                assert self.registry.log_queries.was_queried(action)
                assert action.due is not None
                assert action.due <= self.now + RECONCILE.patience

    @invariant()
    def no_live_call_is_lost_sight_of(self) -> None:
        for call in self.all_calls:
            assert call.has_ended or call.due is not None

    @invariant()
    def what_is_told_to_stop_has_a_time_to_end(self) -> None:
        for action in self.everything:
            assert action.outcome is not None or not action.stopping or action.due is not None

    def teardown(self) -> None:
        self._close()


Correlation.TestCase.settings = settings(max_examples=int(120 * SCALE), stateful_step_count=60)
TestCorrelation = Correlation.TestCase


def test_every_kind_has_a_word_in_this_test_or_one_that_behaves_alike() -> None:
    alike = {"call", "tap", "refer", "send_fax", "receive_fax", "denoise", "live_translate"}
    assert LIFECYCLES.keys() - WORDS.keys() - alike == {"ai_sidecar", "ai_sidecar.ask", "ai_sidecar.summarize"}
