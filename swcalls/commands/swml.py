"""Steps of a SWML document: what a live call can be told to do beyond the REST commands.

Each step has only those parameters that every source of the vendor's knows: one unknown name makes the platform refuse
the whole document. What a step cannot say here, a plain dict can: ``{"play": {"url": "say:Hello."}}``.
Not confirmed on a live account.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from ._base import StartCommand, Value, always_sent
from ._checks import check_document
from ._secrets import shown_without_secrets
from ._types import HTTP_URL, Document, HttpUrl, Name, Seconds
from .calls import Update

WholeSeconds = Annotated[int, Meta(ge=1, description="seconds")]
DialDigits = Annotated[
    str, Meta(pattern=r"^[0-9A-D*#wW]+\Z", description="a string of the characters 0-9 A-D * # w W, at least one")
]
ConnectAddress = Annotated[
    str,
    Meta(
        pattern=r"^(?:\+?[0-9]{7,15}|(?i:sips?|verto|client|queue|call|stream):\S.*|/.+)\Z",
        description="a phone number in E.164 ('+' and 7 to 15 digits), a sip:, sips:, verto:, client:, queue:, call: or"
        " stream: address, or a fabric address such as '/public/name'",
    ),
]
Url = Annotated[str, Meta(min_length=1, description="an http:// or https:// URL")]
"""Without its pattern, because msgspec 0.22 corrupts memory when a string with a pattern may also be a list."""
Steps = Annotated[list[Any], Meta(description="a list of steps")]
HangupReason = Literal["hangup", "busy", "decline"]
Beep = Literal["true", "false", "onEnter", "onExit"]

_is_http_url = re.compile(rf"{HTTP_URL}\Z").match

SECONDS_PER_DIGIT = 0.25
SECONDS_PER_PAUSE = 1.0
"""The longer of the two pauses: the vendor's pages disagree on whether ``w`` or ``W`` is the one of half a second."""

TAIL_CONNECT_TIMEOUT = 3.0
TAIL_TIMEOUT = 5.0
"""Seconds. The platform's default is to wait without limit."""

VARIABLES: Mapping[str, tuple[str, ...]] = {
    "answer": ("answer_result",),
    "connect": ("connect_result", "connect_failed_reason"),
    "detect_machine": ("detect_result", "detect_beep"),
    "join_conference": ("join_conference_result",),
    "play": ("play_result",),
    "prompt": ("prompt_result", "prompt_value"),
    "record": ("record_result", "record_url"),
    "request": ("request_result", "request_response_code"),
    "send_digits": ("send_digits_result",),
}
"""The variables in which each step stores its result."""


class Step(Value, frozen=True):
    """A step of a SWML document."""

    step: ClassVar[str]
    """The step's name on the wire."""

    def as_object(self) -> Document:
        """Return the step as it stands in a document."""
        return {self.step: msgspec.to_builtins(self)}


class Connect(Step, frozen=True, kw_only=True):
    """Dial somebody and bridge both calls, until one of them hangs up.

    Args:
        to: One address; or give *serial*, addresses to try one after the other, or *parallel*, addresses that ring at
            the same time.
        caller_id: What the called party sees; without it, the number of the calling party.
        timeout: Seconds to ring (the platform's default: 60).
        max_duration: Seconds after which the bridge ends (the platform's default: 14400).
        ringback: What the caller hears meanwhile, such as ``ring:us`` or the URL of a file.
        confirm: Steps that run on the called leg before it is bridged, or the URL of a document.
        headers: SIP headers.
        status_url: Receives ``connecting``, ``connected``, ``disconnected`` and ``failed``.
        call_state_url: Receives the states of the called legs, those of *call_state_events*.
    """

    command: ClassVar[str] = "connect"
    step: ClassVar[str] = "connect"
    secret: ClassVar[frozenset[str]] = frozenset({"status_url", "call_state_url"})

    to: ConnectAddress | None = None
    serial: Annotated[list[ConnectAddress], Meta(min_length=1)] | None = None
    parallel: Annotated[list[ConnectAddress], Meta(min_length=1)] | None = None
    caller_id: Name | None = msgspec.field(name="from", default=None)
    timeout: WholeSeconds | None = None
    max_duration: WholeSeconds | None = None
    ringback: Annotated[list[Name], Meta(min_length=1)] | None = None
    confirm: Url | Steps | None = None
    headers: dict[str, str] | None = None
    status_url: HttpUrl | None = None
    call_state_url: HttpUrl | None = None
    call_state_events: list[Literal["created", "ringing", "answered", "ended"]] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if sum(way is not None for way in (self.to, self.serial, self.parallel)) != 1:
            self._refuse("to", "given, or serial, or parallel: one of the three")
        if isinstance(self.confirm, str) and not _is_http_url(self.confirm):
            self._refuse("confirm", "an http:// or https:// URL or a list of steps")
        if isinstance(self.confirm, list):
            step_objects(self.confirm, "connect: confirm")

    def as_object(self) -> Document:
        """Return the step as it stands in a document."""
        made = msgspec.to_builtins(msgspec.structs.replace(self, confirm=None))
        for several in ("serial", "parallel"):
            if several in made:
                made[several] = [{"to": address} for address in made[several]]
        if self.headers is not None:
            made["headers"] = [{"name": name, "value": value} for name, value in self.headers.items()]
        if isinstance(self.confirm, list):
            made["confirm"] = step_objects(self.confirm, "connect: confirm")
        elif self.confirm is not None:
            made["confirm"] = self.confirm
        return {self.step: made}

    def reporting_to(self, status_url: str, call_state_url: str) -> Connect:
        """Return the same step, which reports to these URLs; of the called legs, every state."""
        return msgspec.structs.replace(
            self,
            status_url=status_url,
            call_state_url=call_state_url,
            call_state_events=["created", "ringing", "answered", "ended"],
        )


