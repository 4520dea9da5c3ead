"""`ListenedCalls`: the calls that the webhooks of ``swcalls listen`` are about, for the page of ``--web``."""

from __future__ import annotations

import time
from collections import Counter as Counts
from collections.abc import Iterable

from swcalls._core.decoding import LEG, READERS
from swcalls._core.lifecycle import LIFECYCLES
from swcalls._core.limits import Limits
from swcalls._core.operation import CallOperation, Operation
from swcalls._core.registry import Registry
from swcalls._core.webhooks import Receipt
from swcalls.events import Event
from swcalls.timeline import Journal, Tell
from swcalls.web.sources import Counter, webhook_counters

MOST_CALLS = 50
"""How many calls are kept; for a new one, the oldest is forgotten."""
MOST_ACTIONS = 256
"""How many actions of a call are followed."""

_ACCEPTED = frozenset({"early", "unknown"})
"""The verdicts of a receiver without actions on genuine webhooks."""


class _Listened:
    """One call, and the actions that its webhooks were about."""

    def __init__(self, call: CallOperation) -> None:
        self.call = call
        self.seen: set[tuple[str, str]] = set()


class ListenedCalls:
    """Follows calls by their webhooks alone, as if each action had been started here before its first webhook.

    It is a `Source` for the page. Parameters of commands are not known, and neither are commands and waits.
    """

    def __init__(self) -> None:
        self.observers: list[Tell] = []
        self._registry = Registry(Limits())
        self._calls: dict[str, _Listened] = {}
        self._verdicts: Counts[str] = Counts()
        self._forgotten = 0

    def calls(self) -> Iterable[CallOperation]:
        """Return the calls that are known."""
        # Lets the grace periods pass: no timer is needed to show what has happened.
        self._registry.expire(time.monotonic())
        return [listened.call for listened in self._calls.values()]

    def counters(self) -> list[Counter]:
        """Return the counts of webhooks by verdict."""
        return [*webhook_counters(self._verdicts), Counter("calls forgotten", self._forgotten, is_trouble=True)]

    def take(self, receipt: Receipt) -> None:
        """Apply a webhook, which the receiver has judged."""
        self._verdicts[receipt.verdict] += 1
        now, event = time.monotonic(), receipt.event
        kind, key = receipt.kind, receipt.key
        self._registry.expire(now)
        if receipt.verdict in _ACCEPTED and event is not None and event.call_id and kind and key:
            # The states of a leg that a connect has dialled are those of a call of its own.
            self._apply("call" if kind == LEG else kind, key, event, event.call_id, now)

    def _apply(self, kind: str, key: str, event: Event, call_id: str, now: float) -> None:
        reader = READERS.get(kind)
        about = (reader.about if reader is not None else None) or kind
        if about not in LIFECYCLES:
            return
        listened = self._calls.get(call_id) or self._new_call(call_id, now)
        call = listened.call
        if about == "call":
            self._registry.deliver("call", call.key, event, 0, now)
            return
        if (about, key) not in listened.seen:
            if len(listened.seen) >= MOST_ACTIONS or self._registry.follows(key):
                return
            listened.seen.add((about, key))
            action = Operation(about, key, call)
            action.stage = "accepted"
            self._registry.expect(action, now)
        self._registry.deliver(kind, key, event, 0, now)

    def _new_call(self, call_id: str, now: float) -> _Listened:
        if len(self._calls) >= MOST_CALLS:
            self._forget(next(iter(self._calls)))
        clock = time.monotonic
        journal = Journal(self._registry.limits.timeline, clock, time.time() - clock(), self.observers)
        call = CallOperation(call_id, call_id, journal)
        call.stage = "accepted"
        self._registry.calls.add(call)
        self._registry.expect_call(call, now)
        self._calls[call_id] = listened = _Listened(call)
        return listened

    def _forget(self, call_id: str) -> None:
        call = self._calls.pop(call_id).call
        self._forgotten += 1
        self._registry.disown(lambda operation: call in (operation, operation.call), "its call was forgotten")
        self._registry.calls.remove(call)
