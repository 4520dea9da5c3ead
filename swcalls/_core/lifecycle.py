"""What each event does to its operation: the lifecycle of every kind, as tables.

A table maps the states of a kind to a `Step`: its rank (an operation never goes back to a lower rank), and what the
event ends. Where the state alone does not decide, a function beside the table does, and its docstring says what else
it looks at. An event whose state is in no table ends nothing.

Source: wire contract, section 0, item 5 ("What ends an action").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import cast

from ..events import (
    CallEvent,
    CollectEvent,
    DetectEvent,
    Event,
    FaxEvent,
    SpeechEvent,
    UnknownEvent,
)
from ..results import (
    CollectResult,
    Detection,
    FaxResult,
    Playback,
    Recording,
    ReferResult,
    Result,
    SidecarAnswer,
    SidecarResult,
    SpeechResult,
    StreamResult,
    Summary,
    TapResult,
    Transcript,
)
from ..words import CollectType, Detected
from .operation import Operation
from .steps import Ends, Grace, Lifecycle, Step, by_word
from .swml_lifecycles import SWML_LIFECYCLES

_GOING = Step(1)
_ANSWER = Step(2, Ends.WAIT)
_DONE = Step(9, Ends.RUN)
_FAILED = Step(9, Ends.FAILED)

CALL = {
    "queued": Step(1),
    "initiated": Step(2),
    "created": Step(3),
    "ringing": Step(4),
    "answered": Step(5),
    "in-progress": Step(5),
    "joined": Step(5),
    "ending": Step(6),
    "ended": _DONE,
    "completed": _DONE,
    "failed": _DONE,
    "canceled": _DONE,
    "busy": _DONE,
    "no-answer": _DONE,
}
PLAY = {"playing": _GOING, "paused": _GOING, "finished": _DONE, "error": _FAILED}
RECORD = {"recording": _GOING, "paused": _GOING, "finished": _DONE, "no_input": _DONE, "error": _FAILED}
TAP = {"tapping": _GOING, "finished": _DONE, "error": _FAILED}
STREAM = {"streaming": _GOING, "finished": _DONE, "error": _FAILED}
COLLECT = {
    "start_of_input": _GOING,
    "digit": _DONE,
    "speech": _DONE,
    "no_input": _DONE,
    "no_match": _DONE,
    "finished": _DONE,
    "error": _FAILED,
}
DETECT = {
    "HUMAN": _ANSWER,
    "UNKNOWN": _ANSWER,
    "MACHINE": _ANSWER,
    "NOT_READY": _GOING,
    "READY": _GOING,
    "CED": _ANSWER,
    "CNG": _ANSWER,
    "finished": _DONE,
    "error": _FAILED,
}
TRANSCRIBE = {"transcribing": _GOING, "finished": _GOING, "completed": _DONE, "failed": _FAILED}
SIDECAR_ASK = {"ask_answer": _DONE}
DENOISE = {"on": _GOING, "off": _DONE}
_WITH_MESSAGE_END = DETECT | {"MACHINE": _GOING, "READY": _ANSWER}
_DIGITS = re.compile(r"[0-9A-D*#]+\Z")

LIVE_WORDS = frozenset({"answered", "in-progress", "joined"})
"""The states in which a call is up."""


def _collect_step(operation: Operation, event: Event) -> Step | None:
    """Look at the command's ``continuous``, at the event's ``final``, and at whether a stop was sent."""
    if not isinstance(event, CollectEvent):
        return None
    if "error" in (event.state, event.type) and event.state != "collecting":
        return _FAILED
    if "finished" in (event.state, event.type):
        return _DONE
    if event.type == "start_of_input" or event.final is False:
        return _GOING
    if operation.stopping:
        return _DONE  # Not documented: which event follows a stop. Any event is taken as the last one.
    if operation.options.continuous or event.state == "collecting":
        return _GOING
    return COLLECT.get(event.type or event.state)


def _detect_step(operation: Operation, event: Event) -> Step | None:
    """Look at the command's ``detect_message_end``: with it, MACHINE may still become READY."""
    table = _WITH_MESSAGE_END if operation.options.message_end else DETECT
    step = table.get(event.state)
    return _ANSWER if step is None and _DIGITS.match(event.state) else step


def _refer_step(operation: Operation, event: Event) -> Step | None:
    """Treat every unknown state as a failure: the platform passes on the many words of SIP."""
    return {"": None, "inProgress": _GOING, "success": _DONE}.get(event.state, _FAILED)


def _fax_step(operation: Operation, event: Event) -> Step | None:
    """Look at ``success``: the state is ``finished`` for a fax that failed, too."""
    if event.state == "finished" and isinstance(event, FaxEvent):
        return _DONE if event.success else _FAILED
    return {"page": _GOING, "error": _FAILED}.get(event.state)


def _speech_step(operation: Operation, event: Event) -> Step | None:
    """Treat a summary that comes after a stop as the last event; no other event is known to be the last."""
    summary = isinstance(event, SpeechEvent) and event.is_summary
    return _DONE if summary and operation.stopping else _GOING


def _sidecar_step(operation: Operation, event: Event) -> Step | None:
    """Only ``final`` ends a sidecar; every other event, known or not, is progress."""
    return _DONE if event.state == "final" else _GOING if event.state else None


