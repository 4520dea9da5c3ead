"""One document on one call: its steps, one after the other.

Steps that are not simulated take no time and set no variable. Conditions (``cond``, and the ``when`` of a ``goto``)
are expressions, which are not evaluated: such a step is skipped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar, cast

import msgspec

from swcalls.commands import Dial

from ..calls import SimulatedCall
from ..clock import TimerGroup, cancel_all
from ..deliveries import Delivery
from ..wire import Wire
from .connecting import Dialling
from .line import Conference
from .rules import (
    CHECKED,
    Answer,
    Connect,
    Goto,
    Hangup,
    JoinConference,
    Request,
    SendDigits,
    Sleep,
    Switch,
    Transfer,
    name_and_params,
    read,
    sections_of,
)
from .sounds import played
from .variables import expanded, look_up

T = TypeVar("T")
SECONDS_PER = {"w": 0.5, "W": 1.0}
SECONDS_PER_DIGIT = 0.25


class Stage(Protocol):
    """The part of the simulated platform that a document uses."""

    wire: Wire
    conferences: dict[str, Conference]
    place_call: Callable[[Dial], SimulatedCall]

    def variables(self, call: SimulatedCall) -> dict[str, Any]:
        """Return the variables of *call*, which last as long as it does."""
        ...

    def transferred(self, call: SimulatedCall) -> bool:
        """Count a transfer, and say whether it was within the limit."""
        ...

    async def until(self, calls: Sequence[SimulatedCall], *states: str) -> None:
        """Return once one of *calls* is in one of *states*, or all have ended."""
        ...


class Script:
    """A document that runs. After its last step the call is hung up."""

    def __init__(
        self, stage: Stage, call: SimulatedCall, sections: dict[str, list[Any]], *, is_allowed: bool = True
    ) -> None:
        self.call = call
        self._stage = stage
        self.begun: asyncio.Event = asyncio.Event()
        """Set when the document has come to a step that takes time, or to its end."""
        self._sections = sections
        self._is_allowed = is_allowed
        """False: it fails before its first step."""
        self._vars = stage.variables(call)
        self._dice = stage.wire.dice
        self._is_doomed = self._dice.happens("killed")
        self._gate = stage.wire.deliveries.gate
        self._timers: TimerGroup = set()

    async def run(self, before: asyncio.Task[None] | None) -> None:
        """Run it, once what ran *before* has let go of the call."""
        try:
            if before is not None:
                await asyncio.wait([before])
            if self._gate is not None:
                await self._gate.wait()
            if not self._is_allowed:
                self._fail()
            elif await self.steps(self._sections["main"]) and self.call.state != "ended":
                self.call.end("hangup")
        finally:
            self.begun.set()
            cancel_all(self._timers)

    async def steps(self, steps: list[Any]) -> bool:
        """Run *steps*, and say whether to go on with what follows them."""
        at = 0
        jumps: dict[int, int] = {}
        while at < len(steps):
            name, params = name_and_params(steps[at])
            if name == "goto":
                goto = cast(Goto, read(name, self.expanded(params)))
                jumps[at] = jumps.get(at, 0) + 1
                labelled = [index for index, step in enumerate(steps) if name_and_params(step) == ("label", goto.label)]
                if labelled and goto.when is None and (goto.max is None or jumps[at] <= goto.max):
                    if not self._stage.transferred(self.call):
                        return self._fail()
                    at = labelled[0]
                    continue
            elif not await self._step(name, params) or self.call.state == "ended":
                return False
            if self._is_doomed:
                self._is_doomed = False
                return self._fail()
            at += 1
        return True

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """Await something that takes simulated time."""
        self.begun.set()
        with self._stage.wire.deliveries.resting():
            return await awaitable

    async def sleep(self, seconds: float) -> None:
        """Wait for *seconds* of simulated time."""
        over = asyncio.Event()
        self.call.clock.later(seconds, over.set, self._timers)
        await self.wait(over.wait())

    def set(self, **variables: Any) -> None:
        """Set variables of the call."""
        self._vars.update(variables)

    def expanded(self, value: Any) -> Any:
        """Return *value* with its variables replaced."""
        return expanded(value, self._scopes())

    def place_call(self, dial: Dial) -> SimulatedCall:
        """Dial somebody."""
        return self._stage.place_call(dial)

    async def until(self, calls: Sequence[SimulatedCall], *states: str) -> None:
        """Return once one of *calls* is in one of *states*, or all have ended."""
        await self._stage.until(calls, *states)

    async def confirmed(self, leg: SimulatedCall, steps: list[Any]) -> bool:
        """Run *steps* on *leg*, and say whether it is still up then."""
        script = Script(self._stage, leg, {})
        try:
            return await script.steps(steps)
        finally:
            cancel_all(script._timers)

    async def _step(self, name: str, params: Any) -> bool:
        """Run one step, and say whether to go on."""
        if name not in CHECKED:
            await self._other(name, self.expanded(params))
            return True
        # The steps in it are expanded when it is their turn.
        step = read(name, params if name in ("switch", "connect") else self.expanded(params))
        match step:
            case Answer():
                self.call.answer()
                self.set(answer_result="success")
            case Hangup():
                self.call.end(step.reason)
                return False
            case Sleep():
                await self.sleep(float("inf") if step.duration < 0 else step.duration / 1000)
            case SendDigits():
                await self._send_digits(step.digits)
            case Request():
                await self._request(step)
            case Switch():
                chosen = step.case.get(str(look_up(step.variable, self._scopes())), step.default or [])
                return await self.steps(chosen)
            case Connect():
                self.call.answer()
                await Dialling(self, step).run()
            case JoinConference():
                self.call.answer()
                await self._join(step)
            case Transfer():
                return await self._transfer(step)
        return True

    async def _send_digits(self, digits: str) -> None:
        for digit in digits:
            await self.sleep(SECONDS_PER.get(digit, SECONDS_PER_DIGIT))
            if digit not in SECONDS_PER:
                self.call.receive_digits(digit)
        self.set(send_digits_result="success")

    async def _request(self, step: Request) -> None:
        self.set(request_result="failed", request_response_code="")
        if self._dice.happens("lost_requests"):
            return
        is_text = isinstance(step.body, str)
        body = step.body.encode() if is_text else b"" if step.body is None else msgspec.json.encode(step.body)
        headers = {name: str(value) for name, value in (step.headers or {}).items()}
        if body and not is_text:
            headers.setdefault("Content-Type", "application/json")
        timeouts = (step.connect_timeout or None, step.timeout or None)
        self.begun.set()
        answer = await self._stage.wire.deliveries.request(step.method, step.url, headers, body, timeouts)
        sent = step.body if isinstance(step.body, dict) else {}
        self._stage.wire.deliveries.tell(Delivery(step.url, sent, None if answer is None else answer[0], 1))
        if answer is None:
            return
        status, content = answer
        text = content.decode(errors="replace")
        self.set(request_result="success", request_response_code=str(status), request_response_body=text)
        if step.save_variables:
            try:
                self.set(request_response=msgspec.json.decode(content))
            except (msgspec.MsgspecError, ValueError, RecursionError):
                self.set(request_response={})

    async def _join(self, step: JoinConference) -> None:
        conferences = self._stage.conferences
        conference = conferences.get(step.name)
        if conference is None:
            conference = conferences[step.name] = Conference(step.name, lambda over: conferences.pop(over.name, None))
        if len(conference) >= step.max_participants:
            self.set(join_conference_result="failed")
            return
        out = conference.join(self.call, step)
        try:
            await self.wait(out.wait())
        finally:
            conference.leave(self.call)
        self.set(join_conference_result="completed")

    async def _transfer(self, step: Transfer) -> bool:
        """Go on with another section, or with the document that a URL has; what followed is left out."""
        if not self._stage.transferred(self.call):
            return self._fail()
        sections: dict[str, list[Any]] | None = self._sections
        name = step.dest
        if step.dest.startswith(("http://", "https://")):
            fetched = await self._stage.wire.fetch(step.dest, self._scopes())
            try:
                sections, name = sections_of(msgspec.json.decode(fetched or b"")), "main"
            except (msgspec.MsgspecError, ValueError, RecursionError):
                sections = None
        if sections is None or name not in sections:
            return self._fail()
        self._sections = sections
        return await self.steps(sections[name])

    async def _other(self, name: str, params: Any) -> None:
        if name == "set" and isinstance(params, dict):
            self.set(**params)
        elif name == "unset":
            for variable in [params] if isinstance(params, str) else params:
                self._vars.pop(variable, None)
        elif name in ("play", "prompt") and isinstance(params, dict):
            self.call.answer()
            seconds, texts = played(params)
            for text in texts:
                self.call.overhear("local-caller", text)
            if name == "play":
                await self.sleep(seconds)
                self.set(play_result="success")
                return
            await self.sleep(seconds + self.call.callee.reacts_after)
            pressed = self.call.presses.next()
            self.set(prompt_result="match_digits" if pressed else "no_input", prompt_value=pressed)

    def _fail(self) -> bool:
        """End the call, as the platform does with a document that fails."""
        self.call.end("error")
        return False

    def _scopes(self) -> dict[str, Any]:
        call = self.call
        described = {
            "call_id": call.id,
            "node_id": call.wire.node_id,
            "segment_id": call.id,
            "call_state": call.state,
            "direction": call.direction,
            "type": call.device_type,
            "from": call.from_,
            "to": call.to,
            **call.wire.origin(),
        }
        return {"call": described, "vars": self._vars, "envs": {}, "params": {}}
