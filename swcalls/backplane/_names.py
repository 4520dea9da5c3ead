"""`Names`: takes, keeps and releases the names of owners in Redis, and finds dead owners. For `RedisBackplane`."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from ._batch import Command
from ._keys import Keys

# Takes or keeps a name if its value is our token, or if it has no value (it is free, or Redis has lost it).
_HOLD = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
# Returns the number of memos of the name, or -1 if another process holds it.
_RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
redis.call('DEL', KEYS[1])
return redis.call('HLEN', KEYS[2])
"""


class Names:
    """Takes, keeps and releases names. All times are by the clock of Redis."""

    def __init__(
        self,
        ask: Callable[[Command], Awaitable[Any]],
        post: Callable[[Command], object],
        keys: Keys,
        lifetime: float,
        keep: float,
    ) -> None:
        self.project = ""
        self._ask = ask
        self._post = post
        self._keys = keys
        self._milliseconds = int(lifetime * 1000)
        self._keep = keep
        self._token = secrets.token_hex(8)

    async def take(self, owner: str, now: float) -> bool:
        """Take a name, or keep it if this process holds it; return whether this process holds it now."""
        alive, known = self._of(owner, "alive"), self._known
        if not await self._ask(lambda pipeline: pipeline.eval(_HOLD, 1, alive, self._token, self._milliseconds)):
            return False
        self._post(lambda pipeline: pipeline.zadd(known, {owner: now}))
        return True

    def prolong(self, owner: str, now: float) -> None:
        """Renew the lifetime of the memos of a name that this process holds, and delete its expired deliveries."""
        stream, memos, oldest = self._of(owner, "deliveries"), self._of(owner, "memos"), now - self._keep
        self._post(lambda pipeline: pipeline.xtrim(stream, minid=f"{max(0, int(oldest * 1000))}-0"))
        self._post(lambda pipeline: pipeline.pexpire(memos, int(self._keep * 1000)))

    def forget_old(self, now: float) -> None:
        """Delete the names of owners that were last alive before the retention period."""
        known, oldest = self._known, now - self._keep
        self._post(lambda pipeline: pipeline.zremrangebyscore(known, 0, oldest))

    def release(self, owner: str) -> None:
        """Queue the release of a name; no effect if another process holds it."""
        self._post(self._releasing(owner))

    async def give_up(self, owner: str) -> None:
        """Release a name, if this process holds it; if it has no memos, remove it from the known owners, too."""
        known = self._known
        if await self._ask(self._releasing(owner)) == 0:
            self._post(lambda pipeline: pipeline.zrem(known, owner))

    async def dead(self) -> list[str]:
        """Return the known owners that are not alive."""
        known = self._known
        owners = [name.decode() for name in await self._ask(lambda pipeline: pipeline.zrange(known, 0, -1))]
        names = [self._of(owner, "alive") for owner in owners]
        alive = await self._ask(lambda pipeline: pipeline.mget(names)) if names else []
        return [owner for owner, token in zip(owners, alive, strict=True) if token is None]

    @property
    def _known(self) -> str:
        return self._keys.shared(self.project, "owners")

    def _of(self, owner: str, what: str) -> str:
        return self._keys.of(self.project, owner, what)

    def _releasing(self, owner: str) -> Command:
        names = self._of(owner, "alive"), self._of(owner, "memos")
        return lambda pipeline: pipeline.eval(_RELEASE, 2, *names, self._token)
