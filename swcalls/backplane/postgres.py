"""`PostgresBackplane`: a backplane in PostgreSQL, with tables of deliveries, memos, owners and inbound calls.

The private modules of this package do its parts: `_queue` collects operations, `_postgres_link` runs them on a
connection, `_postgres_schema` makes the tables, `_postgres_sql` has the statements, `_postgres_names` holds the names
of owners and assigns inbound calls, `_postgres_readers` reads the deliveries, `_memos` writes the memos.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from typing import Any

from .._engine.tasks import to_the_end
from ..errors import ConfigurationError
from ._memos import Memos
from ._postgres_link import Link, Operation, Source, Task, fault_of
from ._postgres_names import Calls, Names
from ._postgres_readers import Readers
from ._postgres_schema import Refused, Schema
from ._postgres_sql import Change, Publish, Statements
from ._queue import Done, StoreError, with_jitter
from .protocol import BackplaneError, BackplaneUnavailable, Delivery, Memo, OwnerTaken, Receive

_log = logging.getLogger("swcalls.backplane")

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")
_SCHEMA = re.compile(r"(?!pg_|information_schema\Z)[A-Za-z0-9_-]{1,63}\Z")


class PostgresBackplane:
    """Connects the processes of a project through PostgreSQL (13 or newer).

    It needs two connections: one that writes and asks, and one that listens and reads. A process that only receives
    webhooks needs the first one. Between a process and PostgreSQL there must be no pooler that shares connections
    between transactions, such as PgBouncer with ``pool_mode = transaction``.

    Args:
        postgres: A URL (``postgresql://``), or an ``asyncpg.Pool``, which the backplane does not close.
        owner: The name of this process (at most 64 letters, digits, ``_ - .``). A process that is restarted with the
            same name gets its deliveries and memos back. Default: a random name; then only a process that claims it can
            get them.
        schema: The schema with the tables (at most 63 letters, digits, ``_ -``; it does not begin with ``pg_``).
        lifetime: Seconds without a heartbeat after which an owner counts as dead (> 0).
        keep: Seconds for which deliveries and memos of a dead owner are kept (> 0).
        capacity: The most deliveries that wait for an owner (>= 1); further ones are refused, and sent again. Processes
            that publish at the same moment may exceed it by what they publish then.
        patience: The timeout for publishing and other operations, in seconds (> 0); the platform waits 5 for an answer.
        create: Make the schema and its tables, and upgrade older tables, when connecting. With ``False``, somebody with
            the right to do so runs `migrate`.

    Raises:
        ConfigurationError: An argument breaks its rule.
    """

    def __init__(
        self,
        postgres: Any,
        *,
        owner: str | None = None,
        schema: str = "swcalls",
        lifetime: float = 10.0,
        keep: float = 86_400.0,
        capacity: int = 100_000,
        patience: float = 2.0,
        create: bool = True,
    ) -> None:
        if not isinstance(owner, str | None) or not _NAME.match(owner if owner is not None else "x"):
            raise ConfigurationError(f"owner={owner!r} must be made of 1 to 64 letters, digits, _, - and .")
        if not isinstance(schema, str) or not _SCHEMA.match(schema):
            words = "must be made of 1 to 63 letters, digits, _ and -, and not begin with pg_"
            raise ConfigurationError(f"schema={schema!r} {words}")
        for name, number in (("lifetime", lifetime), ("keep", keep), ("capacity", capacity), ("patience", patience)):
            if isinstance(number, bool) or not isinstance(number, int | float) or not number > 0:
                raise ConfigurationError(f"{name}={number!r} must be a number greater than 0")
        is_url = isinstance(postgres, str) and postgres.startswith(("postgresql://", "postgres://"))
        if not is_url and not (hasattr(postgres, "acquire") and hasattr(postgres, "release")):
            # Its value may contain a password.
            raise ConfigurationError("postgres must be a URL that begins with postgresql://, or an asyncpg.Pool")
        source = Source(postgres if is_url else None, None if is_url else postgres, patience / 2)
        self._source = source
        self._owner = owner if owner is not None else f"o-{uuid.uuid4().hex[:16]}"
        self._lifetime = lifetime
        self._patience = patience
        self._schema = Schema(schema, create=create)
        self._link = Link(source, self._schema)
        self._queue = self._link.queue
        self._statements = statements = Statements(self._schema)
        self._change = Change(self._schema)
        self._publish = Publish(self._schema, int(capacity), keep)
        self._memos = Memos(self._write_memo, patience)
        self._readers = Readers(source, self._schema, statements, self._change, self._queue, patience)
        self._names = Names(self._ask, self._queue, statements, lifetime, keep)
        self._calls = Calls(self._ask, statements, keep)
        self._lost: Callable[[str], object] = lambda _: None
        self._heart: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        """Held while names are taken or released."""
        self._offset = 0.0
        """The clock of PostgreSQL minus the local clock, in seconds."""
        self._takes_calls = False
        self._is_open = False
        self._is_closed = False
        self.published: int = 0
        """How many deliveries were published."""
        self.refused: int = 0
        """How many deliveries could not be published."""

    def __repr__(self) -> str:
        return f"<PostgresBackplane {self._owner}>"

    @property
    def owner(self) -> str:
        """The name of this process."""
        return self._owner

    @property
    def received(self) -> int:
        """How many deliveries were read."""
        return self._readers.received

    async def migrate(self) -> None:
        """Make the schema and its tables, or upgrade tables of an older version of swcalls.

        Several processes may call it at the same time. It needs the right to create a schema, unless there is one.

        Raises:
            BackplaneUnavailable: PostgreSQL cannot be reached, refuses it, or has tables of a newer version.
        """
        try:
            connection = await self._source.connect()
            try:
                await self._schema.migrate(connection)
            finally:
                await to_the_end(self._source.give_back(connection))
        except Exception as error:  # noqa: BLE001 - whatever it is, its text may have parts of the URL
            raise BackplaneUnavailable(f"the tables cannot be made or upgraded: {fault_of(error)}") from None

    def holds(self, owner: str) -> bool:
        """Return whether this process gets the deliveries of *owner*."""
        return owner in self._readers

    def now(self) -> float:
        """Return the time of PostgreSQL in Unix seconds, by the offset that was measured last."""
        return time.time() + self._offset

    async def open(self, project: str, receive: Receive, lost: Callable[[str], object]) -> None:
        """Take the name of this process, and begin to pass its deliveries to *receive*."""
        if self._is_open:
            raise BackplaneError(f"owner {self._owner!r}: the backplane is open, and serves one client only")
        self._names.project = self._change.project = project
        self._readers.receive, self._lost = receive, lost
        self._is_open, self._is_closed = True, False
        self._queue.open()
        self._readers.link.queue.open()
        try:
            await self._take_own_name()
            self._check_open()
        except BaseException:
            await self.close()
            raise
        self._readers.start(self._owner)
        self._heart = asyncio.get_running_loop().create_task(self._beat())
        if self._takes_calls:
            self._advertise()

    async def close(self) -> None:
        """Write pending changes, release all names, and close the connections, or return them to the user's pool.

        It takes about ``patience`` seconds at most. If it is cancelled, it still runs to its end.
        """
        await to_the_end(self._close())

    async def publish(self, project: str, delivery: Delivery) -> None:
        """Store *delivery* for its owner, with retries for up to ``patience`` seconds."""
        owner = delivery.owner
        channel = self._schema.channel(project, owner)
        task = Task(self._publish, (channel, project, owner, delivery.kind, delivery.key, delivery.body))
        wait = 0.02
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    try:
                        is_stored = await self._queue.run(task)
                        break
                    except Refused as fault:
                        self.refused += 1
                        raise BackplaneUnavailable(str(fault)) from None
                    except StoreError as fault:
                        if self._is_closed:
                            raise BackplaneUnavailable("the backplane is closed") from None
                        _log.info("publishing a delivery for owner %s is retried: %s", owner, fault)
                    await asyncio.sleep(with_jitter(wait))
                    wait = min(2 * wait, 0.5)
        except TimeoutError:
            self.refused += 1
            raise BackplaneUnavailable("PostgreSQL cannot be reached") from None
        if not is_stored:
            self.refused += 1
            raise BackplaneUnavailable(f"the deliveries of owner {owner!r} have reached their capacity: it is full")
        self.published += 1

    async def remember(self, memo: Memo, *, owner: str | None = None) -> None:
        """Store *memo*; while PostgreSQL cannot be reached, it is kept in memory and written later."""
        await self._memos.put(owner or self._owner, memo)

    def forget(self, kind: str, key: str, *, owner: str | None = None) -> None:
        """Queue the deletion of a memo."""
        self._memos.drop(owner or self._owner, f"{kind}/{key}")

    async def remembered(self, owner: str) -> Sequence[Memo]:
        """Return the memos of *owner*."""
        found = await self._ask(self._statements.memos, self._names.project, owner)
        return self._memos.read(owner, {row[0].encode(): row[1] for row in found})

    async def claim(self, owner: str) -> None:
        """Take over the name, the deliveries and the memos of a dead owner."""
        async with self._one_at_a_time:
            if owner in self._readers:
                return
            self._check_open()
            try:
                taken = await self._names.take(owner)
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

    def _check_open(self) -> None:
        if not self._is_open:
            raise BackplaneUnavailable("the backplane is not open")

    def _write_memo(self, owner: str, field: str, value: bytes | None, done: Done) -> None:
        self._queue.post(Task(self._change, (owner, field, value), turn=0), done)

    async def _ask(self, operation: Operation, *row: Any) -> Any:
        """Execute one operation, and return what was found. After a lost connection, try again once.

        Raises:
            BackplaneUnavailable: The operation failed, or was not answered in time.
        """
        task = Task(operation, row)
        try:
            async with asyncio.timeout(self._patience):
                had_connection = self._link.is_connected
                try:
                    return await self._queue.run(task)
                except StoreError:
                    # Each of these operations may be done twice.
                    if not had_connection or self._link.is_connected or self._is_closed:
                        raise
                return await self._queue.run(task)
        except TimeoutError:
            raise BackplaneUnavailable(f"PostgreSQL gave no answer within {self._patience:g} s") from None
        except Refused as fault:
            raise BackplaneUnavailable(str(fault)) from None
        except StoreError as fault:
            raise BackplaneUnavailable(f"PostgreSQL cannot be reached, or refuses: {fault}") from None

    async def _set_clock(self) -> None:
        self._offset = (await self._ask(self._statements.clock))[0][0] - time.time()

    async def _take_own_name(self) -> None:
        is_taken = False
        try:
            # The name of a killed predecessor expires after `lifetime`.
            async with asyncio.timeout(1.5 * self._lifetime):
                await self._set_clock()
                while not await self._names.take(self._owner):
                    is_taken = True
                    await asyncio.sleep(self._lifetime / 20)
        except TimeoutError:
            if not is_taken:
                raise BackplaneUnavailable("PostgreSQL gave no answer in time") from None
            raise OwnerTaken(f"owner {self._owner!r}: another process that is alive holds this name") from None

    def _advertise(self) -> None:
        self._names.offer(self._owner, takes_calls=self._takes_calls)

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
                    await self._queue.flush()
            except (BackplaneUnavailable, TimeoutError) as fault:
                _log.warning("owner %s: closing was not complete: %s", self._owner, fault)
            finally:
                await self._readers.link.close()
                await self._link.close()

    async def _beat(self) -> None:
        """Send heartbeats, four in each ``lifetime``: renew all names, and retry memos that could not be written."""
        while self._is_open:
            await asyncio.sleep(self._lifetime / 4)
            try:
                await self._set_clock()
                for owner in self._readers.owners:
                    if not (owner in self._readers and await self._names.take(owner)):
                        self._lose(owner)
                if self._takes_calls:
                    self._advertise()
                self._memos.catch_up()
                await self._names.sweep()
            except BackplaneUnavailable as fault:
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
