"""What a mark says when somebody points at it, and how text becomes markup."""

from __future__ import annotations

import html
from datetime import datetime

import msgspec

from .marks import Mark

PAYLOAD = 4000
"""Characters of a payload that are shown."""

_WHATS = {"command": "command", "retry": "repetition", "event": "webhook", "wait": "wait", "settled": "outcome"}
_SOURCES = {"reconciled": "voice log", "reported": "answer to a command"}


def told(mark: Mark, start: float, wall: float, *, payloads: bool) -> str:
    """Put in words what *mark* says: a line of what it is, one of when, and the rest.

    Args:
        start: The first mark's seconds.
        wall: What to add to seconds for Unix seconds.
        payloads: Show what a webhook brought.
    """
    took = "" if mark.took is None else f", took {mark.took:.3f} s"
    when = f"{mark.at - start:.3f} s, at {time_of_day(mark.at, wall)}{took}"
    return "\n".join(filter(None, (headline(mark), when, mark.detail, payload(mark) if payloads else "")))


def headline(mark: Mark) -> str:
    """Put in a line what *mark* is, what it says, and what it is about."""
    about = mark.kind if mark.key is None else f"{mark.kind} {mark.key}"
    verdict = f" ({mark.verdict})" if mark.verdict else ""
    return f"{source(mark)}: {mark.word}{verdict} · {about}"


def source(mark: Mark) -> str:
    """Say in a word or two what *mark* is."""
    return _SOURCES.get(mark.verdict, "") if mark.what == "event" and mark.verdict in _SOURCES else _WHATS[mark.what]


def payload(mark: Mark) -> str:
    """Return what an event brought, as indented JSON, of a length that can be looked at; else nothing."""
    if mark.event is None or mark.what != "event":
        return ""
    text = msgspec.json.format(msgspec.json.encode(mark.event.raw), indent=2).decode()
    return text if len(text) <= PAYLOAD else f"{text[:PAYLOAD]}\n… {len(text) - PAYLOAD} characters more"


def time_of_day(at: float, wall: float, *, date: bool = False) -> str:
    """Return the time of a moment, to the millisecond, in the zone of this machine; or its date, time and zone."""
    moment = datetime.fromtimestamp(wall + at).astimezone()
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}" if date else f"{moment:%H:%M:%S.%f}"[:-3]


def markup(text: str) -> str:
    """Escape *text* for HTML and XML; what is not printable is spelt out, as it could hide or reorder the rest."""
    return html.escape("".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text))
