"""A backplane in memory: the processes of a project are clients on one loop, and one of them can die."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from swcalls.backplane import BackplaneUnavailable, Delivery, Memo, OwnerTaken, Receive

from .space import Plan

DELAY = 0.002
_TIMES = {"slow": 3.0, "hangs": 60.0}


class Hub:
    """What all processes share."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.alive: set[str] = set()
        self.memos: dict[str, dict[tuple[str, str], Memo]] = {}
        self.deliveries: dict[str, list[Delivery]] = {}
        self.members: dict[str, Member] = {}
        """Who reads the deliveries of each owner."""
        self.calls: dict[str, str] = {}
        self.takers: set[str] = set()

    def die(self, owner: str) -> None:
        """Let the process of *owner* be gone, without a word."""
        self.alive.discard(owner)
        self.takers.discard(owner)
        for name, member in list(self.members.items()):
            if member.owner == owner:
                del self.members[name]
                member.pump.cancel()

    async def pass_by(self) -> str | None:
        """Take the time that an operation takes, or fail as is planned; return the fault for `done`."""
        fault = self.plan.next("backplane")
        await asyncio.sleep(_TIMES.get(fault or "", DELAY))
        if fault in ("unavailable", "hangs"):
            raise BackplaneUnavailable("on purpose")
        return fault


def done(fault: str | None) -> None:
    """Fail after the fact, if that is planned."""
    if fault == "done, but unavailable":
        raise BackplaneUnavailable("done, but on purpose")


class Member:
    """The backplane of one process: a `swcalls.backplane.Backplane`."""

    def __init__(self, hub: Hub, owner: str) -> None:
        self._hub = hub
        self._owner = owner
        self._held = {owner}
        self._project = ""
        self._receive: Receive | None = None
        self._wake = asyncio.Event()
        self.pump: asyncio.Task[None]
        self.is_open = False

    @property
    def owner(self) -> str:
        return self._owner

    def holds(self, owner: str) -> bool:
        return owner in self._held

    async def open(self, project: str, receive: Receive, lost: Callable[[str], object]) -> None:
        await self._hub.pass_by()
        if self._owner in self._hub.alive:
            raise OwnerTaken(f"owner {self._owner!r} is taken")
        self._hub.alive.add(self._owner)
        self._hub.members[self._owner] = self
        self._project, self._receive = project, receive
        self.is_open = True
        self.pump = asyncio.get_running_loop().create_task(self._pump(), name=f"backplane of {self._owner}")
        self._wake.set()

    async def close(self) -> None:
        if not self.is_open:
            return
        self.is_open = False
        hub = self._hub
        self.pump.cancel()
        for owner in self._held:
            if hub.members.get(owner) is self:
                hub.alive.discard(owner)
                del hub.members[owner]
        hub.takers.discard(self._owner)
        await asyncio.wait([self.pump])
        await hub.pass_by()

    async def publish(self, project: str, delivery: Delivery) -> None:
        hub = self._hub
        fault = await hub.pass_by()
        hub.deliveries.setdefault(delivery.owner, []).extend([delivery] * (2 if fault == "twice" else 1))
        member = hub.members.get(delivery.owner)
        if member is not None:
            member._wake.set()
        done(fault)

    async def remember(self, memo: Memo, *, owner: str | None = None) -> None:
        # As the protocol says: if not now, then soon. So nothing here fails, though it may take its time.
        self._hub.memos.setdefault(owner or self._owner, {})[memo.kind, memo.key] = memo
        await asyncio.sleep(_TIMES.get(self._hub.plan.next("backplane") or "", DELAY))

    def forget(self, kind: str, key: str, *, owner: str | None = None) -> None:
        self._hub.memos.get(owner or self._owner, {}).pop((kind, key), None)

    async def remembered(self, owner: str) -> Sequence[Memo]:
        await self._hub.pass_by()
        return list(self._hub.memos.get(owner, {}).values())

    async def claim(self, owner: str) -> None:
        hub = self._hub
        fault = await hub.pass_by()
        if owner in hub.alive:
            raise OwnerTaken(f"owner {owner!r} is alive")
        hub.alive.add(owner)
        hub.members[owner] = self
        self._held.add(owner)
        done(fault)

    async def dead(self) -> Sequence[str]:
        await self._hub.pass_by()
        return sorted({*self._hub.memos, *self._hub.deliveries} - self._hub.alive)

    def redeliver(self, owner: str) -> None:
        self._wake.set()

    async def take_call(self, project: str, call_id: str, owner: str) -> str:
        fault = await self._hub.pass_by()
        taken = self._hub.calls.setdefault(call_id, owner)
        done(fault)
        return taken

    async def find_call(self, project: str, call_id: str) -> str | None:
        await self._hub.pass_by()
        return self._hub.calls.get(call_id)

    def offer(self, *, takes_calls: bool) -> None:
        (self._hub.takers.add if takes_calls else self._hub.takers.discard)(self._owner)

    async def taker(self, project: str) -> str | None:
        await self._hub.pass_by()
        return min(self._hub.takers, default=None)

    def now(self) -> float:
        return 1_800_000_000.0 + asyncio.get_running_loop().time()

    async def _pump(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            for owner in self._held:
                waiting = self._hub.deliveries.get(owner, [])
                for delivery in tuple(waiting):
                    assert self._receive is not None
                    if await self._receive(delivery):
                        waiting.remove(delivery)
