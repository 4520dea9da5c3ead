"""A process with many flows that wait, which prints what memory it holds: ``python -m benchmarks.waiting NAME COUNT``.

A program of its own, so that it imports nothing but what such a flow needs.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import uuid
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

from .machine import resident_bytes

PROJECT, TOKEN = "project", "token"
SPEECH = "Welcome. Please listen carefully, as our options have changed."


async def bare(count: int, stack: AsyncExitStack) -> list[Coroutine[Any, Any, Any]]:
    """Return flows that await a future each."""
    loop = asyncio.get_running_loop()
    futures = {str(uuid.uuid4()): loop.create_future() for _ in range(count)}
    stack.callback(futures.clear)
    return [_resolved(future) for future in futures.values()]


async def swcalls(count: int, stack: AsyncExitStack) -> list[Coroutine[Any, Any, Any]]:
    """Return flows that play on a call each, and await the end."""
    from swcalls import TTS, Client

    from .wire import ANYWHERE, Unsent

    session: Any = Unsent(keep=0)
    client = Client(PROJECT, TOKEN, ANYWHERE, session=session)
    await stack.enter_async_context(client)
    await stack.enter_async_context(client.receiver.serve())
    media = TTS(SPEECH)

    async def flow() -> None:
        action = await client.call(str(uuid.uuid4())).play(media)
        await action.finished()

    return [flow() for _ in range(count)]


async def vendor(count: int, stack: AsyncExitStack) -> list[Coroutine[Any, Any, Any]]:
    """Return flows that play on a call of the vendor's RELAY client each, and await the end."""
    from signalwire.relay.call import Call
    from signalwire.relay.client import RelayClient  # noqa: F401 - a user has it

    class Accepting:
        """Stands in for the client's connection: accepts every command."""

        async def execute(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
            return {"code": "200", "message": "Playing"}

    accepting = Accepting()

    async def flow() -> None:
        call = Call(accepting, str(uuid.uuid4()), "node", PROJECT, "context")
        action = await call.play([{"type": "tts", "params": {"text": SPEECH}}])
        await action.wait()

    return [flow() for _ in range(count)]


async def _resolved(future: asyncio.Future[None]) -> None:
    await future


async def weigh(name: str, count: int) -> dict[str, int | None]:
    """Return the resident bytes of this process, before there are flows, and while *count* of them wait."""
    async with AsyncExitStack() as stack:
        # What is made once is no flow's.
        first = [asyncio.create_task(flow) for flow in await globals()[name](1, stack)]
        await asyncio.sleep(0.01)
        gc.collect()
        before = resident_bytes()
        tasks = [asyncio.create_task(flow) for flow in await globals()[name](count - 1, stack)]
        for _ in range(5):
            await asyncio.sleep(0)
        gc.collect()
        after = resident_bytes()
        assert not any(task.done() for task in (*first, *tasks))
        for task in (*first, *tasks):
            task.cancel()
        await asyncio.gather(*first, *tasks, return_exceptions=True)
    return {"before": before, "after": after}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(weigh(sys.argv[1], int(sys.argv[2])))))
