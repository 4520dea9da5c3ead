"""Who plays and waits for the end, in the benchmarks: swcalls, and the vendor's RELAY actions fed by webhooks."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from swcalls import TTS, Call, Client

from .harness import Sample, quantile
from .party import Measurable
from .wire import PROJECT, SPEECH, TOKEN, call_ids

THREADS = 64


class Flow(Measurable):
    """One process that sends commands to the space at *url*, receives webhooks, and has a task for each action."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._port = 0
        self._stack = AsyncExitStack()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def port(self) -> int:
        """Say where it receives webhooks."""
        return self._port

    async def _work(self, once: Callable[[int], Awaitable[float]], concurrency: int, count: int) -> Sample:
        """Do *once* so many times, *concurrency* at a time; it returns when its webhook was sent."""
        round_trips: list[float] = []
        delays: list[float] = []
        turns = iter(range(count))

        async def work(worker: int) -> None:
            for _ in turns:
                began = time.time()
                sent = await once(worker)
                ended = time.time()
                round_trips.append(ended - began)
                delays.append(ended - sent)

        gc.collect()
        started, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(work(worker) for worker in range(concurrency)))
        wall, cpu = time.perf_counter() - started, time.process_time() - cpu
        return {
            "cpu": cpu / count,
            "wall": wall / count,
            "delay p50": quantile(delays, 0.5),
            "delay p99": quantile(delays, 0.99),
            "p50": quantile(round_trips, 0.5),
            "p99": quantile(round_trips, 0.99),
        }


class Swcalls(Flow):
    """``await call.play(...).finished()``, on a client that serves its own receiver."""

    async def __aenter__(self) -> Self:
        self._client = await self._stack.enter_async_context(Client(PROJECT, TOKEN, self._url))
        server = await self._stack.enter_async_context(self._client.receiver.serve())
        self._port = int(server.url.rpartition(":")[2])
        self._media = TTS(SPEECH)
        return self

    async def play(self, concurrency: int, count: int) -> Sample:
        """Play *count* times, and wait for each end."""
        calls = self._calls(concurrency)

        async def once(worker: int) -> float:
            action = await calls[worker].play(self._media)
            await action.finished()
            assert action.last_event is not None
            return action.last_event.timestamp or 0.0

        return await self._work(once, concurrency, count)

    async def send(self, concurrency: int, count: int) -> Sample:
        """Only send the commands; the ends come later, and nobody waits for them."""
        calls = self._calls(concurrency)

        async def once(worker: int) -> float:
            await calls[worker].play(self._media)
            return 0.0

        return await self._work(once, concurrency, count)

    async def check(self) -> None:
        """Fail unless everything has settled by a webhook of its own."""
        stats = self._client.stats
        assert stats.pending == 0, stats
        assert set(stats.settled) == {"callback"}, stats
        assert set(stats.webhooks) == {"applied"}, stats

    def _calls(self, count: int) -> list[Call]:
        return [self._client.call(call_id) for call_id in call_ids(count)]


class VendorRelay(Flow):
    """The vendor's RELAY calls and actions, which are awaited like ours.

    RELAY has a socket of its own; here its commands go out over the vendor's REST client, in threads, and its events
    are what comes in at a bare aiohttp handler.
    """

    needs = ("signalwire", "requests")

    async def __aenter__(self) -> Self:
        import logging

        from signalwire.rest import RestClient

        # It says so whenever there are more threads than its pool has places.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        self._rest = RestClient(project=PROJECT, token=TOKEN, host=self._url.partition("://")[2])
        self._threads = self._stack.enter_context(ThreadPoolExecutor(THREADS))
        self._calls: dict[str, Any] = {}
        self._sent_at: dict[str, float] = {}
        app = web.Application()
        app.router.add_post("/webhook", self._receive)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        self._port = int(runner.addresses[0][1])
        return self

    async def play(self, concurrency: int, count: int) -> Sample:
        """Play *count* times, and wait for each end."""
        from signalwire.relay.call import Call as RelayCall

        calls = [RelayCall(self, call_id, "node", PROJECT, "context") for call_id in call_ids(concurrency)]
        self._calls = {call.call_id: call for call in calls}
        media = [{"type": "tts", "params": {"text": SPEECH}}]

        async def once(worker: int) -> float:
            action = await calls[worker].play(media)
            await action.wait()
            return self._sent_at.pop(action.control_id)

        return await self._work(once, concurrency, count)

    async def execute(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a RELAY call's command; it calls this."""
        assert method == "calling.play"
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._post, params)

    async def check(self) -> None:
        """Fail unless every action has settled."""
        assert not any(call._actions for call in self._calls.values())

    def _post(self, params: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self._rest.calling.play(
            params["call_id"],
            play=params["play"],
            control_id=params["control_id"],
            status_url=f"http://127.0.0.1:{self._port}/webhook",
        )
        return answer

    async def _receive(self, request: web.Request) -> web.Response:
        payload = json.loads(await request.read())
        params = payload["params"]
        self._sent_at[params["control_id"]] = payload["timestamp"]
        await self._calls[params["call_id"]]._dispatch_event(payload)
        return web.Response()
