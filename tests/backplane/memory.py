"""A backplane in memory: the processes of a project are members of one hub, on one event loop.

It does no input or output and knows no time but that of the clock it is given, so a run of it is always the same. Each
operation that a backplane may fail at has a number, counted from 0 in the order in which they begin, and can be made to
fail, to hang, or to happen twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum
from typing import NamedTuple, TypeVar

from swcalls.backplane import BackplaneUnavailable, Delivery, Memo, OwnerTaken, Receive

T = TypeVar("T")


class Fault(Enum):
    """What becomes of an operation."""

    FAIL = "it is not done, and raises `BackplaneUnavailable`"
    LOSE_ANSWER = "it is done, and raises `BackplaneUnavailable`"
    HANG = "it is not done, and never comes back"
    HANG_AFTER = "it is done, and never comes back"
    TWICE = "it is done twice"


class _Entry:
    """A delivery that waits in a stream."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery


class _Record(NamedTuple):
    """Whose a call is; ``""``: it is announced, until then."""

    owner: str
    until: float


class MemoryHub:
    """What all processes share, and what a test may do to them.

    Args:
        clock: Tells the time, in Unix seconds. What waits does so by the event loop, so both must go together.
        faults: What becomes of operations, by number.
    """

    def __init__(self, clock: Callable[[], float], faults: Mapping[int, Fault] | None = None) -> None:
        self.clock = clock
        self.faults: dict[int, Fault] = dict(faults or {})
        self.operations: list[tuple[str, str]] = []
        """Those that have begun: owner and method; ``deliver`` is one, too."""
        self.holders: dict[str, MemoryBackplane] = {}
        """Which member has each name that is alive."""
        self.streams: dict[tuple[str, str], list[_Entry]] = {}
        self.memos: dict[tuple[str, str], dict[tuple[str, str], Memo]] = {}
        self.calls: dict[tuple[str, str], _Record] = {}
        self.takers: dict[tuple[str, str], None] = {}
        """Project and owner, in the order in which they offered."""
        self.on_operation: Callable[[int], object] = lambda _: None
        """Called with the number of an operation when it begins."""
        self._changed: set[asyncio.Event] = set()

    def member(self, owner: str) -> MemoryBackplane:
        """Make the backplane of one process."""
        return MemoryBackplane(self, owner)

    def crash(self, owner: str) -> None:
        """Let the process of *owner* stop without a word: nothing that it still calls is done, or comes back.

        It seems alive until `bury` is called.
        """
        self.holders[owner].crash()

    def bury(self, owner: str) -> None:
        """Let everybody see that the process of *owner* is dead: what it held and offered is free."""
        gone = self.holders[owner]
        for name, holder in list(self.holders.items()):
            if holder is gone:
                del self.holders[name]
        for place in [place for place in self.takers if place[1] == owner]:
            del self.takers[place]

    def kill(self, owner: str) -> None:
        """Let the process of *owner* be gone, for everybody to see."""
        self.crash(owner)
        self.bury(owner)

    def take_away(self, owner: str) -> None:
        """Let another process, which is none of ours, have the name of *owner*, since that one seemed dead."""
        self.holders.pop(owner).lose(owner)
        self.holders[owner] = MemoryBackplane(self, f"thief of {owner}")

    def changed(self) -> None:
        """Wake all who wait for a change."""
        for event in self._changed:
            event.set()

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait for a change; say whether there was one in time."""
        event = asyncio.Event()
        self._changed.add(event)
        try:
            async with asyncio.timeout(timeout):
                await event.wait()
        except TimeoutError:
            return False
        finally:
            self._changed.discard(event)
        return True

    def begin(self, owner: str, name: str) -> tuple[int, Fault | None]:
        """Give an operation its number, and say what is to become of it."""
        number = len(self.operations)
        self.operations.append((owner, name))
        self.on_operation(number)
        return number, self.faults.get(number)


class MemoryBackplane:
    """The backplane of one process: a `swcalls.backplane.Backplane`."""

    def __init__(self, hub: MemoryHub, owner: str) -> None:
        self._hub = hub
        self._owner = owner
        self._project = ""
        self._receive: Receive | None = None
        self._lost: Callable[[str], object] = lambda _: None
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._stopped: set[asyncio.Task[None]] = set()
        self._takes_calls = False
        self._is_gone = False

    @property
    def owner(self) -> str:
        return self._owner

    def holds(self, owner: str) -> bool:
        return owner in self._readers

    async def open(self, project: str, receive: Receive, lost: Callable[[str], object]) -> None:
        def take() -> bool:
            return self._hub.holders.setdefault(self._owner, self) is self

        self._project, self._receive, self._lost = project, receive, lost
        try:
            if not await self._operate("open", take):
                raise OwnerTaken(f"owner {self._owner!r}: another process that is alive has this name")
        except BaseException:
            self._give_up(self._owner)
            raise
        self._read(self._owner)
        self.offer(takes_calls=self._takes_calls)

    async def close(self) -> None:
        def close() -> None:
            for owner in [self._owner, *held]:
                self._give_up(owner)

        if self._is_gone:
            return
        held = list(self._readers)
        self.offer(takes_calls=False)
        self.stop()
        if self._stopped:
            await asyncio.wait(self._stopped)
        await self._operate("close", close)

    async def publish(self, project: str, delivery: Delivery) -> None:
        stream = self._hub.streams.setdefault((project, delivery.owner), [])
        await self._operate("publish", lambda: stream.append(_Entry(delivery)))

    async def remember(self, memo: Memo, *, owner: str | None = None) -> None:
        memos = self._memos(owner or self._owner)
        await self._operate("remember", lambda: memos.__setitem__((memo.kind, memo.key), memo), may_fail=False)

    def forget(self, kind: str, key: str, *, owner: str | None = None) -> None:
        if not self._is_gone:
            self._memos(owner or self._owner).pop((kind, key), None)

    async def remembered(self, owner: str) -> Sequence[Memo]:
        return await self._operate("remembered", lambda: list(self._memos(owner).values()))

    async def claim(self, owner: str) -> None:
        def take() -> bool:
            return self._hub.holders.setdefault(owner, self) is self

        if owner in self._readers:
            return
        try:
            if not await self._operate("claim", take):
                raise OwnerTaken(f"owner {owner!r}: it is alive, or another process has claimed it")
        except BaseException:
            if owner not in self._readers:
                self._give_up(owner)
            raise
        if owner not in self._readers:
            self._read(owner)

    def release(self, owner: str) -> None:
        self._stop(owner)
        self._give_up(owner)

    async def dead(self) -> Sequence[str]:
        def find() -> list[str]:
            left = {owner for (_, owner), kept in (*hub.memos.items(), *hub.streams.items()) if kept}
            return sorted(left - hub.holders.keys())

        hub = self._hub
        return await self._operate("dead", find)

    def redeliver(self, owner: str) -> None:
        if self._stop(owner):
            self._read(owner)

    async def announce_call(self, project: str, call_id: str, seconds: float) -> str | None:
        def announce() -> str | None:
            record = self._record(project, call_id)
            if record is not None and record.owner in self._hub.holders:
                return record.owner
            self._hub.calls[project, call_id] = _Record("", self._hub.clock() + seconds)
            return None

        return await self._operate("announce_call", announce)

    async def take_call(self, project: str, call_id: str, owner: str) -> str | None:
        def take() -> str | None:
            record = self._record(project, call_id)
            if record is None:
                return None
            if not record.owner:
                self._hub.calls[project, call_id] = _Record(owner, float("inf"))
            return record.owner or owner

        return await self._operate("take_call", take)

    async def find_call(self, project: str, call_id: str, *, wait: float = 0.0) -> str | None:
        until = self._hub.clock() + wait
        await self._operate("find_call", lambda: None)
        while (record := self._record(project, call_id)) is not None and not record.owner:
            left = min(until, record.until) - self._hub.clock()
            if left <= 0 or not await self._hub.wait(left):
                return None
        return None if record is None else record.owner

    def offer(self, *, takes_calls: bool) -> None:
        self._takes_calls = takes_calls
        if self._hub.holders.get(self._owner) is not self:
            return
        if takes_calls:
            self._hub.takers[self._project, self._owner] = None
        else:
            self._hub.takers.pop((self._project, self._owner), None)

    async def taker(self, project: str, *, besides: Collection[str] = ()) -> str | None:
        def choose() -> str | None:
            return next((owner for of, owner in hub.takers if of == project and owner not in besides), None)

        hub = self._hub
        return await self._operate("taker", choose)

    def now(self) -> float:
        return self._hub.clock()

    def crash(self) -> None:
        """Do nothing more."""
        self._is_gone = True
        self.stop()

    def stop(self) -> None:
        """Read nothing more."""
        for owner in list(self._readers):
            self._stop(owner)

    def lose(self, owner: str) -> None:
        """Be told that another process has the name."""
        self._stop(owner)
        self._lost(owner)

    async def _operate(self, name: str, do: Callable[[], T], *, may_fail: bool = True) -> T:
        """Do one operation. It can be cancelled before it is done, and after."""
        number, fault = self._hub.begin(self._owner, name)
        await asyncio.sleep(0)
        if fault is Fault.FAIL and may_fail:
            raise BackplaneUnavailable(f"operation {number}, {name}: failed on purpose")
        if fault is Fault.HANG or self._is_gone:
            await asyncio.Event().wait()
        result = do()
        if fault is Fault.TWICE:
            result = do()
        self._hub.changed()
        await asyncio.sleep(0)
        if fault is Fault.HANG_AFTER or self._is_gone:
            await asyncio.Event().wait()
        if fault is Fault.LOSE_ANSWER and may_fail:
            raise BackplaneUnavailable(f"operation {number}, {name}: its answer was lost on purpose")
        return result

    def _memos(self, owner: str) -> dict[tuple[str, str], Memo]:
        return self._hub.memos.setdefault((self._project, owner), {})

    def _record(self, project: str, call_id: str) -> _Record | None:
        record = self._hub.calls.get((project, call_id))
        return None if record is None or record.until <= self._hub.clock() else record

    def _give_up(self, owner: str) -> None:
        if self._hub.holders.get(owner) is self and not self._is_gone:
            del self._hub.holders[owner]

    def _read(self, owner: str) -> None:
        self._readers[owner] = asyncio.get_running_loop().create_task(self._read_on(owner))

    def _stop(self, owner: str) -> bool:
        reader = self._readers.pop(owner, None)
        if reader is not None:
            self._stopped.add(reader)
            reader.add_done_callback(self._stopped.discard)
            reader.cancel()
        return reader is not None

    async def _read_on(self, owner: str) -> None:
        assert self._receive is not None
        stream = self._hub.streams.setdefault((self._project, owner), [])
        seen: set[_Entry] = set()
        while True:
            new = [entry for entry in stream if entry not in seen]
            for entry in new:
                seen.add(entry)
                await self._deliver(stream, entry)
            if not new:
                await self._hub.wait()

    async def _deliver(self, stream: list[_Entry], entry: _Entry) -> None:
        assert self._receive is not None
        _, fault = self._hub.begin(self._owner, "deliver")
        if fault in (Fault.HANG, Fault.HANG_AFTER) or self._is_gone:
            await asyncio.Event().wait()
        for _ in range(2 if fault is Fault.TWICE else 1):
            # When it fails, the process ended before it could say that it is done with it.
            is_done = fault is not Fault.FAIL and await self._receive(entry.delivery)
            if is_done and entry in stream and fault is not Fault.LOSE_ANSWER:
                stream.remove(entry)
        self._hub.changed()
