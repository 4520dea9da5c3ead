"""Keeps what is running on a backplane, and takes what other processes hand over. Knows no Redis, and no HTTP."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol
from weakref import WeakValueDictionary

from msgspec.structs import asdict

from ._core.callbacks import CallbackUrls
from ._core.decoding import MalformedBody, parse, read, read_inbound
from ._core.inbox import INBOUND, Inbox, Receipt
from ._core.operation import PLAIN, CallOperation, Operation
from ._core.registry import Registry
from ._core.transitions import Delivered
from .backplane import Backplane, BackplaneUnavailable, Delivery, Memo
from .errors import CommandNotSent
from .events import Event, InboundCall
from .tasks import to_the_end

Ring = Callable[[InboundCall], bool]

_log = logging.getLogger("swcalls.keeper")

_USUAL = asdict(PLAIN)

CLOSING = 10.0
"""Seconds after which a backplane that does not close is left to itself."""

ANNOUNCED = 3.0
"""Seconds for which whoever is first may take a call that comes in; the platform itself waits 5 for an answer."""


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
        self._is_open = False
        self._elsewhere: dict[tuple[str, str], str] = {}
        """Owners of what was taken over from others, by kind and key."""
        self._lost: set[str] = set()
        self._nameless: WeakValueDictionary[str, CallOperation] = WeakValueDictionary()
        """By key: the calls that are remembered without their id, since it was not known."""
        self._recovering = asyncio.Lock()
        self._forgotten: set[tuple[str, str]] | None = None
        """What is over since it was begun to be read what an owner has left."""
        self._takes: set[asyncio.Task[str | None]] = set()
        self._writes: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Take this process's name, and begin to take what is handed over."""
        registry = self._engine.registry
        registry.on_over = self._forget
        try:
            await self.backplane.open(self._project, self.receive, self._lose)
        except BaseException:
            registry.on_over = None
            raise
        self._is_open = True
        self._engine.urls.owner = self.backplane.owner
        if self._engine.inbox.ring is not None:
            self.backplane.offer(takes_calls=True)
        for action in registry.actions.values():
            # It was attached to before.
            self.keep_soon(action)

    async def close(self) -> None:
        """Let go of the backplane. What is running stays on it, for whoever comes next.

        Whatever the backplane does, this comes to its end, and raises nothing but a cancellation.
        """
        self._is_open = False
        try:
            await to_the_end(self._close())
        finally:
            self._engine.registry.on_over = None

    def check_name(self, command: str, call_id: str | None) -> None:
        """Refuse *command*, which starts something, if nothing would be heard of that here."""
        owner = self.backplane.owner
        if owner in self._lost:
            message = f"another process has taken over the name {owner!r}, and gets all webhooks of what it starts"
            raise CommandNotSent(message, command=command, call_id=call_id)

    async def keep(self, operation: Operation) -> None:
        """Keep *operation* until it is over. If the backplane cannot, the log says so, and what is running goes on."""
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
        if operation.settled is not None and owner not in self._lost and not self._is_in_use(operation):
            # It has ended, and perhaps was forgotten before it was remembered.
            self.backplane.forget(operation.kind, operation.key, owner=owner)

    def keep_soon(self, operation: Operation) -> None:
        """Keep *operation* until it is over, as soon as the backplane is open."""
        if self._is_open:
            task = asyncio.get_running_loop().create_task(self.keep(operation))
            self._writes.add(task)
            task.add_done_callback(self._writes.discard)

    def heard_of(self, key: str) -> None:
        """Remember the id of the call *key*, if a webhook has just told it."""
        call = self._nameless.get(key)
        if call is not None and call.id is not None:
            self.keep_soon(call)

    @asynccontextmanager
    async def left_by(self, owner: str) -> AsyncIterator[list[Memo]]:
        """Hold the name *owner*, and give what is remembered for it to the block, which must not wait for anything.

        If that fails, or is cancelled, a name that was claimed for it is given up again.
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
        """Note that an operation is *owner*'s, though it is followed here."""
        if owner != self.backplane.owner:
            self._elsewhere[kind, key] = owner

    async def receive(self, delivery: Delivery) -> bool:
        """Take in what another process has received; say whether it may be forgotten."""
        try:
            raw = parse(delivery.body)
            if delivery.kind == INBOUND:
                inbound = read_inbound(raw)
                if inbound is not None:
                    self._begin_to_take(inbound, note=True)
                # Whoever announced it tells another process, unless this one has taken it in time.
                return True
            event = read(delivery.kind, raw, delivery.body)
        except (MalformedBody, KeyError):
            _log.warning("a delivery for %s/%s cannot be read, and is dropped", delivery.kind, delivery.key)
            return True
        verdict = self._engine.deliver(delivery.kind, delivery.key, event, len(delivery.body))
        self._engine.inbox.note(Receipt(verdict, delivery.kind, delivery.key, event))
        # Whoever picks up what was left may still come for it.
        return verdict != "early"

    async def take(self, inbound: InboundCall) -> str | None:
        """Take a call that is announced, if this process takes calls; return whose it is.

        It is seen through, even when this is cancelled or fails.

        Raises:
            BackplaneUnavailable: It cannot be said in time.
        """
        task = self._begin_to_take(inbound, note=False)
        if task is None:
            return None
        await asyncio.wait([task], timeout=ANNOUNCED)
        if not task.done():
            raise BackplaneUnavailable(f"call {inbound.call_id}: not taken within {ANNOUNCED:g} s")
        return task.result()

    async def refuse_calls(self) -> None:
        """Be offered no more calls; return when the handlers of those that were being taken have begun."""
        if self._is_open:
            self.backplane.offer(takes_calls=False)
        if self._takes:
            await asyncio.wait(self._takes, timeout=ANNOUNCED)

    def _begin_to_take(self, inbound: InboundCall, *, note: bool) -> asyncio.Task[str | None] | None:
        # The one of now: a call that another process was told to be ours is handled, even if we are closing by then.
        ring = self._engine.inbox.ring
        if ring is None:
            return None
        task = asyncio.get_running_loop().create_task(self._take(inbound, ring, note=note))
        self._takes.add(task)
        task.add_done_callback(self._took)
        return task

    async def _take(self, inbound: InboundCall, ring: Ring, *, note: bool) -> str | None:
        owner, pause = self.backplane.owner, 0.05
        while self.backplane.holds(owner):
            try:
                async with asyncio.timeout(ANNOUNCED):
                    taken_by = await self.backplane.take_call(self._project, inbound.call_id, owner)
            except (BackplaneUnavailable, TimeoutError) as fault:
                # It may be ours now, or not: asked again, the backplane says so.
                _log.info("call %s: asked again whose it is: %r", inbound.call_id, fault)
                await asyncio.sleep(pause)
                pause = min(2 * pause, 1.0)
                continue
            if taken_by is not None and self.backplane.holds(taken_by):
                ring(inbound)
                if note:
                    self._engine.inbox.note(Receipt("inbound", INBOUND, inbound.call_id))
            return taken_by
        return None

    def _took(self, task: asyncio.Task[str | None]) -> None:
        self._takes.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a call that came in was not taken", exc_info=task.exception())

    async def _close(self) -> None:
        for take in self._takes:
            take.cancel()
        tasks = self._takes | self._writes
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
        return self._elsewhere.get((operation.kind, operation.key), self.backplane.owner)

    def _is_in_use(self, operation: Operation) -> bool:
        """Say whether another operation has the key by now."""
        other = self._engine.registry.actions.get(operation.key)
        return other is not None and other is not operation

    def _forget(self, operation: Operation) -> None:
        if self._is_in_use(operation):
            return
        place, owner = (operation.kind, operation.key), self._owner_of(operation)
        if operation.over or isinstance(operation, CallOperation):
            self._elsewhere.pop(place, None)
        self._nameless.pop(operation.key, None)
        if self._forgotten is not None:
            self._forgotten.add(place)
        if owner not in self._lost:
            self.backplane.forget(*place, owner=owner)

    def _lose(self, owner: str) -> None:
        """Settle what another process follows now: here, nothing will be heard of it any more."""
        self._lost.add(owner)
        why = f"another process has taken over what is {owner!r}'s"
        self._engine.registry.disown(lambda operation: self._owner_of(operation) == owner, why)
