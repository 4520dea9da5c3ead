"""`StoredBackplane`: what the backplanes in Redis and in PostgreSQL have in common.

It holds the name of the process and the names that the process has claimed: it takes them, renews them by heartbeats,
and releases them. The parts that differ (`Names`, `Readers`, `Calls`) are made by the subclass.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import ClassVar, Protocol

from .._engine.tasks import to_the_end
from ..errors import ConfigurationError
from ._memos import Memos
from ._queue import with_jitter
from .protocol import BackplaneError, BackplaneUnavailable, Delivery, Memo, OwnerTaken, Receive

_log = logging.getLogger("swcalls.backplane")

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")


class Names(Protocol):
    """The names of owners, in the store."""

    project: str

    def release(self, owner: str) -> None:
        """Queue the release of a name; no effect if another process holds it."""
        ...

    async def give_up(self, owner: str) -> None:
        """Release a name, if this process holds it; forget the owner if nothing is stored for it."""
        ...

    async def dead(self) -> list[str]:
        """Return the known owners that are not alive."""
        ...


class Readers(Protocol):
    """The tasks that read the deliveries of the owners that this process holds."""

    receive: Receive | None
    received: int

    @property
    def owners(self) -> list[str]:
        """The owners whose deliveries are being read."""
        ...

    def __contains__(self, owner: str) -> bool: ...

    def start(self, owner: str) -> None:
        """Begin to read the deliveries of *owner*."""
        ...

    def stop(self, owner: str) -> bool:
        """Stop reading the deliveries of *owner*; return whether they were being read."""
        ...

    def restart(self, owner: str) -> None:
        """Read the deliveries of *owner* from the beginning again, if they are being read."""
        ...

    async def wait(self) -> None:
        """Wait until all tasks have ended; call `stop` for each owner before."""
        ...


class Calls(Protocol):
    """The records of inbound calls, in the store."""

    async def announce(self, project: str, call_id: str, seconds: float) -> str | None:
        """Announce a call for *seconds*; if it has an owner that is alive, change nothing and return that owner."""
        ...

    async def take(self, project: str, call_id: str, owner: str) -> str | None:
        """Make *owner* the owner of an announced call, if it is the first; return the owner of the call."""
        ...

    async def find(self, project: str, call_id: str, wait: float) -> str | None:
        """Return the owner of a call; while the call is announced, wait up to *wait* seconds for an owner."""
        ...

    async def taker(self, project: str, besides: Collection[str]) -> str | None:
        """Return a random process that accepts inbound calls, but none of *besides*."""
        ...


def check_name(name: str, value: object) -> None:
    """Raise ``ConfigurationError`` if *value*, the parameter *name*, cannot be a part of the names in a store."""
    if not isinstance(value, str) or not _NAME.match(value):
        raise ConfigurationError(f"{name}={value!r} must be made of 1 to 64 letters, digits, _, - and .")


def check_settings(owner: str | None, **numbers: float) -> None:
    """Raise ``ConfigurationError`` for a wrong name, or a number that is not greater than 0."""
    if owner is not None:
        check_name("owner", owner)
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or not number > 0:
            raise ConfigurationError(f"{name}={number!r} must be a number greater than 0")


class StoredBackplane(ABC):
    """A backplane in a store. It implements `Backplane`, but for what depends on the store."""

    store: ClassVar[str]
    """The name of the store, for messages."""
    faults: ClassVar[tuple[type[Exception], ...]]
    """What a failing store raises; publishing is retried then."""
    _names: Names
    _readers: Readers
    _calls: Calls

    def __init__(self, owner: str | None, lifetime: float, patience: float, memos: Memos) -> None:
        self._owner = owner if owner is not None else f"o-{uuid.uuid4().hex[:16]}"
        self._lifetime = lifetime
        self._patience = patience
        self._memos = memos
        self._lost: Callable[[str], object] = lambda _: None
        self._heart: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        """Held while names are taken or released."""
        self._takes_calls = False
        self._is_open = False
        self._is_closed = False
        self.published: int = 0
        """How many deliveries were published."""
        self.refused: int = 0
        """How many deliveries could not be published."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._owner}>"

    @property
    def owner(self) -> str:
        """The name of this process."""
        return self._owner

    @property
    def received(self) -> int:
        """How many deliveries were read."""
        return self._readers.received

    def holds(self, owner: str) -> bool:
        """Return whether this process gets the deliveries of *owner*."""
        return owner in self._readers

    @abstractmethod
    def now(self) -> float:
        """Return the time of the store in Unix seconds, by the offset that was measured last."""

    async def open(self, project: str, receive: Receive, lost: Callable[[str], object]) -> None:
        """Take the name of this process, and begin to pass its deliveries to *receive*."""
        if self._is_open:
            raise BackplaneError(f"owner {self._owner!r}: the backplane is open, and serves one client only")
        self._names.project, self._readers.receive, self._lost = project, receive, lost
        self._is_open, self._is_closed = True, False
        self._accept()
        try:
            await self._take_own_name()
            self._check_open()
        except BaseException:
            await self.close()
            raise
        self._readers.start(self._owner)
        self._heart = asyncio.get_running_loop().create_task(self._beat())
        self._advertise()

    async def close(self) -> None:
        """Write pending changes, release all names, and close the connections, unless they belong to the user.

        It takes about ``patience`` seconds at most. If it is cancelled, it still runs to its end.
        """
        await to_the_end(self._close())

    async def publish(self, project: str, delivery: Delivery) -> None:
        """Store *delivery* for its owner, with retries for up to ``patience`` seconds."""
        wait, why = 0.02, f"{self.store} gave no answer"
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    try:
                        is_stored = await self._store(project, delivery)
                        break
                    except self.faults as fault:
                        if self._is_closed:
                            raise BackplaneUnavailable("the backplane is closed") from None
                        why = f"{self.store} cannot be reached, or refuses: {fault}"
                        _log.info("publishing a delivery for owner %s is retried: %s", delivery.owner, fault)
                    await asyncio.sleep(with_jitter(wait))
                    wait = min(2 * wait, 0.5)
        except TimeoutError:
            self.refused += 1
            raise BackplaneUnavailable(why) from None
        except BackplaneUnavailable:
            self.refused += not self._is_closed
            raise
        if not is_stored:
            self.refused += 1
            owner = delivery.owner
            raise BackplaneUnavailable(f"the deliveries of owner {owner!r} have reached their capacity: it is full")
        self.published += 1

    async def remember(self, memo: Memo, *, owner: str | None = None) -> None:
        """Store *memo*; while the store cannot be reached, it is kept in memory and written later."""
        await self._memos.put(owner or self._owner, memo)

    def forget(self, kind: str, key: str, *, owner: str | None = None) -> None:
        """Queue the deletion of a memo."""
        self._memos.drop(owner or self._owner, f"{kind}/{key}")

    @abstractmethod
    async def remembered(self, owner: str) -> Sequence[Memo]:
        """Return the memos of *owner*."""

    async def claim(self, owner: str) -> None:
        """Take over the name, the deliveries and the memos of a dead owner."""
        async with self._one_at_a_time:
            if owner in self._readers:
                return
            self._check_open()
            try:
                taken = await self._take(owner)
                self._check_open()
            except BaseException:
                self.release(owner)
                raise
            if not taken:
                raise OwnerTaken(f"owner {owner!r}: this owner is alive, or another process has claimed it")
            self._readers.start(owner)

    def release(self, owner: str) -> None:
        """Stop reading the deliveries of a claimed owner, and queue the release of its name."""
        self._readers.stop(owner)
        self._names.release(owner)

    async def dead(self) -> Sequence[str]:
        """Return the owners that are not alive, and may have left memos or deliveries."""
        return await self._names.dead()

    def redeliver(self, owner: str) -> None:
        """Pass the stored deliveries of *owner* to ``receive`` again."""
        self._readers.restart(owner)

    async def announce_call(self, project: str, call_id: str, seconds: float) -> str | None:
        """Announce an inbound call; the first process that takes it within *seconds* becomes its owner."""
        return await self._calls.announce(project, call_id, seconds)

    async def take_call(self, project: str, call_id: str, owner: str) -> str | None:
        """Make *owner* the owner of an announced call, if it is the first; return the owner of the call."""
        return await self._calls.take(project, call_id, owner)

    async def find_call(self, project: str, call_id: str, *, wait: float = 0.0) -> str | None:
        """Return the owner of an inbound call; while it is announced, wait up to *wait* seconds."""
        return await self._calls.find(project, call_id, wait)

    def offer(self, *, takes_calls: bool) -> None:
        """Advertise whether this process accepts inbound calls."""
        self._takes_calls = takes_calls
        if self._owner in self._readers:
            self._advertise()

    async def taker(self, project: str, *, besides: Collection[str] = ()) -> str | None:
        """Return a random process that accepts inbound calls, but none of *besides*."""
        return await self._calls.taker(project, besides)

    @abstractmethod
    async def _store(self, project: str, delivery: Delivery) -> bool:
        """Store *delivery* once; return ``False`` if its owner has too many.

        Raises:
            BackplaneUnavailable: Trying again is of no use.
        """

    @abstractmethod
    async def _take(self, owner: str) -> bool:
        """Take a name, or keep it; return whether this process holds it now."""

    @abstractmethod
    async def _set_clock(self) -> None:
        """Measure the offset that `now` adds."""

    @abstractmethod
    def _advertise(self) -> None:
        """Queue a note whether this process accepts inbound calls."""

    @abstractmethod
    async def _tidy(self, held: Sequence[str]) -> None:
        """Renew what is stored for the names *held*, and delete what has expired; called by each heartbeat."""

    @abstractmethod
    def _accept(self) -> None:
        """Accept operations, also again after `_disconnect`."""

    @abstractmethod
    async def _flush(self) -> None:
        """Wait until all operations have been answered, or have failed."""

    @abstractmethod
    async def _disconnect(self) -> None:
        """Let all operations that wait fail, and close the connections, unless they belong to the user."""

    def _check_open(self) -> None:
        if not self._is_open:
            raise BackplaneUnavailable("the backplane is not open")

    async def _take_own_name(self) -> None:
        is_taken = False
        try:
            # The name of a killed predecessor expires after `lifetime`.
            async with asyncio.timeout(1.5 * self._lifetime):
                await self._set_clock()
                while not await self._take(self._owner):
                    is_taken = True
                    await asyncio.sleep(self._lifetime / 20)
        except TimeoutError:
            if not is_taken:
                raise BackplaneUnavailable(f"{self.store} gave no answer in time") from None
            raise OwnerTaken(f"owner {self._owner!r}: another process that is alive holds this name") from None

    async def _close(self) -> None:
        names = {self._owner, *self._readers.owners} if self._is_open else set()
        self._is_open, self._is_closed = False, True
        self.offer(takes_calls=False)
        for owner in self._readers.owners:
            self._readers.stop(owner)
        async with self._one_at_a_time:
            try:
                heart, self._heart = self._heart, None
                if heart is not None:
                    heart.cancel()
                    await asyncio.wait([heart])
                await self._readers.wait()
                async with asyncio.timeout(self._patience):
                    self._memos.catch_up()
                    for owner in names:
                        await self._names.give_up(owner)
                    await self._flush()
            except (BackplaneUnavailable, TimeoutError) as fault:
                _log.warning("owner %s: closing was not complete: %s", self._owner, fault)
            finally:
                await self._disconnect()

    async def _beat(self) -> None:
        """Send heartbeats, four in each ``lifetime``: renew all names, and retry memos that could not be written."""
        while self._is_open:
            await asyncio.sleep(self._lifetime / 4)
            try:
                await self._set_clock()
                held = []
                for owner in self._readers.owners:
                    if owner in self._readers and await self._take(owner):
                        held.append(owner)
                    else:
                        self._lose(owner)
                if self._takes_calls:
                    self._advertise()
                self._memos.catch_up()
                await self._tidy(held)
            except BackplaneError as fault:
                _log.warning("owner %s: the heartbeat failed: %s", self._owner, fault)

    def _lose(self, owner: str) -> None:
        if not self._readers.stop(owner):
            return  # It was released in the meantime.
        _log.error("owner %s: another process has taken over this name, since this process seemed dead", owner)
        self._memos.abandon(owner)
        if owner == self._owner:
            self._takes_calls = False
        try:
            self._lost(owner)
        except Exception:  # noqa: BLE001 - the heartbeat must go on for the other names
            _log.exception("owner %s: the callback for a lost name failed", owner)
