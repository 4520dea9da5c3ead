"""`Readers`: reads the deliveries of each owner that a process holds from PostgreSQL. For `PostgresBackplane`."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from ._postgres_link import Link, Source, Task
from ._postgres_schema import Schema
from ._postgres_sql import Change, Statements
from ._queue import Queue, StoreError, with_jitter
from .protocol import Delivery, Receive

_log = logging.getLogger("swcalls.backplane")

PAGE = 200
"""The most deliveries that are read at once."""
OLD = 60.0
"""Seconds after which no delivery with a smaller id can be stored any more.

Ids are given in order, but transactions may end in another one. A webhook is refused after 10 s at the latest.
"""


class Readers:
    """Runs a task for each owner that is held. It reads what is stored, and then waits for notifications.

    A notification may be lost with its connection: then the task reads again as soon as there is a new one.
    """

    def __init__(
        self, source: Source, schema: Schema, statements: Statements, change: Change, writes: Queue, patience: float
    ) -> None:
        self.receive: Receive | None = None
        self.received: int = 0
        self._schema = schema
        self._statements = statements
        self._change = change
        self._writes = writes
        self._patience = patience
        self._by_owner: dict[str, asyncio.Task[None]] = {}
        self._awake: dict[str, asyncio.Event] = {}
        """By channel."""
        self._tasks: set[asyncio.Task[None]] = set()
        """All tasks that have not ended, also stopped ones."""
        self.link = Link(source, schema, self._listen_again)

    def __contains__(self, owner: str) -> bool:
        return owner in self._by_owner

    @property
    def owners(self) -> list[str]:
        """The owners whose deliveries are being read."""
        return list(self._by_owner)

    def start(self, owner: str) -> None:
        """Begin to read the deliveries of *owner*."""
        channel = self._channel(owner)
        self._awake[channel] = awake = asyncio.Event()
        self.link.queue.post(Task(_Listen(self._notified), (channel,)))
        task = asyncio.get_running_loop().create_task(self._read(owner, awake))
        self._by_owner[owner] = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self, owner: str) -> bool:
        """Stop reading the deliveries of *owner*; return whether they were being read."""
        task = self._by_owner.pop(owner, None)
        if task is None:
            return False
        channel = self._channel(owner)
        self._awake.pop(channel, None)
        self.link.queue.post(Task(_Unlisten(self._notified), (channel,)))
        task.cancel()
        return True

    def restart(self, owner: str) -> None:
        """Read the deliveries of *owner* from the beginning again, if they are being read."""
        if self.stop(owner):
            self.start(owner)

    async def wait(self) -> None:
        """Wait until all tasks have ended; call `stop` for each owner before."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _listen_again(self, connection: Any) -> None:
        connection.add_termination_listener(lambda _: self._wake())
        for channel in list(self._awake):
            await connection.add_listener(channel, self._notified)
        self._wake()

    def _notified(self, _connection: Any, _pid: int, channel: str, _payload: str) -> None:
        awake = self._awake.get(channel)
        if awake is not None:
            awake.set()

    def _wake(self) -> None:
        for awake in self._awake.values():
            awake.set()

    def _channel(self, owner: str) -> str:
        return self._schema.channel(self._change.project, owner)

    async def _read(self, owner: str, awake: asyncio.Event) -> None:
        clock = asyncio.get_running_loop().time
        place, wait = _Place(clock()), 0.05
        while self._by_owner.get(owner) is asyncio.current_task():
            awake.clear()
            row = (self._change.project, owner, place.after, place.seen(), place.age(clock()), PAGE)
            try:
                async with asyncio.timeout(2 * self._patience):
                    found = await self.link.queue.run(Task(self._statements.read, row))
                wait = 0.05
            except (StoreError, TimeoutError) as fault:
                _log.warning("owner %s: deliveries cannot be read; next attempt in %.2f s: %s", owner, wait, fault)
                await asyncio.sleep(with_jitter(wait))
                wait = min(2 * wait, self._patience)
                continue
            was_behind = place.is_behind
            place.passed(found, clock())
            done = [delivery["id"] for delivery in found if await self._hand_over(owner, delivery)]
            if done:
                # Deleted with, or after, the memos that the delivery changed: after a crash in between, the delivery
                # is read again.
                self._writes.post(Task(self._change, (owner, done), turn=0), partial(place.forget, done))
            if not found and not was_behind:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._patience / 2):
                        await awake.wait()

    async def _hand_over(self, owner: str, row: Any) -> bool:
        assert self.receive is not None
        self.received += 1
        kind, key = row["kind"], row["key"]
        try:
            return await self.receive(Delivery(owner=owner, kind=kind, key=key, body=row["body"]))
        except Exception:  # noqa: BLE001 - the delivery stays stored; the others are still read
            _log.exception("owner %s: a delivery for %s/%s could not be processed", owner, kind, key)
            return False


class _Place:
    """How far the deliveries of an owner were read. First all that are stored, page by page; then new ones."""

    def __init__(self, now: float) -> None:
        self._began = now
        self.is_behind = True
        """Whether there may be further pages of what is stored."""
        self._last = 0
        self._low = 0
        """No delivery with this id, or a smaller one, can come any more."""
        self._seen: set[int] = set()
        """Those above `_low` that were read, and are not deleted yet."""
        self._marks: deque[tuple[float, int]] = deque()
        """When the highest id was read, at most one entry a second."""

    @property
    def after(self) -> int:
        return self._last if self.is_behind else self._low

    def seen(self) -> list[int]:
        """Return the deliveries that must not be read again."""
        return [] if self.is_behind else list(self._seen)

    def age(self, now: float) -> float:
        """Return from which age on a delivery is old: all with smaller ids could be read from the beginning."""
        return OLD + now - self._began

    def passed(self, found: Sequence[Any], now: float) -> None:
        """Note that *found* was read at the time *now*."""
        self._seen.update(row["id"] for row in found)
        low = max((row["id"] for row in found if row["is_old"]), default=0)
        self._last = max(self._last, max((row["id"] for row in found), default=0))
        # While it is behind, what was stored late below `_last` is not read; and a full page may not be all there is.
        if not self.is_behind and len(found) < PAGE:
            while self._marks and now - self._marks[0][0] > OLD:
                low = max(low, self._marks.popleft()[1])
            if not self._marks or now - self._marks[-1][0] >= 1:
                self._marks.append((now, self._last))
        self.is_behind = self.is_behind and len(found) == PAGE
        if low > self._low:
            self._low = low
            self._seen = {number for number in self._seen if number > low}

    def forget(self, ids: list[int], _: object) -> None:
        """Note that deliveries were deleted; if that failed, they are read again."""
        self._seen.difference_update(ids)


class _Listen:
    """Begins to listen on channels."""

    def __init__(self, notified: Any) -> None:
        self._notified = notified

    async def run(self, connection: Any, rows: list[tuple[Any, ...]]) -> Sequence[Any]:
        for (channel,) in rows:
            await connection.add_listener(channel, self._notified)
        return [None] * len(rows)


class _Unlisten(_Listen):
    """Ends to listen on channels."""

    async def run(self, connection: Any, rows: list[tuple[Any, ...]]) -> Sequence[Any]:
        for (channel,) in rows:
            await connection.remove_listener(channel, self._notified)
        return [None] * len(rows)
