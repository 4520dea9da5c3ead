"""Flows that wait for webhooks, each in a task, and say when they went on: in swcalls, and with bare futures."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Coroutine
from typing import Any, Self

from aiohttp import web

from swcalls import TTS, Action

from . import receivers
from .wire import SPEECH, Target, call_ids

Flow = tuple[Target, Coroutine[Any, Any, float]]
"""Where its webhook goes, and a coroutine that returns when it went on, in Unix seconds."""


class Waiters(receivers.Receiving):
    """A server whose webhooks are awaited."""

    def __init__(self) -> None:
        super().__init__()
        self._flows: list[tuple[Target, asyncio.Task[float]]] = []
        self._drawn: list[asyncio.Task[float]] = []

    async def begin(self, count: int) -> list[Flow]:
        """Make *count* flows."""
        raise NotImplementedError

    async def hold(self, count: int) -> None:
        """Have *count* flows wait."""
        flows = await self.begin(count - len(self._flows))
        self._flows += [(target, asyncio.create_task(flow)) for target, flow in flows]
        await asyncio.sleep(0)

    async def draw(self, count: int) -> list[bytes]:
        """Return the requests for *count* flows, drawn by chance."""
        random.shuffle(self._flows)
        drawn, self._flows = self._flows[:count], self._flows[count:]
        self._drawn = [task for _, task in drawn]
        return [target.request(signed=True) for target, _ in drawn]

    async def ended(self) -> list[float]:
        """Return when each flow that was drawn went on, in Unix seconds."""
        return await asyncio.gather(*self._drawn)

    async def __aexit__(self, *fault: object) -> None:
        for _, task in self._flows:
            task.cancel()
        await super().__aexit__(*fault)


class Bare(Waiters):
    """An aiohttp handler that finds a future in a dict, and resolves it."""

    async def __aenter__(self) -> Self:
        self._futures: dict[str, asyncio.Future[None]] = {}
        app = web.Application()
        app.router.add_post(receivers.PATH, self._handle)
        await self.serve(app)
        return self

    async def begin(self, count: int) -> list[Flow]:
        targets = self.targets(count)
        futures = [asyncio.get_running_loop().create_future() for _ in targets]
        self._futures.update(zip((target.control_id for target in targets), futures, strict=True))
        return [(target, _resolved(future)) for target, future in zip(targets, futures, strict=True)]

    async def _handle(self, request: web.Request) -> web.Response:
        await request.read()
        self._futures.pop(request.match_info["key"]).set_result(None)
        return web.Response()


class Swcalls(receivers.Swcalls, Waiters):
    """The receiver of a client, ``embedded`` in an application or ``served``; each flow has a call and an action."""

    def __init__(self, way: str) -> None:
        super().__init__(way, keyed=False)

    async def begin(self, count: int) -> list[Flow]:
        media = TTS(SPEECH)
        actions = [await self.client.call(call_id).play(media) for call_id in call_ids(count)]
        return [(target, _end_of(action)) for target, action in zip(self._session.targets(), actions, strict=True)]


async def _resolved(future: asyncio.Future[None]) -> float:
    await future
    return time.time()


async def _end_of(action: Action[Any]) -> float:
    await action.finished()
    return time.time()
