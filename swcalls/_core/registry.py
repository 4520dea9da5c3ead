"""Which operations are running: who joins, who hears what, whose time has come, and what the log proves.

Knows nothing of URLs, signatures or JSON (`inbox` does), and no clock: every method that needs the time takes ``now``.
"""

from __future__ import annotations

from collections.abc import Callable

from ..errors import ActionExpired, CallEnded, ClientClosed
from ..events import CallEvent, Event
from ..outcome import SettledBy
from .decoding import READERS
from .early import EarlyEvents
from .evidence import Evidence
from .lifecycle import CALL, LIFECYCLES, step_of
from .limits import Limits
from .operation import CallOperation, Operation
from .reconcile import Inquiries, Reconcile
from .steps import Ends
from .transitions import Delivered, Transitions, call_of, outcome_of


class Registry(Transitions):
    """The running operations, as the shells see them.

    Whoever keeps time calls `expire` when ``deadlines.next`` has come, and sees to ``inquiries`` after it.
    """

    def __init__(self, limits: Limits, reconcile: Reconcile | None = None) -> None:
        super().__init__(limits)
        self.early: EarlyEvents = EarlyEvents(limits)
        self.inquiries: Inquiries = Inquiries()
        """The calls whose log is to be asked; `answered` takes the answer."""
        self._reconcile = reconcile
        self.is_closed: bool = False
        """Everything was settled: nothing more will."""

    def expect(self, action: Operation, now: float, deadline: float | None = None) -> None:
        """Take on *action*, before its command is sent; events that came before it are applied at once.

        Raises:
            ValueError: Its key is in use by an action that is still running.
        """
        if self.follows(action.key):
            raise ValueError(f"{action.kind}: control_id={action.key!r} must be unique among running actions")
        self._settled.discard(action.key)
        self.actions[action.key] = action
        call = call_of(action)
        call.pending[action.key] = action
        call.heard = now
        self.look_after(call, now)
        if deadline is not None:
            self.deadlines.set(action, now + deadline)
        if call.has_ended:
            self._give_grace(action, now)
        for event in self.early.take(action.kind, action.key, now):
            self._advance(action, event, now)

    def confirm(self, action: Operation, now: float) -> None:
        """Note that the command of *action* was accepted."""
        action.stage = "accepted"
        self.count_down(action, now)

    def look_after(self, call: CallOperation, now: float) -> None:
        """Schedule a liveness check of *call*, since somebody is about to wait for it or for an action on it."""
        if call.has_ended:
            return
        longest = self._longest_silence(call)
        call.sweep = longest if self._reconcile is None else min(self._reconcile.sweep, longest)
        if call.due is None:
            # How long it was silent before was nobody's concern.
            call.heard = now
        if call.due is None or call.due > now + call.sweep:
            self.deadlines.set(call, now + call.sweep)

    def withdraw(self, action: Operation, error: Exception) -> None:
        """Forget *action*: its command was refused or never left, so nothing will be heard of it.

        Whoever found it in the meantime, and waits for it, gets *error*.
        """
        if action.settled is None:
            action.settled = outcome_of(action, "closed", error=error)
        self._finish(action)
        self._settled.discard(action.key)

    def expect_call(self, call: CallOperation, now: float, *, hold: bool = True) -> None:
        """Take on the state webhooks of a call that is about to be dialled; *hold*: some will come."""
        call.heard = now
        self._by_key[call.key] = call
        if hold:
            self._held[call.key] = call

    def follows(self, key: str) -> bool:
        """Say whether an action with this *key* is followed."""
        return key in self.actions or key in self._running

    def dialled(self, key: str) -> CallOperation | None:
        """Return the call whose state webhooks come for *key*, if it is followed."""
        return self._by_key.get(key)

    def adopt(self, call: CallOperation, now: float) -> None:
        """Take on a call that came in: it is up as soon as it has our answer, and its id is its key."""
        assert call.id is not None
        call.key = call.id
        call.stage = "accepted"
        call.state, call.rank = "answered", CALL["answered"].rank
        call.seen = ("answered",)
        self.calls[call.id] = call
        self.expect_call(call, now)
        self.look_after(call, now)
        for event in self.early.take("call", call.key, now):
            self._advance(call, event, now)

    def withdraw_call(self, call: CallOperation) -> None:
        """Forget a call that was never started."""
        self._held.pop(call.key, None)
        self._by_key.pop(call.key, None)
        self.deadlines.clear(call)
        if self.on_over is not None:
            self.on_over(call)

    def report(self, call: CallOperation, event: CallEvent, now: float, by: SettledBy = "callback") -> None:
        """Apply a state of *call* that an answer told, to a command or from the log; it is no event of its history."""
        call.heard = now
        step = step_of(call, event)
        if step is None or call.has_ended or step.rank < call.rank:
            return
        call.stage = "accepted"
        if call.journal is not None:
            call.journal.event("call", call.key, event, "reconciled" if by == "reconciled" else "reported", now)
        self._reach(call, event.state, step.rank, now)
        call.note(event)
        if step.ends is Ends.NOTHING:
            call.changed()
        else:
            self._infer_end(call, event.end_reason, now, by)

    def lose(self, call: CallOperation, now: float) -> None:
        """Note that the platform does not know *call* any more, so that it has ended."""
        if not call.has_ended:
            call.state = "ended"
            self._infer_end(call, None, now, own=False)

    def stopped(self, action: Operation, now: float) -> None:
        """Note that *action* was told to stop, or was not there to be stopped: its last event must come soon.

        What may end without an event of its own does so.
        """
        silent_end = LIFECYCLES[action.kind].silent_end
        if action.settled is not None:
            return
        if silent_end is None:
            self._hurry(action, now + self._margin(action))
        elif action.options.summary:
            self.deadlines.set(action, now + self.limits.grace)
        else:
            self.settle(action, "callback", result=silent_end(action, action.last_event))

    def tell(self, action: Operation, event: Event, now: float) -> None:
        """Apply an event that came for another operation, but is about *action* too."""
        self._advance(action, event, now)

    def deliver(self, kind: str, key: str, event: Event, size: int, now: float) -> Delivered:
        """Apply a verified event, whose body had *size* bytes, to the operation that its URL names."""
        if kind == "call":
            operation: Operation | None = self._by_key.get(key)
        else:
            operation = self.actions.get(key) or self._running.get(key)
        if operation is not None and operation.kind == kind:
            return self._advance(operation, event, now)
        verdict: Delivered = "late" if key in self._settled else "early"
        if verdict == "early":
            self.early.keep(kind, key, event, size, now)
        call = self.calls.get(event.call_id or "")
        if call is not None and call.journal is not None:
            call.journal.event(kind, key, event, verdict, now)
        return verdict

    def expire(self, now: float) -> None:
        """See to every operation whose time has come: it settles, unless the log can still say how."""
        for operation in self.deadlines.expired(now):
            if isinstance(operation, CallOperation):
                if operation.has_ended:
                    self._finish_call(operation)
                else:
                    self._sweep(operation, now)
            elif operation.settled is not None:
                self._finish(operation)
            elif not self._ask_first(operation, now):
                self.give_up(operation)

    def answered(self, call: CallOperation, evidence: Evidence | None, now: float) -> None:
        """Take in what the log says of *call*; ``None``: nothing, it could not be asked. What is overdue ends now."""
        waited = self.inquiries.finish(call)
        if self.is_closed:
            return
        was_up = not call.has_ended
        if evidence is not None:
            self._prove(call, evidence, now)
        if was_up and call.has_ended:
            return  # All of its actions have their grace now.
        for action in waited:
            if action.settled is None and not action.over:
                self.give_up(action)

    def close(self) -> None:
        """Settle everything that is left: the client is closing."""
        self.is_closed = True
        self.inquiries.close()
        self._let_go({*self._by_key.values(), *self.calls.values()}, lambda _: True, "the client was closed")

    def disown(self, is_lost: Callable[[Operation], bool], why: str) -> None:
        """Settle what *is_lost*: nothing will be heard of it here any more."""
        self._let_go(set(self._by_key.values()), is_lost, why)

    def _let_go(self, calls: set[CallOperation], is_lost: Callable[[Operation], bool], why: str) -> None:
        for action in filter(is_lost, list(self.actions.values())):
            message = f"{action.kind} {action.key}: {why}"
            self.settle(action, "closed", error=ClientClosed(message, action=action))
        for action in filter(is_lost, list(self._running.values())):
            self._finish(action)
        for call in filter(is_lost, calls):
            if not call.has_ended:
                error = ClientClosed(f"call {call.id}: {why}")
                call.settled = error.outcome = outcome_of(call, "closed", error=error)
                if call.journal is not None:
                    call.journal.settled("call", call.key, call.settled)
            self._finish_call(call)

    def _ask_first(self, action: Operation, now: float) -> bool:
        """Have the log asked how *action*, which is overdue, has ended; or say that it is not worth it."""
        call = call_of(action)
        if self._reconcile is None or action.asked or not action.watchers or call.id is None:
            return False
        if action.stage == "not_sent":
            return False
        if LIFECYCLES[action.kind].silent_end is not None:
            return False
        action.asked = True
        self.deadlines.set(action, now + self._reconcile.patience)
        self.inquiries.add(call, action)
        return True

    def give_up(self, action: Operation) -> None:
        """Settle *action* without an event of its own: nothing will tell what has become of it."""
        call = call_of(action)
        what = f"{action.kind} {action.key}"
        silent_end = LIFECYCLES[action.kind].silent_end
        if silent_end is not None and (action.stopping or call.has_ended):
            by: SettledBy = "call_ended" if call.has_ended else "callback"
            self.settle(action, by, result=silent_end(action, action.last_event))
        elif call.has_ended:
            reason = call.end_reason
            message = f"{what}: the call ended ({reason or 'no reason given'}) before its end was reported"
            self.settle(action, "call_ended", error=CallEnded(message, reason=reason, action=action))
        else:
            if action.stage == "not_sent":
                message = f"{what}: its deadline passed before its command was sent"
            elif action.stopping:
                message = f"{what}: it was stopped, but its end was not reported"
            else:
                message = f"{what}: its deadline passed before its end was reported"
            self.settle(action, "deadline", error=ActionExpired(message, action=action))

    def _longest_silence(self, call: CallOperation) -> float:
        return self.limits.unconfirmed if call.stage == "unconfirmed" else self.limits.silence

    def _sweep(self, call: CallOperation, now: float) -> None:
        """Look whether *call* has been silent for too long, and when to look again."""
        end = call.heard + self._longest_silence(call)
        is_needed = call.is_watched or bool(call.pending)
        if now >= end:
            self._held.pop(call.key, None)
            if is_needed or call.stage == "unconfirmed":
                call.state = "ended"
                self._infer_end(call, None, now, "deadline", own=False)
            elif self.on_over is not None:
                self.on_over(call)
            return
        if not is_needed and call.key not in self._held:
            return
        if self._reconcile is None or not call.is_watched:
            self.deadlines.set(call, end)
            return
        if now - call.heard < call.sweep:
            call.sweep = self._reconcile.sweep
            self.deadlines.set(call, min(end, max(call.heard + call.sweep, now)))
            return
        if call.id is not None:
            self.inquiries.add(call)
        call.sweep = min(2 * call.sweep, self._reconcile.longest_sweep)
        self.deadlines.set(call, min(end, now + call.sweep))

    def _prove(self, call: CallOperation, evidence: Evidence, now: float) -> None:
        """Apply what the log says of *call* and of its actions, as far as that is news."""
        for line in evidence.events:
            action = self.actions.get(line.control_id)
            if action is None or action.call is not call or not READERS[action.kind].keyed:
                continue
            event = line.about(action.kind)
            if event is not None and not line.is_told_by(action.history or ()):
                self._advance(action, event, now, "reconciled")
        for state in evidence.call:
            self.report(call, state, now, "reconciled")
