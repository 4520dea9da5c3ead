"""`Batch`: sends the Redis commands of a `RedisBackplane` in pipelines: all that came while the last one was sent.

Only one task waits for the Redis client, since the client may lose a cancellation: it uses `asyncio.wait_for`, which
does so on Python 3.11 if the answer comes at the same moment. Callers of `Batch.run` wait for a future, which can
always be cancelled or time out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from redis.exceptions import RedisError

LARGEST_BATCH = 500
"""The most commands in a pipeline."""
MOST_WAITING = 100_000
"""The most commands that wait; further ones are refused."""
LONGEST = 10.0
"""The timeout of a pipeline in seconds, for Redis clients without timeouts of their own."""

Command = Callable[[Any], object]
"""Adds one command to the pipeline that is its argument."""

Done = Callable[[Any], object]
"""Called with the answer of Redis, or with a `RedisError`. It must not raise."""


def ignore_answer(_: Any) -> None:
    """Do nothing; a `Done` for commands whose answer is not needed."""


class _Waiting(NamedTuple):
    command: Command
    done: Done
    future: asyncio.Future[Any] | None
    """If it is done before the command was sent (cancelled), the command is not sent."""


class Batch:
    """Sends one pipeline at a time; commands that come meanwhile are sent together in the next one, in their order."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self._waiting: deque[_Waiting] = deque()
        self._sender: asyncio.Task[None] | None = None
        self._is_closed = False

    def open(self) -> None:
        """Accept commands, also again after `close`."""
        self._is_closed = False

    async def run(self, command: Command) -> Any:
        """Send *command*, and return its answer. If `run` is cancelled before the command is sent, it is not sent.

        Raises:
            RedisError: The command failed, too many commands are waiting, or the batch is closed.
        """
        future = asyncio.get_running_loop().create_future()

        def settle(answer: Any) -> None:
            if future.done():
                return
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

        self._add(_Waiting(command, settle, future))
        return await future

    def post(self, command: Command, done: Done) -> None:
        """Queue *command*, and call *done* with its answer or its error."""
        self._add(_Waiting(command, done, None))

    async def flush(self) -> None:
        """Wait until all commands in the queue have been answered, or have failed."""
        while self._sender is not None:
            await asyncio.wait([self._sender])

    async def close(self) -> None:
        """Let all waiting commands fail, and accept no more."""
        self._is_closed = True
        while self._sender is not None:
            self._sender.cancel()
            await asyncio.wait([self._sender], timeout=0.05)

    def _add(self, waiting: _Waiting) -> None:
        if self._is_closed:
            waiting.done(RedisError("closed"))
        elif len(self._waiting) >= MOST_WAITING:
            waiting.done(RedisError("too many commands are waiting"))
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
                self._waiting.popleft().done(RedisError("closed"))

    async def _send(self) -> None:
        # The flag is checked, too: the Redis client may lose a cancellation.
        while self._waiting and not self._is_closed:
            # One turn of the event loop, in which more commands may come.
            await asyncio.sleep(0)
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), LARGEST_BATCH))]
            await self._send_batch([each for each in batch if each.future is None or not each.future.done()])

    async def _send_batch(self, batch: list[_Waiting]) -> None:
        if not batch:
            return
        answers: list[Any] = [RedisError("closed")] * len(batch)
        try:
            pipeline = self._redis.pipeline(transaction=False)
            for each in batch:
                each.command(pipeline)
            async with asyncio.timeout(LONGEST):
                answers = await pipeline.execute(raise_on_error=False)
        except Exception as error:  # noqa: BLE001 - each command must get an answer, whatever the error is
            fault = error if isinstance(error, RedisError) else RedisError(f"{type(error).__name__}: {error}")
            answers = [fault] * len(batch)
        finally:
            for each, answer in zip(batch, answers, strict=True):
                each.done(answer)
