"""`SimulatedCall`, and `Operation`, the base class of everything that runs on it. The `Exchange` creates the calls."""

from __future__ import annotations

import math
import uuid
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, Protocol, TypeVar

from swcalls.commands import Dial, KeyedCommand, StartCommand, StatusCommand

from .argument_checks import is_dtmf, is_text
from .callee import Callee, Script
from .clock import Clock, Timer, TimerGroup, cancel_all
from .wire import Shape, Wire

Direction = Literal["inbound", "outbound"]
Party = Literal["remote-caller", "local-caller"]
State = Literal["queued", "created", "ringing", "answered", "ended"]
OperationT = TypeVar("OperationT", bound="Operation")

RING_TIMEOUT = 30.0
"""Simulated seconds that a call rings if its dial has no ``timeout``."""
SENTENCES_KEPT = 1000
"""How many sentences of a call are kept for transcripts and summaries."""
DIGITS_KEPT = 1000


class Line(Protocol):
    """What connects a call with others: a bridge, or a conference."""

    def others(self, call: SimulatedCall) -> list[SimulatedCall]:
        """Return the calls that hear what is said on *call*."""
        ...

    def leave(self, call: SimulatedCall) -> None:
        """Disconnect *call* from the other calls."""
        ...


class Dialplans(Protocol):
    """Runs the SWML documents of calls."""

    def redirect(self, call: SimulatedCall, document: dict[str, Any]) -> None:
        """Run *document* on *call* from now on, or once the call is answered."""
        ...

    def entered(self, call: SimulatedCall) -> None:
        """Process that *call* has entered its current state."""
        ...


