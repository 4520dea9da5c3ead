"""What each event does to its operation: the lifecycle of every kind, as tables.

A table maps the words of a kind to a `Step`: how far along the word is (a state never goes back to a lower rank), and
whether it ends anything. Where a word alone does not decide, a function beside the table does, and says what else it
looks at. A word that is in no table is news without consequences: it ends nothing.

Source: wire contract, section 0, item 5 ("What ends an action").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from msgspec import Struct

from ..events import CallEvent, CollectEvent, DetectEvent, Event, RecordEvent, StreamEvent, UnknownEvent
from ..results import CollectResult, Detection, Playback, Recording, Result, StreamResult
from .operation import Operation


class Ends(Enum):
    """What an event ends."""

    NOTHING = "nothing"
    WAIT = "the wait"
    """The answer is final, but the run goes on and may still tell more."""
    RUN = "the run"
    FAILED = "the run, in failure"


class Step(Struct, frozen=True):
    """How far a word is along its lifecycle, and what it ends."""

    rank: int
    ends: Ends = Ends.NOTHING


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
_WITH_MESSAGE_END = DETECT | {"MACHINE": _GOING, "READY": _ANSWER}
_DIGITS = re.compile(r"[0-9A-D*#]+\Z")

LIVE_WORDS = frozenset({"answered", "in-progress", "joined"})
"""The states in which a call is up."""


def _by_word(table: Mapping[str, Step]) -> Callable[[Operation, Event], Step | None]:
    return lambda _, event: table.get(event.state)


def _collect_step(operation: Operation, event: Event) -> Step | None:
    """Look at the command's ``continuous``, at ``final``, and at whether we asked for the end."""
    if not isinstance(event, CollectEvent):
        return None
    if "error" in (event.state, event.type) and event.state != "collecting":
        return _FAILED
    if "finished" in (event.state, event.type):
        return _DONE
    if event.type == "start_of_input" or event.final is False:
        return _GOING
    if operation.stopping:
        return _DONE  # What the platform posts after a stop is not documented; it is the last thing, whatever it is.
    if operation.options.continuous or event.state == "collecting":
        return _GOING
    return COLLECT.get(event.type or event.state)


def _detect_step(operation: Operation, event: Event) -> Step | None:
    """Look at the command's ``detect_message_end``: with it, MACHINE may still become READY."""
    table = _WITH_MESSAGE_END if operation.options.message_end else DETECT
    step = table.get(event.state)
    return _ANSWER if step is None and _DIGITS.match(event.state) else step


def _detection(operation: Operation, event: Event) -> Result:
    """Give the answer: of a run that has ended, the one that came before its end."""
    heard = [e for e in operation.history or () if isinstance(e, DetectEvent)]
    answer = next((e for e in reversed(heard) if _detect_step(operation, e) in (_ANSWER, _GOING)), None)
    beep = any(e.beep for e in heard)
    if answer is None:
        detector = event.type if isinstance(event, DetectEvent) else None
        return Detection(type=detector, event=None, beep=beep, raw=event.raw)
    # READY and NOT_READY are said of machines only, and the MACHINE before them may have been lost.
    word = "MACHINE" if answer.state in ("READY", "NOT_READY") else answer.state
    return Detection(type=answer.type, event=word, beep=beep, raw=event.raw)


def _recording(operation: Operation, event: Event) -> Result:
    assert isinstance(event, RecordEvent)
    return Recording(
        state=event.state,
        url=event.url,
        duration=event.duration,
        size=event.size,
        recording_id=event.recording_id,
        raw=event.raw,
    )


def _collected(operation: Operation, event: Event) -> Result:
    assert isinstance(event, CollectEvent)
    return CollectResult(
        type=event.type or event.state,
        digits=event.digits,
        terminator=event.terminator,
        text=event.text,
        confidence=event.confidence,
        raw=event.raw,
    )


def _streamed(operation: Operation, event: Event) -> Result:
    assert isinstance(event, StreamEvent)
    return StreamResult(url=event.url, name=event.name, raw=event.raw)


class Lifecycle(Struct, frozen=True):
    """One kind's row: how its events are read, what it comes to, and how long its end may take after the call's."""

    step: Callable[[Operation, Event], Step | None]
    result: Callable[[Operation, Event], Any]
    ends_after_call: bool = False
    """Its last event usually comes after the end of the call, so it is given the longer grace."""
    repeats: bool = False
    """The same payload twice can be two events, when no timestamp tells."""


LIFECYCLES: Mapping[str, Lifecycle] = {
    "call": Lifecycle(_by_word(CALL), lambda _, event: event.end_reason if isinstance(event, CallEvent) else None),
    "play": Lifecycle(_by_word(PLAY), lambda _, event: Playback(raw=event.raw)),
    "record": Lifecycle(_by_word(RECORD), _recording, ends_after_call=True),
    "collect": Lifecycle(_collect_step, _collected, repeats=True),
    "detect": Lifecycle(_detect_step, _detection, repeats=True),
    "stream": Lifecycle(_by_word(STREAM), _streamed),
}


def step_of(operation: Operation, event: Event) -> Step | None:
    """Say what *event* does to *operation*; ``None``: nothing, the word is not known."""
    if isinstance(event, UnknownEvent):
        return None
    return LIFECYCLES[operation.kind].step(operation, event)
