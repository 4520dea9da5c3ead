"""One client among the processes of a project: keeps what is running on the backplane, and gets deliveries from it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol
from weakref import WeakValueDictionary

from msgspec.structs import asdict

from .._core.decoding import MalformedBody, parse, read, read_inbound
from .._core.operation import PLAIN, CallOperation, Operation
from .._core.registry import Registry
from .._core.webhooks import INBOUND, Receipt, Webhook
from .._engine.tasks import to_the_end
from ..errors import CommandNotSent
from .handover import Handover
from .protocol import Backplane, BackplaneUnavailable, Delivery, Memo

_log = logging.getLogger("swcalls.member")

_USUAL = asdict(PLAIN)

CLOSING = 10.0
"""Seconds after which a backplane that does not close is left as it is."""


class Ingress(Protocol):
    """Delivers webhooks in this process."""

    def deliver(self, webhook: Webhook, size: int) -> Receipt:
        """Deliver *webhook*, whose body had *size* bytes."""
        ...

    def note(self, receipt: Receipt) -> None:
        """Count a webhook."""
        ...


class Member:
    """Connects one client to a *backplane*, under the name ``backplane.owner``."""

    def __init__(
        self, backplane: Backplane, project: str, registry: Registry, ingress: Ingress, handover: Handover
    ) -> None:
        self.backplane = backplane
        self._project = project
        self._registry = registry
        self._ingress = ingress
        self._handover = handover
        self._is_open = False
        self._adopted: dict[tuple[str, str], str] = {}
        """The owners of what was taken over from other processes, by kind and key."""
        self._lost: set[str] = set()
        """Names of ours that other processes have taken over."""
        self._nameless: WeakValueDictionary[str, CallOperation] = WeakValueDictionary()
        """By key: the calls that are remembered without their id, since it was not known."""
        self._recovering = asyncio.Lock()
        self._forgotten: set[tuple[str, str]] | None = None
        """What was forgotten while `left_by` reads what an owner has left."""
        self._writes: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Take this process's name, and begin to take deliveries."""
        await self.backplane.open(self._project, self.receive, self._lose)
        self._is_open = True
        for action in self._registry.actions.values():
            # The user attached to it before the client was opened.
            self.keep_soon(action)

    async def close(self) -> None:
        """Close the backplane. What is running stays on it, for the next process of this name.

        Whatever the backplane does, this comes to its end, and raises nothing but a cancellation.
        """
        self._is_open = False
        await to_the_end(self._close())

    def check_name(self, command: str, call_id: str | None) -> None:
        """Raise ``CommandNotSent`` if another process would get the webhooks of what *command* starts."""
        owner = self.backplane.owner
        if owner in self._lost:
            message = f"another process has taken over the name {owner!r}, and gets all webhooks of what it starts"
            raise CommandNotSent(message, command=command, call_id=call_id)

    async def keep(self, operation: Operation) -> None:
        """Remember *operation* until it is over. If the backplane cannot, the log says so."""
        owner = self._owner_of(operation)
        if not self._is_open or owner in self._lost:
            return
        call = operation if isinstance(operation, CallOperation) else operation.call
        assert call is not None
        if call is operation:
            if call.id is None:
                self._nameless[call.key] = call
            else:
                self._nameless.pop(call.key, None)
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
        try:
            await self.backplane.remember(memo, owner=owner)
        except BackplaneUnavailable as fault:
            _log.warning("%s %s: perhaps not remembered: %s", operation.kind, operation.key, fault)
        if operation.outcome is not None and owner not in self._lost and not self._is_in_use(operation):
            # The operation has ended, and was perhaps forgotten before it was remembered.
            self.backplane.forget(operation.kind, operation.key, owner=owner)

    def keep_soon(self, operation: Operation) -> None:
        """Remember *operation*, in a task, if the backplane is open."""
        if self._is_open:
            task = asyncio.get_running_loop().create_task(self.keep(operation))
            self._writes.add(task)
            task.add_done_callback(self._writes.discard)

    def forget(self, operation: Operation) -> None:
        """Remember *operation* no more: it has settled, is closed, or was never started."""
        if self._is_in_use(operation):
            return
        place, owner = (operation.kind, operation.key), self._owner_of(operation)
        if operation.closed or isinstance(operation, CallOperation):
            self._adopted.pop(place, None)
        self._nameless.pop(operation.key, None)
        if self._forgotten is not None:
            self._forgotten.add(place)
        if owner not in self._lost:
            self.backplane.forget(*place, owner=owner)

    def call_identified(self, call: CallOperation) -> None:
        """Remember the id of *call*, if the call was remembered without one."""
        if self._nameless.get(call.key) is call:
            self.keep_soon(call)

    @asynccontextmanager
    async def left_by(self, owner: str) -> AsyncIterator[list[Memo]]:
        """Claim the name *owner*, and give what is remembered for it to the block, which must not await anything.

        If the block, or this, fails or is cancelled, a name that was claimed is given up again.
        """
        async with self._recovering:
            is_claimed = not self.backplane.holds(owner)
            if is_claimed:
                await self.backplane.claim(owner)
            self._lost.discard(owner)
            self._forgotten = forgotten = set[tuple[str, str]]()
            try:
                memos = await self.backplane.remembered(owner)
                yield [memo for memo in memos if (memo.kind, memo.key) not in forgotten]
            except BaseException:
                if is_claimed:
                    self._lose(owner)
                    self.backplane.release(owner)
                raise
            finally:
                self._forgotten = None

    def adopt(self, kind: str, key: str, owner: str) -> None:
        """Note that an operation that is followed here belongs to *owner*."""
        if owner != self.backplane.owner:
            self._adopted[kind, key] = owner

    async def receive(self, delivery: Delivery) -> bool:
        """Deliver what another process has received; return whether the backplane may forget it."""
        kind, key, body = delivery.kind, delivery.key, delivery.body
        try:
            raw = parse(body)
            if kind == INBOUND:
                inbound = read_inbound(raw)
                take = None if inbound is None else self._handover.begin_to_take(inbound)
                if take is not None:
                    take.add_done_callback(lambda done: self._note_taken(done, key))
                # If this process does not take the call in time, the announcing process tells another one.
                return True
            event = read(kind, raw, body)
        except (MalformedBody, KeyError):
            _log.warning("a delivery for %s/%s cannot be read, and is dropped", kind, key)
            return True
        receipt = self._ingress.deliver(Webhook(kind, key, delivery.owner, event), len(body))
        self._ingress.note(receipt)
        # An early event may be for an operation that is still to be recovered.
        return receipt.verdict != "early"

    async def refuse_calls(self) -> None:
        """Return when the handlers of the calls that are being taken have begun."""
        await self._handover.taken()

    def _note_taken(self, take: asyncio.Task[str | None], call_id: str) -> None:
        owner = None if take.cancelled() or take.exception() is not None else take.result()
        if owner is not None and self.backplane.holds(owner):
            self._ingress.note(Receipt("inbound", INBOUND, call_id))

    async def _close(self) -> None:
        tasks = self._handover.cancel() | self._writes
        try:
            async with asyncio.timeout(CLOSING):
                if tasks:
                    await asyncio.wait(tasks)
                await self.backplane.close()
        except TimeoutError:
            _log.error("the backplane was not closed within %g s, and is left as it is", CLOSING)
        except Exception:  # noqa: BLE001 - a backplane may raise anything, and what comes after it must still be closed
            _log.exception("the backplane was not closed in order")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _owner_of(self, operation: Operation) -> str:
        return self._adopted.get((operation.kind, operation.key), self.backplane.owner)

    def _is_in_use(self, operation: Operation) -> bool:
        """Say whether another operation has the key by now."""
        other = self._registry.actions.get(operation.key)
        return other is not None and other is not operation

    def _lose(self, owner: str) -> None:
        """Settle what belongs to *owner*: another process gets the webhooks now."""
        self._lost.add(owner)
        why = f"another process has taken over what is {owner!r}'s"
        self._registry.disown(lambda operation: self._owner_of(operation) == owner, why)
