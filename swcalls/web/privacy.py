"""What the page shows of texts from outside: marks without private content, and texts that are short and printable."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace

from ..events import CallEvent, CollectEvent, DetectEvent, Event, InboundCall
from ..timeline import Mark

HIDDEN = "hidden"
LONGEST = 200
"""Characters of a text that are shown."""

_WORD = re.compile(r"[A-Za-z][A-Za-z_.-]{0,40}\Z")
_ADDRESSES = (
    (re.compile(r"\+?[0-9]+\Z"), "phone number"),
    (re.compile(r"sips?:", re.IGNORECASE), "SIP address"),
    (re.compile(r"(client|verto):"), "WebRTC address"),
    (re.compile(r"/"), "Fabric address"),
)


def clean(text: str, longest: int = LONGEST) -> str:
    """Return *text* cut to *longest* characters; what is not printable, and could reorder the rest, is escaped."""
    cut = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in cut)


def word(state: str) -> str:
    """Return *state* if it looks like a word of the platform; else, it may be something that a party pressed."""
    return state if not state or _WORD.match(state) else HIDDEN


def address(given: str | None, *, private: bool) -> str:
    """Return *given* if *private*, else the sort of address that it is; ``""``: it is not known."""
    if not given:
        return ""
    if private:
        return clean(given, 80)
    return next((sort for pattern, sort in _ADDRESSES if pattern.match(given)), "address")


def state_of(event: Event) -> str:
    """Return the state in *event*, without the keys that a detector may have put there."""
    if isinstance(event, DetectEvent) and event.type == "digit" and event.state not in ("finished", "error"):
        return "digits"
    return word(event.state)


def public_marks(marks: Sequence[Mark]) -> list[Mark]:
    """Return *marks* without numbers, digits, texts, results and payloads: only words that swcalls or the platform set.

    Messages of errors are left out, too: the platform's may contain a number.
    """
    return [_public(mark) for mark in marks]


def clean_marks(marks: Sequence[Mark]) -> list[Mark]:
    """Return *marks* with all content, but with short texts."""
    return [replace(mark, word=clean(mark.word), detail=clean(mark.detail)) for mark in marks]


def _public(mark: Mark) -> Mark:
    event = None if mark.event is None else _public_event(mark.event)
    if mark.what == "event":
        return replace(mark, word=_public_word(mark), detail="", event=event)
    is_error = mark.what in ("command", "retry")
    detail = mark.detail.partition(":")[0] if is_error else mark.detail if mark.what == "audio" else ""
    return replace(mark, word=clean(mark.word), detail=clean(detail), event=event)


def _public_word(mark: Mark) -> str:
    match mark.event:
        case CollectEvent(type=sort, state=state):
            return word(sort or state)
        case CallEvent(end_reason=str(reason)) as event:
            return f"{state_of(event)}: {word(reason)}"
        case InboundCall():
            return "inbound"
        case Event() as event:
            return state_of(event)
        case _:
            return word(mark.word)


def _public_event(event: Event | InboundCall) -> Event | InboundCall:
    """Return an event that has nothing but what the picture of a timeline depends on."""
    if isinstance(event, InboundCall):
        return InboundCall(call_id="", raw={})
    sort: type[Event] = CollectEvent if isinstance(event, CollectEvent) else Event
    return sort(state=state_of(event), payload={})
