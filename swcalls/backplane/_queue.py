"""`Queue`: collects operations for a store, and sends all that came while the last ones were sent together.

Only one task waits for the store's client, since a client may lose a cancellation, or answer it with further requests.
Callers of `Queue.run` wait for a future, which can always be cancelled or time out.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

LARGEST_BATCH = 500
"""The most operations that are sent together."""
MOST_WAITING = 100_000
"""The most operations that wait; further ones are refused."""

Done = Callable[[Any], object]
"""Called with the answer of the store, or with the error. It must not raise."""

_random = random.SystemRandom()


class StoreError(Exception):
    """The store failed, cannot be reached, or refused an operation. The text contains no secret."""


def ignore_answer(_: Any) -> None:
    """Do nothing; a `Done` for operations whose answer is not needed."""


def with_jitter(seconds: float) -> float:
    """Return a random part of *seconds*, at least half, so that processes do not retry at the same moment."""
    return seconds * (0.5 + _random.random() / 2)


class _Waiting(NamedTuple):
    operation: Any
    done: Done
    future: asyncio.Future[Any] | None
    """If it is done before the operation was sent (cancelled), the operation is not sent."""


class Queue:
    """Sends one batch of operations at a time; operations that come meanwhile are sent in the next one.

    Args:
        execute: Executes operations, and returns an answer or a `StoreError` for each. If it raises, all have failed.
    """

    def __init__(self, execute: Callable[[list[Any]], Awaitable[Sequence[Any]]]) -> None:
        self._execute = execute
        self._waiting: deque[_Waiting] = deque()
        self._sender: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def is_busy(self) -> bool:
        """Whether operations are being sent, or wait."""
        return self._sender is not None

    def open(self) -> None:
        """Accept operations, also again after `close`."""
        self._is_closed = False

    async def run(self, operation: Any) -> Any:
        """Send *operation*, and return its answer. If `run` is cancelled before it is sent, it is not sent.

        Raises:
            StoreError: The operation failed, too many operations are waiting, or the queue is closed.
        """
        future = asyncio.get_running_loop().create_future()

        def settle(answer: Any) -> None:
            if future.done():
                return
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

        self._add(_Waiting(operation, settle, future))
        return await future

    def post(self, operation: Any, done: Done = ignore_answer) -> None:
        """Queue *operation*, and call *done* with its answer or its error."""
        self._add(_Waiting(operation, done, None))

    async def flush(self) -> None:
        """Wait until all operations in the queue have been answered, or have failed."""
        while self._sender is not None:
            await asyncio.wait([self._sender])

    async def close(self) -> None:
        """Let all waiting operations fail, and accept no more."""
        self._is_closed = True
        while self._sender is not None:
            self._sender.cancel()
            await asyncio.wait([self._sender], timeout=0.05)

    def _add(self, waiting: _Waiting) -> None:
        if self._is_closed:
            waiting.done(StoreError("closed"))
        elif len(self._waiting) >= MOST_WAITING:
            waiting.done(StoreError("too many operations are waiting"))
        else:
            self._waiting.append(waiting)
            if self._sender is None or self._sender.done():
                self._sender = asyncio.get_running_loop().create_task(self._send())
                # A callback, not a `finally` in the task: a task cancelled before its first step runs no `finally`.
                self._sender.add_done_callback(self._ended)

    def _ended(self, sender: asyncio.Task[None]) -> None:
        if self._sender is sender:
            self._sender = None
            while self._waiting:
                self._waiting.popleft().done(StoreError("closed"))

    async def _send(self) -> None:
        # The flag is checked, too: a client may lose a cancellation.
        while self._waiting and not self._is_closed:
            # One turn of the event loop, in which more operations may come.
            await asyncio.sleep(0)
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), LARGEST_BATCH))]
            await self._send_batch([each for each in batch if each.future is None or not each.future.done()])

    async def _send_batch(self, batch: list[_Waiting]) -> None:
        if not batch:
            return
        answers: Sequence[Any] = [StoreError("closed")] * len(batch)
        try:
            answers = await self._execute([each.operation for each in batch])
        except Exception as error:  # noqa: BLE001 - each operation must get an answer, whatever the error is
            fault = error if isinstance(error, StoreError) else StoreError(type(error).__name__)
            answers = [fault] * len(batch)
        finally:
            for each, answer in zip(batch, answers, strict=True):
                each.done(answer)
