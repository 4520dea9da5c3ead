"""`Deliveries`: posts the simulator's webhooks: in order for each call, signed, with retries and faults."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import unquote

import aiohttp
import msgspec
from yarl import URL

from .clock import Clock, TimerGroup
from .faults import HELD_FOR, Dice, altered, params_of, with_state

RETRY_AFTER = (0.5, 1.0)
"""Simulated seconds before the second and the third try."""
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=2, sock_read=5)
_MAX_REDIRECTS = 3
_LONGEST_ANSWER = 64 * 1024
"""Bytes of the answer to a document's request that are kept."""

_log = logging.getLogger("swcalls.testing")


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook that was posted, or that no receiver accepted."""

    url: str = field(repr=False)
    payload: dict[str, Any]
    status: int | None
    """The HTTP status of the last attempt; None: no response."""
    attempts: int
    is_forged: bool = False
    """It was a forged webhook, caused by ``Faults.forge``."""


@dataclass(frozen=True, slots=True)
class _Outgoing:
    url: str
    payload: dict[str, Any]
    method: str
    gate: asyncio.Event | None
    is_forged: bool = False


class Deliveries:
    """The webhooks on their way to the user's receiver.

    Each call has a queue, here called a lane, and a task that posts from it while it is not empty. A slow or dead
    receiver therefore delays webhooks of the same call only.
    """

    def __init__(
        self, clock: Clock, signing_key: str | None, dice: Dice, observer: Callable[[Delivery], object]
    ) -> None:
        self.dice = dice
        self._clock = clock
        self._key = None if signing_key is None else signing_key.encode()
        self._observer = observer
        self._lanes: dict[str, deque[_Outgoing]] = {}
        self._workers: dict[asyncio.Task[None], str] = {}
        self._held: dict[str, _Outgoing] = {}
        """By lane: the webhook that ``Faults.reorder`` holds back until the next one was queued."""
        self._timers: TimerGroup = set()
        self._session: aiohttp.ClientSession | None = None
        self._gate: asyncio.Event | None = None
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def open(self) -> None:
        """Open the HTTP session; this needs a running loop."""
        self._session = aiohttp.ClientSession(
            timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar(), headers={"User-Agent": "swcalls-simulator"}
        )

    async def close(self) -> None:
        """Cancel all webhooks on their way, and close the HTTP session."""
        session, self._session = self._session, None
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        # A worker that was cancelled before its first step has not decreased the count.
        self._lanes.clear()
        self._busy = 0
        self._idle.set()
        if session is not None:
            await session.close()

    def post(self, lane: str, url: str, payload: dict[str, Any], method: str = "POST") -> None:
        """Queue *payload* on *lane*, to be posted to *url*; the faults are decided here."""
        dice = self.dice
        if dice.happens("drop"):
            return
        if dice.happens("forge"):
            forged = with_state(payload, "ended" if "call_state" in params_of(payload) else "finished")
            self._queue(lane, _Outgoing(altered(url), forged, method, self._gate, is_forged=True))
        if dice.happens("unknown"):
            self._queue(lane, _Outgoing(url, with_state(payload, "levitating"), method, self._gate))
        if dice.happens("nulls"):
            payload = dice.with_null(payload)
        outgoing = _Outgoing(url, payload, method, self._gate)
        for _ in range(2 if dice.happens("duplicate") else 1):
            late = dice.seconds("delay")
            if late:
                # A lane of its own, so that later webhooks overtake it.
                self._clock.later(late, partial(self._queue, str(uuid.uuid4()), outgoing), self._timers)
            elif lane not in self._held and dice.happens("reorder"):
                self._held[lane] = outgoing
                self._clock.later(HELD_FOR, partial(self._release, lane, outgoing), self._timers)
            else:
                self._queue(lane, outgoing)
                self._release(lane)

    def _release(self, lane: str, outgoing: _Outgoing | None = None) -> None:
        """Queue the webhook that is held back on *lane*; with *outgoing*, only if it is that one."""
        held = self._held.get(lane)
        if held is not None and outgoing in (None, held):
            del self._held[lane]
            self._queue(lane, held)

    def _queue(self, lane: str, outgoing: _Outgoing) -> None:
        if self._session is None:
            return
        self.work_begins()
        queue = self._lanes.get(lane)
        if queue is not None:
            queue.append(outgoing)
            return
        queue = self._lanes[lane] = deque([outgoing])
        worker = asyncio.get_running_loop().create_task(self._drain(self._session, lane, queue))
        self._workers[worker] = lane
        worker.add_done_callback(self._workers.pop)

    async def flushed(self, lane: str, *, timeout: float) -> None:
        """Wait until nothing is queued on *lane*, but at most *timeout* seconds of real time."""
        workers = [worker for worker, its in self._workers.items() if its == lane]
        if workers:
            await asyncio.wait(workers, timeout=timeout)

    async def fetch(self, url: str, payload: dict[str, Any]) -> bytes | None:
        """Post *payload* to *url* once; return the body of a response with status 200, else None."""
        if self._session is None:
            return None
        target, headers, body = self._signed(url, payload)
        try:
            async with self._session.post(URL(target, encoded=True), data=body, headers=headers) as response:
                content = await response.read()
                return content if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            _log.info("the request for an SWML document failed: %s", type(error).__name__)
            return None

    async def request(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        body: bytes,
        timeouts: tuple[float | None, float | None],
    ) -> tuple[int, bytes] | None:
        """Send the unsigned request of a SWML document's ``request`` step; return status and body, or ``None``.

        *timeouts* are the most real seconds to connect, and in all: the server that answers does not know the simulated
        time. ``None``: no response came in time.
        """
        if self._session is None:
            return None
        target, authorization = split_credentials(url)
        if authorization is not None:
            headers = {**headers, "Authorization": authorization}
        connect, total = timeouts
        limits = aiohttp.ClientTimeout(total=total, sock_connect=connect)
        try:
            async with self._session.request(
                method, URL(target, encoded=True), data=body, headers=headers, timeout=limits
            ) as response:
                return response.status, await response.content.read(_LONGEST_ANSWER)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            _log.info("a document's request met %s", type(error).__name__)
            return None

    def tell(self, delivery: Delivery) -> None:
        """Report *delivery*, a request that was not sent by `post`, to the observer."""
        self._observer(delivery)

    @property
    def gate(self) -> asyncio.Event | None:
        """The event for which webhooks that are posted now must wait; ``None``: they need not wait."""
        return self._gate

    def _signed(self, url: str, payload: dict[str, Any]) -> tuple[str, dict[str, str], bytes]:
        """Return the URL without credentials, the headers with signatures, and the body of a request."""
        target, authorization = split_credentials(url)
        body = msgspec.json.encode(payload)
        headers = {"Content-Type": "application/json"}
        if authorization is not None:
            headers["Authorization"] = authorization
        if self._key is not None:
            headers |= signatures(self._key, target, body)
        return target, headers, body

    @contextmanager
    def held_until(self, gate: asyncio.Event) -> Iterator[None]:
        """Hold back the webhooks that are posted within the block until *gate* is set. The block must not await."""
        self._gate = gate
        try:
            yield
        finally:
            self._gate = None

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Have ``settled`` wait until the block has ended."""
        self.work_begins()
        try:
            yield
        finally:
            self.work_ends()

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Do not have ``settled`` wait for the block, which is part of work that it waits for."""
        self.work_ends()
        try:
            yield
        finally:
            self.work_begins()

    async def settled(self) -> None:
        """Wait until no webhook is on its way, no command is being processed, and no timer is due."""
        while self._busy or self._clock.has_due():
            await self._idle.wait()
            await asyncio.sleep(0)

    def work_begins(self) -> None:
        """Have ``settled`` wait until ``work_ends`` is called."""
        self._busy += 1
        self._idle.clear()

    def work_ends(self) -> None:
        """Undo one ``work_begins``."""
        self._busy -= 1
        if not self._busy:
            self._idle.set()

    async def _drain(self, session: aiohttp.ClientSession, lane: str, queue: deque[_Outgoing]) -> None:
        try:
            while queue:
                outgoing = queue.popleft()
                try:
                    await self._deliver(session, outgoing)
                finally:
                    self.work_ends()
        finally:
            # There is no await between the last check of the queue and here, so nothing is appended in between.
            del self._lanes[lane]
            for _ in queue:
                self.work_ends()

    async def _deliver(self, session: aiohttp.ClientSession, outgoing: _Outgoing) -> None:
        if outgoing.gate is not None:
            await outgoing.gate.wait()
        url, headers, body = self._signed(outgoing.url, outgoing.payload)
        status: int | None = None
        attempts = 0
        for delay in (0.0,) if outgoing.is_forged else (0.0, *RETRY_AFTER):
            if attempts:
                await self._clock.sleep(delay)
            attempts += 1
            status = await _send(session, outgoing.method, url, body, headers)
            if status is not None and 200 <= status < 300:
                break
        else:
            if not outgoing.is_forged:
                # The URL is not logged: it contains the MAC that authorises posting to it.
                _log.warning("gave up a webhook after %d attempts; last status: %s", attempts, status or "none")
        self._observer(Delivery(outgoing.url, outgoing.payload, status, attempts, outgoing.is_forged))


def signatures(key: bytes, url: str, body: bytes) -> dict[str, str]:
    """Return the signature headers of a webhook.

    Source: wire contract, section h, scheme A: HMAC over the URL, without credentials, and the raw body.
    """
    signed = url.encode() + body
    return {
        "X-SignalWire-Signature": hmac.digest(key, signed, hashlib.sha1).hex(),
        "X-SignalWire-SHA256-Signature": hmac.digest(key, signed, hashlib.sha256).hex(),
    }


def split_credentials(url: str) -> tuple[str, str | None]:
    """Return *url* without ``user:password@``, and the value of the ``Authorization`` header for them, or None."""
    scheme, separator, rest = url.partition("://")
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    credentials, at, host = rest[:end].rpartition("@")
    if not at:
        return url, None
    user, _, password = credentials.partition(":")
    encoded = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
    return scheme + separator + host + rest[end:], f"Basic {encoded}"


async def _send(
    session: aiohttp.ClientSession, method: str, url: str, body: bytes, headers: dict[str, str]
) -> int | None:
    try:
        target = URL(url, encoded=True)
        async with session.request(
            method, target, data=body, headers=headers, max_redirects=_MAX_REDIRECTS
        ) as response:
            return response.status
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        _log.info("a webhook could not be posted: %s", type(error).__name__)
        return None
