"""What an event does to its operation and to the call that it is on: states, ends, graces and outcomes.

Each operation settles exactly once. No clock here: every method that needs the time takes ``now``.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any, Literal
from weakref import WeakValueDictionary

from ..errors import ActionError, ActionFailed
from ..events import CallEvent, Event
from ..outcome import Outcome, SettledBy
from ..timeline import EventVerdict
from .deadlines import Deadlines
from .latest import Latest
from .lifecycle import CALL, LIFECYCLES, seen_by, step_of
from .limits import Limits
from .operation import CallOperation, Operation
from .steps import Ends, Grace

Delivered = Literal["applied", "unknown", "duplicate", "late", "early"]
"""What came of an event. ``unknown``: passed on to iterators, but its word means nothing to us."""


class Transitions:
    """The running operations, by key, and what moves them."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.actions: dict[str, Operation] = {}
        """Pending: expected, and not settled."""
        self.calls: WeakValueDictionary[str, CallOperation] = WeakValueDictionary()
        """By call id, for as long as anybody holds one."""
        self.deadlines: Deadlines = Deadlines()
        self.settled_by: Counter[SettledBy] = Counter()
        """How many actions each of them has settled."""
        self.on_over: Callable[[Operation], object] | None = None
        """Called when an operation has settled, is over, or was never begun."""
        self._by_key: WeakValueDictionary[str, CallOperation] = WeakValueDictionary()
        """The calls whose state webhooks come to us, for as long as anybody holds one."""
        self._held: dict[str, CallOperation] = {}
        """Those of them that are held here: until they end, or have been silent for too long with nobody waiting."""
        self._doubted: set[Operation] = set()
        """Actions whose command may not have arrived, until an event proves that it has."""
        self._running: OrderedDict[str, Operation] = OrderedDict()
        """Settled, but still telling: detectors that have answered."""
        self._settled: Latest = Latest(limits.settled)
        """Keys of the latest that are over."""

    def identify(self, call: CallOperation, call_id: str) -> None:
        """Note the id of a call, unless it is known."""
        if call.id is None:
            call.id = call_id
            self.calls[call_id] = call
            if call.journal is not None:
                call.journal.call_id = call_id

    def _advance(self, operation: Operation, event: Event, now: float, by: SettledBy = "callback") -> Delivered:
        """Move *operation* by one event that is its own."""
        event = seen_by(operation, event)
        call = operation if isinstance(operation, CallOperation) else call_of(operation)
        journal = call.journal
        if operation.over:
            if journal is not None:
                journal.event(operation.kind, operation.key, event, "late", now)
            return "late"
        if operation.history and _is_duplicate(operation, event):
            if journal is not None:
                journal.event(operation.kind, operation.key, event, "duplicate", now)
            return "duplicate"
        if operation.stage != "accepted":
            operation.stage = "accepted"
            self._trust(operation)
        call.heard = now
        if call is operation and event.call_id:
            self.identify(call, event.call_id)
        step = step_of(operation, event)
        if journal is not None:
            verdict: EventVerdict = "reconciled" if by == "reconciled" else "unknown" if step is None else "applied"
            journal.event(operation.kind, operation.key, event, verdict, now)
        if step is not None and (
            step.rank > operation.rank or (step.rank == operation.rank and not _is_older(operation, event))
        ):
            self._reach(operation, event.state, step.rank, now)
        operation.remember(event, self.limits.history)
        if step is None or step.ends is Ends.NOTHING:
            if operation.options.bound is not None:
                self._extend(operation, event, now)
            operation.changed()
        elif isinstance(operation, CallOperation):
            reason = event.end_reason if isinstance(event, CallEvent) else None
            self._end_call(operation, reason or operation.asked_reason, now)
            self._finish_call(operation)
        else:
            self._conclude(operation, event, step.ends, by)
        return "unknown" if step is None else "applied"

    def _conclude(self, action: Operation, event: Event, ends: Ends, by: SettledBy) -> None:
        """Settle *action* by an event that ends something, unless an answer has settled it before."""
        if action.settled is not None:
            if ends is Ends.WAIT:
                action.changed()
            else:
                self._finish(action)
        elif ends is Ends.FAILED:
            message = f"{action.kind} {action.key}: the platform reported {event.state!r}"
            self.settle(action, by, error=ActionFailed(message, action=action), own=True)
        else:
            result = LIFECYCLES[action.kind].result(action, event)
            self.settle(action, by, result=result, running=ends is Ends.WAIT, own=True)

    def _reach(self, operation: Operation, state: str, rank: int, now: float) -> None:
        """Note how far *operation* has come; with its call up, the time of what is bounded begins to run."""
        operation.state = state
        was, operation.rank = operation.rank, rank
        if isinstance(operation, CallOperation) and was < CALL["answered"].rank <= rank:
            for action in operation.pending.values():
                self.count_down(action, now)

    def _end_call(
        self, call: CallOperation, reason: str | None, now: float, by: SettledBy = "callback", *, own: bool = True
    ) -> None:
        """Settle *call*, once; a reason that came later than the end is still good to know."""
        call.end_reason = call.end_reason or reason
        if call.has_ended:
            return
        call.settled = outcome_of(call, by, result=reason)
        if self.on_over is not None:
            # Whoever takes over what this process leaves has no use for a call that has ended.
            self.on_over(call)
        if call.journal is not None:
            call.journal.settled("call", call.key, call.settled, own=own)
        for action in list(call.pending.values()):
            self._give_grace(action, now)

    def _infer_end(
        self, call: CallOperation, reason: str | None, now: float, by: SettledBy = "callback", *, own: bool = True
    ) -> None:
        """End *call* without its own event, which may be on its way and gets a moment to be seen by iterators."""
        self._end_call(call, reason or call.asked_reason, now, by, own=own)
        if self._by_key.get(call.key) is call:
            # Held, so that its last event is no stranger's.
            self._held[call.key] = call
            self.deadlines.set(call, now + self.limits.grace)
            call.changed()
        else:
            self._finish_call(call)

    def _finish_call(self, call: CallOperation) -> None:
        """No event of *call* can follow."""
        if self.on_over is not None and not (call.over or call.has_ended):
            self.on_over(call)
        call.over = True
        self.deadlines.clear(call)
        self._held.pop(call.key, None)
        if self._by_key.pop(call.key, None) is not None:
            self._settled.add(call.key)
        call.changed()

    def count_down(self, action: Operation, now: float) -> None:
        """Let the time run that the parameters of *action* give it, if they do, once its call is up."""
        bound, call = action.options.bound, call_of(action)
        if bound is None or action.options.held or action.stopping or action.settled is not None or call.has_ended:
            return
        if action.stage == "not_sent":
            return  # It still waits for its turn.
        if call.state is None or call.rank >= CALL["answered"].rank:
            self.deadlines.set(action, now + bound + self._margin(action))

    def _extend(self, action: Operation, event: Event, now: float) -> None:
        """Let the bounded time of *action* run anew, since it is alive; while it is paused, it does not run."""
        if event.state == "paused":
            self.pause(action)
        else:
            self.count_down(action, now)

    def pause(self, action: Operation) -> None:
        """Stop the time that the parameters of *action* give it; `count_down` lets it run anew."""
        if action.options.bound is not None and not action.stopping and not call_of(action).has_ended:
            self.deadlines.clear(action)

    def doubt(self, action: Operation, now: float) -> None:
        """Note that the command of *action* may not have arrived: unless an event proves that it has, it expires."""
        self.count_down(action, now)
        if action.due is None and action.settled is None:
            self._doubted.add(action)
            self.deadlines.set(action, now + self._margin(action))

    def _trust(self, operation: Operation) -> None:
        if operation in self._doubted:
            self._doubted.discard(operation)
            if not call_of(operation).has_ended:
                self.deadlines.clear(operation)

    def _give_grace(self, action: Operation, now: float) -> None:
        if action.settled is not None:
            self._finish(action)
        else:
            self._hurry(action, now + self._grace(action))

    def _hurry(self, action: Operation, due: float) -> None:
        self.deadlines.set(action, due if action.due is None else min(due, action.due))

    def _grace(self, action: Operation) -> float:
        limits = self.limits
        match LIFECYCLES[action.kind].grace:
            case Grace.SHORT:
                return limits.grace
            case Grace.LONG:
                return limits.long_grace
            case Grace.TRANSCRIPT:
                return limits.transcript_grace

    def _margin(self, action: Operation) -> float:
        return max(self.limits.margin, self._grace(action))

    def settle(
        self,
        action: Operation,
        by: SettledBy,
        *,
        result: Any = None,
        error: ActionError | None = None,
        running: bool = False,
        own: bool = False,
    ) -> None:
        """Give *action* its one outcome, unless it has it already; *own*: by its own event, which was just noted."""
        if action.settled is not None:
            return
        action.settled = outcome = outcome_of(action, by, result=result, error=error)
        self.settled_by[by] += 1
        if error is not None:
            error.outcome = outcome
        journal = call_of(action).journal
        if journal is not None:
            journal.settled(action.kind, action.key, outcome, own=own)
        if running:
            self._keep_running(action)
        else:
            action.over = True
            self._forget(action)
        action.changed()

    def _keep_running(self, action: Operation) -> None:
        """Pass on what an action tells after its answer, for as many actions as the limit allows."""
        del self.actions[action.key]
        self._running[action.key] = action
        if self.on_over is not None:
            # Whoever takes over what this process leaves has no use for an action that has settled.
            self.on_over(action)
        if len(self._running) > self.limits.running:
            self._finish(next(iter(self._running.values())))

    def _finish(self, action: Operation) -> None:
        """End the run of an action that has its outcome already."""
        action.over = True
        self._forget(action)
        action.changed()

    def _forget(self, action: Operation) -> None:
        # By now its key may be in use again: an answer can come long after the action has expired.
        key = action.key
        if self.actions.get(key) is action:
            del self.actions[key]
        elif self._running.get(key) is action:
            del self._running[key]
        call = call_of(action)
        if call.pending.get(key) is action:
            del call.pending[key]
        self.deadlines.clear(action)
        self._doubted.discard(action)
        if not (call.pending or call.watchers or call.key in self._held):
            # Nobody waits for it. Whoever does has it looked after again; until then it need not be kept for that.
            self.deadlines.clear(call)
        if self.on_over is not None:
            self.on_over(action)
        if action.settled is not None and key not in self.actions:
            self._settled.add(key)


