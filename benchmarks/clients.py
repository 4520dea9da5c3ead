"""Who sends commands in the benchmarks: swcalls, bare aiohttp, the vendor's REST client, telnyx, twilio.

All of them have a call play something, on a space that answers at once, with an answer of the kind that they expect.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Self

import aiohttp

from swcalls import TTS, Client

from .harness import Sample, quantile
from .wire import ANYWHERE, PROJECT, SPEECH, TOKEN, Sent, Unsent, call_ids

PUBLIC_URL = "https://hooks.example.com"
CALLS = 100
MOST_THREADS = 64
LONGEST_RUN = 4.0
"""Seconds after which a run begins no further command."""

Command = Callable[[], Awaitable[object]]


class Sender:
    """Sends commands to the space at *url*, and says what they cost. A run is a client of its own, warmed up."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def client(self, count: int) -> AbstractAsyncContextManager[Command]:
        """Open a client that can send *count* commands."""
        raise NotImplementedError

    async def run(self, concurrency: int, count: int) -> Sample:
        """Send *count* commands, *concurrency* at a time."""
        async with self.client(count + concurrency) as command:
            await _closed_loop(command, concurrency, concurrency)
            gc.collect()
            return await _closed_loop(command, concurrency, count)


class Swcalls(Sender):
    """``await call.play(...)``."""

    @asynccontextmanager
    async def client(self, count: int) -> AsyncIterator[Command]:
        media = TTS(SPEECH)
        async with Client(PROJECT, TOKEN, self._url, public_url=PUBLIC_URL) as client:
            calls = [client.call(call_id) for call_id in call_ids(CALLS)]
            turns = _in_turn(calls)
            yield lambda: _start(next(turns).play(media))


class BareAiohttp(Sender):
    """A plain session that posts the very bytes that swcalls would post."""

    @asynccontextmanager
    async def client(self, count: int) -> AsyncIterator[Command]:
        prepared = iter(await same_bytes(count))
        url = f"{self._url}/api/calling/calls"
        async with aiohttp.ClientSession() as session:

            async def command() -> bytes:
                _, body, headers = next(prepared)
                async with session.post(url, data=body, headers=headers) as response:
                    return await response.read()

            yield command


class VendorInThreads(Sender):
    """The vendor's REST client, which blocks, in as many threads as commands are to run at once, up to 64."""

    needs = ("signalwire", "requests")

    async def run(self, concurrency: int, count: int) -> Sample:
        import logging

        from signalwire.rest import RestClient

        # It says so whenever there are more threads than its pool has places.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        client = RestClient(project=PROJECT, token=TOKEN, host=self._url.partition("://")[2])
        media = [{"type": "tts", "params": {"text": SPEECH}}]
        targets = iter(call_ids(2 * (count + concurrency)))

        def play() -> None:
            call_id, control_id = next(targets), next(targets)
            status_url = f"{PUBLIC_URL}/swcalls/play/{control_id}"
            client.calling.play(call_id, play=media, control_id=control_id, status_url=status_url)

        return await asyncio.to_thread(_closed_loop_in_threads, play, min(concurrency, MOST_THREADS), count)


class Telnyx(Sender):
    """Telnyx's asynchronous client, on httpx as it comes, or on aiohttp."""

    needs = ("telnyx",)

    def __init__(self, url: str, backend: str) -> None:
        super().__init__(url)
        self._backend = backend

    @asynccontextmanager
    async def client(self, count: int) -> AsyncIterator[Command]:
        import telnyx

        backend = {"http_client": telnyx.DefaultAioHttpClient()} if self._backend == "aiohttp" else {}
        async with telnyx.AsyncTelnyx(api_key="KEY", base_url=f"{self._url}/v2", **backend) as client:
            ids = iter(call_ids(count))
            yield lambda: client.calls.actions.start_playback(next(ids), audio_url="https://cdn.example.com/a.mp3")


class Twilio(Sender):
    """Twilio's asynchronous client."""

    needs = ("twilio",)

    @asynccontextmanager
    async def client(self, count: int) -> AsyncIterator[Command]:
        from twilio.http.async_http_client import AsyncTwilioHttpClient
        from twilio.rest import Client as TwilioClient

        async with AsyncTwilioHttpClient() as http:
            client = TwilioClient("AC" + "a" * 32, "token", http_client=http)
            client.api.base_url = self._url
            twiml = f"<Response><Say>{SPEECH}</Say></Response>"
            yield lambda: client.calls("CA" + "a" * 32).update_async(twiml=twiml)


async def same_bytes(count: int) -> list[Sent]:
    """Return *count* commands as swcalls sends them."""
    session = Unsent()
    media = TTS(SPEECH)
    async with Client(PROJECT, TOKEN, ANYWHERE, public_url=PUBLIC_URL, session=session) as client:
        calls = [client.call(call_id) for call_id in call_ids(CALLS)]
        for number in range(count):
            await calls[number % CALLS].play(media)
    return session.sent


async def _start(start: Awaitable[object]) -> object:
    return await start


def _in_turn(calls: list[Any]) -> Iterator[Any]:
    while True:
        yield from calls


async def _closed_loop(command: Command, concurrency: int, count: int) -> Sample:
    latencies: list[float] = []
    clock = time.perf_counter
    started, cpu = clock(), time.process_time()
    stop = started + LONGEST_RUN
    turns = iter(range(count))

    async def work() -> None:
        for _ in turns:
            began = clock()
            await command()
            ended = clock()
            latencies.append(ended - began)
            if ended > stop:
                return

    await asyncio.gather(*(work() for _ in range(concurrency)))
    return _sample(latencies, clock() - started, time.process_time() - cpu)


def _closed_loop_in_threads(command: Callable[[], None], threads: int, count: int) -> Sample:
    latencies: list[float] = []
    clock = time.perf_counter
    turns: Iterator[int] = iter(())

    def work() -> None:
        for _ in turns:
            began = clock()
            command()
            ended = clock()
            latencies.append(ended - began)
            if ended > stop:
                return

    with ThreadPoolExecutor(threads) as pool:
        turns = iter(range(threads))
        stop = clock() + LONGEST_RUN
        for worker in [pool.submit(work) for _ in range(threads)]:
            worker.result()
        latencies.clear()
        gc.collect()
        turns = iter(range(count))
        started, cpu = clock(), time.process_time()
        stop = started + LONGEST_RUN
        for worker in [pool.submit(work) for _ in range(threads)]:
            worker.result()
        return _sample(latencies, clock() - started, time.process_time() - cpu)


def _sample(latencies: list[float], wall: float, cpu: float) -> Sample:
    done = len(latencies)
    return {"cpu": cpu / done, "wall": wall / done, "p50": quantile(latencies, 0.5), "p99": quantile(latencies, 0.99)}
