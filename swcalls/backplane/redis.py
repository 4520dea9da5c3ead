"""`RedisBackplane`: a backplane in Redis or Valkey, with a stream of deliveries and a hash of memos for each owner.

The private modules of this package do its parts: `_connect` makes clients, `_batch` and `_cluster` send commands,
`_names` holds the names of owners, `_readers` reads the streams, `_memos` writes the memos, `_calls` assigns calls.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis, RedisCluster

from .._engine.tasks import to_the_end
from ..errors import ConfigurationError
from . import _format
from ._batch import Command, Done, ignore_answer, is_full
from ._calls import Calls
from ._connect import connect
from ._keys import Keys
from ._memos import Memos
from ._names import Names
from ._readers import Readers
from ._retries import REDIS_ERRORS, with_jitter
from .protocol import BackplaneError, BackplaneUnavailable, Delivery, Memo, OwnerTaken, Receive

_log = logging.getLogger("swcalls.backplane")

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")

# Checks the length of the stream and appends in one step. XADD with MAXLEN would drop older deliveries instead. All
# arguments after the second are the fields. XADD is the first command that writes: after another one, Redis would carry
# it out although its memory is full.
_PUBLISH = """
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then return false end
local id = redis.call('XADD', KEYS[1], '*', unpack(ARGV, 3))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return id
"""


class RedisBackplane:
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
        for name, value in (("owner", owner or "x"), ("prefix", prefix)):
            if not isinstance(value, str) or not _NAME.match(value):
                raise ConfigurationError(f"{name}={value!r} must be made of 1 to 64 letters, digits, _, - and .")
        for name, number in (("lifetime", lifetime), ("keep", keep), ("capacity", capacity), ("patience", patience)):
            if isinstance(number, bool) or not isinstance(number, int | float) or not number > 0:
                raise ConfigurationError(f"{name}={number!r} must be a number greater than 0")
        if isinstance(replicas, bool) or not isinstance(replicas, int) or replicas < 0:
            raise ConfigurationError(f"replicas={replicas!r} must be a whole number of at least 0")
        self._sender = connect(redis, patience, replicas)
        self._owner = owner or f"o-{uuid.uuid4().hex[:16]}"
        self._lifetime = lifetime
        self._keep = keep
        self._capacity = capacity
        self._patience = patience
        self._keys = Keys(prefix)
        self._memos = Memos(self._write_memo, patience)
        self._calls = Calls(self._ask, self._keys, keep)
        self._readers = Readers(self._sender, self._name, patience, keep)
        self._names = Names(self._ask, self._post, self._keys, lifetime, keep)
        self._lost: Callable[[str], object] = lambda _: None
        self._heart: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        """Held while names are taken or released."""
        self._offset = time.time() - time.monotonic()
        """The clock of Redis minus the monotonic clock, which does not jump; in seconds."""
        self._takes_calls = False
        self._is_open = False
        self._is_closed = False
        self.published: int = 0
        """How many deliveries were published."""
        self.refused: int = 0
        """How many deliveries could not be published."""

    def __repr__(self) -> str:
        return f"<RedisBackplane {self._owner}>"

    @property
    def owner(self) -> str:
        """The name of this process."""
        return self._owner

    @property
    def received(self) -> int:
        """How many deliveries were read from the streams."""
        return self._readers.received

    @property
    def set_aside(self) -> int:
        """How many entries of the streams could not be read: they are damaged, or of a newer version of swcalls."""
        return self._readers.set_aside

    def holds(self, owner: str) -> bool:
        """Return whether this process gets the deliveries of *owner*."""
        return owner in self._readers

    def now(self) -> float:
        """Return the time of Redis in Unix seconds, by the offset that was measured last."""
        return time.monotonic() + self._offset

    async def open(self, project: str, receive: Receive, lost: Callable[[str], object]) -> None:
        """Take the name of this process, and begin to pass its deliveries to *receive*."""
        if self._is_open:
            raise BackplaneError(f"owner {self._owner!r}: the backplane is open, and serves one client only")
        self._names.project, self._readers.receive, self._lost = project, receive, lost
        self._is_open, self._is_closed = True, False
        self._sender.open()
        try:
            await self._take_own_name()
            self._check_open()
        except BaseException:
            await self.close()
            raise
        self._readers.start(self._owner)
        self._heart = asyncio.get_running_loop().create_task(self._beat())
        self._advertise()

    async def close(self) -> None:
        """Write pending changes, release all names, and close the connection unless it was given by the user.

        It takes about ``patience`` seconds at most. If it is cancelled, it still runs to its end.
        """
        await to_the_end(self._close())

    async def publish(self, project: str, delivery: Delivery) -> None:
        """Store *delivery* in the stream of its owner, with retries for up to ``patience`` seconds."""
        stream, milliseconds = self._keys.of(project, delivery.owner, "deliveries"), int(self._keep * 1000)
        fields: list[Any] = ["kind", delivery.kind, "key", delivery.key, "body", delivery.body]
        if _format.FORMAT > 1:
            fields += ["v", _format.FORMAT]

        def command(pipeline: Any) -> None:
            pipeline.eval(_PUBLISH, 1, stream, self._capacity, milliseconds, *fields)

        wait, why = 0.02, "Redis gave no answer"
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    try:
                        kept = await self._sender.run(command, stream, durable=True)
                        break
                    except REDIS_ERRORS as fault:
                        if self._is_closed:
                            raise BackplaneUnavailable("the backplane is closed") from None
                        why = f"Redis cannot be reached, or refuses: {fault}"
                        if is_full(fault):
                            self.refused += 1
                            raise BackplaneUnavailable(f"the memory of Redis is full: {fault}") from None
                        _log.info("publishing a delivery for owner %s is retried: %s", delivery.owner, fault)
                    await asyncio.sleep(with_jitter(wait))
                    wait = min(2 * wait, 0.5)
        except TimeoutError:
            self.refused += 1
            raise BackplaneUnavailable(why) from None
        if kept is None:
            self.refused += 1
            raise BackplaneUnavailable(f"the stream of owner {delivery.owner!r} is full")
        self.published += 1

    async def remember(self, memo: Memo, *, owner: str | None = None) -> None:
        """Store *memo*; while Redis cannot be reached, it is kept in memory and written later."""
        await self._memos.put(owner or self._owner, memo)

    def forget(self, kind: str, key: str, *, owner: str | None = None) -> None:
        """Queue the deletion of a memo."""
        self._memos.drop(owner or self._owner, f"{kind}/{key}")

    async def remembered(self, owner: str) -> Sequence[Memo]:
        """Return the memos of *owner*."""
        name = self._name(owner, "memos")
        found: dict[bytes, bytes] = await self._ask(lambda pipeline: pipeline.hgetall(name), name)
        return self._memos.read(owner, found)

    async def claim(self, owner: str) -> None:
        """Take over the name, the deliveries and the memos of a dead owner."""
        async with self._one_at_a_time:
            if owner in self._readers:
                return
            self._check_open()
            try:
                taken = await self._names.take(owner, self.now())
                self._check_open()
            except BaseException:
                self.release(owner)
                raise
            if not taken:
                raise OwnerTaken(f"owner {owner!r}: this owner is alive, or another process has claimed it")
            self._readers.start(owner)

    def release(self, owner: str) -> None:
        """Stop reading the deliveries of a claimed owner, and queue the release of its name."""
        self._readers.stop(owner)
        self._names.release(owner)

    async def dead(self) -> Sequence[str]:
        """Return the owners that are not alive, and may have left memos or deliveries."""
        return await self._names.dead()

    def redeliver(self, owner: str) -> None:
        """Pass the stored deliveries of *owner* to ``receive`` again."""
        self._readers.restart(owner)

    async def announce_call(self, project: str, call_id: str, seconds: float) -> str | None:
        """Announce an inbound call; the first process that takes it within *seconds* becomes its owner."""
        return await self._calls.announce(project, call_id, seconds)

    async def take_call(self, project: str, call_id: str, owner: str) -> str | None:
        """Make *owner* the owner of an announced call, if it is the first; return the owner of the call."""
        return await self._calls.take(project, call_id, owner)

    async def find_call(self, project: str, call_id: str, *, wait: float = 0.0) -> str | None:
        """Return the owner of an inbound call; while it is announced, wait up to *wait* seconds."""
        return await self._calls.find(project, call_id, wait)

    def offer(self, *, takes_calls: bool) -> None:
        """Advertise whether this process accepts inbound calls."""
        self._takes_calls = takes_calls
        if self._owner in self._readers:
            self._advertise()

    async def taker(self, project: str, *, besides: Collection[str] = ()) -> str | None:
        """Return a random process that accepts inbound calls, but none of *besides*."""
        return await self._calls.taker(project, besides)

    def _name(self, owner: str, what: str) -> str:
        return self._keys.of(self._names.project, owner, what)

    def _write_memo(self, owner: str, field: str, value: bytes | None, done: Done) -> None:
        name = self._name(owner, "memos")
        if value is None:
            self._sender.post(lambda pipeline: pipeline.hdel(name, field), done, name, durable=True)
        else:
            self._sender.post(lambda pipeline: pipeline.hset(name, field, value), done, name, durable=True)

    def _check_open(self) -> None:
        if not self._is_open:
            raise BackplaneUnavailable("the backplane is not open")

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

    async def _set_clock(self) -> None:
        known = self._keys.shared(self._names.project, "owners")
        seconds, microseconds = await self._ask(lambda pipeline: pipeline.time(), known)
        self._offset = seconds + microseconds / 1e6 - time.monotonic()

    async def _take_own_name(self) -> None:
        is_taken = False
        try:
            # The name of a killed predecessor expires after `lifetime`.
            async with asyncio.timeout(1.5 * self._lifetime):
                await self._set_clock()
                while not await self._names.take(self._owner, self.now()):
                    is_taken = True
                    await asyncio.sleep(self._lifetime / 20)
        except TimeoutError:
            if not is_taken:
                raise BackplaneUnavailable("Redis gave no answer in time") from None
            raise OwnerTaken(f"owner {self._owner!r}: another process that is alive holds this name") from None

    def _advertise(self) -> None:
        takers, owner = self._calls.takers(self._names.project), self._owner
        if self._takes_calls:
            until = self.now() + self._lifetime
            self._post(lambda pipeline: pipeline.zadd(takers, {owner: until}), takers)
        else:
            self._post(lambda pipeline: pipeline.zrem(takers, owner), takers)

    async def _close(self) -> None:
        names = {self._owner, *self._readers.owners} if self._is_open else set()
        self._is_open, self._is_closed = False, True
        self.offer(takes_calls=False)
        for owner in self._readers.owners:
            self._readers.stop(owner)
        async with self._one_at_a_time:
            try:
                heart, self._heart = self._heart, None
                if heart is not None:
                    heart.cancel()
                    await asyncio.wait([heart])
                await self._readers.wait()
                async with asyncio.timeout(self._patience):
                    self._memos.catch_up()
                    for owner in names:
                        await self._names.give_up(owner)
                    await self._sender.flush()
            except (BackplaneUnavailable, TimeoutError) as fault:
                _log.warning("owner %s: closing was not complete: %s", self._owner, fault)
            finally:
                await self._sender.close()
                with suppress(*REDIS_ERRORS):
                    await self._sender.disconnect()

    async def _beat(self) -> None:
        """Send heartbeats, four in each ``lifetime``: renew all names, and retry memos that could not be written."""
        while self._is_open:
            await asyncio.sleep(self._lifetime / 4)
            try:
                await self._set_clock()
                for owner in self._readers.owners:
                    if owner in self._readers and await self._names.take(owner, self.now()):
                        self._names.prolong(owner, self.now())
                    else:
                        self._lose(owner)
                self._names.forget_old(self.now())
                if self._takes_calls:
                    self._advertise()
                self._memos.catch_up()
            except BackplaneError as fault:
                _log.warning("owner %s: the heartbeat failed: %s", self._owner, fault)

    def _lose(self, owner: str) -> None:
        if not self._readers.stop(owner):
            return  # It was released in the meantime.
        _log.error("owner %s: another process has taken over this name, since this process seemed dead", owner)
        self._memos.abandon(owner)
        if owner == self._owner:
            self._takes_calls = False
        try:
            self._lost(owner)
        except Exception:  # noqa: BLE001 - the heartbeat must go on for the other names
            _log.exception("owner %s: the callback for a lost name failed", owner)
