"""Checks SWML documents as the platform does: one unknown name, and it refuses the whole document.

The parameters are the vendor's, written here a second time, so that a mistake in the client's steps shows.
Source: SWML wire facts, sections 2 and 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from ..contract import Refusal, unprocessable

Raw = dict[str, Any]
Text = Annotated[str, Meta(min_length=1)]


class _Strict(Struct, forbid_unknown_fields=True, kw_only=True):
    """Refuses a name that it does not know."""


_CallState = Literal["created", "ringing", "answered", "ended"]
_Digits = Annotated[str, Meta(pattern=r"^[0-9*#ABCDwW]*\Z")]


class _Header(_Strict):
    name: Text
    value: str


class _Leg(_Strict, kw_only=True):
    """The parameters that a connect and each of its destinations have in common."""

    from_: Text | None = msgspec.field(name="from", default=None)
    timeout: Annotated[int, Meta(ge=1)] | None = None
    headers: list[_Header] | None = None
    codecs: str | None = None
    webrtc_media: bool | None = None
    session_timeout: Annotated[int, Meta(ge=1)] | None = None
    username: str | None = None
    password: str | None = None
    encryption: Literal["mandatory", "optional", "forbidden"] | None = None
    confirm: Text | list[Any] | None = None
    confirm_timeout: int | None = None
    call_state_url: Text | None = None
    call_state_events: list[_CallState] | None = None


class Destination(_Leg, kw_only=True):
    """One party that a connect dials."""

    to: Text


class Connect(_Leg):
    """``connect``."""

    to: Text | None = None
    serial: list[Destination] | None = None
    parallel: list[Destination] | None = None
    serial_parallel: list[list[Destination]] | None = None
    max_duration: Annotated[int, Meta(ge=1)] | None = None
    answer_on_bridge: bool | None = None
    ringback: list[Text] | None = None
    result: Any = None
    status_url: Text | None = None

    def groups(self) -> list[list[Destination]]:
        """Return who rings at the same time, the groups one after the other."""
        if self.to is not None:
            return [[Destination(to=self.to)]]
        if self.serial is not None:
            return [[destination] for destination in self.serial]
        return self.serial_parallel or [self.parallel or []]


class SendDigits(_Strict):
    """``send_digits``."""

    digits: _Digits


class JoinConference(_Strict):
    """``join_conference``."""

    name: Text
    muted: bool = False
    beep: Literal["true", "false", "onEnter", "onExit"] = "true"
    start_on_enter: bool = True
    end_on_exit: bool = False
    wait_url: Text | None = None
    max_participants: Annotated[int, Meta(ge=2, le=100_000)] = 100_000
    record: Literal["do-not-record", "record-from-start"] = "do-not-record"
    region: Literal["global", "us", "eu", "ch"] | None = None
    trim: Literal["trim-silence", "do-not-trim"] = "trim-silence"
    coach: Text | None = None
    status_callback: Text | None = None
    status_callback_method: Literal["GET", "POST"] = "POST"
    status_callback_event: str = "start end"
    status_callback_event_type: Literal["cxml", "laml", "relay"] | None = None
    recording_status_callback: Text | None = None
    recording_status_callback_method: Literal["GET", "POST"] = "POST"
    recording_status_callback_event: str | None = None
    recording_status_callback_event_type: Literal["cxml", "laml", "relay"] | None = None
    result: Any = None
    stream: Any = None


class Hangup(_Strict):
    """``hangup``."""

    reason: Literal["hangup", "busy", "decline"] = "hangup"


class Answer(_Strict):
    """``answer``."""

    max_duration: int | None = None
    codecs: str | None = None
    username: str | None = None
    password: str | None = None


class Request(_Strict):
    """``request``."""

    url: Text
    method: Literal["GET", "POST", "PUT", "DELETE"]
    headers: dict[str, Any] | None = None
    body: Any = None
    timeout: Annotated[float, Meta(ge=0)] = 0
    connect_timeout: Annotated[float, Meta(ge=0)] = 0
    save_variables: bool = False


class Sleep(_Strict):
    """``sleep``."""

    duration: Annotated[int, Meta(ge=-1)]


class Switch(_Strict):
    """``switch``."""

    variable: Text
    case: dict[str, list[Any]]
    default: list[Any] | None = None


class Goto(_Strict):
    """``goto``."""

    label: Text
    when: str | None = None
    max: int | None = None


class Transfer(_Strict):
    """``transfer``."""

    dest: Text
    params: Any = None
    meta: Any = None


CHECKED: Mapping[str, type[Struct]] = {
    "answer": Answer,
    "connect": Connect,
    "goto": Goto,
    "hangup": Hangup,
    "join_conference": JoinConference,
    "request": Request,
    "send_digits": SendDigits,
    "sleep": Sleep,
    "switch": Switch,
    "transfer": Transfer,
}
_SHORT = {"sleep": "duration", "goto": "label", "transfer": "dest", "hangup": "reason", "send_digits": "digits"}
"""Steps that may be written with their main parameter alone, as ``{"sleep": 1000}``."""
_OTHERS = frozenset({
    "ai", "ai_sidecar", "amazon_bedrock", "cond", "denoise", "detect_machine", "enter_queue", "execute", "join_room",
    "label", "live_transcribe", "live_translate", "pay", "play", "prompt", "receive_fax", "record", "record_call",
    "return", "send_fax", "send_sms", "set", "sip_refer", "stop_denoise", "stop_record_call", "stop_stream", "stop_tap",
    "stream", "tap", "transcribe", "transcribe_stop", "unset", "user_event",
})  # fmt: skip
"""Steps whose parameters are not checked."""
_IN_CONFIRM = frozenset({
    "cond", "set", "unset", "hangup", "play", "prompt", "record", "record_call", "stop_record_call", "tap", "stop_tap",
    "stream", "stop_stream", "send_digits", "send_sms", "denoise", "stop_denoise", "switch",
})  # fmt: skip
_MOST_LEVELS = 20


def name_and_params(step: Any) -> tuple[str, Any]:
    """Part *step* into its name and its parameters; ``("", None)`` for what is no step."""
    if isinstance(step, str):
        return step, {}
    if isinstance(step, dict) and len(step) == 1:
        ((name, params),) = step.items()
        return name, params
    return "", None


def read(name: str, params: Any) -> Struct:
    """Read the parameters of a step that is in ``CHECKED``."""
    given = {_SHORT[name]: params} if name in _SHORT and not isinstance(params, dict) else params
    return msgspec.convert(given, CHECKED[name], strict=True)


def sections_of(document: Any) -> dict[str, list[Any]] | None:
    """Return the sections of *document*; ``None`` if it has none, and nothing is to be run."""
    sections = document.get("sections") if isinstance(document, dict) else None
    if not isinstance(sections, dict) or not isinstance(sections.get("main"), list):
        return None
    return {name: steps for name, steps in sections.items() if isinstance(steps, list)}


def check_swml(document: Any, attribute: str) -> None:
    """Refuse *document*, the value of *attribute*, unless every name in its steps is known.

    Raises:
        Refusal: One is not, or a value breaks its rule.
    """
    for name, steps in (sections_of(document) or {}).items():
        _check_steps(steps, f"{attribute}.sections.{name}"[:200], attribute, 0, is_confirm=False)


def _check_steps(steps: list[Any], path: str, attribute: str, level: int, *, is_confirm: bool) -> None:
    if level > _MOST_LEVELS:
        raise _refused(path, "is nested too deeply", attribute)
    for index, step in enumerate(steps):
        where = f"{path}[{index}]"
        name, params = name_and_params(step)
        if name not in CHECKED and name not in _OTHERS:
            raise _refused(where, "is not one of the known methods", attribute)
        if is_confirm and name not in _IN_CONFIRM:
            raise _refused(where, "is not one of the methods that confirm may have", attribute)
        if name in CHECKED:
            _check_step(name, params, where, attribute)
        for inner, is_confirm_of in _nested(name, params):
            _check_steps(inner, f"{where}.{name}", attribute, level + 1, is_confirm=is_confirm or is_confirm_of)


def _check_step(name: str, params: Any, where: str, attribute: str) -> None:
    try:
        checked = read(name, params)
    except (msgspec.ValidationError, RecursionError) as error:
        # The first words are msgspec's: they name the rule and the place, never the value.
        raise _refused(where, f"({name}) is not valid: {str(error)[:120]}", attribute) from None
    if isinstance(checked, Connect):
        ways = (checked.to, checked.serial, checked.parallel, checked.serial_parallel)
        if sum(way is not None for way in ways) != 1:
            raise _refused(where, "(connect) must have one of to, serial, parallel, serial_parallel", attribute)


def _nested(name: str, params: Any) -> Iterator[tuple[list[Any], bool]]:
    """Yield the lists of steps inside the parameters of a step, and whether they are those of a ``confirm``."""
    if name == "switch" and isinstance(params, dict):
        case = params.get("case")
        for steps in (*(case.values() if isinstance(case, dict) else ()), params.get("default")):
            if isinstance(steps, list):
                yield steps, False
    elif name == "connect" and isinstance(params, dict):
        several = [params.get(way) for way in ("serial", "parallel")]
        destinations = [item for way in several if isinstance(way, list) for item in way if isinstance(item, dict)]
        for holder in (params, *destinations):
            if isinstance(holder.get("confirm"), list):
                yield holder["confirm"], True


def _refused(where: str, why: str, attribute: str) -> Refusal:
    return unprocessable("invalid_parameter", f"{where} {why}", attribute)