def call_of(action: Operation) -> CallOperation:
    assert action.call is not None
    return action.call


def outcome_of(
    operation: Operation, by: SettledBy, *, result: Any = None, error: Exception | None = None
) -> Outcome[Any]:
    return Outcome(result=result, error=error, settled_by=by, event=operation.last_event, stage=operation.stage)


def _is_duplicate(operation: Operation, event: Event) -> bool:
    """Compare whole payloads: the platform sends no event id.

    Without a timestamp the same payload can be sent twice for two events (playing, paused, playing), so there only a
    repetition with nothing in between is a duplicate, and not even that where the same answer can be given twice.
    """
    history = operation.history or []
    if event.timestamp is not None:
        return any(_is_same(earlier, event) for earlier in history)
    return _is_same(history[-1], event) and not LIFECYCLES[operation.kind].repeats


def _is_same(one: Event, other: Event) -> bool:
    if one.state != other.state or one.timestamp != other.timestamp:
        return False
    # The same may be spelt in two ways.
    return one.payload == other.payload or one.raw == other.raw


def _is_older(operation: Operation, event: Event) -> bool:
    """Say whether *event*, of the rank that was reached already, happened before what was seen last."""
    if event.timestamp is None:
        return False
    return any(
        earlier.timestamp is not None and earlier.timestamp > event.timestamp for earlier in operation.history or ()
    )