class SimulatedCall:
    """One call: its state, its callee, and the operations that run on it.

    The callee follows its script; a test can also control it with ``press``, ``say`` and ``hang_up``.
    """

    def __init__(
        self,
        wire: Wire,
        dial: Dial,
        callee: Callee,
        direction: Direction = "outbound",
        dialplans: Dialplans | None = None,
    ) -> None:
        self.direction = direction
        self.id: str = str(uuid.uuid4())
        self.from_: str = dial.from_
        self.to: str = dial.to or ""
        self.state: State = "queued"
        self.end_reason: str | None = None
        """Why the call ended; None: it has not ended."""
        self.operations: dict[tuple[str, str], Operation] = {}
        """The running operations, by kind and ``control_id``."""
        self.callee = callee
        self.spoken: deque[str] = deque(maxlen=SENTENCES_KEPT)
        """What both sides said."""
        self.heard: deque[str] = deque(maxlen=SENTENCES_KEPT)
        """What the far end has heard: what was played, and what other parties of a bridge or a conference said."""
        self.received_digits: str = ""
        """The latest digits that arrived at the far end."""
        self.parent_id: str | None = None
        """The call whose document dialled this one; None: no document did."""
        self.line: Line | None = None
        """The bridge, or the conference, that the call is in."""
        self.dialplans = dialplans
        self.wire = wire
        self.clock: Clock = wire.clock
        self.presses: Script = Script(callee.presses)
        self.says: Script = Script(callee.says)
        self.status_url = dial.status_url
        self._status_events: Sequence[str] = dial.status_events or ("ended",)
        self._url = dial.url
        self._ring_timeout = RING_TIMEOUT if dial.timeout is None else float(dial.timeout)
        self._started = self.clock.now()
        self._answered: float | None = None
        self._ended: float | None = None
        self._timers: TimerGroup = set()

    def __repr__(self) -> str:
        return f"<SimulatedCall {self.id} {self.state}, {len(self.operations)} running>"

    def arrive(self) -> None:
        """Begin as an inbound call: created, then ringing."""
        self._enter("created", created_by="receive")
        self._enter("ringing")

    def answer(self) -> None:
        """Answer the call if it is created or ringing; else do nothing."""
        if self.state in ("created", "ringing"):
            self._answer()

    def start(self) -> None:
        """Begin as an outbound call: created, then ringing until the callee answers or refuses, or nobody answers."""
        self._enter("created", created_by="dial")
        self._enter("ringing")
        rings_for = self.callee.rings_for if self.callee.answers is not False else math.inf
        if rings_for >= self._ring_timeout:
            self._after(self._ring_timeout, lambda: self.end("noAnswer"))
        elif isinstance(self.callee.answers, str):
            reason = self.callee.answers
            self._after(rings_for, lambda: self.end(reason))
        else:
            self._after(rings_for, self._answer)

    def press(self, digits: str) -> None:
        """Press *digits* (``0-9 A-D * #``) at the callee's end, all at once.

        Raises:
            ValueError: If *digits* contains other characters.
            RuntimeError: If the call is not answered, or has ended.
        """
        if not is_dtmf(digits):
            raise ValueError(f"press: digits={digits!r} must be made of the characters 0-9 A-D * #")
        self._check_answered("press")
        for digit in digits:
            self.press_key(digit)
            for operation in self._running():
                operation.hear_digit(digit)
        for other in self._listeners():
            other.receive_digits(digits)

    def say(self, text: str) -> None:
        """Say *text* at the callee's end; no simulated time passes.

        Raises:
            ValueError: If *text* is empty, or UTF-8 cannot encode it.
            RuntimeError: If the call is not answered, or has ended.
        """
        if not is_text(text) or not text:
            raise ValueError(f"say: text={text!r} must be a string that is not empty and that UTF-8 can encode")
        self._check_answered("say")
        self.begin_to_say(text)
        for operation in self._running():
            operation.hear_speech_begin()
            operation.hear_speech(text)
        self.overhear("remote-caller", text)
        for other in self._listeners():
            other.overhear("local-caller", text)

    def overhear(self, party: Party, text: str) -> None:
        """Pass *text*, which *party* said, to the operations that listen to the call (transcriptions, sidecars)."""
        self.spoken.append(text)
        if party == "local-caller":
            self.heard.append(text)
        for operation in self._running():
            operation.overhear(party, text)

    def receive_digits(self, digits: str) -> None:
        """Record *digits*, which have arrived at the far end."""
        self.received_digits = (self.received_digits + digits)[-DIGITS_KEPT:]

    def press_key(self, digit: str) -> None:
        """Play the tone of *digit* in the audio of the call."""
        for operation in self._running():
            operation.hear_key(digit)

    def begin_to_say(self, text: str) -> None:
        """Play a voice in the audio of the call for as long as *text* takes."""
        for operation in self._running():
            operation.hear_voice(text)

    def hang_up(self, reason: str = "hangup") -> None:
        """Hang up, or refuse the call, at the callee's end; do nothing if the call has ended."""
        self.end(reason)

    def begin(self, operation: Operation) -> None:
        """Start *operation* now, or once the call is answered."""
        self.operations[operation.kind, operation.control_id] = operation
        if self.state == "answered":
            operation.start()

    def find(self, kind: type[OperationT], control_id: str) -> OperationT | None:
        """Return the running operation of *kind* with *control_id*, or None."""
        operation = self.operations.get((kind.kind, control_id))
        return operation if isinstance(operation, kind) else None

    def any_of(self, *kinds: str) -> bool:
        """Return whether an operation of one of *kinds* is running."""
        return any(kind in kinds for kind, _ in self.operations)

    def redirect(
        self, *, url: str | None = None, swml: dict[str, Any] | None = None, status_url: str | None = None
    ) -> None:
        """Run another document, *swml*, or set its *url*, which is not run; set the *status_url* for further states."""
        self._url = url or self._url
        self.status_url = status_url or self.status_url
        if swml is not None and self.dialplans is not None:
            self.dialplans.redirect(self, swml)

    def end(self, reason: str) -> None:
        """End the call, then all operations on it; do nothing if the call has ended."""
        if self.state == "ended":
            return
        self._ended = self.clock.now()
        self.end_reason = reason
        cancel_all(self._timers)
        self._enter("ended", end_reason=reason)
        for operation in self._running():
            operation.call_ended()

    def leg(self) -> dict[str, Any]:
        """Return the call leg that responses to commands contain. Source: wire contract, section a."""
        duration_ms = None
        if self._answered is not None:
            duration_ms = round(((self._ended or self.clock.now()) - self._answered) * 1000)
        return {
            "id": self.id,
            "from": self.from_,
            "to": self.to,
            "direction": "inbound" if self.direction == "inbound" else "outbound-api",
            "source": "realtime_api",
            "url": self._url,
            "charge": 0,
            "created_at": datetime.fromtimestamp(self._started, UTC).isoformat(timespec="seconds")[:19] + "Z",
            "charge_details": [],
            "status": self.state,
            "duration": None if duration_ms is None else duration_ms // 1000,
            "duration_ms": duration_ms,
            "billing_ms": duration_ms,
            "type": f"relay_{'pstn' if self.device_type == 'phone' else self.device_type}_call",
            "parent_id": self.parent_id,
        }

    def _answer(self) -> None:
        self._answered = self.clock.now()
        self._enter("answered", end_reason=None)
        if self.callee.hangs_up_after is not None:
            self._after(self.callee.hangs_up_after, self.hang_up)
        for operation in self._running():
            operation.start()

    def _after(self, seconds: float, then: Callable[[], None]) -> None:
        self.clock.later(seconds, then, self._timers)

    def _running(self) -> list[Operation]:
        # A copy, since an operation that finishes removes itself from the dict.
        return list(self.operations.values())

    def _listeners(self) -> list[SimulatedCall]:
        return [] if self.line is None else self.line.others(self)

    def _check_answered(self, act: str) -> None:
        if self.state != "answered":
            raise RuntimeError(f"{act}: the call is {self.state}, and must be answered")

    @property
    def device_type(self) -> str:
        if self.to.startswith(("sip:", "sips:")):
            return "sip"
        return "webrtc" if self.to.startswith(("verto:", "client:", "/")) else "phone"

    def _enter(self, state: State, **more: Any) -> None:
        self.state = state
        kind = self.device_type
        sides = ("from_number", "to_number") if kind == "phone" else ("from", "to")
        times = {"start_time": self._started, "end_time": self._ended, "answer_time": self._answered}
        params = {
            "call_id": self.id,
            "node_id": self.wire.node_id,
            "segment_id": self.id,
            "call_state": state,
            "direction": self.direction,
            "device": {"type": kind, "params": dict(zip(sides, (self.from_, self.to), strict=True))},
            **more,
            **{name: int(moment * 1000) for name, moment in times.items() if moment is not None},
        }
        url = self.status_url if state in self._status_events else None
        self.wire.post(url, "calling.call.state", params)
        if self.dialplans is not None:
            self.dialplans.entered(self)


