"""`RedisBackplane`: a backplane in Redis or Valkey, with a stream of deliveries and a hash of memos for each owner.

The private modules of this package do its parts: `_batch` sends commands, `_names` holds the names of owners,
`_readers` reads the streams, `_memos` writes the memos, `_calls` assigns inbound calls.
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

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from .._engine.tasks import to_the_end
from ..errors import ConfigurationError
from ._batch import Batch, Command, Done, ignore_answer
from ._calls import Calls
from ._keys import Keys
from ._memos import Memos
from ._names import Names
from ._readers import Readers
from ._retries import REDIS_ERRORS, with_jitter
from .protocol import BackplaneError, BackplaneUnavailable, Delivery, Memo, OwnerTaken, Receive

_log = logging.getLogger("swcalls.backplane")

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")

# Checks the length of the stream and appends in one step. XADD with MAXLEN would drop older deliveries instead.
_PUBLISH = """
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then return false end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local id = redis.call('XADD', KEYS[1], '*', 'kind', ARGV[3], 'key', ARGV[4], 'body', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return id
"""


class RedisBackplane:
    """Connects the processes of a project through Redis (6.2 or newer) or Valkey.

    Args:
        redis: A URL (``redis://``, ``rediss://``, ``unix://``), or a ``redis.asyncio.Redis``, which must not decode
            responses, and which the backplane does not close.
        owner: The name of this process (at most 64 letters, digits, ``_ - .``). A process that is restarted with the
            same name gets its deliveries and memos back. Default: a random name; then only a process that claims it can
            get them.
        prefix: The prefix of all keys.
        lifetime: Seconds without a heartbeat after which an owner counts as dead (> 0).
        keep: Seconds for which deliveries and memos of a dead owner are kept (> 0).
        capacity: The most deliveries in the stream of an owner (>= 1); further ones are refused, and sent again.
        patience: The timeout for publishing and other operations, in seconds (> 0); the platform waits 5 for an answer.

    Raises:
        ConfigurationError: An argument breaks its rule.
    """

    def __init__(
        self,
        redis: str | Redis,
        *,
        owner: str | None = None,
        prefix: str = "swcalls",
        lifetime: float = 10.0,
        keep: float = 86_400.0,
        capacity: int = 100_000,
        patience: float = 2.0,
    ) -> None:
        for name, value in (("owner", owner or "x"), ("prefix", prefix)):
            if not isinstance(value, str) or not _NAME.match(value):
                raise ConfigurationError(f"{name}={value!r} must be made of 1 to 64 letters, digits, _, - and .")
        for name, number in (("lifetime", lifetime), ("keep", keep), ("capacity", capacity), ("patience", patience)):
            if isinstance(number, bool) or not isinstance(number, int | float) or not number > 0:
                raise ConfigurationError(f"{name}={number!r} must be a number greater than 0")
        self._borrowed = not isinstance(redis, str)
        # Any: the annotations of redis-py cover its synchronous and its asynchronous client at once.
        self._redis: Any = (
            Redis.from_url(
                redis,
                socket_timeout=patience / 2,
                socket_connect_timeout=patience / 2,
                # One retry, since an idle connection may have been closed. Further retries are made by this class.
                retry=Retry(NoBackoff(), 1),
            )
            if isinstance(redis, str)
            else redis
        )
        self._owner = owner or f"o-{uuid.uuid4().hex[:16]}"
        self._lifetime = lifetime
        self._keep = keep
        self._capacity = capacity
        self._patience = patience
        self._keys = Keys(prefix)
        self._batch = Batch(self._redis)
        self._memos = Memos(self._write_memo, patience)
        self._calls = Calls(self._ask, self._keys, keep)
        self._readers = Readers(self._redis, self._batch, lambda owner: self._name(owner, "deliveries"), patience)
        self._names = Names(self._ask, self._post, self._keys, lifetime, keep)
        self._lost: Callable[[str], object] = lambda _: None
        self._heart: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        """Held while names are taken or released."""
        self._offset = 0.0
        """The clock of Redis minus the local clock, in seconds."""
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

    def holds(self, owner: str) -> bool:
        """Return whether this process gets the deliveries of *owner*."""
        return owner in self._readers

    def now(self) -> float:
        """Return the time of Redis in Unix seconds, by the offset that was measured last."""
        return time.time() + self._offset

    async def open(self, project: str, receive: Receive, lost: Callable[[str], object]) -> None:
        """Take the name of this process, and begin to pass its deliveries to *receive*."""
        if self._is_open:
            raise BackplaneError(f"owner {self._owner!r}: the backplane is open, and serves one client only")
        self._names.project, self._readers.receive, self._lost = project, receive, lost
        self._is_open, self._is_closed = True, False
        self._batch.open()
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
        fields = (delivery.kind, delivery.key, delivery.body)

        def command(pipeline: Any) -> None:
            pipeline.eval(_PUBLISH, 1, stream, self._capacity, milliseconds, *fields)

        wait = 0.02
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    try:
                        kept = await self._batch.run(command)
                        break
                    except REDIS_ERRORS as fault:
                        if self._is_closed:
                            raise BackplaneUnavailable("the backplane is closed") from None
                        _log.info("publishing a delivery for owner %s is retried: %s", delivery.owner, fault)
                    await asyncio.sleep(with_jitter(wait))
                    wait = min(2 * wait, 0.5)
        except TimeoutError:
            self.refused += 1
            raise BackplaneUnavailable("Redis cannot be reached") from None
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
        found: dict[bytes, bytes] = await self._ask(lambda pipeline: pipeline.hgetall(self._name(owner, "memos")))
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
            self._batch.post(lambda pipeline: pipeline.hdel(name, field), done)
        else:
            self._batch.post(lambda pipeline: pipeline.hset(name, field, value), done)

    def _check_open(self) -> None:
        if not self._is_open:
            raise BackplaneUnavailable("the backplane is not open")

    def _post(self, command: Command) -> None:
        """Queue one command, and ignore its answer."""
        self._batch.post(command, ignore_answer)

    async def _ask(self, command: Command) -> Any:
        """Send one command, and return its answer.

        Raises:
            BackplaneUnavailable: The command failed, or was not answered in time.
        """
        try:
            async with asyncio.timeout(self._patience):
                return await self._batch.run(command)
        except TimeoutError:
            raise BackplaneUnavailable(f"Redis gave no answer within {self._patience:g} s") from None
        except REDIS_ERRORS as fault:
            raise BackplaneUnavailable(f"Redis cannot be reached: {fault}") from fault

    async def _set_clock(self) -> None:
        seconds, microseconds = await self._ask(lambda pipeline: pipeline.time())
        self._offset = seconds + microseconds / 1e6 - time.time()

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
            self._post(lambda pipeline: pipeline.zadd(takers, {owner: until}))
        else:
            self._post(lambda pipeline: pipeline.zrem(takers, owner))

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
                    await self._batch.flush()
            except (BackplaneUnavailable, TimeoutError) as fault:
                _log.warning("owner %s: closing was not complete: %s", self._owner, fault)
            finally:
                await self._batch.close()
                if not self._borrowed:
                    with suppress(*REDIS_ERRORS):
                        await self._redis.aclose()

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
            except BackplaneUnavailable as fault:
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
