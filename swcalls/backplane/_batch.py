"""`Batch`: sends the Redis commands of a `RedisBackplane` in pipelines: all that came while the last one was sent.

Only one task waits for the Redis client, since the client may lose a cancellation: it uses `asyncio.wait_for`, which
does so on Python 3.11 if the answer comes at the same moment. Callers of `Sender.run` wait for a future, which can
always be cancelled or time out.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError, ResponseError

from ._queue import LARGEST_BATCH, MOST_WAITING, Done

LONGEST = 10.0
"""The timeout of a pipeline in seconds, for Redis clients without timeouts of their own."""

Command = Callable[[Any], object]
"""Adds one command to the pipeline that is its argument."""


def is_from_replica(answer: Any) -> bool:
    """Return whether *answer* says that the server is no master any more."""
    # Redis 6.2 reports it from inside a script as a plain error.
    return isinstance(answer, ReadOnlyError) or (isinstance(answer, ResponseError) and "READONLY" in str(answer))


def is_full(answer: Any) -> bool:
    """Return whether *answer* says that the memory of Redis is full."""
    return isinstance(answer, OutOfMemoryError) or (isinstance(answer, ResponseError) and "OOM " in str(answer))


class Request(NamedTuple):
    """A command that is to be sent."""

    command: Command
    done: Done
    key: str
    """One of its keys; all keys of a command have the same hash tag."""
    future: asyncio.Future[Any] | None = None
    """If it is done before the command was sent (cancelled), the command is not sent."""
    durable: bool = False
    """Whether replicas must confirm the command, if the backplane demands it."""
    asking: bool = False
    """Whether the key is on its way to the node, which accepts the command only after ``ASKING``."""


class Sender(ABC):
    """Sends commands to Redis, and tells what became of each: to one server (`Batch`), or to a cluster."""

    async def run(self, command: Command, key: str = "", *, durable: bool = False) -> Any:
        """Send *command*, and return its answer. If `run` is cancelled before the command is sent, it is not sent.

        Raises:
            RedisError: The command failed, too many commands are waiting, or the sender is closed.
        """
        future = asyncio.get_running_loop().create_future()

        def settle(answer: Any) -> None:
            if future.done():
                return
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

        self.add(Request(command, settle, key, future, durable))
        return await future

    def post(self, command: Command, done: Done, key: str = "", *, durable: bool = False) -> None:
        """Queue *command*, and call *done* with its answer or its error."""
        self.add(Request(command, done, key, None, durable))

    @abstractmethod
    def add(self, request: Request) -> None:
        """Queue *request*."""

    @abstractmethod
    async def read(self, stream: str, last: bytes, block: int) -> Any:
        """Wait up to *block* ms for entries of *stream* after *last*, and return the answer of ``XREAD``."""

    @abstractmethod
    def open(self) -> None:
        """Accept commands, also again after `close`."""

    @abstractmethod
    async def flush(self) -> None:
        """Wait until all commands in the queue have been answered, or have failed."""

    @abstractmethod
    async def close(self) -> None:
        """Let all waiting commands fail, and accept no more."""

    @abstractmethod
    async def disconnect(self) -> None:
        """Close the connections, unless they belong to the user."""


class Batch(Sender):
    """Sends one pipeline at a time; commands that come meanwhile are sent together in the next one, in their order.

    Args:
        redis: The client of one server.
        owned: Further clients; `disconnect` closes them and *redis*. ``None``: it closes nothing.
        replicas: How many replicas must confirm a durable command.
        confirm: For how many seconds to wait for them.
    """

    def __init__(
        self, redis: Any, owned: tuple[Any, ...] | None = None, *, replicas: int = 0, confirm: float = 0.5
    ) -> None:
        self.redis = redis
        self._owned = owned
        self._replicas = replicas
        self._confirm = max(1, int(confirm * 1000))
        self._waiting: deque[Request] = deque()
        self._sender: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def is_idle(self) -> bool:
        """Whether no command waits, or is being sent."""
        return self._sender is None

    def open(self) -> None:
        """Accept commands, also again after `close`."""
        self._is_closed = False

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

    async def disconnect(self) -> None:
        """Close the clients that belong to this object."""
        if self._owned is not None:
            for client in (self.redis, *self._owned):
                await client.aclose()

    def add(self, request: Request) -> None:
        """Queue *request*."""
        if self._is_closed:
            request.done(RedisError("closed"))
        elif len(self._waiting) >= MOST_WAITING:
            request.done(RedisError("too many commands are waiting"))
        else:
            self._waiting.append(request)
            if self._sender is None or self._sender.done():
                self._sender = asyncio.get_running_loop().create_task(self._send())
                # A callback, not a `finally` in the task: a task cancelled before its first step runs no `finally`.
                self._sender.add_done_callback(self._ended)

    async def read(self, stream: str, last: bytes, block: int, *, asking: bool = False) -> Any:
        """Wait up to *block* ms for entries of *stream* after *last*, on a connection of its own."""
        if not asking:
            return await self.redis.xread({stream: last}, count=100, block=block)
        pipeline = self.redis.pipeline(transaction=False)
        pipeline.execute_command("ASKING")
        pipeline.xread({stream: last}, count=100, block=block)
        found = (await pipeline.execute(raise_on_error=False))[1]
        if isinstance(found, Exception):
            raise found
        return found

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

    async def _send_batch(self, batch: list[Request]) -> None:
        if not batch:
            return
        answers: list[Any] = [RedisError("closed")] * len(batch)
        try:
            async with asyncio.timeout(LONGEST):
                answers = await self._execute(batch)
                if any(map(is_from_replica, answers)):
                    # The next connection leads to the new master: by Sentinel, or by the name of the host.
                    await self.redis.connection_pool.disconnect(inuse_connections=False)
        except Exception as error:  # noqa: BLE001 - each command must get an answer, whatever the error is
            fault = error if isinstance(error, RedisError) else RedisError(f"{type(error).__name__}: {error}")
            answers = [fault] * len(batch)
        finally:
            for each, answer in zip(batch, answers, strict=True):
                each.done(answer)

    async def _execute(self, batch: list[Request]) -> list[Any]:
        pipeline = self.redis.pipeline(transaction=False)
        for each in batch:
            if each.asking:
                pipeline.execute_command("ASKING")
            each.command(pipeline)
        is_confirmed = self._replicas > 0 and any(each.durable for each in batch)
        if is_confirmed:
            pipeline.execute_command("WAIT", self._replicas, self._confirm)
        found = iter(await pipeline.execute(raise_on_error=False))
        answers = [(next(found), next(found))[1] if each.asking else next(found) for each in batch]
        confirmed = next(found) if is_confirmed else self._replicas
        if not isinstance(confirmed, int) or confirmed < self._replicas:
            short = RedisError(f"{confirmed} of {self._replicas} replicas have confirmed")
            return [
                short if each.durable and not isinstance(answer, Exception) else answer
                for each, answer in zip(batch, answers, strict=True)
            ]
        return answers
