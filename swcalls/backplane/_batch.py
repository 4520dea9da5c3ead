"""Commands to Redis, sent together: whatever has gathered while the last ones were under way.

Only the sender's task waits for the Redis client. That client may swallow a cancellation: `asyncio.wait_for` of Python
3.11, which it uses, does so when its answer comes at the same moment. Whoever waits for a future of `Batch.run` instead
is cancelled, or times out, for certain.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from redis.exceptions import RedisError

LARGEST_BATCH = 500
MOST_WAITING = 100_000
"""Commands; beyond, new ones are refused."""
LONGEST = 10.0
"""Seconds that a pipeline may take, for a client that has no timeouts of its own."""

Command = Callable[[Any], object]
"""Puts one command into a pipeline."""

Done = Callable[[Any], object]
"""Is given the answer, or the `RedisError`. It must not raise."""


class _Waiting(NamedTuple):
    command: Command
    done: Done
    future: asyncio.Future[Any] | None
    """Once this is done, nobody needs the command any more."""


class Batch:
    """One pipeline at a time; a command that comes meanwhile joins the next, and costs no round trip of its own.

    Commands are sent in the order in which they came.
    """

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self._waiting: deque[_Waiting] = deque()
        self._sender: asyncio.Task[None] | None = None
        self._is_closed = False

    def open(self) -> None:
        """Send commands, after `close` too."""
        self._is_closed = False

    async def run(self, command: Command) -> Any:
        """Send *command*, and return its answer. When this is cancelled before the command has left, it is not sent.

        Raises:
            RedisError: It failed, too many wait already, or the batch is closed.
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
        """Send *command* soon, and tell *done*."""
        self._add(_Waiting(command, done, None))

    async def flush(self) -> None:
        """Return once everything that waits now has been sent, or has failed."""
        while self._sender is not None:
            await asyncio.wait([self._sender])

    async def close(self) -> None:
        """Give up what still waits, and take nothing more."""
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
                # Not in a `finally` of its own: a task that is cancelled before its first step never gets to one.
                self._sender.add_done_callback(self._ended)

    def _ended(self, sender: asyncio.Task[None]) -> None:
        if self._sender is sender:
            self._sender = None
            while self._waiting:
                self._waiting.popleft().done(RedisError("closed"))

    async def _send(self) -> None:
        # Not only until it is cancelled: that can get lost in the client.
        while self._waiting and not self._is_closed:
            # A turn of the loop, in which others may join.
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
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait for an answer must not wait for ever
            fault = error if isinstance(error, RedisError) else RedisError(f"{type(error).__name__}: {error}")
            answers = [fault] * len(batch)
        finally:
            for each, answer in zip(batch, answers, strict=True):
                each.done(answer)
