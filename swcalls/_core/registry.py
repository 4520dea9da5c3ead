"""Which operations are running, and what moves them. Settles each of them exactly once.

Knows nothing of URLs, signatures or JSON (`inbox` does), and no clock: every method that needs the time takes ``now``.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Literal
from weakref import WeakValueDictionary

from ..errors import ActionError, ActionExpired, ActionFailed, CallEnded, ClientClosed
from ..events import CallEvent, Event
from ..outcome import Outcome, SettledBy
from .deadlines import Deadlines
from .early import EarlyEvents
from .lifecycle import CALL, LIFECYCLES, Ends, Grace, step_of
from .limits import Limits
from .operation import CallOperation, Operation

Delivered = Literal["applied", "unknown", "duplicate", "late", "early"]
"""What came of an event. ``unknown``: passed on to iterators, but its word means nothing to us."""


class Registry:
    """The running operations, by key."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.actions: dict[str, Operation] = {}
        """Pending: expected, and not settled."""
        self.calls: WeakValueDictionary[str, CallOperation] = WeakValueDictionary()
        """By call id, for as long as anybody holds one."""
        self.early = EarlyEvents(limits)
        self.deadlines = Deadlines()
        self._dialled: dict[str, CallOperation] = {}
        """By key: the calls whose state webhooks are ours, held until they end."""
        self._running: OrderedDict[str, Operation] = OrderedDict()
        """Settled, but still telling: detectors that have answered."""
        self._settled: OrderedDict[str, None] = OrderedDict()
        """Keys of the latest that are over."""

    def expect(self, action: Operation, now: float, deadline: float | None = None) -> None:
        """Take on *action*, before its command is sent; events that came before it are applied at once.

        Raises:
            ValueError: Its key is in use by an action that is still running.
        """
        if action.key in self.actions or action.key in self._running:
            raise ValueError(f"{action.kind}: control_id={action.key!r} must be unique among running actions")
        self._settled.pop(action.key, None)
        self.actions[action.key] = action
        _call_of(action).pending.add(action)
        if deadline is not None:
            self.deadlines.set(action, now + deadline)
        if _call_of(action).has_ended:
            self._give_grace(action, now)
        for event in self.early.take(action.kind, action.key, now):
            self._advance(action, event, now)

    def confirm(self, action: Operation) -> None:
        """Note that the command of *action* was accepted."""
        action.stage = "accepted"

    def withdraw(self, action: Operation, error: Exception) -> None:
        """Forget *action*: its command was refused or never left, so nothing will be heard of it.

        Whoever found it in the meantime, and waits for it, gets *error*.
        """
        if action.settled is None:
            action.settled = _outcome(action, "closed", error=error)
        self._finish(action)
        self._settled.pop(action.key, None)

    def expect_call(self, call: CallOperation) -> None:
        """Take on the state webhooks of a call that is about to be dialled."""
        self._dialled[call.key] = call

    def identify(self, call: CallOperation, call_id: str) -> None:
        """Note the id of a call, unless it is known."""
        if call.id is None:
            call.id = call_id
            self.calls[call_id] = call

    def adopt(self, call: CallOperation, now: float) -> None:
        """Take on a call that came in: it is up as soon as it has our answer, and its id is its key."""
        assert call.id is not None
        call.key = call.id
        call.stage = "accepted"
        call.state, call.rank = "answered", CALL["answered"].rank
        call.seen = ("answered",)
        self.calls[call.id] = call
        self._dialled[call.key] = call
        for event in self.early.take("call", call.key, now):
            self._advance(call, event, now)

    def withdraw_call(self, call: CallOperation) -> None:
        """Forget a call that was never started."""
        self._dialled.pop(call.key, None)

    def report(self, call: CallOperation, event: CallEvent, now: float) -> None:
        """Apply the state of *call* that the response to a command told; it is no event of the call's history."""
        step = step_of(call, event)
        if step is None or call.has_ended or step.rank < call.rank:
            return
        call.stage = "accepted"
        call.state, call.rank = event.state, step.rank
        call.note(event)
        if step.ends is Ends.NOTHING:
            call.changed()
        else:
            self._infer_end(call, event.end_reason, now)

    def lose(self, call: CallOperation, now: float) -> None:
        """Note that the platform does not know *call* any more, so that it has ended."""
        if not call.has_ended:
            call.state = "ended"
            self._infer_end(call, None, now)

    def stopped(self, action: Operation, now: float) -> None:
        """Note that our stop of *action* was accepted; what may end without an event of its own does so."""
        silent_end = LIFECYCLES[action.kind].silent_end
        if action.settled is not None or silent_end is None:
            return
        if action.options.summary:
            self.deadlines.set(action, now + self.limits.grace)
        else:
            self.settle(action, "callback", result=silent_end(action, action.last_event))

    def tell(self, action: Operation, event: Event, now: float) -> None:
        """Apply an event that came for another operation, but is about *action* too."""
        self._advance(action, event, now)

    def deliver(self, kind: str, key: str, event: Event, size: int, now: float) -> Delivered:
        """Apply a verified event, whose body had *size* bytes, to the operation that its URL names."""
        if kind == "call":
            operation: Operation | None = self._dialled.get(key)
        else:
            operation = self.actions.get(key) or self._running.get(key)
        if operation is not None and operation.kind == kind:
            return self._advance(operation, event, now)
        if key in self._settled:
            return "late"
        self.early.keep(kind, key, event, size, now)
        return "early"

    def expire(self, now: float) -> None:
        """Settle every operation whose time has come."""
        for action in self.deadlines.expired(now):
            if isinstance(action, CallOperation):
                self._finish_call(action)
                continue
            call = _call_of(action)
            what = f"{action.kind} {action.key}"
            silent_end = LIFECYCLES[action.kind].silent_end
            if action.settled is not None:
                self._finish(action)
            elif silent_end is not None and (action.stopping or call.has_ended):
                by: SettledBy = "call_ended" if call.has_ended else "callback"
                self.settle(action, by, result=silent_end(action, action.last_event))
            elif call.has_ended:
                reason = call.end_reason
                message = f"{what}: the call ended ({reason or 'no reason given'}) before its end was reported"
                self.settle(action, "call_ended", error=CallEnded(message, reason=reason, action=action))
            else:
                message = f"{what}: its deadline passed before its end was reported"
                self.settle(action, "deadline", error=ActionExpired(message, action=action))

    def close(self) -> None:
        """Settle everything that is left: the client is closing."""
        for action in list(self.actions.values()):
            message = f"{action.kind} {action.key}: the client was closed"
            self.settle(action, "closed", error=ClientClosed(message, action=action))
        for action in list(self._running.values()):
            self._finish(action)
        for call in {*self._dialled.values(), *self.calls.values()}:
            if not call.has_ended:
                error = ClientClosed(f"call {call.id}: the client was closed")
                call.settled = error.outcome = _outcome(call, "closed", error=error)
            self._finish_call(call)

    def _advance(self, operation: Operation, event: Event, now: float) -> Delivered:
        """Move *operation* by one event that is its own."""
        if operation.over:
            return "late"
        if _is_duplicate(operation, event):
            return "duplicate"
        operation.stage = "accepted"
        if isinstance(operation, CallOperation) and event.call_id:
            self.identify(operation, event.call_id)
        step = step_of(operation, event)
        if step is not None and step.rank >= operation.rank and not _is_older(operation, event, step.rank):
            operation.state, operation.rank = event.state, step.rank
        operation.remember(event, self.limits.history)
        if step is None or step.ends is Ends.NOTHING:
            operation.changed()
        elif isinstance(operation, CallOperation):
            reason = event.end_reason if isinstance(event, CallEvent) else None
            self._end_call(operation, reason or operation.asked_reason, now)
            self._finish_call(operation)
        else:
            self._conclude(operation, event, step.ends)
        return "unknown" if step is None else "applied"

    def _conclude(self, action: Operation, event: Event, ends: Ends) -> None:
        """Settle *action* by an event that ends something, unless an answer has settled it before."""
        if action.settled is not None:
            if ends is Ends.WAIT:
                action.changed()
            else:
                self._finish(action)
        elif ends is Ends.FAILED:
            message = f"{action.kind} {action.key}: the platform reported {event.state!r}"
            self.settle(action, "callback", error=ActionFailed(message, action=action))
        else:
            result = LIFECYCLES[action.kind].result(action, event)
            self.settle(action, "callback", result=result, running=ends is Ends.WAIT)

    def _end_call(self, call: CallOperation, reason: str | None, now: float) -> None:
        """Settle *call*, once; a reason that came later than the end is still good to know."""
        call.end_reason = call.end_reason or reason
        if call.has_ended:
            return
        call.settled = _outcome(call, "callback", result=reason)
        for action in list(call.pending):
            self._give_grace(action, now)

    def _infer_end(self, call: CallOperation, reason: str | None, now: float) -> None:
        """End *call* without its own event, which may be on its way and gets a moment to be seen by iterators."""
        self._end_call(call, reason or call.asked_reason, now)
        if call.key in self._dialled:
            self.deadlines.set(call, now + self.limits.grace)
            call.changed()
        else:
            self._finish_call(call)

    def _finish_call(self, call: CallOperation) -> None:
        """No event of *call* can follow."""
        call.over = True
        self.deadlines.clear(call)
        if self._dialled.pop(call.key, None) is not None:
            self._remember_settled(call.key)
        call.changed()

    def _give_grace(self, action: Operation, now: float) -> None:
        if action.settled is not None:
            self._finish(action)
            return
        limits = self.limits
        graces = {Grace.SHORT: limits.grace, Grace.LONG: limits.long_grace, Grace.TRANSCRIPT: limits.transcript_grace}
        due = now + graces[LIFECYCLES[action.kind].grace]
        self.deadlines.set(action, due if action.due is None else min(due, action.due))

    def settle(
        self,
        action: Operation,
        by: SettledBy,
        *,
        result: Any = None,
        error: ActionError | None = None,
        running: bool = False,
    ) -> None:
        """Give *action* its one outcome, unless it has it already."""
        if action.settled is not None:
            return
        action.settled = _outcome(action, by, result=result, error=error)
        if error is not None:
            error.outcome = action.settled
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
        if len(self._running) > self.limits.running:
            self._finish(next(iter(self._running.values())))

    def _finish(self, action: Operation) -> None:
        """End the run of an action that has its outcome already."""
        action.over = True
        self._forget(action)
        action.changed()

    def _forget(self, action: Operation) -> None:
        self.actions.pop(action.key, None)
        self._running.pop(action.key, None)
        _call_of(action).pending.discard(action)
        self.deadlines.clear(action)
        if action.settled is not None:
            self._remember_settled(action.key)

    def _remember_settled(self, key: str) -> None:
        self._settled[key] = None
        if len(self._settled) > self.limits.settled:
            self._settled.popitem(last=False)


def _call_of(action: Operation) -> CallOperation:
    assert action.call is not None
    return action.call


def _outcome(
    operation: Operation, by: SettledBy, *, result: Any = None, error: Exception | None = None
) -> Outcome[Any]:
    return Outcome(result=result, error=error, settled_by=by, event=operation.last_event, stage=operation.stage)


def _is_duplicate(operation: Operation, event: Event) -> bool:
    """Compare whole payloads: the platform sends no event id.

    Without a timestamp the same payload can be sent twice for two events (playing, paused, playing), so there only a
    repetition with nothing in between is a duplicate, and not even that where the same answer can be given twice.
    """
    history = operation.history
    if not history:
        return False
    if event.timestamp is not None:
        return any(earlier.raw == event.raw for earlier in history)
    return history[-1].raw == event.raw and not LIFECYCLES[operation.kind].repeats


def _is_older(operation: Operation, event: Event, rank: int) -> bool:
    """Say whether *event*, of the rank that was reached already, happened before what was seen last."""
    if rank != operation.rank or event.timestamp is None:
        return False
    return any(
        earlier.timestamp is not None and earlier.timestamp > event.timestamp for earlier in operation.history or ()
    )
