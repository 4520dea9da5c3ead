"""Holds the running operations, and applies events, deadlines and log answers to them; each settles exactly once.

The engine calls `Registry.expect` before it sends a command, `Registry.deliver` for each verified webhook, and
`Registry.expire` when a deadline has come. No clock here: every method that needs the time takes ``now``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec.structs import replace

from ..errors import ActionFailed, Replaced
from ..events import CallEvent, Event
from ..outcome import SettledBy
from .call_table import CallTable
from .deadlines import Deadlines
from .decoding import LEG, READERS
from .early_events import EarlyEvents
from .lifecycle import CALL, LIFECYCLES, is_duplicate, is_older, seen_by, step_of
from .limits import Limits
from .log_queries import LogQueries, Reconcile
from .observer import EventVerdict
from .operation import CallOperation, Operation, call_of
from .settler import Listener, Settler, name_of, outcome_of, reason_in, settles_without_event
from .steps import Ends
from .swml_lifecycles import SWML_LIFECYCLES, bridged_with
from .time_limits import CallChecks, TimeLimits
from .voice_log import Evidence

Delivered = Literal["applied", "unknown", "duplicate", "late", "early"]
"""What became of an event. ``unknown``: passed on to iterators, but no lifecycle knows its state."""


class Registry:
    """The running operations."""

    def __init__(self, limits: Limits, reconcile: Reconcile | None = None, listener: Listener | None = None) -> None:
        self.limits = limits
        self.settler: Settler = Settler(limits, listener)
        self.actions: dict[str, Operation] = self.settler.actions
        """The actions that have not settled, by key."""
        self.calls: CallTable = self.settler.calls
        self.deadlines: Deadlines = self.settler.deadlines
        self.time_limits: TimeLimits = self.settler.time_limits
        self.log_queries: LogQueries = self.settler.log_queries
        """The calls whose log is to be read; `log_answered` takes the answer."""
        self.early: EarlyEvents = EarlyEvents(limits)
        self.is_closed: bool = False
        """Everything has been settled, and no operation is accepted any more."""
        self._call_checks = CallChecks(limits, reconcile, self.deadlines)
        self._reconcile = reconcile
        self._listener = listener

    # Commands

    def expect(self, action: Operation, now: float, deadline: float | None = None) -> None:
        """Register *action*, before its command is sent. Events that came earlier are applied at once.

        Args:
            deadline: Seconds until the action expires; ``None``: no deadline of its own.

        Raises:
            ValueError: The key is in use by an action that is still running.
        """
        key, call = action.key, call_of(action)
        if self.follows(key):
            raise ValueError(f"{action.kind}: control_id={key!r} must be unique among running actions")
        self.settler.recent.discard(key)
        self.actions[key] = action
        call.actions[key] = action
        call.last_activity = now
        self._call_checks.schedule(call, now)
        if deadline is not None:
            self.deadlines.set(action, now + deadline)
        if call.has_ended:
            self.time_limits.start_grace(action, now)
        for event in self.early.take(action.kind, key, now):
            self._apply(action, event, now)

    def confirm(self, action: Operation, now: float) -> None:
        """Note that the command of *action* was accepted."""
        action.stage = "accepted"
        self.time_limits.start_bound(action, now)

    def withdraw(self, action: Operation, error: Exception) -> None:
        """Forget *action*, whose command was refused or not sent.

        A task that waits for the action (with a handle that it found by id) gets *error*.
        """
        if action.outcome is None:
            action.outcome = outcome_of(action, "closed", error=error)
        self.settler.close(action)
        self.settler.recent.discard(action.key)

    def stopped(self, action: Operation, now: float) -> None:
        """Note that a stop was accepted, or answered with 404: the last event of *action* must come soon.

        An action that may end without an event of its own ends now.
        """
        if action.outcome is not None:
            return
        if not settles_without_event(action):
            self.time_limits.start_margin(action, now)
        elif action.options.summary:
            self.deadlines.set(action, now + self.limits.grace)
        else:
            self.settler.give_up(action)

    def expect_answer(self, sidecar: Operation, ask_id: str, question: Operation, now: float) -> None:
        """Expect that a webhook of *sidecar* answers *question*, which the platform calls *ask_id*."""
        event = self.settler.questions.expect(sidecar, ask_id, question)
        if event is not None:
            self._apply(question, event, now)
        elif sidecar.closed:
            self.settler.fail_questions(sidecar)

    def follows(self, key: str) -> bool:
        """Return whether an action with this *key* is running."""
        return key in self.actions or key in self.settler.answered

    # Calls

    def expect_call(self, call: CallOperation, now: float, *, hold: bool = True) -> None:
        """Register a call that is about to be dialled; *hold*: keep it until it ends, since its webhooks come here."""
        call.last_activity = now
        self.calls.follow(call, hold=hold)

    def adopt(self, call: CallOperation, now: float, *, state: str = "answered") -> None:
        """Register an inbound call, which is in *state*. Its id is its key."""
        assert call.id is not None
        call.key = call.id
        call.stage = "accepted"
        call.state, call.rank = state, CALL[state].rank
        call.states_reached = (state,)
        self.calls.add(call)
        self.expect_call(call, now)
        self._call_checks.schedule(call, now)
        for event in self.early.take("call", call.key, now):
            self._apply(call, event, now)

    def withdraw_call(self, call: CallOperation) -> None:
        """Forget a call that was never started."""
        self.calls.remove(call)
        self.deadlines.clear(call)
        self.settler.notify_over(call)

    def identify(self, call: CallOperation, call_id: str) -> None:
        """Note the id of a call, unless it is known."""
        if call.id is None:
            call.id = call_id
            self.calls.add(call)
            if call.observer is not None:
                call.observer.call_id = call_id

    def check_liveness(self, call: CallOperation, now: float) -> None:
        """Schedule a liveness check of *call*, since a task is about to wait for the call or for one of its actions."""
        self._call_checks.schedule(call, now)

    def report(self, call: CallOperation, event: CallEvent, now: float, by: SettledBy = "callback") -> None:
        """Apply a state from a command's response or from the voice log. It does not go into the call's history."""
        call.last_activity = now
        step = step_of(call, event)
        if step is None or call.has_ended or step.rank < call.rank:
            return
        call.stage = "accepted"
        if call.observer is not None:
            call.observer.event("call", call.key, event, "reconciled" if by == "reconciled" else "reported", now)
        self._reach(call, event.state, step.rank, now)
        call.note_states(event)
        if step.ends is Ends.NOTHING:
            call.changed()
        else:
            self.settler.infer_end(call, event.end_reason, now, by)

    def lose(self, call: CallOperation, now: float) -> None:
        """Note that the platform does not know *call* any more: it has ended."""
        if not call.has_ended:
            call.state = "ended"
            self.settler.infer_end(call, None, now, own=False)

    # Webhooks

    def deliver(self, kind: str, key: str, event: Event, size: int, now: float) -> Delivered:
        """Apply a verified event, whose body had *size* bytes, to the operation that its callback URL names."""
        if kind == LEG:
            return self._deliver_leg(key, event, size, now)
        reader = READERS.get(kind)
        if reader is not None and reader.about:
            kind = reader.about
        operation: Operation | None
        if kind == "call":
            operation = self.calls.with_key(key)
        else:
            operation = self.actions.get(key) or self.settler.answered.get(key)
        if operation is not None and operation.kind == kind:
            return self._apply(operation, event, now)
        verdict: Delivered = "late" if key in self.settler.recent else "early"
        if verdict == "early":
            self.early.keep(kind, key, event, size, now)
        call = self.calls.with_id(event.call_id or "")
        if call is not None and call.observer is not None:
            call.observer.event(kind, key, event, verdict, now)
        return verdict

    def _deliver_leg(self, key: str, event: Event, size: int, now: float) -> Delivered:
        """Apply a state of a leg that the connect *key* has dialled: to the connect, and to the leg's own call.

        The event is kept for a call that is not followed yet: the user asks for it when the leg has answered.
        """
        connect = self.actions.get(key)
        verdict: Delivered = "late" if key in self.settler.recent else "early"
        if connect is not None and connect.kind == "connect":
            verdict = self._apply(connect, event, now)
        leg = self.calls.with_key(event.call_id or "")
        if leg is not None:
            return self._apply(leg, event, now)
        if event.call_id is not None:
            self.early.keep("call", event.call_id, event, size, now)
        return verdict

    def replaced(self, call: CallOperation, by: Operation | None) -> None:
        """Settle the SWML document that ran on *call* until now; *by*: the action of the new one, if it has one."""
        for action in list(call.actions.values()):
            if action.kind in SWML_LIFECYCLES and action is not by and action.stage != "not_sent":
                message = f"{name_of(action)}: another SWML document runs on the call now"
                self.settler.settle(action, "callback", error=Replaced(message, action=action.handle))

    # Time

    def expire(self, now: float) -> None:
        """Settle, or check, every operation whose deadline has come."""
        for operation in self.deadlines.expired(now):
            if isinstance(operation, CallOperation):
                if operation.has_ended:
                    self.settler.close_call(operation)
                else:
                    self._check_call(operation, now)
            elif operation.outcome is not None:
                self.settler.close(operation)
            elif not self._query_log(operation, now):
                self.settler.give_up(operation)

    def log_answered(self, call: CallOperation, evidence: Evidence | None, now: float) -> None:
        """Apply *evidence*, what the voice log says of *call*, then settle the overdue actions that waited for it.

        Args:
            evidence: ``None``: the log could not be read.
        """
        waited = self.log_queries.finish(call)
        if self.is_closed:
            return
        was_up = not call.has_ended
        if evidence is not None:
            self._apply_evidence(call, evidence, now)
        if was_up and call.has_ended:
            return  # The end of the call has started the grace period of its actions.
        for action in waited:
            self.settler.give_up(action)

    # Closing

    def close(self) -> None:
        """Settle every operation, since the client is closing."""
        self.is_closed = True
        self.log_queries.close()
        self.settler.settle_all(self.calls, lambda _: True, "the client was closed")

    def disown(self, is_lost: Callable[[Operation], bool], why: str) -> None:
        """Settle every operation for which *is_lost* is true: another process gets its webhooks."""
        self.settler.settle_all([call for call in self.calls if self.calls.follows(call)], is_lost, why)

    def _apply(self, operation: Operation, event: Event, now: float, by: SettledBy = "callback") -> Delivered:
        """Apply *event* to *operation*, which the event belongs to."""
        event = seen_by(operation, event)
        call = operation if isinstance(operation, CallOperation) else call_of(operation)
        observer = call.observer
        if operation.closed or is_duplicate(operation, event):
            verdict: Delivered = "late" if operation.closed else "duplicate"
            if observer is not None:
                observer.event(operation.kind, operation.key, event, verdict, now)
            return verdict
        if operation.stage != "accepted":
            operation.stage = "accepted"
            self.time_limits.note_arrived(operation)
        call.last_activity = now
        if call.id is None and call is operation and event.call_id:
            self.identify(call, event.call_id)
            if self._listener is not None:
                self._listener.call_identified(call)
        step = step_of(operation, event)
        if observer is not None:
            noted: EventVerdict = "reconciled" if by == "reconciled" else "unknown" if step is None else "applied"
            observer.event(operation.kind, operation.key, event, noted, now)
        if step is not None and (
            step.rank > operation.rank or (step.rank == operation.rank and not is_older(operation, event))
        ):
            self._reach(operation, event.state, step.rank, now)
        operation.remember(event, self.limits.history)
        if step is None or step.ends is Ends.NOTHING:
            if operation.options.bound is not None:
                self.time_limits.extend_bound(operation, event, now)
            if operation.kind == "connect" and operation.options.answered_by is None:
                self._note_peer(operation)
            operation.changed()
        elif isinstance(operation, CallOperation):
            self.settler.end_call(operation, reason_in(event) or operation.asked_reason, now)
            self.settler.close_call(operation)
        else:
            self._apply_end(operation, event, step.ends, by)
        if operation.kind == "ai_sidecar":
            question = self.settler.questions.answered_by(operation, event)
            if question is not None:
                self._apply(question, event, now)
        return "unknown" if step is None else "applied"

    def _note_peer(self, connect: Operation) -> None:
        """Keep the id of the call at the other end of *connect*: a process that takes it over has seen no event."""
        peer = bridged_with(connect)
        if peer is not None:
            connect.options = replace(connect.options, answered_by=peer)
            if self._listener is not None:
                self._listener.peer_identified(connect)

    def _apply_end(self, action: Operation, event: Event, ends: Ends, by: SettledBy) -> None:
        """Settle *action* by an event that ends something, unless an answer has settled it before."""
        if action.outcome is not None:
            if ends is Ends.WAIT:
                action.changed()
            else:
                self.settler.close(action)
        elif ends is Ends.FAILED:
            message = f"{name_of(action)}: the platform reported {event.state!r}"
            self.settler.settle(action, by, error=ActionFailed(message, action=action.handle), own=True)
        else:
            result = LIFECYCLES[action.kind].result(action, event)
            self.settler.settle(action, by, result=result, running=ends is Ends.WAIT, own=True)

    def _reach(self, operation: Operation, state: str, rank: int, now: float) -> None:
        """Set state and rank of *operation*. When a call is answered, the duration limits of its actions start."""
        operation.state = state
        was, operation.rank = operation.rank, rank
        if isinstance(operation, CallOperation) and was < CALL["answered"].rank <= rank:
            for action in operation.actions.values():
                self.time_limits.start_bound(action, now)

    def _check_call(self, call: CallOperation, now: float) -> None:
        match self._call_checks.check(call, now, is_held=self.calls.is_held(call)):
            case "ask_log":
                self.log_queries.add(call)
            case "ended":
                call.state = "ended"
                self.settler.infer_end(call, None, now, "deadline", own=False)
            case "forget":
                self.calls.release(call)
                self.settler.notify_over(call)
            case "nothing":
                pass

    def _query_log(self, action: Operation, now: float) -> bool:
        """Queue a log query for *action*, which is overdue; return ``False`` if no query can help."""
        call = call_of(action)
        if self._reconcile is None or self.log_queries.was_queried(action) or not action.watchers or call.id is None:
            return False
        if action.stage == "not_sent" or settles_without_event(action):
            return False
        self.deadlines.set(action, now + self._reconcile.patience)
        self.log_queries.add(call, action)
        return True

    def _apply_evidence(self, call: CallOperation, evidence: Evidence, now: float) -> None:
        """Apply to *call* and its actions what the log says and no webhook has reported."""
        for line in evidence.events:
            action = self.actions.get(line.control_id)
            if action is None or action.call is not call or not READERS[action.kind].keyed:
                continue
            event = line.about(action.kind)
            if event is not None and not line.is_told_by(action.history or ()):
                self._apply(action, event, now, "reconciled")
        for state in evidence.call:
            self.report(call, state, now, "reconciled")
