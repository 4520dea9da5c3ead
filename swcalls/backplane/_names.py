"""`Names`: takes, keeps and releases the names of owners in Redis, and finds dead owners. For `RedisBackplane`."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from . import _format
from ._batch import Command
from ._keys import Keys
from .protocol import BackplaneError

# Takes or keeps a name if its value is our token, or if it has no value (it is free, or Redis has lost it). Returns 0
# if another process holds it, and a negative number if its data has a newer format: that of the format. A name that is
# held is prolonged with PEXPIRE, which Redis does also when its memory is full.
_HOLD = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
local format = tonumber(redis.call('GET', KEYS[2]) or '') or 0
if format > tonumber(ARGV[3]) then return -format end
if not holder or redis.call('PEXPIRE', KEYS[1], ARGV[2]) == 0 then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
if format < tonumber(ARGV[3]) or redis.call('PEXPIRE', KEYS[2], ARGV[4]) == 0 then
  redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
end
return 1
"""
# Returns the number of memos of the name, or -1 if another process holds it.
_RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
redis.call('DEL', KEYS[1])
local memos = redis.call('HLEN', KEYS[2])
if memos == 0 and redis.call('XLEN', KEYS[3]) == 0 then redis.call('DEL', KEYS[4]) end
return memos
"""


class Names:
    """Takes, keeps and releases names. All times are by the clock of Redis."""

    def __init__(
        self,
        ask: Callable[[Command, str], Awaitable[Any]],
        post: Callable[[Command, str], object],
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
        """Take a name, or keep it if this process holds it; return whether this process holds it now.

        Raises:
            BackplaneError: The data of the name has a format that is newer than that of this version of swcalls.
        """
        alive, form, known, version = self._of(owner, "alive"), self._of(owner, "format"), self._known, _format.FORMAT
        arguments = self._token, self._milliseconds, version, int(self._keep * 1000)
        answer = await self._ask(lambda pipeline: pipeline.eval(_HOLD, 2, alive, form, *arguments), alive)
        if answer < 0:
            raise BackplaneError(
                f"owner {owner!r}: a newer version of swcalls has left data of format {-answer}, and this version "
                f"reads format {version} and older: start the newer version under this name"
            )
        if not answer:
            return False
        self._post(lambda pipeline: pipeline.zadd(known, {owner: now}), known)
        return True

    def prolong(self, owner: str, now: float) -> None:
        """Renew the lifetime of the memos of a name that this process holds, and delete its expired deliveries."""
        stream, memos, oldest = self._of(owner, "deliveries"), self._of(owner, "memos"), now - self._keep
        self._post(lambda pipeline: pipeline.xtrim(stream, minid=f"{max(0, int(oldest * 1000))}-0"), stream)
        self._post(lambda pipeline: pipeline.pexpire(memos, int(self._keep * 1000)), memos)

    def forget_old(self, now: float) -> None:
        """Delete the names of owners that were last alive before the retention period."""
        known, oldest = self._known, now - self._keep
        self._post(lambda pipeline: pipeline.zremrangebyscore(known, 0, oldest), known)

    def release(self, owner: str) -> None:
        """Queue the release of a name; no effect if another process holds it."""
        self._post(self._releasing(owner), self._of(owner, "alive"))

    async def give_up(self, owner: str) -> None:
        """Release a name, if this process holds it; if it has no memos, remove it from the known owners, too."""
        known = self._known
        if await self._ask(self._releasing(owner), self._of(owner, "alive")) == 0:
            self._post(lambda pipeline: pipeline.zrem(known, owner), known)

    async def dead(self) -> list[str]:
        """Return the known owners that are not alive."""
        known = self._known
        owners = [name.decode() for name in await self._ask(lambda pipeline: pipeline.zrange(known, 0, -1), known)]
        # One question for each, since a cluster has them on several nodes.
        answers = await asyncio.gather(*map(self._is_alive, owners), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return [owner for owner, is_alive in zip(owners, answers, strict=True) if not is_alive]

    async def _is_alive(self, owner: str) -> bool:
        alive = self._of(owner, "alive")
        return bool(await self._ask(lambda pipeline: pipeline.exists(alive), alive))

    @property
    def _known(self) -> str:
        return self._keys.shared(self.project, "owners")

    def _of(self, owner: str, what: str) -> str:
        return self._keys.of(self.project, owner, what)

    def _releasing(self, owner: str) -> Command:
        names = [self._of(owner, what) for what in ("alive", "memos", "deliveries", "format")]
        return lambda pipeline: pipeline.eval(_RELEASE, 4, *names, self._token)