class SendDigits(Step, frozen=True):
    """Send DTMF *digits* (``0-9 A-D * #``) to the far end; ``w`` and ``W`` are pauses."""

    command: ClassVar[str] = "send_digits"
    step: ClassVar[str] = "send_digits"

    digits: DialDigits

    @property
    def seconds(self) -> float:
        """How long sending them takes at most, as far as is known."""
        pauses = sum(digit in "wW" for digit in self.digits)
        return pauses * SECONDS_PER_PAUSE + (len(self.digits) - pauses) * SECONDS_PER_DIGIT


class JoinConference(Step, frozen=True, kw_only=True):
    """Join the conference *name*; it begins with its first member.

    Args:
        muted: Join without being heard.
        beep: When a beep is heard (the platform's default: ``"true"``, when somebody joins or leaves).
        start_on_enter: False: wait until somebody else starts the conference.
        end_on_exit: End the conference for all when this member leaves.
        wait_url: What is played while the conference has not started.
        max_participants: From 2.
        record: ``record-from-start``, or the platform's default, ``do-not-record``.
        status_callback: Receives the events that *status_callback_event* lists, separated by spaces.
    """

    command: ClassVar[str] = "join_conference"
    step: ClassVar[str] = "join_conference"
    secret: ClassVar[frozenset[str]] = frozenset({"status_callback"})

    name: Name
    muted: bool | None = None
    beep: Beep | None = None
    start_on_enter: bool | None = None
    end_on_exit: bool | None = None
    wait_url: HttpUrl | None = None
    max_participants: Annotated[int, Meta(ge=2, le=100_000, description="participants")] | None = None
    record: Literal["do-not-record", "record-from-start"] | None = None
    status_callback: HttpUrl | None = None
    status_callback_event: Name | None = None
    status_callback_event_type: Literal["cxml", "laml", "relay"] | None = None

    def reporting_to(self, status_url: str) -> JoinConference:
        """Return the same step, which reports to this URL who joins and leaves, and the end."""
        return msgspec.structs.replace(
            self,
            status_callback=status_url,
            status_callback_event="join leave end",
            status_callback_event_type="relay",
        )


class Hangup(Step, frozen=True):
    """End the call; before it was answered, *reason* ``busy`` or ``decline`` refuses it."""

    command: ClassVar[str] = "hangup"
    step: ClassVar[str] = "hangup"

    reason: HangupReason | None = None


class Answer(Step, frozen=True):
    """Answer a call that comes in, for *max_duration* seconds at most (the platform's default: 14400)."""

    command: ClassVar[str] = "answer"
    step: ClassVar[str] = "answer"

    max_duration: WholeSeconds | None = None


class Request(Step, frozen=True):
    """Send an HTTP request from the platform, and wait for its answer.

    Args:
        headers: Accept, Authorization, Content-Type, Range and those that begin with ``X-``.
        body: Text, or an object that is sent as JSON; ``%{name}`` in it becomes the value of the variable *name*.
        connect_timeout: Seconds; without it the platform waits without limit, so give one. So for *timeout*.
        save_variables: Keep the answer, a JSON object, as the variable ``request_response``.
    """

    command: ClassVar[str] = "request"
    step: ClassVar[str] = "request"
    secret: ClassVar[frozenset[str]] = frozenset({"url", "headers"})

    url: HttpUrl
    method: Literal["GET", "POST", "PUT", "DELETE"] = always_sent("POST")
    headers: dict[str, str] | None = None
    body: str | Document | None = None
    connect_timeout: Seconds | None = None
    timeout: Seconds | None = None
    save_variables: bool | None = None


class Sleep(Step, frozen=True):
    """Do nothing for *duration* milliseconds; -1: until the document is replaced or the call ends."""

    command: ClassVar[str] = "sleep"
    step: ClassVar[str] = "sleep"

    duration: Annotated[int, Meta(ge=-1, description="milliseconds, or -1")]

    def as_object(self) -> Document:
        """Return the step as it stands in a document."""
        return {self.step: self.duration}


