"""Who holds pending actions in the benchmarks: swcalls, the vendor's RELAY calls, and asyncio for what a timeout costs.

No command leaves the process, and every webhook comes in through a function.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import time
import tracemalloc
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from swcalls import TTS, Client

from .harness import Sample
from .machine import resident_bytes
from .wire import ANYWHERE, PROJECT, SPEECH, TOKEN, Target, Unsent, call_ids

PUBLIC_URL = "https://hooks.example.com"
ACTIONS_A_CALL = 10
KEPT = 20_000
"""Of so many actions, drawn by chance, the address is kept, to deliver to."""
BATCH = 2000
AT_ONCE = 64
"""Webhooks that come together, each in a task of its own, as from a server."""
FAR = 3600.0
"""Seconds: a deadline that never comes."""


class Holder:
    """Makes actions that stay pending, and lets some of them finish."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def open(self, count: int) -> None:
        """Make the calls for *count* actions."""
        raise NotImplementedError

    async def start(self, control_ids: list[str]) -> None:
        """Start an action for each id, the next on each call in turn."""
        raise NotImplementedError

    async def weigh(self, count: int, traced: bool) -> float:
        """Return how many bytes each of *count* actions takes, its id apart: *traced*, or else resident."""
        control_ids = [str(uuid.uuid4()) for _ in range(count)]
        # What is made once, and once a call, is no action's.
        await self.open(count)
        await self.start([str(uuid.uuid4()) for _ in range(count // ACTIONS_A_CALL)])
        gc.collect()
        if traced:
            tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0] if traced else resident_bytes() or 0
        await self.start(control_ids)
        gc.collect()
        after = tracemalloc.get_traced_memory()[0] if traced else resident_bytes() or 0
        return (after - before) / count


class Dispatching(Holder):
    """Delivers to some of the actions that it holds."""

    def __init__(self) -> None:
        self._count = 0

    async def fill(self, count: int) -> None:
        """Hold *count* actions."""
        self._count = count
        await self.open(count)
        await self.start([str(uuid.uuid4()) for _ in range(count)])

    async def dispatch(self) -> Sample:
        """Finish some, drawn by chance, say what one costs, and start as many again."""
        deliveries = self.deliveries(min(BATCH, self._count // 5))
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        await self.deliver(deliveries)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        await self.start([str(uuid.uuid4()) for _ in deliveries])
        return {"cpu": cpu / len(deliveries), "wall": wall / len(deliveries)}

    def deliveries(self, count: int) -> list[Any]:
        """Prepare *count* webhooks."""
        raise NotImplementedError

    async def deliver(self, deliveries: list[Any]) -> None:
        """Take them in."""
        raise NotImplementedError


class Swcalls(Dispatching):
    """A client, its actions started by ``await call.play(...)``."""

    def __init__(self, deadline: float | None = None) -> None:
        super().__init__()
        self._deadline = deadline
        self._media = TTS(SPEECH)
        self._targets: list[Target] = []

    async def __aenter__(self) -> Self:
        self._session = Unsent(keep=0)
        self.client = Client(PROJECT, TOKEN, ANYWHERE, public_url=PUBLIC_URL, session=self._session)
        await self.client.open()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A million actions are not closed one by one: the process ends.
        pass

    async def open(self, count: int) -> None:
        self._calls = [self.client.call(call_id) for call_id in call_ids(max(1, count // ACTIONS_A_CALL))]

    async def start(self, control_ids: list[str]) -> None:
        calls, deadline, media = self._calls, self._deadline, self._media
        for number, control_id in enumerate(control_ids):
            await calls[number % len(calls)].play(media, control_id=control_id, deadline=deadline)

    async def fill(self, count: int) -> None:
        self._session.keep = KEPT / count
        await super().fill(count)

    def deliveries(self, count: int) -> list[tuple[str, bytes]]:
        self._targets += self._session.targets()
        self._session.keep = 1
        random.shuffle(self._targets)
        chosen, self._targets = self._targets[:count], self._targets[count:]
        return [(urlsplit(target.url).path, target.event()) for target in chosen]

    async def deliver(self, deliveries: list[tuple[str, bytes]]) -> None:
        accept, headers = self.client.accept, {"Content-Type": "application/json"}
        for first in range(0, len(deliveries), AT_ONCE):
            some = deliveries[first : first + AT_ONCE]
            replies = await asyncio.gather(*(accept(path=path, headers=headers, body=body) for path, body in some))
            assert all(reply.verdict == "applied" for reply in replies)

    async def block(self, count: int, deadline: float | None) -> float:
        """Start and finish *count* actions, and return the CPU seconds of one."""
        self._deadline = deadline
        self._session.keep = 1
        self._session.targets()
        control_ids = [str(uuid.uuid4()) for _ in range(count)]
        cpu = time.process_time()
        await self.start(control_ids)
        cpu = time.process_time() - cpu
        deliveries = [(urlsplit(target.url).path, target.event()) for target in self._session.targets()]
        cpu -= time.process_time()
        await self.deliver(deliveries)
        return (cpu + time.process_time()) / count

    async def extra(self, pairs: int, count: int) -> list[float]:
        """Return what a deadline costs, in seconds an action, by pairs of blocks with and without."""
        return await _differences(lambda wanted: self.block(count, FAR if wanted else None), pairs)


class VendorRelay(Dispatching):
    """The vendor's RELAY calls, whose commands are accepted by this object."""

    needs = ("signalwire",)

    def __init__(self) -> None:
        super().__init__()
        self._keep = 0.0
        self._kept: list[tuple[Any, str]] = []

    async def open(self, count: int) -> None:
        from signalwire.relay.call import Call

        ids = call_ids(max(1, count // ACTIONS_A_CALL))
        self._calls = [Call(self, call_id, "node", PROJECT, "context") for call_id in ids]

    async def start(self, control_ids: list[str]) -> None:
        calls, media = self._calls, [{"type": "tts", "params": {"text": SPEECH}}]
        for number, control_id in enumerate(control_ids):
            call = calls[number % len(calls)]
            await call.play(media, control_id=control_id)
            if random.random() < self._keep:
                self._kept.append((call, control_id))

    async def fill(self, count: int) -> None:
        self._keep = KEPT / count
        await super().fill(count)
        self._keep = 1

    async def execute(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Accept a command; RELAY calls call this."""
        return {"code": "200", "message": "Playing"}

    def deliveries(self, count: int) -> list[tuple[Any, bytes]]:
        random.shuffle(self._kept)
        chosen, self._kept = self._kept[:count], self._kept[count:]
        return [(call, Target("", control_id, call.call_id).event()) for call, control_id in chosen]

    async def deliver(self, deliveries: list[tuple[Any, bytes]]) -> None:
        for call, body in deliveries:
            await call._dispatch_event(json.loads(body))


class Timeouts:
    """Tasks that wait for futures, with and without ``asyncio.timeout()``, among *others* that wait as well."""

    def __init__(self, others: int) -> None:
        self._others = others

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._timers = [loop.call_later(FAR + number * 1e-3, print) for number in range(self._others)]
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        for timer in self._timers:
            timer.cancel()

    async def extra(self, pairs: int, count: int) -> list[float]:
        """Return what a timeout costs, in seconds a waiter, by pairs of blocks with and without."""
        return await _differences(lambda wanted: self._block(count, wanted), pairs)

    async def _block(self, count: int, wanted: bool) -> float:
        loop = asyncio.get_running_loop()

        async def wait(future: asyncio.Future[None]) -> None:
            if wanted:
                async with asyncio.timeout(FAR):
                    await future
            else:
                await future

        futures = [loop.create_future() for _ in range(count)]
        cpu = time.process_time()
        tasks = [loop.create_task(wait(future)) for future in futures]
        await asyncio.sleep(0)
        for future in futures:
            future.set_result(None)
        await asyncio.gather(*tasks)
        return (time.process_time() - cpu) / count


async def _differences(block: Callable[[bool], Any], pairs: int) -> list[float]:
    """Run blocks with and without something in turn, the order of each pair drawn by chance."""
    found = []
    for _ in range(pairs):
        first = random.random() < 0.5
        one = await block(first)
        other = await block(not first)
        found.append(one - other if first else other - one)
        gc.collect()
    return found
