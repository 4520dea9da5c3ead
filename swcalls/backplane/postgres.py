"""`PostgresBackplane`: a backplane in PostgreSQL, with tables of deliveries, memos, owners and inbound calls.

The private modules of this package do its parts: `_stored` holds the names of owners, `_postgres_names` writes them and
assigns inbound calls, `_queue` collects operations, `_postgres_link` runs them on a connection, `_postgres_schema`
makes the tables, `_postgres_sql` has the statements, `_postgres_readers` reads the deliveries, `_memos` writes the
memos.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from typing import Any, ClassVar

from .._engine.tasks import to_the_end
from ..errors import ConfigurationError
from ._memos import Memos
from ._postgres_link import Link, Operation, Source, Task, fault_of
from ._postgres_names import Calls, Names
from ._postgres_readers import Readers
from ._postgres_schema import Refused, Schema
from ._postgres_sql import Change, Publish, Statements
from ._queue import Done, StoreError
from ._stored import StoredBackplane, check_settings
from .protocol import BackplaneUnavailable, Delivery, Memo

_SCHEMA = re.compile(r"(?!pg_|information_schema\Z)[A-Za-z0-9_-]{1,63}\Z")


class PostgresBackplane(StoredBackplane):
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

    store: ClassVar[str] = "PostgreSQL"
    faults: ClassVar[tuple[type[Exception], ...]] = (StoreError,)
    _names: Names

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
        check_settings(owner, lifetime=lifetime, keep=keep, capacity=capacity, patience=patience)
        if not isinstance(schema, str) or not _SCHEMA.match(schema):
            words = "must be made of 1 to 63 letters, digits, _ and -, and not begin with pg_"
            raise ConfigurationError(f"schema={schema!r} {words}")
        is_url = isinstance(postgres, str) and postgres.startswith(("postgresql://", "postgres://"))
        if not is_url and not (hasattr(postgres, "acquire") and hasattr(postgres, "release")):
            # Its value may contain a password.
            raise ConfigurationError("postgres must be a URL that begins with postgresql://, or an asyncpg.Pool")
        super().__init__(owner, lifetime, patience, Memos(self._write_memo, patience))
        source = Source(postgres if is_url else None, None if is_url else postgres, patience / 2)
        self._source = source
        self._schema = Schema(schema, create=create)
        self._link = Link(source, self._schema)
        self._queue = self._link.queue
        self._statements = statements = Statements(self._schema)
        self._change = Change(self._schema)
        self._publish = Publish(self._schema, int(capacity), keep)
        self._readers: Readers = Readers(source, self._schema, statements, self._change, self._queue, patience)
        self._names = Names(self._ask, self._queue, statements, lifetime, keep)
        self._calls = Calls(self._ask, statements, keep)
        self._offset = 0.0
        """The clock of PostgreSQL minus the local clock, in seconds."""

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

    def now(self) -> float:
        """Return the time of PostgreSQL in Unix seconds, by the offset that was measured last."""
        return time.time() + self._offset

    async def remembered(self, owner: str) -> Sequence[Memo]:
        """Return the memos of *owner*."""
        found = await self._ask(self._statements.memos, self._names.project, owner)
        return self._memos.read(owner, {row[0].encode(): row[1] for row in found})

    async def _store(self, project: str, delivery: Delivery) -> bool:
        owner = delivery.owner
        channel = self._schema.channel(project, owner)
        row = channel, project, owner, delivery.kind, delivery.key, delivery.body
        try:
            return bool(await self._queue.run(Task(self._publish, row)))
        except Refused as fault:
            raise BackplaneUnavailable(str(fault)) from None

    async def _take(self, owner: str) -> bool:
        return await self._names.take(owner)

    async def _set_clock(self) -> None:
        self._offset = (await self._ask(self._statements.clock))[0][0] - time.time()

    def _advertise(self) -> None:
        self._names.offer(self._owner, takes_calls=self._takes_calls)

    async def _tidy(self, held: Sequence[str]) -> None:
        await self._names.sweep()

    def _accept(self) -> None:
        self._change.project = self._names.project
        self._queue.open()
        self._readers.link.queue.open()

    async def _flush(self) -> None:
        await self._queue.flush()

    async def _disconnect(self) -> None:
        await self._readers.link.close()
        await self._link.close()

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
