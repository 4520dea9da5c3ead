"""The platform without a network: the simulator's own calls and operations behind a session that opens no socket.

Each request has four steps at which whoever sends it can be interrupted: the connection is made, the request is on its
way, it was processed and the answer is on its way, the answer is read. What has left arrives, whether or not anybody
still waits for the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp
import msgspec
from aiohttp.client_reqrep import ConnectionKey

from swcalls.commands import Dial
from swcalls.testing.callee import Callee
from swcalls.testing.calls import Operation, SimulatedCall
from swcalls.testing.clock import Clock
from swcalls.testing.contract import Refusal, read
from swcalls.testing.deliveries import Deliveries
from swcalls.testing.dispatch import execute
from swcalls.testing.exchange import Exchange
from swcalls.testing.faults import Dice, Faults
from swcalls.testing.inbound import NotAnswered
from swcalls.testing.lookup import answer as look_up
from swcalls.testing.voicelog import VoiceLog
from swcalls.testing.wire import Wire

from .audio import Lines


@dataclass(frozen=True)
class Latency:
    """How many seconds things take on the network."""

    connecting: float = 0.004
    flight: float = 0.010
    """Of a request, and of its answer."""
    reading: float = 0.001
    webhook: float = 0.010


LATENCIES = (Latency(), Latency(webhook=0.080), Latency(0.020, 0.060, 0.005, 0.0005), Latency(0.0, 0.0, 0.0, 0.0))
"""As usual; slow webhooks; slow requests; and all at once, so that any two things can meet."""

HANGS = 1e6
"""Seconds: longer than any timeout."""
LATE = 45.0
"""Seconds by which something comes late."""

URL = "http://space.example"
OURS = "http://ours.example"
"""Where our webhook receivers are; a path that begins with ``/front`` is another process's."""


class Reply(Protocol):
    status: int


Accept = Callable[[str, Mapping[str, str], bytes], Coroutine[Any, Any, Reply]]


@dataclass
class Attempt:
    """A request that the client made."""

    command: str
    call_id: str | None
    control_id: str | None
    at: float
    fault: str | None = None
    arrived: bool = False
    status: int | None = None
    """What it was answered with, if it arrived."""

    def __str__(self) -> str:
        came_to = self.fault or self.status or ("no answer" if self.arrived else "not arrived")
        return f"{self.at:.3f} {self.command} {self.control_id or self.call_id or ''}: {came_to}"


