"""Connects one client to the backplane: stores its running operations there, and receives webhooks from it."""

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
from .._core.webhooks import HOLD, INBOUND, Decision, Receipt, Webhook
from .._engine.tasks import to_the_end
from ..errors import CommandNotSent
from .handover import Handover
from .held_calls import decision_in
from .protocol import Backplane, BackplaneUnavailable, Delivery, Memo

_log = logging.getLogger("swcalls.member")

_USUAL = asdict(PLAIN)

CLOSING = 10.0
"""Seconds that the backplane may take to close."""


class Ingress(Protocol):
    """The part of the ingress that delivers webhooks in this process."""

    def deliver(self, webhook: Webhook, size: int) -> Receipt:
        """Deliver *webhook*, whose body had *size* bytes."""
        ...

    def note(self, receipt: Receipt) -> None:
        """Count the verdict on a webhook."""
        ...

    def platform_told(self, call_id: str, decision: Decision) -> None:
        """Apply a decision that another process has told the platform."""
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
        """The owners of the operations that were taken over from other processes, by kind and key."""
        self._lost: set[str] = set()
        """Names of this process that other processes have taken over."""
        self._nameless: WeakValueDictionary[str, CallOperation] = WeakValueDictionary()
        """The calls that are stored on the backplane without their id, which was not known; by key."""
        self._recovering = asyncio.Lock()
        self._forgotten: set[tuple[str, str]] | None = None
        """Operations that were forgotten while `left_by` reads the memos of an owner; ``None``: it is not reading."""
        self._writes: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Claim this process's name on the backplane, and start to receive deliveries."""
        await self.backplane.open(self._project, self.receive, self._lose)
        self._is_open = True
        for action in self._registry.actions.values():
            # The user attached the action before the client was opened.
            self.keep_soon(action)

    async def close(self) -> None:
        """Close the backplane. Running operations stay stored on it, for the next process of this name.

        An error of the backplane is logged, and not raised. Only a cancellation is raised.
        """
        self._is_open = False
        await to_the_end(self._close())

    def check_name(self, command: str, call_id: str | None) -> None:
        """Raise ``CommandNotSent`` if another process has this process's name, and so gets its webhooks."""
        owner = self.backplane.owner
        if owner in self._lost:
            message = f"another process has taken over the name {owner!r}, and would get the webhooks of the command"
            raise CommandNotSent(message, command=command, call_id=call_id)

    async def keep(self, operation: Operation) -> None:
        """Store *operation* on the backplane until it is over. If the backplane is not available, log a warning."""
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
            _log.warning("%s %s: perhaps not stored on the backplane: %s", operation.kind, operation.key, fault)
        if operation.outcome is not None and owner not in self._lost and not self._is_in_use(operation):
            # The operation has ended meanwhile: `forget` may have come before `remember`.
            self.backplane.forget(operation.kind, operation.key, owner=owner)

    def keep_soon(self, operation: Operation) -> None:
        """Store *operation* on the backplane, in a task, if the backplane is open."""
        if self._is_open:
            task = asyncio.get_running_loop().create_task(self.keep(operation))
            self._writes.add(task)
            task.add_done_callback(self._writes.discard)

    def forget(self, operation: Operation) -> None:
        """Remove *operation* from the backplane: it has settled, is closed, or was never started."""
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
        """Store the id of *call*, if the call was stored without an id."""
        if self._nameless.get(call.key) is call:
            self.keep_soon(call)

    @asynccontextmanager
    async def left_by(self, owner: str) -> AsyncIterator[list[Memo]]:
        """Claim the name *owner*, and yield the memos stored for it. The block must not await anything.

        If this or the block fails or is cancelled, a name that was claimed here is released again.
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
        """Note that an operation in this process was started by *owner*, and is stored under that name."""
        if owner != self.backplane.owner:
            self._adopted[kind, key] = owner

    async def receive(self, delivery: Delivery) -> bool:
        """Deliver a webhook that another process has received; return whether the backplane may delete it."""
        kind, key, body = delivery.kind, delivery.key, delivery.body
        try:
            raw = parse(body)
            if kind == INBOUND:
                inbound = read_inbound(raw)
                take = None if inbound is None else self._handover.begin_to_take(inbound)
                if take is not None:
                    take.add_done_callback(lambda done: self._note_taken(done, key))
                # If this process does not take the call in time, the announcing process offers it to another one.
                return True
            if kind == HOLD:
                decision = decision_in(raw)
                if decision is not None:
                    self._ingress.platform_told(key, decision)
                return True
            event = read(kind, raw, body)
        except (MalformedBody, KeyError):
            _log.warning("a delivery of the backplane for %s/%s cannot be read, and is dropped", kind, key)
            self._ingress.note(Receipt("malformed", kind, key))
            return True
        receipt = self._ingress.deliver(Webhook(kind, key, delivery.owner, event), len(body))
        self._ingress.note(receipt)
        # An early event may be for an operation that is recovered later: the backplane keeps it.
        return receipt.verdict != "early"

    async def refuse_calls(self) -> None:
        """Wait until the handlers of the calls that this process is taking have started."""
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
            _log.error("the backplane did not close within %g s; closing goes on without it", CLOSING)
        except Exception:  # noqa: BLE001 - a backplane may raise anything, and other parts must still be closed
            _log.exception("the backplane failed to close")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _owner_of(self, operation: Operation) -> str:
        return self._adopted.get((operation.kind, operation.key), self.backplane.owner)

    def _is_in_use(self, operation: Operation) -> bool:
        """Return whether another operation has the key of *operation* by now."""
        other = self._registry.actions.get(operation.key)
        return other is not None and other is not operation

    def _lose(self, owner: str) -> None:
        """Settle the operations of *owner*, since another process gets their webhooks now."""
        self._lost.add(owner)
        why = f"another process has taken over the operations of owner {owner!r}"
        self._registry.disown(lambda operation: self._owner_of(operation) == owner, why)