def detection_so_far(operation: Operation, event: Event | None) -> Detection:
    """Return the detection; for an event that only ends the run, and for ``None``, the answer that came before."""
    heard = [e for e in operation.history or () if isinstance(e, DetectEvent)]
    answer = next((e for e in reversed(heard) if _detect_step(operation, e) in (_ANSWER, _GOING)), None)
    beep, ready = any(e.beep for e in heard), any(e.state == "READY" for e in heard)
    payload = {} if event is None else event.payload
    if answer is None:
        detector = event.type if isinstance(event, DetectEvent) else None
        return Detection(type=detector, event=None, beep=beep, payload=payload)
    # READY and NOT_READY follow MACHINE only, and the webhook with MACHINE may have been lost.
    word = "MACHINE" if answer.state in ("READY", "NOT_READY") else answer.state
    return Detection(type=answer.type, event=cast(Detected, word), beep=beep, ready=ready, payload=payload)


def _as(result: type[Result]) -> Callable[[Operation, Event], Result]:
    """Return a function that makes a *result* of an event: it copies the fields that have the same name in both."""
    names = tuple(name for name in result.__struct_fields__ if name != "payload")
    if not names:
        return lambda _, event: result(payload=event.payload)
    return lambda _, event: result(**{name: getattr(event, name) for name in names}, payload=event.payload)


def _collected(operation: Operation, event: Event) -> Result:
    assert isinstance(event, CollectEvent)
    return CollectResult(
        type=cast(CollectType, event.type or event.state),
        digits=event.digits,
        terminator=event.terminator,
        text=event.text,
        confidence=event.confidence,
        payload=event.payload,
    )


def _spoken(operation: Operation, event: Event | None) -> Result:
    summaries = [e for e in operation.history or () if isinstance(e, SpeechEvent) and e.is_summary]
    summary = summaries[-1].text if summaries else None
    return SpeechResult(summary=summary, payload={} if event is None else event.payload)


_FAX = Lifecycle(_fax_step, _as(FaxResult))
_SPEECH = Lifecycle(_speech_step, _spoken, silent_end=_spoken, repeats=True)

LIFECYCLES: Mapping[str, Lifecycle] = {
    "call": Lifecycle(by_word(CALL), lambda _, event: event.end_reason if isinstance(event, CallEvent) else None),
    "play": Lifecycle(by_word(PLAY), _as(Playback)),
    "record": Lifecycle(by_word(RECORD), _as(Recording), Grace.LONG),
    "collect": Lifecycle(_collect_step, _collected, repeats=True),
    "detect": Lifecycle(_detect_step, detection_so_far, repeats=True),
    "tap": Lifecycle(by_word(TAP), _as(TapResult)),
    "stream": Lifecycle(by_word(STREAM), _as(StreamResult)),
    "transcribe": Lifecycle(by_word(TRANSCRIBE), _as(Transcript), Grace.TRANSCRIPT),
    "refer": Lifecycle(_refer_step, _as(ReferResult)),
    "send_fax": _FAX,
    "receive_fax": _FAX,
    "denoise": Lifecycle(by_word(DENOISE), _as(Result)),
    "live_transcribe": _SPEECH,
    "live_translate": _SPEECH,
    "ai_sidecar": Lifecycle(_sidecar_step, _as(SidecarResult)),
    "ai_sidecar.ask": Lifecycle(by_word(SIDECAR_ASK), _as(SidecarAnswer)),
    "ai_sidecar.summarize": Lifecycle(lambda _, event: _DONE, _as(Summary)),
    **SWML_LIFECYCLES,
}


def step_of(operation: Operation, event: Event) -> Step | None:
    """Return what *event* does to *operation*; ``None``: the state is not known, and the event does nothing."""
    if isinstance(event, UnknownEvent):
        return None
    return LIFECYCLES[operation.kind].step(operation, event)


def seen_by(operation: Operation, event: Event) -> Event:
    """Return *event* as it looks from the side of *operation*."""
    view = LIFECYCLES[operation.kind].view
    return event if view is None else view(operation, event)


def is_duplicate(operation: Operation, event: Event) -> bool:
    """Return whether *event* repeats an earlier one. Whole payloads are compared, since the platform sends no event id.

    Without a timestamp the same payload can be sent twice for two events (playing, paused, playing). So without
    a timestamp only two equal events in a row are duplicates, and not for a kind that can repeat an answer.
    """
    history = operation.history
    if not history:
        return False
    if event.timestamp is not None:
        return any(_is_same(earlier, event) for earlier in history)
    return _is_same(history[-1], event) and not LIFECYCLES[operation.kind].repeats


def is_older(operation: Operation, event: Event) -> bool:
    """Return whether *event* happened before an event that has been applied, as far as timestamps tell."""
    if event.timestamp is None:
        return False
    return any(
        earlier.timestamp is not None and earlier.timestamp > event.timestamp for earlier in operation.history or ()
    )


def _is_same(one: Event, other: Event) -> bool:
    if one.state != other.state or one.timestamp != other.timestamp:
        return False
    # Two JSON texts may differ, and still be the same object.
    return one.payload == other.payload or one.raw == other.raw
