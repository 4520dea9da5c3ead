"""`RedisBackplane`: a backplane in Redis or Valkey, with a stream of deliveries and a hash of memos for each owner.

The private modules of this package do its parts: `_stored` holds the names of owners and `_names` writes them,
`_connect` makes clients, `_batch` and `_cluster` send commands, `_readers` reads the streams, `_memos` writes the
memos, `_calls` assigns calls.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, ClassVar

from redis.asyncio import Redis, RedisCluster

from ..errors import ConfigurationError
from . import _format
from ._batch import Command, is_full
from ._calls import Calls
from ._connect import connect
from ._keys import Keys
from ._memos import Memos
from ._names import Names
from ._queue import Done, ignore_answer
from ._readers import Readers
from ._retries import REDIS_ERRORS
from ._stored import StoredBackplane, check_name, check_settings
from .protocol import BackplaneUnavailable, Delivery, Memo

# Checks the length of the stream and appends in one step. XADD with MAXLEN would drop older deliveries instead. All
# arguments after the second are the fields. XADD is the first command that writes: after another one, Redis would carry
# it out although its memory is full.
_PUBLISH = """
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then return false end
local id = redis.call('XADD', KEYS[1], '*', unpack(ARGV, 3))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return id
"""


class RedisBackplane(StoredBackplane):
    """Connects the processes of a project through Redis (6.2 or newer) or Valkey.

    Args:
        redis: A URL, or a client of redis-py. One server: ``redis://``, ``rediss://`` (TLS), ``unix://``. A cluster:
            ``redis+cluster://HOST:PORT,HOST:PORT`` or ``rediss+cluster://``. Sentinels:
            ``redis+sentinel://HOST:PORT,HOST:PORT/NAME`` or ``rediss+sentinel://``. User, password and redis-py's
            options, such as ``?ssl_ca_certs=``, may stand in the URL. A ``redis.asyncio.Redis`` must not decode
            responses; the backplane does not close it. Of a ``redis.asyncio.RedisCluster`` the nodes and settings are
            used, and connections of its own.
        owner: The name of this process (at most 64 letters, digits, ``_ - .``). A process that is restarted with the
            same name gets its deliveries and memos back. Default: a random name; then only a process that claims it can
            get them.
        prefix: The prefix of all keys.
        lifetime: Seconds without a heartbeat after which an owner counts as dead (> 0).
        keep: Seconds for which deliveries and memos of a dead owner are kept (> 0).
        capacity: The most deliveries in the stream of an owner (>= 1); further ones are refused, and sent again.
        patience: The timeout for publishing and other operations, in seconds (> 0); the platform waits 5 for an answer.
        replicas: How many replicas must confirm a delivery or a memo before it counts as stored (>= 0), so that it
            outlives a failover. While there are fewer, publishing is refused.

    Raises:
        ConfigurationError: An argument breaks its rule.
    """

    store: ClassVar[str] = "Redis"
    faults: ClassVar[tuple[type[Exception], ...]] = REDIS_ERRORS
    _names: Names
    _calls: Calls

    def __init__(
        self,
        redis: str | Redis | RedisCluster,
        *,
        owner: str | None = None,
        prefix: str = "swcalls",
        lifetime: float = 10.0,
        keep: float = 86_400.0,
        capacity: int = 100_000,
        patience: float = 2.0,
        replicas: int = 0,
    ) -> None:
        check_settings(owner, lifetime=lifetime, keep=keep, capacity=capacity, patience=patience)
        check_name("prefix", prefix)
        if isinstance(replicas, bool) or not isinstance(replicas, int) or replicas < 0:
            raise ConfigurationError(f"replicas={replicas!r} must be a whole number of at least 0")
        super().__init__(owner, lifetime, patience, Memos(self._write_memo, patience))
        self._sender = connect(redis, patience, replicas)
        self._keep = keep
        self._capacity = capacity
        self._keys = Keys(prefix)
        self._calls = Calls(self._ask, self._keys, keep)
        self._readers: Readers = Readers(self._sender, self._name, patience, keep)
        self._names = Names(self._ask, self._post, self._keys, lifetime, keep)
        self._offset = time.time() - time.monotonic()
        """The clock of Redis minus the monotonic clock, which does not jump; in seconds."""

    @property
    def set_aside(self) -> int:
        """How many entries of the streams could not be read: they are damaged, or of a newer version of swcalls."""
        return self._readers.set_aside

    def now(self) -> float:
        """Return the time of Redis in Unix seconds, by the offset that was measured last."""
        return time.monotonic() + self._offset

    async def remembered(self, owner: str) -> Sequence[Memo]:
        """Return the memos of *owner*."""
        name = self._name(owner, "memos")
        found: dict[bytes, bytes] = await self._ask(lambda pipeline: pipeline.hgetall(name), name)
        return self._memos.read(owner, found)

    async def _store(self, project: str, delivery: Delivery) -> bool:
        stream, milliseconds = self._keys.of(project, delivery.owner, "deliveries"), int(self._keep * 1000)
        fields: list[Any] = ["kind", delivery.kind, "key", delivery.key, "body", delivery.body]
        if _format.FORMAT > 1:
            fields += ["v", _format.FORMAT]

        def command(pipeline: Any) -> None:
            pipeline.eval(_PUBLISH, 1, stream, self._capacity, milliseconds, *fields)

        try:
            return await self._sender.run(command, stream, durable=True) is not None
        except REDIS_ERRORS as fault:
            if is_full(fault):
                raise BackplaneUnavailable(f"the memory of Redis is full: {fault}") from None
            raise

    async def _take(self, owner: str) -> bool:
        return await self._names.take(owner, self.now())

    async def _set_clock(self) -> None:
        known = self._keys.shared(self._names.project, "owners")
        seconds, microseconds = await self._ask(lambda pipeline: pipeline.time(), known)
        self._offset = seconds + microseconds / 1e6 - time.monotonic()

    def _advertise(self) -> None:
        takers, owner = self._calls.takers(self._names.project), self._owner
        if self._takes_calls:
            until = self.now() + self._lifetime
            self._post(lambda pipeline: pipeline.zadd(takers, {owner: until}), takers)
        else:
            self._post(lambda pipeline: pipeline.zrem(takers, owner), takers)

    async def _tidy(self, held: Sequence[str]) -> None:
        for owner in held:
            self._names.prolong(owner, self.now())
        self._names.forget_old(self.now())

    def _accept(self) -> None:
        self._sender.open()

    async def _flush(self) -> None:
        await self._sender.flush()

    async def _disconnect(self) -> None:
        await self._sender.close()
        with suppress(*REDIS_ERRORS):
            await self._sender.disconnect()

    def _name(self, owner: str, what: str) -> str:
        return self._keys.of(self._names.project, owner, what)

    def _write_memo(self, owner: str, field: str, value: bytes | None, done: Done) -> None:
        name = self._name(owner, "memos")
        if value is None:
            self._sender.post(lambda pipeline: pipeline.hdel(name, field), done, name, durable=True)
        else:
            self._sender.post(lambda pipeline: pipeline.hset(name, field, value), done, name, durable=True)

    def _post(self, command: Command, key: str) -> None:
        """Queue one command, and ignore its answer."""
        self._sender.post(command, ignore_answer, key)

    async def _ask(self, command: Command, key: str) -> Any:
        """Send one command, whose keys have the hash tag of *key*, and return its answer.

        Raises:
            BackplaneUnavailable: The command failed, or was not answered in time.
        """
        try:
            async with asyncio.timeout(self._patience):
                return await self._sender.run(command, key)
        except TimeoutError:
            raise BackplaneUnavailable(f"Redis gave no answer within {self._patience:g} s") from None
        except REDIS_ERRORS as fault:
            raise BackplaneUnavailable(f"Redis cannot be reached: {fault}") from fault
