"""`Readers`: reads deliveries from the Redis stream of each owner that a process holds. For `RedisBackplane`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from ._batch import Batch, ignore_answer
from ._retries import REDIS_ERRORS, with_jitter
from .protocol import Delivery, Receive

_log = logging.getLogger("swcalls.backplane")


class Readers:
    """Runs a task for each owner that is held; it reads the stream from the beginning, then waits for new entries."""

    def __init__(self, redis: Any, batch: Batch, stream_of: Callable[[str], str], patience: float) -> None:
        self.receive: Receive | None = None
        self.received: int = 0
        self._redis = redis
        self._batch = batch
        self._stream_of = stream_of
        self._patience = patience
        self._by_owner: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        """All tasks that have not ended, also stopped ones."""

    def __contains__(self, owner: str) -> bool:
        return owner in self._by_owner

    @property
    def owners(self) -> list[str]:
        """The owners whose streams are being read."""
        return list(self._by_owner)

    def start(self, owner: str) -> None:
        """Begin to read the stream of *owner*."""
        task = asyncio.get_running_loop().create_task(self._read(owner))
        self._by_owner[owner] = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self, owner: str) -> bool:
        """Stop reading the stream of *owner*; return whether it was being read."""
        task = self._by_owner.pop(owner, None)
        return task is not None and (task.cancel() or True)

    def restart(self, owner: str) -> None:
        """Read the stream of *owner* from the beginning again, if it is being read."""
        if self.stop(owner):
            self.start(owner)

    async def wait(self) -> None:
        """Wait until all tasks have ended; call `stop` for each owner before."""
        while self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=0.05)
            for task in left:
                task.cancel()

    async def _read(self, owner: str) -> None:
        stream, last, wait = self._stream_of(owner), b"0-0", 0.05
        block = max(1, int(self._patience * 1000 / 4))
        # This check is needed besides the cancellation, which the Redis client may lose.
        while self._by_owner.get(owner) is asyncio.current_task():
            try:
                async with asyncio.timeout(self._patience + block / 1000):
                    found = await self._redis.xread({stream: last}, count=100, block=block)
                wait = 0.05
            except REDIS_ERRORS as fault:
                _log.warning("owner %s: deliveries cannot be read; next attempt in %.2f s: %s", owner, wait, fault)
                await asyncio.sleep(with_jitter(wait))
                wait = min(2 * wait, self._patience)
                continue
            done = []
            for entry, fields in _entries(found):
                last = entry
                if fields is None or await self._hand_over(owner, fields):
                    done.append(entry)
            if done:
                # Deleted after the memos that the delivery changed were queued: after a crash in between, the
                # delivery is read again.
                self._batch.post(_deleting(stream, done), ignore_answer)

    async def _hand_over(self, owner: str, fields: dict[bytes, bytes]) -> bool:
        assert self.receive is not None
        try:
            kind, key, body = fields[b"kind"].decode(), fields[b"key"].decode(), fields[b"body"]
        except (KeyError, UnicodeDecodeError):
            _log.warning("owner %s: an entry of the stream cannot be decoded, and is deleted", owner)
            return True
        self.received += 1
        try:
            return await self.receive(Delivery(owner=owner, kind=kind, key=key, body=body))
        except Exception:  # noqa: BLE001 - the delivery stays in the stream; the others are still read
            _log.exception("owner %s: a delivery for %s/%s could not be processed", owner, kind, key)
            return False


def _entries(found: Any) -> Sequence[tuple[bytes, dict[bytes, bytes] | None]]:
    """Return the entries of the one stream that was read; the form of the answer depends on the Redis protocol."""
    if not found:
        return ()
    entries: Any = next(iter(found.values()))[0] if isinstance(found, dict) else found[0][1]
    return entries or ()


def _deleting(stream: str, entries: list[bytes]) -> Callable[[Any], object]:
    return lambda pipeline: pipeline.xdel(stream, *entries)
