"""Keeps what is running on a backplane, and takes what other processes hand over. Knows no Redis, and no HTTP."""

from __future__ import annotations

import logging
import time
from typing import Protocol

from msgspec.structs import asdict

from ._core.callbacks import CallbackUrls
from ._core.decoding import MalformedBody, parse, read, read_inbound
from ._core.inbox import INBOUND, Inbox, Receipt
from ._core.operation import PLAIN, CallOperation, Operation
from ._core.registry import Registry
from ._core.transitions import Delivered
from .backplane import Backplane, Delivery, Memo
from .errors import ClientClosed
from .events import Event

_log = logging.getLogger("swcalls.keeper")

_USUAL = asdict(PLAIN)


class Engine(Protocol):
    """What a keeper needs of the client's engine."""

    registry: Registry
    inbox: Inbox
    urls: CallbackUrls

    def deliver(self, kind: str, key: str, event: Event, size: int) -> Delivered:
        """Deliver a verified event."""
        ...


class Keeper:
    """The backplane's side of one client."""

    def __init__(self, engine: Engine, backplane: Backplane, project: str) -> None:
        self.backplane = backplane
        self._engine = engine
        self._project = project
        self._elsewhere: dict[tuple[str, str], str] = {}
        """Owners of what was taken over from others, by kind and key."""
        self._lost: set[str] = set()

    async def open(self) -> None:
        """Take this process's name, and begin to take what is handed over."""
        self._engine.urls.owner = self.backplane.owner
        await self.backplane.open(self._project, self.receive, self._lose)
        self._engine.registry.on_over = self._forget
        if self._engine.inbox.ring is not None:
            self.backplane.offer(takes_calls=True)

    async def close(self) -> None:
        """Let go of the backplane. What is running stays on it, for whoever comes next."""
        self._engine.registry.on_over = None
        await self.backplane.close()

    async def keep(self, operation: Operation) -> None:
        """Keep *operation* until it is over."""
        call = operation if isinstance(operation, CallOperation) else operation.call
        assert call is not None
        due = operation.due
        options = asdict(operation.options)
        memo = Memo(
            kind=operation.kind,
            key=operation.key,
            call_key=call.key,
            call_id=call.id,
            due=None if due is None or operation is call else self.backplane.now() + due - time.monotonic(),
            options={name: value for name, value in options.items() if value != _USUAL[name]},
        )
        await self.backplane.remember(memo, owner=self._elsewhere.get((operation.kind, operation.key)))

    def adopt(self, memo: Memo, owner: str) -> None:
        """Note that what *memo* tells of is *owner*'s, though it is followed here."""
        if owner != self.backplane.owner:
            self._elsewhere[memo.kind, memo.key] = owner

    async def receive(self, delivery: Delivery) -> bool:
        """Take in what another process has received; say whether it may be forgotten."""
        try:
            raw = parse(delivery.body)
            if delivery.kind == INBOUND:
                inbound = read_inbound(raw)
                if inbound is not None:
                    self._engine.inbox.note(self._engine.inbox.announce(inbound))
                return True
            event = read(delivery.kind, raw, delivery.body)
        except (MalformedBody, KeyError):
            _log.warning("a delivery for %s/%s cannot be read, and is dropped", delivery.kind, delivery.key)
            return True
        verdict = self._engine.deliver(delivery.kind, delivery.key, event, len(delivery.body))
        self._engine.inbox.note(Receipt(verdict, delivery.kind, delivery.key, event))
        # Whoever picks up what was left may still come for it.
        return verdict != "early"

    def _forget(self, operation: Operation) -> None:
        place = (operation.kind, operation.key)
        owner = self._elsewhere.pop(place, None)
        if (owner or self.backplane.owner) not in self._lost:
            self.backplane.forget(*place, owner=owner)

    def _lose(self, owner: str) -> None:
        """Settle what another process follows now: here, nothing will be heard of it any more."""
        self._lost.add(owner)
        registry = self._engine.registry
        for action in list(registry.actions.values()):
            if self._elsewhere.get((action.kind, action.key), self.backplane.owner) == owner:
                message = f"{action.kind} {action.key}: another process has taken over what is {owner!r}'s"
                registry.settle(action, "closed", error=ClientClosed(message, action=action))
