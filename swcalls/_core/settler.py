"""How operations settle and close: each settles exactly once, with a result or an error, and is forgotten afterwards.

The registry calls `Settler` when an event, a deadline, the voice log or the closing of the client ends something.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from ..errors import ActionError, ActionExpired, ActionFailed, CallEnded, ClientClosed
from ..events import Event
from ..outcome import Outcome, SettledBy
from .call_table import CallTable
from .deadlines import Deadlines
from .early_events import RecentKeys
from .lifecycle import LIFECYCLES
from .limits import Limits
from .log_queries import LogQueries
from .operation import CallOperation, Operation, call_of
from .sidecar_questions import SidecarQuestions
from .time_limits import TimeLimits


class Listener(Protocol):
    """Gets what the engine must know of operations: the backplane and the timer depend on it."""

    def operation_over(self, operation: Operation) -> None:
        """Forget *operation*: it has settled, is closed, or was never started."""
        ...

    def call_identified(self, call: CallOperation) -> None:
        """Note that a webhook has brought the id of *call*."""
        ...

    def call_disowned(self, call: CallOperation) -> None:
        """Note that another process gets the webhooks of *call* now, or that the client is closed."""
        ...

    def peer_identified(self, connect: Operation) -> None:
        """Note that a webhook has told which call is at the other end of *connect*."""
        ...

    def deadline_moved(self, due: float) -> None:
        """Call `Registry.expire` at the time *due*, which is earlier than the one before."""
        ...


class Settler:
    """Holds the operations that can still get events, and writes their outcomes into them."""

    def __init__(self, limits: Limits, listener: Listener | None) -> None:
        self.actions: dict[str, Operation] = {}
        """The actions that have not settled, by key."""
        self.answered: OrderedDict[str, Operation] = OrderedDict()
        """Actions that have settled but still get events: detectors that have answered."""
        self.recent: RecentKeys = RecentKeys(limits.settled)
        """Keys of the latest operations that are closed."""
        self.calls: CallTable = CallTable()
        self.deadlines: Deadlines = Deadlines(None if listener is None else listener.deadline_moved)
        self.time_limits: TimeLimits = TimeLimits(limits, self.deadlines)
        self.log_queries: LogQueries = LogQueries()
        self.questions: SidecarQuestions = SidecarQuestions()
        self.settled_by: Counter[SettledBy] = Counter()
        """How many actions have settled, by cause."""
        self._limits = limits
        self._listener = listener

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
        """Give *action* its outcome, unless it has one.

        Args:
            running: More events can follow.
            own: The event that was applied last has settled it.
        """
        if action.outcome is not None:
            return
        action.outcome = outcome = outcome_of(action, by, result=result, error=error)
        self.settled_by[by] += 1
        if error is not None:
            error.outcome = outcome
        observer = call_of(action).observer
        if observer is not None:
            observer.settled(action.kind, action.key, outcome, own=own)
        if running:
            self._keep_answered(action)
            action.changed()
        else:
            self.close(action)

    def give_up(self, action: Operation) -> None:
        """Settle *action*, unless it has settled, since its last event did not come.

        The outcome is an error, or a result if the kind of *action* allows that.
        """
        found = result_without_event(action)
        if found is not None:
            self.settle(action, found[0], result=found[1])
        else:
            by, error = missing_end(action)
            self.settle(action, by, error=error)

    def end_call(
        self, call: CallOperation, reason: str | None, now: float, by: SettledBy = "callback", *, own: bool = True
    ) -> None:
        """Settle *call*, unless it is settled. An end reason that comes after the end is still noted."""
        call.end_reason = call.end_reason or reason
        if call.has_ended:
            return
        call.outcome = outcome_of(call, by, result=reason)
        # Another process must not take over a call that has ended.
        self.notify_over(call)
        if call.observer is not None:
            call.observer.settled("call", call.key, call.outcome, own=own)
        for action in list(call.actions.values()):
            if action.outcome is not None:
                self.close(action)
            else:
                self.time_limits.start_grace(action, now)

    def infer_end(
        self, call: CallOperation, reason: str | None, now: float, by: SettledBy = "callback", *, own: bool = True
    ) -> None:
        """End *call* without its last event. That event may still come in the grace period, and goes to iterators."""
        self.end_call(call, reason or call.asked_reason, now, by, own=own)
        if self.calls.follows(call):
            self.calls.hold(call)
            self.deadlines.set(call, now + self._limits.grace)
            call.changed()
        else:
            self.close_call(call)

    def close_call(self, call: CallOperation) -> None:
        """Note that no event of *call*, which has ended, can follow."""
        call.closed = True
        self.deadlines.clear(call)
        if self.calls.remove(call):
            self.recent.add(call.key)
        call.changed()

    def _keep_answered(self, action: Operation) -> None:
        """Keep passing on the events of *action*, which has settled; close the oldest such action beyond the limit."""
        del self.actions[action.key]
        self.answered[action.key] = action
        self.notify_over(action)
        if len(self.answered) > self._limits.running:
            self.close(next(iter(self.answered.values())))

    def close(self, action: Operation) -> None:
        """Forget *action*: it has its outcome, and no event can follow."""
        action.closed = True
        # Another action may have the key by now: a response can come long after the action has expired.
        key = action.key
        if self.actions.get(key) is action:
            del self.actions[key]
        elif self.answered.get(key) is action:
            del self.answered[key]
        call = call_of(action)
        if call.actions.get(key) is action:
            del call.actions[key]
        self.time_limits.forget(action)
        self.log_queries.forget(action)
        action.handle = None
        if not (call.actions or call.watchers or self.calls.is_held(call)):
            # No task waits for the call. The next wait schedules a check again.
            self.deadlines.clear(call)
        self.notify_over(action)
        if action.outcome is not None and key not in self.actions:
            self.recent.add(key)
        if action.kind == "ai_sidecar":
            self.fail_questions(action)
        action.changed()

    def fail_questions(self, sidecar: Operation) -> None:
        """Fail the open questions to *sidecar*, which is closed, unless the end of the call or client settles them."""
        left = self.questions.remove(sidecar)
        if sidecar.outcome is not None and sidecar.outcome.settled_by not in ("call_ended", "closed"):
            for question in left:
                error = ActionFailed(
                    f"{name_of(question)}: the sidecar ended before it answered", action=question.handle
                )
                self.settle(question, "callback", error=error)

    def notify_over(self, operation: Operation) -> None:
        """Call the listener: *operation* has settled, is closed, or was never started."""
        if self._listener is not None:
            self._listener.operation_over(operation)

    def settle_all(self, calls: Iterable[CallOperation], is_lost: Callable[[Operation], bool], why: str) -> None:
        """Settle every action, and every call of *calls*, for which *is_lost* is true, with ``ClientClosed``."""
        for action in filter(is_lost, list(self.actions.values())):
            self.settle(action, "closed", error=ClientClosed(f"{name_of(action)}: {why}", action=action.handle))
        for action in filter(is_lost, list(self.answered.values())):
            self.close(action)
        for call in filter(is_lost, calls):
            if not call.has_ended:
                error = ClientClosed(f"call {call.id}: {why}")
                call.outcome = error.outcome = outcome_of(call, "closed", error=error)
                if call.observer is not None:
                    call.observer.settled("call", call.key, call.outcome)
            self.close_call(call)
            if self._listener is not None:
                self._listener.call_disowned(call)


def outcome_of(
    operation: Operation, by: SettledBy, *, result: Any = None, error: Exception | None = None
) -> Outcome[Any]:
    """Return an outcome of *operation*, with its latest event and its stage."""
    return Outcome(result=result, error=error, settled_by=by, event=operation.last_event, stage=operation.stage)


def name_of(action: Operation) -> str:
    """Return the name of *action* for a message: ``play 4f6a…``."""
    return f"{action.kind} {action.key}"


def missing_end(action: Operation) -> tuple[SettledBy, ActionError]:
    """Return the cause and the error with which to settle *action*, whose last event has not come."""
    call, name = call_of(action), name_of(action)
    if call.has_ended:
        reason = call.end_reason
        message = f"{name}: the call ended ({reason or 'no reason given'}) before the end of the action was reported"
        return "call_ended", CallEnded(message, reason=reason, action=action.handle)
    if action.stage == "not_sent":
        message = f"{name}: the deadline of the action passed before its command was sent"
    elif action.stopping:
        message = f"{name}: the action was stopped, but its end was not reported"
    else:
        message = f"{name}: the deadline of the action passed before its end was reported"
    return "deadline", ActionExpired(message, action=action.handle)


def result_without_event(action: Operation) -> tuple[SettledBy, Any] | None:
    """Return the cause and the result with which *action* settles; ``None``: only an event can give a result."""
    silent_end = LIFECYCLES[action.kind].silent_end
    if silent_end is None:
        return None
    call = call_of(action)
    if call.has_ended:
        return "call_ended", silent_end(action, action.last_event)
    return ("callback", silent_end(action, action.last_event)) if action.stopping else None


def settles_without_event(action: Operation) -> bool:
    """Return whether the kind of *action* may end without an event of its own."""
    return LIFECYCLES[action.kind].silent_end is not None


def reason_in(event: Event) -> str | None:
    """Return the end reason that *event* gives."""
    reason: str | None = getattr(event, "end_reason", None)
    return reason
