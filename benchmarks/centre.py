"""The parties of the call centre: the process with the calls, and a platform whose webhooks are of three kinds."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from typing import Any

from swcalls import Call, Digits

from .flows import Swcalls
from .harness import quantile
from .machine import resident_bytes
from .party import Measurable
from .space import Space

PATIENCE = 30.0
"""Seconds in which an action must end."""
MOST_WAITS = 100_000
"""Of so many waits, the last ones, the time is kept."""


class Platform(Space, Measurable):
    """The fake platform."""


class CallCentre(Swcalls):
    """Calls that play, collect and record in a loop, each in a task."""

    async def work(self, calls: int, seconds: float) -> dict[str, float]:
        """Have *calls* work for *seconds*, wait until all of it has ended, and say what it came to."""
        found = dict.fromkeys(("commands", "errors"), 0.0)
        waits: list[float] = []
        lines = self._calls(calls)
        gc.collect()
        found["start"] = resident_bytes() or 0
        cpu, began = time.process_time(), time.perf_counter()
        until = began + seconds

        async def line(call: Call) -> None:
            starts: list[Callable[[], Any]] = [
                lambda: call.play(self._media),
                lambda: call.collect(digits=Digits(max=2, terminators="#")),
                lambda: call.record(format="wav", end_silence_timeout=2),
            ]
            while True:
                for start in starts:
                    sent = time.perf_counter()
                    try:
                        await (await start()).finished(timeout=PATIENCE)
                    except Exception:  # noqa: BLE001 - it is counted
                        found["errors"] += 1
                    found["commands"] += 1
                    if found["commands"] == calls:
                        found["full"] = resident_bytes() or 0
                    now = time.perf_counter()
                    if len(waits) < MOST_WAITS:
                        waits.append(now - sent)
                    else:
                        waits[int(found["commands"]) % MOST_WAITS] = now - sent
                if now > until:
                    return

        await asyncio.gather(*(line(call) for call in lines))
        found["wall"], found["cpu"] = time.perf_counter() - began, time.process_time() - cpu
        found["p50"], found["p99"] = quantile(waits, 0.5), quantile(waits, 0.99)
        gc.collect()
        found["end"] = resident_bytes() or 0
        stats = self._client.stats
        found["webhooks"] = sum(stats.webhooks.values())
        found["lost"] = stats.pending + sum(count for by, count in stats.settled.items() if by != "callback")
        return found
