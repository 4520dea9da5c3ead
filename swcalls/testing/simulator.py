"""`Simulator`: a SignalWire space as an HTTP server. It checks credentials, answers requests and causes faults.

The commands themselves are in `dispatch`, the calls in `calls` and `operations`, the webhooks in `deliveries`.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import logging
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from swcalls.commands import Dial, StatusEvent

from .audio_lines import AudioLines
from .callee import Callee
from .calls import SimulatedCall
from .clock import Clock
from .contract import Refusal, read, unauthorized
from .deliveries import Deliveries, Delivery
from .dispatch import execute
from .exchange import Exchange
from .faults import HANGS_UP_WITHIN, Dice, Faults
from .http_requests import dumps, json_errors, read_body, reset
from .lookup import PATH as LOG_PATH
from .lookup import answer as look_up
from .received import ReceivedCommand, received_command
from .voicelog import VoiceLog
from .wire import Shape, Wire

PATH = "/api/calling/calls"
MAX_REMEMBERED = 10_000
"""How many commands, webhooks and voice log requests are kept."""

_SHUTDOWN_TIMEOUT = 0.1
"""The most seconds that closing waits for requests that are not complete."""
_EARLY_TIMEOUT = 1.0
"""The most seconds that a response waits for the webhooks that ``Faults.early`` posts before it."""

_log = logging.getLogger("swcalls.testing")


class Simulator:
    """A SignalWire space on this machine: an HTTP server that accepts commands, simulates calls and posts webhooks.

    ::

        async with Simulator() as space:
            client = Client("project", "token", space.url)

    Commands are checked as the platform documents them. Calls follow a simulated clock and a ``Callee``. There is no
    audio behind a recording's URL, and the WebSocket of a stream is opened only on this machine. Of the steps of a SWML
    document, answer, hangup, sleep, request, switch, set, send_digits, connect, join_conference, goto and transfer are
    run; play and prompt take their time; others are skipped. A document that a command only names by its URL is not
    run.

    Args:
        project: The user name of HTTP Basic authentication.
        token: The password.
        host: The address to listen on.
        port: The port; 0 for any free port.
        signing_key: The key that signs webhooks; None: they are not signed.
        callee: The callee for numbers that are not in ``callees``.
        speed: Simulated seconds per second (greater than 0).
        shape: The form of webhooks; the platform's documentation has both. Those of ``stream`` are always enveloped.
        faults: The faults to cause; they can be changed at any time: ``space.faults = Faults(drop=0.1)``.
        dial_rate: The most dials that start in a simulated second (greater than 0); others are queued, 10,000 of them,
            and then refused. The platform's default is 1. None: every dial starts at once.

    Raises:
        ValueError: An argument breaks its rule.
    """

    def __init__(
        self,
        project: str = "project",
        token: str = "token",  # noqa: S107 - opens nothing but this simulator
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        signing_key: str | None = None,
        callee: Callee = Callee(),
        speed: float = 1.0,
        shape: Shape = "enveloped",
        faults: Faults = Faults(),
        dial_rate: float | None = None,
    ) -> None:
        _check(_is_text(project) and ":" not in project, "project", project, "a string that is not empty, without ':'")
        _check(_is_text(token), "token", "***", "a string that is not empty")
        _check(_is_text(host), "host", host, "a string that is not empty")
        _check(type(port) is int and 0 <= port <= 65535, "port", port, "a whole number from 0 to 65535")
        _check(signing_key is None or _is_text(signing_key), "signing_key", "***", "None or a string that is not empty")
        _check(isinstance(callee, Callee), "callee", callee, "a Callee")
        _check(_is_positive(speed), "speed", speed, "a finite number greater than 0")
        _check(shape in ("enveloped", "bare"), "shape", shape, "'enveloped' or 'bare'")
        is_rate = dial_rate is None or _is_positive(dial_rate)
        _check(is_rate, "dial_rate", dial_rate, "None, or a finite number greater than 0")
        self.commands: deque[ReceivedCommand] = deque(maxlen=MAX_REMEMBERED)
        """The latest commands, also refused ones."""
        self.deliveries: deque[Delivery] = deque(maxlen=MAX_REMEMBERED)
        """The latest webhooks, also those that no receiver accepted."""
        self.log_requests: deque[str] = deque(maxlen=MAX_REMEMBERED)
        """The paths of the latest requests to the voice log."""
        self.observers: list[Callable[[ReceivedCommand | Delivery], object]] = []
        """Called with each command after it was processed, and each webhook after its last attempt; must not raise."""
        self._credentials = f"{project}:{token}".encode()
        self._host = host
        self._port = port
        self._clock = Clock(speed)
        self._dice = Dice(faults)
        self._deliveries = Deliveries(self._clock, signing_key, self._dice, self._note_delivery)
        self._voice_log = VoiceLog(self._clock, project)
        self._wire = Wire(self._clock, self._deliveries, self._voice_log, project=project, shape=shape)
        self._exchange = Exchange(self._wire, callee, dial_rate)
        self._runner: web.AppRunner | None = None

    def __repr__(self) -> str:
        return f"<Simulator {self._wire.base_url or 'closed'}, {len(self.calls)} calls>"

    @property
    def url(self) -> str:
        """The address of the running server, ``http://HOST:PORT``."""
        if self._runner is None:
            raise RuntimeError("the simulator is not running: use it within 'async with'")
        return self._wire.base_url

    @property
    def calls(self) -> dict[str, SimulatedCall]:
        """The calls by id, at most 10,000: then the oldest call that has ended is dropped."""
        return self._exchange.calls

    @property
    def queued(self) -> int:
        """How many dialled calls wait for their turn; always 0 without a ``dial_rate``."""
        return len(self._exchange.queue)

    @property
    def callees(self) -> dict[str, Callee]:
        """The callees by number or address; add one before the number is dialled."""
        return self._exchange.callees

    @property
    def faults(self) -> Faults:
        """The faults that are caused."""
        return self._dice.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        counts = self._dice.counts
        self._dice = self._deliveries.dice = Dice(faults)
        self._dice.counts = counts

    @property
    def audio(self) -> AudioLines:
        """The WebSockets of streams; ``space.audio.faults = AudioFaults(no_stop=True)`` makes them misbehave."""
        return self._wire.audio

    @property
    def seed(self) -> int:
        """The seed of the faults: give it to ``Faults`` to get the same faults again."""
        return self._dice.seed

    @property
    def faulted(self) -> Counter[str]:
        """How often each fault has happened."""
        return self._dice.counts

    async def call(
        self,
        to: str = "+12069708643",
        from_: str = "+15550198765",
        *,
        url: str,
        callee: Callee | None = None,
        headers: Sequence[tuple[str, str]] = (),
        variables: Mapping[str, str] | None = None,
        status_url: str | None = None,
    ) -> SimulatedCall:
        """Make an inbound call to the user's number *to*, whose SWML webhook is *url*; return once it is answered.

        Args:
            to: The number that is called.
            from_: The number of the caller.
            url: The SWML webhook of the number.
            callee: How the caller behaves; None: the simulator's default callee.
            headers: SIP headers of the call.
            variables: Passed to the SWML webhook as ``envs``.
            status_url: The status callback of the number, if any.

        Raises:
            NotAnswered: No document that answers the call came back.
        """
        states: list[StatusEvent] = ["created", "ringing", "answered", "ended"]
        dial = Dial(from_=from_, to_script=url, url=url, status_url=status_url, status_events=states)
        dial.to = to  # Set afterwards: the check of a dial's destination does not apply to inbound calls.
        extra = {"headers": headers, "variables": dict(variables or {})}
        return await self._exchange.ring(dial, url, callee, extra)

    async def settled(self) -> None:
        """Wait until no webhook is on its way, and no timer is due.

        It does not wait for timers that are due later, or for requests that the server has not begun to read.
        """
        await self._deliveries.settled()

    async def __aenter__(self) -> Self:
        if self._wire.base_url:
            raise RuntimeError("a simulator runs once: create another one")
        app = web.Application(middlewares=[json_errors])
        app.router.add_post(PATH, self._on_command)
        for path in (LOG_PATH, LOG_PATH + "/{call_id}", LOG_PATH + "/{call_id}/{part}"):
            app.router.add_get(path, self._on_log_request)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._host, self._port)
            await site.start()
        except BaseException:
            await runner.cleanup()
            raise
        port = runner.addresses[0][1]
        self._wire.base_url = f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{port}"
        self._deliveries.open()
        self._runner = runner
        if self.faults != Faults():
            _log.info("faults are enabled: seed=%d", self.seed)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        runner, self._runner = self._runner, None
        if error is not None and self.faults != Faults():
            error.add_note(f"The simulator caused faults, with seed={self.seed}.")
        try:
            if runner is not None:
                await runner.cleanup()
        finally:
            await self._exchange.scripts.close()
            # Last, since requests that were being handled may have set timers and posted webhooks.
            self._clock.close()
            await self._wire.audio.close()
            await self._deliveries.close()

    async def _on_command(self, request: web.Request) -> web.StreamResponse:
        body = await read_body(request) if self._is_authorized(request) else None
        dice = self._dice
        if body is not None:
            if dice.happens("reset_before"):
                return reset(request)
            refusal = dice.refusal()
            if refusal is not None:
                self._note_command(body, refusal)
                return web.json_response(
                    {"error": "refused on purpose"}, status=refusal, headers=dice.retry_after(refusal, time.time())
                )
        # Webhooks wait for the response to the command that caused them, except for the fault `early`.
        answered = asyncio.Event()
        with self._deliveries.busy():
            try:
                if dice.happens("early"):
                    status, answer = self._answer(body)
                    await self._exchange.scripts.begun(_call_id(answer))
                    await self._deliveries.flushed(_call_id(answer), timeout=_EARLY_TIMEOUT)
                else:
                    with self._deliveries.held_until(answered):
                        status, answer = self._answer(body)
                if slow := dice.seconds("slow"):
                    await self._clock.sleep(slow)
                if status == 200:
                    self._let_hang_up(_call_id(answer))
                    if dice.happens("reset_after"):
                        return reset(request)
                    if dice.happens("unanswered"):
                        return web.json_response({"error": "lost on purpose"}, status=dice.lost_answer())
                if isinstance(answer, str):
                    response = web.Response(text=answer)
                else:
                    response = web.json_response(answer, status=status, dumps=dumps)
                is_broken = request.content.exception() is not None
                if is_broken:
                    response.force_close()
                # The command stays processed if the client has closed the connection.
                with suppress(ConnectionError):
                    await response.prepare(request)
                    await response.write_eof()
                if is_broken:
                    # The start of the next request on this connection is unknown.
                    request.protocol.force_close()
            finally:
                answered.set()
        return response

    async def _on_log_request(self, request: web.Request) -> web.StreamResponse:
        """Answer a request to the voice log."""
        self.log_requests.append(request.path)
        match = request.match_info
        try:
            if not self._is_authorized(request):
                raise unauthorized()
            if self.faults.log_status is not None:
                self._dice.counts["log_status"] += 1
                return web.json_response({"error": "refused on purpose"}, status=self.faults.log_status)
            found = look_up(self._voice_log, self._exchange, match.get("call_id"), match.get("part", ""), request.query)
        except Refusal as refusal:
            return web.json_response(refusal.body, status=refusal.status, dumps=dumps)
        return web.json_response(found, dumps=dumps)

    def _answer(self, body: bytes | None) -> tuple[int, dict[str, Any] | str]:
        request: dict[str, Any] = {}
        answer: dict[str, Any] | str
        try:
            if body is None:
                raise unauthorized()
            request = read(body)
            status, answer = 200, execute(self._exchange, request)
        except Refusal as refusal:
            status, answer = refusal.status, refusal.body
        self._note(self.commands, received_command(request, status))
        return status, answer

    def _note_command(self, body: bytes, status: int) -> None:
        """Record a command that a fault refused before it was processed."""
        try:
            request = read(body)
        except Refusal:
            request = {}
        self._note(self.commands, received_command(request, status))

    def _note_delivery(self, delivery: Delivery) -> None:
        self._note(self.deliveries, delivery)

    def _note(self, notes: deque[Any], what: ReceivedCommand | Delivery) -> None:
        notes.append(what)
        for observer in self.observers:
            observer(what)

    def _let_hang_up(self, call_id: str) -> None:
        call = self.calls.get(call_id)
        if call is not None and self._dice.happens("hangs_up"):
            self._clock.later(self._dice.between(0, HANGS_UP_WITHIN), call.hang_up, set())

    def _is_authorized(self, request: web.Request) -> bool:
        scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
        try:
            given = base64.b64decode(encoded, validate=True)
        except ValueError:
            return False
        return hmac.compare_digest(given, self._credentials) and scheme.lower() == "basic"


def _call_id(answer: dict[str, Any] | str) -> str:
    return str(answer.get("id", "")) if isinstance(answer, dict) else ""


def _is_positive(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < math.inf


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _check(holds: bool, name: str, value: object, rule: str) -> None:
    if not holds:
        raise ValueError(f"Simulator: {name}={value!r} must be {rule}")