class Listener:
    """The methods that a call calls for input from the callee; by default they do nothing."""

    def hear_digit(self, digit: str) -> None:
        """Process a digit that the callee pressed."""

    def hear_key(self, digit: str) -> None:
        """Hear the tone of a digit that the far end presses."""

    def hear_voice(self, text: str) -> None:
        """Hear the voice of the far end, which begins to say *text*."""

    def hear_speech_begin(self) -> None:
        """Process that the callee begins to speak."""

    def hear_speech(self, text: str) -> None:
        """Process a text that the callee has said."""

    def overhear(self, party: Party, text: str) -> None:
        """Process a text that either side has said."""


class Operation(Listener, ABC):
    """Something that runs on a call (a play, a recording, …) and posts webhooks until it finishes."""

    kind: ClassVar[str]
    """The family of its commands, which is also the last word of its webhooks' ``event_type``."""
    shape: ClassVar[Shape | None] = None
    """The shape of its webhooks; None: the shape that the simulator was created with."""

    def __init__(self, call: SimulatedCall, command: StartCommand) -> None:
        self.call = call
        self.clock: Clock = call.clock
        self.control_id: str = command.control_id if isinstance(command, KeyedCommand) else str(uuid.uuid4())
        self.is_finished: bool = False
        self._status_url = command.status_url if isinstance(command, StatusCommand) else None
        self._timers: TimerGroup = set()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.control_id}>"

    @abstractmethod
    def start(self) -> None:
        """Begin. It is called once the call is answered."""

    @abstractmethod
    def stop(self) -> None:
        """Finish because a stop command came, or a time limit was reached."""

    def call_ended(self) -> None:
        """Finish because the call has ended."""
        self.stop()

    def after(self, seconds: float, then: Callable[[], None]) -> Timer:
        """Call *then* after simulated *seconds*, unless the operation has finished before."""
        return self.clock.later(seconds, then, self._timers)

    def post(self, method: str = "POST", **more: Any) -> None:
        """Post a webhook with the parameters *more*."""
        params = {"control_id": self.control_id, "call_id": self.call.id, "node_id": self.call.wire.node_id, **more}
        self.call.wire.post(self._status_url, f"calling.call.{self.kind}", params, method=method, shape=self.shape)

    def finish(self) -> None:
        """Mark the operation as finished: cancel its timers, and remove it from the call."""
        self.is_finished = True
        cancel_all(self._timers)
        self.call.operations.pop((self.kind, self.control_id), None)
