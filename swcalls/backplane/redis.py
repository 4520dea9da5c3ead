"""The backplane that is Redis, or Valkey: a stream and a hash for each owner, so that no event is sent to everybody.

All keys of an owner share a hash tag, so they stay together in a cluster, and owners can be spread over several.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import secrets
import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from ..errors import ConfigurationError
from ._batch import Batch
from ._memos import Memos
from .protocol import BackplaneUnavailable, Delivery, Memo, OwnerTaken, Receive

_log = logging.getLogger("swcalls.backplane")

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")
_FAULTS = (RedisError, OSError, TimeoutError)
_chance = random.SystemRandom()

# Room is looked for and taken in one step; what has none must not push out what was promised to be kept.
_PUBLISH = """
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then return false end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local id = redis.call('XADD', KEYS[1], '*', 'kind', ARGV[3], 'key', ARGV[4], 'body', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return id
"""
# A name is ours to keep while it has our token, or while nobody has it: Redis may have lost it.
_RENEW = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class RedisBackplane:
    """Connects the processes of a project by way of Redis (6.2 or newer) or Valkey.

    Args:
        redis: A URL (``redis://``, ``rediss://``, ``unix://``), or a ``redis.asyncio.Redis`` to use, which is never
            closed here; it must not decode responses.
        owner: This process's name, for as long as it, or its successor, lives (letters, digits, ``_ - .``, at most 64);
            a fresh one by default, so that nobody comes back for what it leaves, but for a claimer.
        prefix: Of all keys.
        lifetime: Seconds after which an owner that gives no sign of life is dead (> 0).
        keep: Seconds for which deliveries and memos of a dead owner are kept (> 0).
        capacity: How many deliveries an owner's stream holds (>= 1); further ones are refused, and so sent again.
        patience: Seconds that publishing is tried (> 0); the platform itself waits 5 for an answer.

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
        # Its annotations are those of both its synchronous and its asynchronous face.
        self._redis: Any = (
            Redis.from_url(
                redis,
                socket_timeout=patience / 2,
                socket_connect_timeout=patience / 2,
                # Once, since a connection that was idle may be gone; what else there is to wait for is ours to know.
                retry=Retry(NoBackoff(), 1),
            )
            if isinstance(redis, str)
            else redis
        )
        self._owner = owner or f"o-{uuid.uuid4().hex[:16]}"
        self._prefix = prefix
        self._lifetime = lifetime
        self._keep = keep
        self._capacity = capacity
        self._patience = patience
        self._token = secrets.token_hex(8)
        self._batch = Batch(self._redis)
        self._project = ""
        self._receive: Receive | None = None
        self._lost: Callable[[str], object] = lambda _: None
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._heart: asyncio.Task[None] | None = None
        self._memos = Memos(self._batch, lambda owner: self._name(owner, "memos"))
        self._offset = 0.0
        """Redis's clock, less ours."""
        self._takes_calls = False
        self._closing = False
        self.published: int = 0
        self.refused: int = 0
        """Deliveries that could not be published."""
        self.received: int = 0

    def __repr__(self) -> str:
        return f"<RedisBackplane {self._owner}>"

    @property
    def owner(self) -> str:
        """The name of this process."""
        return self._owner

    def holds(self, owner: str) -> bool:
        """Say whether this process takes the deliveries of *owner*."""
        return owner in self._readers

    def now(self) -> float:
        """Tell Redis's time, as far as it is known."""
        return time.time() + self._offset

    async def open(self, project: str, receive: Receive, lost: Callable[[str], object]) -> None:
        """Take the name, and begin to hand deliveries to *receive*."""
        self._project, self._receive, self._lost = project, receive, lost
        self._closing = False
        try:
            await self._set_clock()
            # A predecessor that was killed has the name for a little longer.
            async with asyncio.timeout(1.5 * self._lifetime) as limit:
                while not await self._take(self._owner):  # Redis tells nobody when a name expires.
                    await asyncio.sleep(self._lifetime / 20)
                    # The cancellation that ends the block can get lost inside the client, before Python 3.12.
                    if limit.expired():
                        raise TimeoutError
        except TimeoutError:
            raise OwnerTaken(f"owner {self._owner!r}: another process that is alive has this name") from None
        except _FAULTS as fault:
            raise BackplaneUnavailable(f"Redis cannot be reached: {fault}") from fault
        self._read(self._owner)
        self._heart = asyncio.get_running_loop().create_task(self._beat())

    async def close(self) -> None:
        """Write what is still to be written, give the names up, and let go of everything."""
        self._closing = True
        tasks = [task for task in (self._heart, *self._readers.values()) if task is not None]
        held, self._heart = list(self._readers), None
        self._readers.clear()
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
            async with asyncio.timeout(self._patience):
                self._memos.catch_up()
                await self._batch.flush()
                for owner in held:
                    await self._eval(_RELEASE, [self._name(owner, "alive")], [self._token])
                    if not await self._redis.hlen(self._name(owner, "memos")):
                        await self._redis.zrem(self._shared("owners"), owner)
                if held:
                    await self._redis.zrem(self._shared("takers"), self._owner)
                else:
                    # An opening that was cut short may have taken the name; if another process has it, it keeps it.
                    await self._eval(_RELEASE, [self._name(self._owner, "alive")], [self._token])
        except _FAULTS as fault:
            _log.warning("owner %s: not given up in order: %s", self._owner, fault)
        finally:
            await self._batch.close()
            if not self._borrowed:
                await self._redis.aclose()

    async def publish(self, project: str, delivery: Delivery) -> None:
        """Keep *delivery* for its owner."""
        self._project = self._project or project
        stream, milliseconds = self._name(delivery.owner, "deliveries"), int(self._keep * 1000)
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
                    except _FAULTS as fault:
                        _log.info("a delivery for owner %s is tried again: %s", delivery.owner, fault)
                    await asyncio.sleep(wait * (0.5 + _chance.random() / 2))
                    wait = min(2 * wait, 0.5)
        except TimeoutError:
            self.refused += 1
            raise BackplaneUnavailable("Redis cannot be reached") from None
        if kept is None:
            self.refused += 1
            raise BackplaneUnavailable(f"the stream of owner {delivery.owner!r} is full")
        self.published += 1

    async def remember(self, memo: Memo, *, owner: str | None = None) -> None:
        """Keep *memo*; while Redis cannot be reached, it is kept here until it can."""
        await self._memos.put(owner or self._owner, memo)

    def forget(self, kind: str, key: str, *, owner: str | None = None) -> None:
        """Let go of a memo, soon."""
        self._memos.drop(owner or self._owner, f"{kind}/{key}")

    async def remembered(self, owner: str) -> Sequence[Memo]:
        """Return what is remembered for *owner*."""
        try:
            found: dict[bytes, bytes] = await self._redis.hgetall(self._name(owner, "memos"))
        except _FAULTS as fault:
            raise BackplaneUnavailable(f"Redis cannot be reached: {fault}") from fault
        return self._memos.read(owner, found)

    async def claim(self, owner: str) -> None:
        """Take over what an owner that is dead has left."""
        try:
            taken = owner in self._readers or await self._take(owner)
        except _FAULTS as fault:
            raise BackplaneUnavailable(f"Redis cannot be reached: {fault}") from fault
        if not taken:
            raise OwnerTaken(f"owner {owner!r}: it is alive, or another process has claimed it")
        self._read(owner)

    async def dead(self) -> Sequence[str]:
        """Return the owners that left something behind, and are not alive."""
        try:
            owners = [name.decode() for name in await self._redis.zrange(self._shared("owners"), 0, -1)]
            alive = await self._redis.mget([self._name(owner, "alive") for owner in owners]) if owners else []
        except _FAULTS as fault:
            raise BackplaneUnavailable(f"Redis cannot be reached: {fault}") from fault
        return [owner for owner, token in zip(owners, alive, strict=True) if token is None]

    def redeliver(self, owner: str) -> None:
        """Hand over the deliveries of *owner* once more."""
        reader = self._readers.pop(owner, None)
        if reader is not None:
            reader.cancel()
            self._read(owner)

    async def take_call(self, project: str, call_id: str, owner: str) -> str:
        """Give a call that came in to *owner*, unless it has an owner already."""
        self._project = self._project or project
        key, keep = self._shared(f"call:{call_id}"), int(self._keep * 1000)
        try:
            taken = await self._batch.run(lambda pipeline: pipeline.set(key, owner, nx=True, px=keep))
            found = owner.encode() if taken else await self._batch.run(lambda pipeline: pipeline.get(key))
        except _FAULTS as fault:
            raise BackplaneUnavailable(f"Redis cannot be reached: {fault}") from fault
        return owner if found is None else str(found.decode())

    async def find_call(self, project: str, call_id: str) -> str | None:
        """Return whose a call is that came in."""
        self._project = self._project or project
        try:
            found = await self._batch.run(lambda pipeline: pipeline.get(self._shared(f"call:{call_id}")))
        except _FAULTS as fault:
            raise BackplaneUnavailable(f"Redis cannot be reached: {fault}") from fault
        return None if found is None else str(found.decode())

    def offer(self, *, takes_calls: bool) -> None:
        """Say whether this process takes calls that come in."""
        self._takes_calls = takes_calls
        takers = self._shared("takers")
        if takes_calls:
            until = self.now() + self._lifetime
            self._batch.post(lambda pipeline: pipeline.zadd(takers, {self._owner: until}), _ignore)
        else:
            self._batch.post(lambda pipeline: pipeline.zrem(takers, self._owner), _ignore)

    async def taker(self, project: str) -> str | None:
        """Choose a process that takes calls."""
        self._project = self._project or project
        try:
            await self._set_clock()
            names = await self._redis.zrangebyscore(self._shared("takers"), self.now(), "+inf")
        except _FAULTS as fault:
            raise BackplaneUnavailable(f"Redis cannot be reached: {fault}") from fault
        return _chance.choice(names).decode() if names else None

    def _name(self, owner: str, what: str) -> str:
        return f"{self._prefix}:{{{self._project}:{owner}}}:{what}"

    def _shared(self, what: str) -> str:
        return f"{self._prefix}:{{{self._project}}}:{what}"

    async def _eval(self, script: str, keys: list[str], arguments: list[Any]) -> Any:
        return await self._redis.eval(script, len(keys), *keys, *arguments)

    async def _set_clock(self) -> None:
        seconds, microseconds = await self._redis.time()
        self._offset = seconds + microseconds / 1e6 - time.time()

    async def _take(self, owner: str) -> bool:
        name, milliseconds = self._name(owner, "alive"), int(self._lifetime * 1000)
        taken = bool(await self._redis.set(name, self._token, nx=True, px=milliseconds))
        if taken:
            await self._redis.zadd(self._shared("owners"), {owner: self.now()})
        return taken

    def _read(self, owner: str) -> None:
        if owner not in self._readers and not self._closing:
            self._readers[owner] = asyncio.get_running_loop().create_task(self._read_on(owner))

    async def _read_on(self, owner: str) -> None:
        """Hand over what is in the stream of *owner*, and then what comes, until it is cancelled."""
        stream, last, wait = self._name(owner, "deliveries"), b"0-0", 0.05
        block = max(1, int(self._patience * 1000 / 4))
        # A cancellation that meets a timeout inside the client can get lost there.
        while self._readers.get(owner) is asyncio.current_task():
            try:
                found = await self._redis.xread({stream: last}, count=100, block=block)
                wait = 0.05
            except _FAULTS as fault:
                _log.warning("owner %s: deliveries cannot be read, for %.2f s: %s", owner, wait, fault)
                await asyncio.sleep(wait * (0.5 + _chance.random() / 2))
                wait = min(2 * wait, self._lifetime / 4)
                continue
            entries = found[0][1] if found else ()
            done = []
            for entry, fields in entries:
                last = entry
                if fields is None or await self._hand_over(owner, fields):
                    done.append(entry)
            if done:
                # After what it caused was noted in the same batch, so that a crash between the two repeats it.
                self._batch.post(partial(_delete, stream, done), _ignore)

    async def _hand_over(self, owner: str, fields: dict[bytes, bytes]) -> bool:
        assert self._receive is not None
        try:
            kind, key, body = fields[b"kind"].decode(), fields[b"key"].decode(), fields[b"body"]
        except (KeyError, UnicodeDecodeError):
            _log.warning("owner %s: an entry of the stream cannot be read, and is dropped", owner)
            return True
        self.received += 1
        return await self._receive(Delivery(owner=owner, kind=kind, key=key, body=body))

    async def _beat(self) -> None:
        """Give signs of life, a few in each lifetime, and catch up on what could not be written."""
        milliseconds = int(self._lifetime * 1000)
        while not self._closing:
            await asyncio.sleep(self._lifetime / 4)
            try:
                await self._set_clock()
                for owner in list(self._readers):
                    name = self._name(owner, "alive")
                    if not await self._eval(_RENEW, [name], [self._token, milliseconds]):
                        self._lose(owner)
                        continue
                    oldest = int((self.now() - self._keep) * 1000)
                    await self._redis.xtrim(self._name(owner, "deliveries"), minid=f"{max(0, oldest)}-0")
                    await self._redis.pexpire(self._name(owner, "memos"), int(self._keep * 1000))
                    await self._redis.zadd(self._shared("owners"), {owner: self.now()})
                await self._redis.zremrangebyscore(self._shared("owners"), 0, self.now() - self._keep)
                if self._takes_calls:
                    self.offer(takes_calls=True)
                self._memos.catch_up()
            except _FAULTS as fault:
                _log.warning("owner %s: no sign of life could be given: %s", self._owner, fault)

    def _lose(self, owner: str) -> None:
        _log.error("owner %s: another process has taken it over, since this one seemed dead", owner)
        self._readers.pop(owner).cancel()
        self._lost(owner)


def _delete(stream: str, entries: list[bytes], pipeline: Any) -> None:
    pipeline.xdel(stream, *entries)


def _ignore(_: Any) -> None:
    """Do nothing with an answer that nobody needs."""
