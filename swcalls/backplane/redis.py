"""The backplane that is Redis, or Valkey: a stream and a hash for each owner, so that no event is sent to everybody."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from .._engine.tasks import to_the_end
from ..errors import ConfigurationError
from ._batch import Batch, Command
from ._calls import Calls
from ._keys import Keys
from ._memos import Memos
from ._names import Names
from ._readers import Readers
from .protocol import BackplaneError, BackplaneUnavailable, Delivery, Memo, OwnerTaken, Receive

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
        self._lifetime = lifetime
        self._keep = keep
        self._capacity = capacity
        self._patience = patience
        self._keys = Keys(prefix)
        self._batch = Batch(self._redis)
        self._memos = Memos(self._batch, lambda owner: self._name(owner, "memos"), patience)
        self._calls = Calls(self._ask, self._keys, keep)
        self._readers = Readers(self._redis, self._batch, lambda owner: self._name(owner, "deliveries"), patience)
        self._names = Names(self._ask, self._post, self._keys, lifetime, keep)
        self._lost: Callable[[str], object] = lambda _: None
        self._heart: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        """For what takes names, and for what gives them up."""
        self._offset = 0.0
        """Redis's clock, less ours."""
        self._takes_calls = False
        self._is_open = False
        self._is_closed = False
        self.published: int = 0
        self.refused: int = 0
        """Deliveries that could not be published."""

    def __repr__(self) -> str:
        return f"<RedisBackplane {self._owner}>"

    @property
    def owner(self) -> str:
        """The name of this process."""
        return self._owner

    @property
    def received(self) -> int:
        """How many deliveries were handed over."""
        return self._readers.received

    def holds(self, owner: str) -> bool:
        """Say whether this process takes the deliveries of *owner*."""
        return owner in self._readers

    def now(self) -> float:
        """Tell Redis's time, as far as it is known."""
        return time.time() + self._offset

    async def open(self, project: str, receive: Receive, lost: Callable[[str], object]) -> None:
        """Take the name, and begin to hand deliveries to *receive*."""
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
        """Write what is still to be written, give the names up, and let go of everything.

        However often it is cancelled, it goes on to its end, which takes about ``patience`` seconds at most.
        """
        await to_the_end(self._close())

    async def publish(self, project: str, delivery: Delivery) -> None:
        """Keep *delivery* for its owner."""
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
                    except _FAULTS as fault:
                        if self._is_closed:
                            raise BackplaneUnavailable("the backplane is closed") from None
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
        found: dict[bytes, bytes] = await self._ask(lambda pipeline: pipeline.hgetall(self._name(owner, "memos")))
        return self._memos.read(owner, found)

    async def claim(self, owner: str) -> None:
        """Take over what an owner that is dead has left."""
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
                raise OwnerTaken(f"owner {owner!r}: it is alive, or another process has claimed it")
            self._readers.start(owner)

    def release(self, owner: str) -> None:
        """Give a name up that was claimed, soon."""
        self._readers.stop(owner)
        self._names.release(owner)

    async def dead(self) -> Sequence[str]:
        """Return the owners that left something behind, and are not alive."""
        return await self._names.dead()

    def redeliver(self, owner: str) -> None:
        """Hand over the deliveries of *owner* once more."""
        self._readers.restart(owner)

    async def announce_call(self, project: str, call_id: str, seconds: float) -> str | None:
        """Let the first process that asks for it have a call that comes in."""
        return await self._calls.announce(project, call_id, seconds)

    async def take_call(self, project: str, call_id: str, owner: str) -> str | None:
        """Give a call that is announced to *owner*; return whose it is."""
        return await self._calls.take(project, call_id, owner)

    async def find_call(self, project: str, call_id: str, *, wait: float = 0.0) -> str | None:
        """Return whose a call is that came in."""
        return await self._calls.find(project, call_id, wait)

    def offer(self, *, takes_calls: bool) -> None:
        """Say whether this process takes calls that come in."""
        self._takes_calls = takes_calls
        if self._owner in self._readers:
            self._advertise()

    async def taker(self, project: str, *, besides: Collection[str] = ()) -> str | None:
        """Choose a process that takes calls."""
        return await self._calls.taker(project, besides)

    def _name(self, owner: str, what: str) -> str:
        return self._keys.of(self._names.project, owner, what)

    def _check_open(self) -> None:
        if not self._is_open:
            raise BackplaneUnavailable("the backplane is not open")

    def _post(self, command: Command) -> None:
        """Send one command, soon."""
        self._batch.post(command, _ignore)

    async def _ask(self, command: Command) -> Any:
        """Send one command, and return its answer."""
        try:
            async with asyncio.timeout(self._patience):
                return await self._batch.run(command)
        except TimeoutError:
            raise BackplaneUnavailable(f"Redis gave no answer within {self._patience:g} s") from None
        except _FAULTS as fault:
            raise BackplaneUnavailable(f"Redis cannot be reached: {fault}") from fault

    async def _set_clock(self) -> None:
        seconds, microseconds = await self._ask(lambda pipeline: pipeline.time())
        self._offset = seconds + microseconds / 1e6 - time.time()

    async def _take_own_name(self) -> None:
        is_taken = False
        try:
            # A predecessor that was killed has the name for a little longer.
            async with asyncio.timeout(1.5 * self._lifetime):
                await self._set_clock()
                while not await self._names.take(self._owner, self.now()):
                    is_taken = True
                    await asyncio.sleep(self._lifetime / 20)
        except TimeoutError:
            if not is_taken:
                raise BackplaneUnavailable("Redis gave no answer in time") from None
            raise OwnerTaken(f"owner {self._owner!r}: another process that is alive has this name") from None

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
                _log.warning("owner %s: not given up in order: %s", self._owner, fault)
            finally:
                await self._batch.close()
                if not self._borrowed:
                    with suppress(*_FAULTS):
                        await self._redis.aclose()

    async def _beat(self) -> None:
        """Give signs of life, a few in each lifetime, and catch up on what could not be written."""
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
                _log.warning("owner %s: no sign of life could be given: %s", self._owner, fault)

    def _lose(self, owner: str) -> None:
        if not self._readers.stop(owner):
            return  # It was given up in the meantime.
        _log.error("owner %s: another process has taken it over, since this one seemed dead", owner)
        self._memos.abandon(owner)
        if owner == self._owner:
            self._takes_calls = False
        try:
            self._lost(owner)
        except Exception:  # noqa: BLE001 - the names that are left are still to be kept
            _log.exception("owner %s: not everything that waited for it was told", owner)


def _ignore(_: Any) -> None:
    """Do nothing with an answer that nobody needs."""