@dataclass
class Plan:
    """What goes wrong: of each channel, the number (the first is 1) of what it happens to, and the fault."""

    faults: dict[tuple[str, int], str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    deaf: bool = False
    """Every webhook about an action is lost."""

    def next(self, channel: str) -> str | None:
        """Count one more on *channel*, and say what happens to it."""
        number = self.counts[channel] = self.counts.get(channel, 0) + 1
        return self.faults.get((channel, number))


REQUEST_FAULTS = (
    "refused", "no connection", "reset", "reset after", "429", "500", "503", "503 later", "502", "504 after", "404",
    "422", "hangs", "hangs after", "slow", "overtaken", "nonsense", "twice",
)  # fmt: skip
"""``after``: it was processed. ``overtaken``: its webhooks come before its answer."""
WEBHOOK_FAULTS = ("lost", "twice", "late", "very late", "given up")
LOG_FAULTS = ("404", "500", "hangs", "nonsense", "refused")
BACKPLANE_FAULTS = ("unavailable", "slow", "hangs", "done, but unavailable", "twice")

ANSWER_LOST = ("reset after", "hangs after", "504 after", "nonsense")
"""Who sent the request does not get to know what it came to."""

_STATUSES = {
    "429": (429, {"Retry-After": "1"}),
    "500": (500, {}),
    "503": (503, {}),
    "503 later": (503, {"Retry-After": "2"}),
    "502": (502, {}),
    "504 after": (504, {}),
    "404": (404, {}),
    "422": (422, {}),
}


class Space:
    """All that there is on the other side of the network."""

    def __init__(self, plan: Plan, callee: Callee = Callee(), latency: Latency = LATENCIES[0]) -> None:
        self.plan = plan
        self.latency = latency
        self.attempts: list[Attempt] = []
        self.sessions: list[Session] = []
        self.lent: list[Session] = []
        self.receivers: dict[str, Accept] = {}
        """Who takes webhooks, by the host of the URL."""
        self._clock = Clock(1.0)
        self._dice = Dice(Faults(seed=0))
        self._deliveries = _Deliveries(self, self._clock, None, self._dice, lambda _: None)
        self._log = VoiceLog(self._clock, "project")
        wire = Wire(self._clock, self._deliveries, self._log, project="project", shape="enveloped")
        wire.base_url = URL
        self.audio: Lines = Lines(self)
        wire.audio = self.audio
        self.exchange = Exchange(wire, callee)
        self._tasks: set[asyncio.Task[None]] = set()
        self._deliveries.open()

    @property
    def calls(self) -> dict[str, SimulatedCall]:
        return self.exchange.calls

    def live(self) -> list[SimulatedCall]:
        """Return the calls that are not over."""
        return [call for call in self.calls.values() if call.state != "ended"]

    def running(self) -> list[Operation]:
        """Return what runs on them."""
        return [operation for call in self.live() for operation in call.operations.values()]

    def session(self, **_: object) -> Session:
        """Make a session that reaches this space, for a client that makes its own."""
        session = Session(self)
        self.sessions.append(session)
        return session

    def lend(self) -> Session:
        """Make a session for a client to borrow."""
        session = Session(self)
        self.lent.append(session)
        return session

    def ring(self, url: str, callee: Callee | None = None) -> None:
        """Have somebody call the number whose SWML webhook is *url*."""
        self._spawn(self._ring(url, callee), "space: a call that comes in")

    async def _ring(self, url: str, callee: Callee | None) -> None:
        states: list[Any] = ["created", "ringing", "answered", "ended"]
        dial = Dial(from_="+15550198765", to="+12069708643", url=url, status_url=url, status_events=states)
        with suppress(NotAnswered):
            await self.exchange.ring(dial, url, callee, {"headers": [], "variables": {}})

    def later(self, seconds: float, host: str, path: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Deliver a webhook late."""

        async def deliver() -> None:
            await asyncio.sleep(seconds)
            accept = self.receivers.get(host)
            if accept is not None:
                await accept("/" + path, headers, body)

        self._spawn(deliver(), "space: a webhook that is late")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop the platform's own time."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.exchange.scripts.close()
        self._clock.close()
        await self._deliveries.close()

    def arrive(self, attempt: Attempt, body: bytes, answered: asyncio.Event) -> tuple[int, Mapping[str, str], bytes]:
        """Process a request; its webhooks wait until *answered* is set."""
        attempt.arrived = True
        attempt.status, headers, answer = self._process(attempt, body, answered)
        return attempt.status, headers, answer

    def _process(self, attempt: Attempt, body: bytes, answered: asyncio.Event) -> tuple[int, Mapping[str, str], bytes]:
        if attempt.fault in _STATUSES and attempt.fault != "504 after":
            status, headers = _STATUSES[attempt.fault]
            if status == 404:
                self._lose(attempt)
            return status, headers, b'{"error": "on purpose"}'
        if attempt.fault == "overtaken":
            answered.set()
        try:
            with self._deliveries.held_until(answered):
                answer = execute(self.exchange, read(body))
                if attempt.command == "dial" and isinstance(answer, dict):
                    attempt.call_id = answer["id"]
                if attempt.fault == "twice" and attempt.command != "dial":
                    # Two dials are two calls, and who would know of the second one?
                    with suppress(Refusal):
                        execute(self.exchange, read(body))
        except Refusal as refusal:
            return refusal.status, {}, msgspec.json.encode(refusal.body)
        if attempt.fault == "504 after":
            return 504, {}, b"<html>"
        if attempt.fault == "nonsense":
            return 200, {}, b"<html>"
        return 200, {}, answer.encode() if isinstance(answer, str) else msgspec.json.encode(answer)

    def _lose(self, attempt: Attempt) -> None:
        """Make a 404 true: what the command is about is over, and no webhook tells."""
        call = self.calls.get(attempt.call_id or "")
        if call is None:
            return
        controlled = attempt.command.count(".") > 1
        for operation in list(call.operations.values()):
            if not controlled or operation.control_id == attempt.control_id:
                operation.finish()
        if not controlled:
            call.status_url = None
            call.end("error")

    def look_up(self, path: str) -> tuple[int, bytes]:
        """Answer a question to the voice log."""
        call_id, _, part = path.removeprefix("/api/voice/logs/").partition("/")
        try:
            return 200, msgspec.json.encode(look_up(self._log, self.exchange, call_id, part, {}))
        except Refusal as refusal:
            return refusal.status, msgspec.json.encode(refusal.body)


class Session:
    """An ``aiohttp.ClientSession``, as far as a client uses one."""

    def __init__(self, space: Space) -> None:
        self.closed = False
        self._space = space
        self._waits: set[asyncio.Future[Any]] = set()
        """What the requests on their way wait for: closing the session breaks their connections."""

    def post(self, url: object, **options: Any) -> _Request:
        return _Request(self._post(options))

    def get(self, url: object, **options: Any) -> _Request:
        return _Request(self._get(str(url), options))

    async def close(self) -> None:
        self.closed = True
        for wait in tuple(self._waits):
            if not wait.done():
                wait.set_exception(aiohttp.ClientConnectionError("Connection closed"))
        await asyncio.sleep(0)

    async def _post(self, options: Mapping[str, Any]) -> Response:
        space = self._space
        body = bytes(options["data"])
        request = msgspec.json.decode(body)
        params = request.get("params") or {}
        loop = asyncio.get_running_loop()
        call_id = request.get("id") or (params.get("id") if request["command"] == "update" else None)
        attempt = Attempt(request["command"], call_id, params.get("control_id"), loop.time())
        attempt.fault = fault = space.plan.next("request")
        space.attempts.append(attempt)
        timeout: aiohttp.ClientTimeout = options["timeout"]
        async with asyncio.timeout(timeout.total):
            await self._connect(fault, timeout)
            # From here on the request is on its way, and nothing that happens to its sender calls it back.
            answered = asyncio.Event()
            flight = space.latency.flight
            arrived: asyncio.Future[Any] = loop.create_future()
            delivered: asyncio.Future[None] = loop.create_future()

            def arrive() -> None:
                answer = (0, {}, b"") if fault in ("reset", "hangs") else space.arrive(attempt, body, answered)
                loop.call_later(flight, deliver)
                if not arrived.done():
                    arrived.set_result(answer)

            def deliver() -> None:
                answered.set()
                if not delivered.done():
                    delivered.set_result(None)

            loop.call_later(flight, arrive)
            status, headers, content = await self._until(arrived)
            if fault in ("hangs", "hangs after"):
                await self._pause(HANGS)
            if fault == "slow":
                await self._pause((timeout.total or 30.0) * 0.8)
            if fault == "overtaken":
                await self._pause(1.0)
            await self._until(delivered)
            if fault in ("reset", "reset after"):
                raise aiohttp.ServerDisconnectedError
        return Response(self, status, headers, content)

    async def _get(self, url: str, options: Mapping[str, Any]) -> Response:
        space = self._space
        fault = space.plan.next("log")
        timeout: aiohttp.ClientTimeout = options["timeout"]
        async with asyncio.timeout(timeout.total):
            await self._connect(fault, timeout)
            if fault == "hangs":
                await self._pause(HANGS)
            await self._pause(2 * space.latency.flight)
        if fault in ("404", "500"):
            return Response(self, int(fault), {}, b"")
        status, content = (200, b"[]") if fault == "nonsense" else space.look_up(url.removeprefix(URL))
        return Response(self, status, {}, content)

    async def _connect(self, fault: str | None, timeout: aiohttp.ClientTimeout) -> None:
        if self.closed:
            raise RuntimeError("Session is closed")
        await self._pause(self._space.latency.connecting)
        if fault == "refused":
            raise aiohttp.ClientConnectorError(_KEY, OSError(111, "refused"))
        if fault == "no connection":
            await self._pause(timeout.connect or HANGS)
            raise aiohttp.ConnectionTimeoutError("no connection")

    async def _pause(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        wait: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(seconds, lambda: wait.done() or wait.set_result(None))
        try:
            await self._until(wait)
        finally:
            timer.cancel()

    async def _until(self, wait: asyncio.Future[Any]) -> Any:
        self._waits.add(wait)
        try:
            return await wait
        finally:
            self._waits.discard(wait)


_KEY = ConnectionKey("space.example", 80, is_ssl=False, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None)


class _Request:
    """What ``post`` and ``get`` return: to be awaited, or to be used as a block."""

    def __init__(self, work: Coroutine[Any, Any, Response]) -> None:
        self._work = work

    def __await__(self) -> Generator[Any, Any, Response]:
        return self._work.__await__()

    async def __aenter__(self) -> Response:
        return await self._work

    async def __aexit__(self, *_: object) -> None:
        pass


class Response:
    """An ``aiohttp.ClientResponse``, as far as a client uses one."""

    def __init__(self, session: Session | None, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.status = status
        self.headers = headers
        self.ok = status < 400
        self.content = self
        self._content = content
        self._session = session

    async def read(self, limit: int = -1) -> bytes:
        if self._session is not None:
            await self._session._pause(self._session._space.latency.reading)
        content, self._content = (self._content, b"") if limit < 0 else (self._content[:limit], self._content[limit:])
        return content

    def release(self) -> None:
        pass


class _Deliveries(Deliveries):
    """Webhooks that are handed to `Space.receivers` instead of being posted."""

    def __init__(self, space: Space, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._space = space

    def open(self) -> None:
        self._session = _Poster(self._space)  # type: ignore[assignment]


class _Poster:
    """The session that posts webhooks."""

    def __init__(self, space: Space) -> None:
        self._space = space

    async def close(self) -> None:
        pass

    def post(self, url: object, **options: Any) -> Any:
        return self.request("POST", url, **options)

    @asynccontextmanager
    async def request(self, method: str, url: object, **options: Any) -> AsyncIterator[Response]:
        yield await self._deliver(str(url), options["data"], options["headers"])

    async def _deliver(self, url: str, body: bytes, headers: Mapping[str, str]) -> Response:
        space = self._space
        host, _, path = url.partition("://")[2].partition("/")
        about = path.partition("/")[2].partition("/")[0]
        fault = space.plan.next("webhook")
        if space.plan.deaf and about not in ("call", "inbound"):
            fault = "lost"
        if fault == "lost":
            return Response(None, 200, {}, b"")
        if fault in ("late", "very late"):
            space.later(LATE if fault == "late" else 20 * LATE, host, path, body, headers)
            return Response(None, 200, {}, b"")
        await asyncio.sleep(space.latency.webhook)
        accept = space.receivers.get(host)
        if accept is None:
            raise aiohttp.ClientConnectorError(_KEY, OSError(111, "refused"))
        if fault == "given up":
            # The platform hangs up before it has its answer, and tries again.
            task = asyncio.ensure_future(accept("/" + path, headers, body))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            raise aiohttp.ServerDisconnectedError
        for _ in range(2 if fault == "twice" else 1):
            async with asyncio.timeout(5):
                reply = await accept("/" + path, headers, body)
        return Response(None, reply.status, {}, getattr(reply, "body", b""))