class Switch(Step, frozen=True):
    """Go on with the steps that *case* has for the value of *variable*, or else with those of *default*."""

    command: ClassVar[str] = "switch"
    step: ClassVar[str] = "switch"

    variable: Name
    case: dict[str, Steps]
    default: Steps | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.as_object()

    def as_object(self) -> Document:
        """Return the step as it stands in a document."""
        made: Document = {
            "variable": self.variable,
            "case": {value: step_objects(steps, "switch: case") for value, steps in self.case.items()},
        }
        if self.default is not None:
            made["default"] = step_objects(self.default, "switch: default")
        return {self.step: made}


class RunDocument(Update, kw_only=True):
    """The ``update`` that gives a call a document of ours."""


class DocumentStart(StartCommand, kw_only=True):
    """What starts an action that is a document. It is sent as `RunDocument`, or as ``calling.transfer``."""

    command: ClassVar[str] = "update"


AnyStep = Step | Mapping[str, Any]
"""A typed step, or a plain dict with one key: the step's name."""

PARK: tuple[Step, ...] = (Sleep(-1),)
"""What keeps a call up, so that commands can go on."""


def step_objects(steps: Iterable[AnyStep], name: str = "steps") -> list[Document]:
    """Return *steps*, typed ones or plain dicts, as they stand in a document; *name* is what an error calls them.

    Raises:
        TypeError: One of them is neither a step nor a dict, or cannot be JSON.
        ValueError: One of them has not exactly one key, or cannot be JSON.
    """
    if isinstance(steps, str | bytes | Mapping | Step) or not isinstance(steps, Iterable):
        raise TypeError(f"{name}={shown_without_secrets(steps)} must be a list of steps")
    given, made = list(steps), []
    for index, step in enumerate(given):
        try:
            made.append(_step_object(step))
        except (TypeError, ValueError) as error:
            error_type = TypeError if isinstance(error, TypeError) else ValueError
            message = f"{name}={shown_without_secrets(given)} must be a list of steps; item {index}: {error}"
            raise error_type(message) from None
    return made


def document(steps: Iterable[AnyStep]) -> Document:
    """Make the SWML document that runs *steps*, typed ones, plain dicts, or both.

    The call ends with its last step, unless that is one that never ends, as ``Sleep(-1)``.

    Raises:
        TypeError: One of them is neither a step nor a dict, or cannot be JSON.
        ValueError: There is none; or one of them has not exactly one key, or cannot be JSON.
    """
    main = step_objects(steps)
    if not main:
        raise ValueError("steps=[] must be a list of at least one step")
    return {"version": "1.0.0", "sections": {"main": main}}


def variables_of(steps: Iterable[Document]) -> tuple[str, ...]:
    """Return the names of the variables that *steps*, those of a document, set; each once."""
    found = dict.fromkeys(name for step in steps for name in _variables(step))
    return tuple(name for name in found if name not in ("op", "call_id"))


def tail(url: str, key: str, variables: Iterable[str]) -> Request:
    """Make the step that posts to *url*, when the steps before it have run, the values of *variables*.

    Without an answer the document goes on after a few seconds. Unset variables are sent as empty strings.
    """
    told = {name: f"%{{{name}}}" for name in variables}
    return Request(
        url,
        headers={"Content-Type": "application/json"},
        body={"op": key, "call_id": "%{call.call_id}", **told},
        connect_timeout=TAIL_CONNECT_TIMEOUT,
        timeout=TAIL_TIMEOUT,
    )


def _step_object(step: AnyStep) -> Document:
    if isinstance(step, Step):
        return step.as_object()
    if not isinstance(step, Mapping):
        raise TypeError("a step must be one such as Hangup(), or a dict with one key, its name")
    made = dict(step)
    # First, since what contains itself has no end.
    check_document("step", made)
    if len(made) != 1:
        raise ValueError(f"a dict must have one key, the step's name; this one has {len(made)}")
    return {key: _plain(value) for key, value in made.items()}


def _plain(value: Any) -> Any:
    """Return *value* with every typed step in it, however deep, as it stands in a document."""
    if isinstance(value, Step):
        return value.as_object()
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _variables(step: Document) -> Iterator[str]:
    for name, params in step.items():
        yield from VARIABLES.get(name, ())
        if name == "set" and isinstance(params, dict):
            yield from filter(str.isidentifier, params)
        elif name in ("switch", "cond"):
            for branch in _branches(params):
                yield from variables_of(branch)


def _branches(params: object) -> Iterator[list[Document]]:
    """Yield the lists of steps that a ``switch`` or a ``cond`` chooses from."""
    if isinstance(params, list):
        for item in params:
            yield from _branches(item)
    elif isinstance(params, dict):
        for key, value in params.items():
            lists = value.values() if key == "case" and isinstance(value, dict) else [value]
            for steps in lists:
                if isinstance(steps, list) and key in ("case", "default", "then", "else"):
                    yield [step for step in steps if isinstance(step, dict)]
