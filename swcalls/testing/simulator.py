"""The simulator as an HTTP server: its address, its credentials, its answers. Knows no command."""

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

import msgspec
from aiohttp import web

from swcalls.commands import Dial, StatusEvent

from .callee import Callee
from .calls import SimulatedCall
from .clock import Clock
from .contract import Refusal, read, unauthorized
from .deliveries import Deliveries, Delivery
from .dispatch import execute
from .exchange import Exchange
from .faults import HANGS_UP_WITHIN, Dice, Faults
from .lookup import PATH as LOG_PATH
from .lookup import answer as look_up
from .received import ReceivedCommand, received
from .voicelog import VoiceLog
from .wire import Shape, Wire

PATH = "/api/calling/calls"
MAX_REMEMBERED = 10_000
"""How many commands, and how many webhooks, are remembered."""

_LONGEST_GOODBYE = 0.1
"""Seconds for which a request that is half sent may hold up the end."""
_EARLY = 1.0
"""Seconds for which an answer waits at most for the webhooks that are to come before it."""

_log = logging.getLogger("swcalls.testing")


class Simulator:
    """A SignalWire space on this machine: a real HTTP server that plays the far end and posts webhooks.

    ::

        async with Simulator() as space:
            client = Client("project", "token", space.url)

    It checks every command as the platform documents it, and plays calls by a clock and a ``Callee``. It keeps no audio
    behind a recording's URL, and opens no WebSocket. Of the steps of a SWML document it runs answer, hangup, sleep,
    request, switch, set, send_digits, connect, join_conference, goto, transfer, and the time that play and prompt take;
    others are passed over. A document that a command names by its URL is not run.

    Args:
        project: The user name of HTTP Basic authentication.
        token: The password.
        host: Where to listen.
        port: 0 for any that is free.
        signing_key: Signs webhooks, as the platform does; None to leave them unsigned.
        callee: Who answers numbers that are not in ``callees``.
        speed: Simulated seconds per second, above 0.
        shape: The form of webhooks: the platform's documentation has both. Those of ``stream`` are always enveloped.
        faults: What goes wrong; it can be changed at any time: ``space.faults = Faults(drop=0.1)``.

    Raises:
        ValueError: for an argument that breaks its rule.
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
    ) -> None:
        _check(_is_text(project) and ":" not in project, "project", project, "a string that is not empty, without ':'")
        _check(_is_text(token), "token", "***", "a string that is not empty")
        _check(_is_text(host), "host", host, "a string that is not empty")
        _check(type(port) is int and 0 <= port <= 65535, "port", port, "a whole number from 0 to 65535")
        _check(signing_key is None or _is_text(signing_key), "signing_key", "***", "None or a string that is not empty")
        _check(isinstance(callee, Callee), "callee", callee, "a Callee")
        _check(type(speed) in (int, float) and 0 < speed < math.inf, "speed", speed, "a finite number greater than 0")
        _check(shape in ("enveloped", "bare"), "shape", shape, "'enveloped' or 'bare'")
        self.commands: deque[ReceivedCommand] = deque(maxlen=MAX_REMEMBERED)
        """The latest requests, refused ones too."""
        self.deliveries: deque[Delivery] = deque(maxlen=MAX_REMEMBERED)
        """The latest webhooks that were posted, or given up."""
        self.log_requests: deque[str] = deque(maxlen=MAX_REMEMBERED)
        """The paths of the latest questions to the voice log."""
        self.observers: list[Callable[[ReceivedCommand | Delivery], object]] = []
        """Told of each command and each webhook once it is over. They must not raise."""
        self._credentials = f"{project}:{token}".encode()
        self._host = host
        self._port = port
        self._clock = Clock(speed)
        self._dice = Dice(faults)
        self._deliveries = Deliveries(self._clock, signing_key, self._dice, self._note_delivery)
        self._voice_log = VoiceLog(self._clock, project)
        self._wire = Wire(self._clock, self._deliveries, self._voice_log, project=project, shape=shape)
        self._exchange = Exchange(self._wire, callee)
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
        """The calls by their id. Of very many, those that ended first are forgotten."""
        return self._exchange.calls

    @property
    def callees(self) -> dict[str, Callee]:
        """Who answers a number or an address, to be filled in before it is dialled."""
        return self._exchange.callees

    @property
    def faults(self) -> Faults:
        """What goes wrong."""
        return self._dice.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        thrown = self._dice.thrown
        self._dice = self._deliveries.dice = Dice(faults)
        self._dice.thrown = thrown

    @property
    def seed(self) -> int:
        """What the dice that decide on faults started from: give it to ``Faults`` to have the same ones again."""
        return self._dice.seed

    @property
    def faulted(self) -> Counter[str]:
        """How often each fault has happened."""
        return self._dice.thrown

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
        """Call *to*, a number of the user's, whose SWML webhook is *url*; return once it was answered.

        Args:
            callee: How the caller behaves; the one for all others, if none is given.
            headers: SIP headers of the call.
            variables: What the platform passes on as ``envs``.
            status_url: Where the number's status callback points, if it has one.

        Raises:
            NotAnswered: no document that answers the call came back.
        """
        states: list[StatusEvent] = ["created", "ringing", "answered", "ended"]
        dial = Dial(from_=from_, to_script=url, url=url, status_url=status_url, status_events=states)
        dial.to = to  # A call that comes in may be to anything: the rule for what can be dialled does not apply.
        extra = {"headers": headers, "variables": dict(variables or {})}
        return await self._exchange.ring(dial, url, callee, extra)

    async def settled(self) -> None:
        """Return once no webhook is on its way, or due without time passing.

        Neither what a timer will bring counts, nor a request that the server has not begun to read.
        """
        await self._deliveries.settled()

    async def __aenter__(self) -> Self:
        if self._wire.base_url:
            raise RuntimeError("a simulator runs once: make another")
        app = web.Application(middlewares=[_json_errors])
        app.router.add_post(PATH, self._on_command)
        for path in (LOG_PATH, LOG_PATH + "/{call_id}", LOG_PATH + "/{call_id}/{part}"):
            app.router.add_get(path, self._on_question)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_LONGEST_GOODBYE)
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
            _log.info("faults are on: seed %d", self.seed)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        runner, self._runner = self._runner, None
        if error is not None and self.faults != Faults():
            error.add_note(f"The simulator had faults on, with seed={self.seed}.")
        try:
            if runner is not None:
                await runner.cleanup()
        finally:
            await self._exchange.scripts.close()
            # Last, since a request that was still being handled may have set timers and posted webhooks.
            self._clock.close()
            await self._deliveries.close()

    async def _on_command(self, request: web.Request) -> web.StreamResponse:
        body = await _read_body(request) if self._is_authorized(request) else None
        dice = self._dice
        if body is not None:
            if dice.fall("reset_before"):
                return _reset(request)
            refusal = dice.refusal()
            if refusal is not None:
                self._note_command(body, refusal)
                return web.json_response(
                    {"error": "refused on purpose"}, status=refusal, headers=dice.retry_after(refusal, time.time())
                )
        # A webhook never overtakes the answer to the command that caused it, unless it is told to.
        answered = asyncio.Event()
        with self._deliveries.busy():
            try:
                if dice.fall("early"):
                    status, answer = self._answer(body)
                    await self._exchange.scripts.begun(_call_id(answer))
                    await self._deliveries.flushed(_call_id(answer), timeout=_EARLY)
                else:
                    with self._deliveries.held_until(answered):
                        status, answer = self._answer(body)
                if slow := dice.seconds("slow"):
                    await self._clock.sleep(slow)
                if status == 200:
                    self._let_hang_up(_call_id(answer))
                    if dice.fall("reset_after"):
                        return _reset(request)
                    if dice.fall("unanswered"):
                        return web.json_response({"error": "lost on purpose"}, status=dice.lost_answer())
                if isinstance(answer, str):
                    response = web.Response(text=answer)
                else:
                    response = web.json_response(answer, status=status, dumps=_dumps)
                is_broken = request.content.exception() is not None
                if is_broken:
                    response.force_close()
                # A client that has gone does not undo what it asked for.
                with suppress(ConnectionError):
                    await response.prepare(request)
                    await response.write_eof()
                if is_broken:
                    # There is no telling where on this connection the next request would begin.
                    request.protocol.force_close()
            finally:
                answered.set()
        return response

    async def _on_question(self, request: web.Request) -> web.StreamResponse:
        """Answer what somebody wants to know from the voice log."""
        self.log_requests.append(request.path)
        match = request.match_info
        try:
            if not self._is_authorized(request):
                raise unauthorized()
            if self.faults.log_status is not None:
                self._dice.thrown["log_status"] += 1
                return web.json_response({"error": "refused on purpose"}, status=self.faults.log_status)
            found = look_up(self._voice_log, self._exchange, match.get("call_id"), match.get("part", ""), request.query)
        except Refusal as refusal:
            return web.json_response(refusal.body, status=refusal.status, dumps=_dumps)
        return web.json_response(found, dumps=_dumps)

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
        self._note(self.commands, received(request, status))
        return status, answer

    def _note_command(self, body: bytes, status: int) -> None:
        """Note a command that was refused without a look at what it wants."""
        try:
            request = read(body)
        except Refusal:
            request = {}
        self._note(self.commands, received(request, status))

    def _note_delivery(self, delivery: Delivery) -> None:
        self._note(self.deliveries, delivery)

    def _note(self, notes: deque[Any], what: ReceivedCommand | Delivery) -> None:
        notes.append(what)
        for observer in self.observers:
            observer(what)

    def _let_hang_up(self, call_id: str) -> None:
        call = self.calls.get(call_id)
        if call is not None and self._dice.fall("hangs_up"):
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


def _reset(request: web.Request) -> web.Response:
    """Reset the connection; what is returned goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _read_body(request: web.Request) -> bytes:
    """Read the body; one that cannot be read is as good as none."""
    try:
        return await request.read()
    except web.RequestPayloadError:
        return b""


@web.middleware
async def _json_errors(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except web.HTTPException as error:
        error.content_type = "application/json"
        error.text = _dumps({"error": error.reason})
        raise
    return response


def _dumps(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _check(holds: bool, name: str, value: object, rule: str) -> None:
    if not holds:
        raise ValueError(f"Simulator: {name}={value!r} must be {rule}")
