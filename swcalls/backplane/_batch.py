"""Commands to Redis, sent together: whatever has gathered while the last ones were under way."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from redis.exceptions import RedisError

LARGEST_BATCH = 500
MOST_WAITING = 100_000
"""Commands; beyond, new ones are refused."""

Command = Callable[[Any], object]
"""Puts one command into a pipeline."""

Done = Callable[[Any], object]
"""Is given the answer, or the `RedisError`. It must not raise."""


class Batch:
    """One pipeline at a time; a command that comes meanwhile joins the next, and costs no round trip of its own."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self._waiting: deque[tuple[Command, Done]] = deque()
        self._sender: asyncio.Task[None] | None = None

    async def run(self, command: Command) -> Any:
        """Send *command*, and return its answer.

        Raises:
            RedisError: It failed, or too many wait already.
        """
        future = asyncio.get_running_loop().create_future()

        def settle(answer: Any) -> None:
            if future.done():
                return
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

        self.post(command, settle)
        return await future

    def post(self, command: Command, done: Done) -> None:
        """Send *command* soon, and tell *done*."""
        if len(self._waiting) >= MOST_WAITING:
            done(RedisError("too many commands are waiting"))
            return
        self._waiting.append((command, done))
        if self._sender is None:
            self._sender = asyncio.get_running_loop().create_task(self._send())

    async def flush(self) -> None:
        """Return once everything that waits now has been sent, or has failed."""
        while self._sender is not None:
            await asyncio.wait([self._sender])

    async def close(self) -> None:
        """Give up what still waits."""
        sender, self._sender = self._sender, None
        try:
            if sender is not None:
                sender.cancel()
                await asyncio.wait([sender])
        finally:
            self._fail_waiting()

    async def _send(self) -> None:
        try:
            while self._waiting:
                # A turn of the loop, in which others may join.
                await asyncio.sleep(0)
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), LARGEST_BATCH))]
                await self._send_batch(batch)
        finally:
            self._sender = None
            self._fail_waiting()

    def _fail_waiting(self) -> None:
        while self._waiting:
            self._waiting.popleft()[1](RedisError("closed"))

    async def _send_batch(self, batch: list[tuple[Command, Done]]) -> None:
        answers: list[Any] = [RedisError("closed")] * len(batch)
        try:
            pipeline = self._redis.pipeline(transaction=False)
            for command, _ in batch:
                command(pipeline)
            answers = await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError, TimeoutError) as error:
            fault = error if isinstance(error, RedisError) else RedisError(f"{type(error).__name__}: {error}")
            answers = [fault] * len(batch)
        finally:
            for (_, done), answer in zip(batch, answers, strict=True):
                done(answer)
