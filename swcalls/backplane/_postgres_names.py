"""`Names` and `Calls`: who holds the name of an owner, and who has an inbound call. For `PostgresBackplane`."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from ._postgres_link import Operation, Task
from ._postgres_sql import Statements
from ._queue import Queue

FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.1
"""Seconds between two reads of the record of an announced call; they double from the first to the longest."""
MOST_DELETED = 5_000
"""The most expired rows that one statement deletes."""
SWEEP_EVERY = 60.0
"""Seconds between two searches for expired rows by one process; sooner, if the last one found too many."""

Ask = Callable[..., Awaitable[Any]]
"""Executes an operation with a row, and returns what was found."""


class Names:
    """Takes, keeps and releases names."""

    def __init__(self, ask: Ask, queue: Queue, statements: Statements, lifetime: float, keep: float) -> None:
        self.project = ""
        self._ask = ask
        self._queue = queue
        self._statements = statements
        self._lifetime = lifetime
        self._keep = keep
        self._token = secrets.token_hex(8)
        self._swept = 0.0

    async def take(self, owner: str) -> bool:
        """Take a name, or keep it if this process holds it; return whether this process holds it now."""
        row = (self.project, owner, self._token, self._lifetime, self._keep)
        return bool(await self._ask(self._statements.take, *row))

    def release(self, owner: str) -> None:
        """Queue the release of a name; no effect if another process holds it."""
        self._post(self._statements.release, self.project, owner, self._token)

    async def give_up(self, owner: str) -> None:
        """Release a name, if this process holds it; forget the owner if nothing is stored for it."""
        await self._ask(self._statements.release, self.project, owner, self._token)
        await self._ask(self._statements.give_up, self.project, owner)

    async def dead(self) -> list[str]:
        """Return the known owners that are not alive."""
        return [row[0] for row in await self._ask(self._statements.dead, self.project)]

    def offer(self, owner: str, *, takes_calls: bool) -> None:
        """Queue a note whether the process with this name accepts inbound calls."""
        self._post(self._statements.offer, self.project, owner, self._token, takes_calls)

    async def sweep(self) -> None:
        """Delete expired rows of all projects, at most every `SWEEP_EVERY` seconds."""
        now = asyncio.get_running_loop().time()
        if now - self._swept < SWEEP_EVERY:
            return
        self._swept = now
        for statement in self._statements.expired:
            if (await self._ask(statement, MOST_DELETED))[0][0] >= MOST_DELETED:
                self._swept = 0.0

    def _post(self, operation: Operation, *row: Any) -> None:
        self._queue.post(Task(operation, row))


class Calls:
    """The records of inbound calls. A record without an owner says that the call is announced."""

    def __init__(self, ask: Ask, statements: Statements, keep: float) -> None:
        self._ask = ask
        self._statements = statements
        self._keep = keep

    async def announce(self, project: str, call_id: str, seconds: float) -> str | None:
        """Announce a call for *seconds*; if it has an owner that is alive, change nothing and return that owner."""
        while True:
            if await self._ask(self._statements.announce, project, call_id, seconds):
                return None
            # `None` or "": the record has changed in between.
            if owner := await self._owner(project, call_id):
                return owner

    async def take(self, project: str, call_id: str, owner: str) -> str | None:
        """Make *owner* the owner of an announced call, if it is the first; return the owner of the call."""
        while True:
            if await self._ask(self._statements.take_call, project, call_id, owner, self._keep):
                return owner
            found = await self._owner(project, call_id)
            if found != "":
                return found

    async def find(self, project: str, call_id: str, wait: float) -> str | None:
        """Return the owner of a call; while the call is announced, wait up to *wait* seconds for an owner."""
        clock = asyncio.get_running_loop().time
        until, pause = clock() + wait, FIRST_PAUSE
        while True:
            owner = await self._owner(project, call_id)
            left = until - clock()
            if owner != "" or left <= 0:
                return owner or None
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def taker(self, project: str, besides: Collection[str]) -> str | None:
        """Return a random process that accepts inbound calls, but none of *besides*."""
        found = await self._ask(self._statements.taker, project, list(besides))
        return found[0][0] if found else None

    async def _owner(self, project: str, call_id: str) -> str | None:
        found = await self._ask(self._statements.owner_of_call, project, call_id)
        return found[0][0] if found else None
