"""`Link`: one connection to PostgreSQL that is made again when it was lost. Operations run on it in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

import asyncpg

from ._postgres_schema import Schema
from ._queue import Queue, StoreError

LONGEST = 10.0
"""The timeout of a batch in seconds; then its connection is closed."""

_SETTINGS = """
SET enable_seqscan = off;
SET plan_cache_mode = force_generic_plan;
SET jit = off;
SET default_transaction_isolation = 'read committed'
"""
"""A plan is made once for a connection, perhaps while a table is empty, and must be good when the table is full."""


class Operation(Protocol):
    """Does the same for many rows at once."""

    async def run(self, connection: Any, rows: list[tuple[Any, ...]]) -> Sequence[Any]:
        """Do it, and return an answer for each of *rows*."""
        ...


class Each:
    """An operation that executes one statement for each row, and returns what was found."""

    def __init__(self, statement: str) -> None:
        self._statement = statement

    async def run(self, connection: Any, rows: list[tuple[Any, ...]]) -> Sequence[Any]:
        """Execute the statement for each of *rows*."""
        return [await connection.fetch(self._statement, *row) for row in rows]


class Task(NamedTuple):
    """An operation for one row. Tasks in a batch run by *turn*, those of one operation together."""

    operation: Operation
    row: tuple[Any, ...]
    turn: int = 1


class Source:
    """Where connections come from: a *dsn*, or a *pool* of the user's."""

    def __init__(self, dsn: str | None, pool: Any, timeout: float) -> None:
        self._dsn = dsn
        self._pool = pool
        self._timeout = timeout

    async def connect(self) -> Any:
        """Return a connection.

        Raises:
            StoreError: There is none.
        """
        try:
            if self._pool is not None:
                return await self._pool.acquire(timeout=self._timeout)
            settings = {"application_name": "swcalls"}
            return await asyncpg.connect(self._dsn, timeout=self._timeout, server_settings=settings)
        except Exception as error:  # noqa: BLE001 - the text of some errors has parts of the DSN, so none is passed on
            raise fault_of(error) from None

    async def give_back(self, connection: Any) -> None:
        """Close a connection, or return it to the pool."""
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            if self._pool is not None:
                # Not to be used again: it has our settings, and perhaps listeners.
                connection.terminate()
                await self._pool.release(connection, timeout=self._timeout)
            else:
                await connection.close(timeout=self._timeout)


class Link:
    """Runs tasks on one connection; *prepare* is called with each new connection."""

    def __init__(self, source: Source, schema: Schema, prepare: Callable[[Any], Awaitable[None]] | None = None) -> None:
        self._source = source
        self._schema = schema
        self._prepare = prepare
        self._connection: Any = None
        self.queue = Queue(self._run)

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None and not self._connection.is_closed()

    async def close(self) -> None:
        """Close the queue and the connection."""
        if self._connection is not None and self.queue.is_busy:
            # The query ends at once with an error. If it was cancelled, asyncpg would connect once more to say so.
            self._connection.terminate()
            await asyncio.sleep(0)
        await self.queue.close()
        await self._drop()

    async def _run(self, tasks: list[Task]) -> Sequence[Any]:
        answers: list[Any] = [None] * len(tasks)
        groups: dict[tuple[int, Any], list[int]] = {}
        for place, task in enumerate(tasks):
            # Statements that stand alone keep their order; the sort below is stable.
            key = (task.turn, place if isinstance(task.operation, Each) else task.operation)
            groups.setdefault(key, []).append(place)
        connection = await self._connected()
        for (_, _), places in sorted(groups.items(), key=lambda group: group[0][0]):
            operation, rows = tasks[places[0]].operation, [tasks[place].row for place in places]
            for place, answer in zip(places, await self._try(connection, operation, rows), strict=True):
                answers[place] = answer
        return answers

    async def _try(self, connection: Any, operation: Operation, rows: list[tuple[Any, ...]]) -> Sequence[Any]:
        guard = asyncio.get_running_loop().call_later(LONGEST, connection.terminate)
        try:
            return await operation.run(connection, rows)
        except Exception as error:  # noqa: BLE001 - each task must get an answer, whatever the error is
            if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                connection.terminate()  # This server has become a replica.
            if len(rows) == 1 or connection.is_closed():
                return [fault_of(error)] * len(rows)
        finally:
            guard.cancel()
        # One row that PostgreSQL refuses must not harm the others.
        return [(await self._try(connection, operation, [row]))[0] for row in rows]

    async def _connected(self) -> Any:
        if self.is_connected:
            return self._connection
        await self._drop()
        connection = await self._source.connect()
        guard = asyncio.get_running_loop().call_later(LONGEST, connection.terminate)
        try:
            await connection.execute(_SETTINGS)
            await self._schema.check(connection)
            if self._prepare is not None:
                await self._prepare(connection)
            self._connection = connection
        except Exception as error:  # noqa: BLE001 - whatever it is, the next batch tries again
            raise fault_of(error) from None
        finally:
            guard.cancel()
            if self._connection is None:
                connection.terminate()
                await self._source.give_back(connection)
        return connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._source.give_back(connection)


def fault_of(error: Exception) -> StoreError:
    """Return an error that says what happened, without secrets."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, asyncpg.PostgresError):
        return StoreError(f"{type(error).__name__}: {getattr(error, 'message', None) or ''}")
    if isinstance(error, OSError):
        return StoreError(f"{type(error).__name__}: {error}".removesuffix(": "))
    return StoreError(type(error).__name__)
