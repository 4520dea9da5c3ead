"""`Calls`: which process owns each inbound call, and which processes accept inbound calls. For `RedisBackplane`.

Each call has a record in Redis. It is empty for the few seconds in which the call is announced. Then it expires, or it
contains the owner that was first to take the call. Redis decides this atomically, so that no process handles a call
that another process owns, or that was refused.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from ._batch import Command
from ._keys import Keys

_chance = random.SystemRandom()

FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.1
"""Seconds between two reads of the record of an announced call; they double from the first to the longest."""

# Keeps a record that contains an owner, unless it is ARGV[2], an owner that is dead.
_ANNOUNCE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= '' and holder ~= ARGV[2] then return holder end
redis.call('SET', KEYS[1], '', 'PX', ARGV[1])
return false
"""
_TAKE = """
local holder = redis.call('GET', KEYS[1])
if holder ~= '' then return holder end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
"""
_TAKERS = """
local now = redis.call('TIME')
return redis.call('ZRANGEBYSCORE', KEYS[1], now[1] + now[2] / 1000000, '+inf')
"""


class Calls:
    """The records of inbound calls, and the set of processes that accept them."""

    def __init__(self, ask: Callable[[Command, str], Awaitable[Any]], keys: Keys, keep: float) -> None:
        self._ask = ask
        self._keys = keys
        self._keep = int(keep * 1000)

    async def announce(self, project: str, call_id: str, seconds: float) -> str | None:
        """Announce a call for *seconds*; if it has an owner that is alive, change nothing and return that owner."""
        key, milliseconds = self._record(project, call_id), max(1, int(seconds * 1000))
        dead = ""
        while True:
            owner = _text(await self._eval(_ANNOUNCE, key, milliseconds, dead))
            if owner is None:
                return None
            alive = self._keys.of(project, owner, "alive")
            if await self._ask(lambda pipeline, key=alive: pipeline.exists(key), alive):  # type: ignore[misc]
                return owner
            dead = owner

    async def take(self, project: str, call_id: str, owner: str) -> str | None:
        """Make *owner* the owner of an announced call, if it is the first; return the owner of the call."""
        return _text(await self._eval(_TAKE, self._record(project, call_id), owner, self._keep)) or None

    async def find(self, project: str, call_id: str, wait: float) -> str | None:
        """Return the owner of a call; while the call is announced, wait up to *wait* seconds for an owner."""
        key, clock = self._record(project, call_id), asyncio.get_running_loop().time
        until, pause = clock() + wait, FIRST_PAUSE
        while True:
            owner = _text(await self._ask(lambda pipeline: pipeline.get(key), key))
            left = until - clock()
            if owner != "" or left <= 0:
                return owner or None
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def taker(self, project: str, besides: Collection[str]) -> str | None:
        """Return a random process that accepts inbound calls, but none of *besides*."""
        found = [name.decode() for name in await self._eval(_TAKERS, self.takers(project))]
        names = [name for name in found if name not in besides]
        return _chance.choice(names) if names else None

    def takers(self, project: str) -> str:
        """Return the key of the sorted set of processes that accept calls; scores are the times when entries expire."""
        return self._keys.shared(project, "takers")

    def _record(self, project: str, call_id: str) -> str:
        return self._keys.shared(project, f"call:{call_id}")

    async def _eval(self, script: str, key: str, *arguments: Any) -> Any:
        return await self._ask(lambda pipeline: pipeline.eval(script, 1, key, *arguments), key)


def _text(found: Any) -> str | None:
    return None if found is None else str(found.decode())
