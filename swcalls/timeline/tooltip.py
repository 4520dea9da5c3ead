"""Texts about one mark for the SVG picture and the HTML page: tooltip, payload, time of day, and escaping."""

from __future__ import annotations

import html
from datetime import datetime

import msgspec

from .entries import Mark

MAX_PAYLOAD = 4000
"""Characters; the rest of a payload is not shown."""

_WHATS = {
    "command": "command",
    "retry": "repetition",
    "event": "webhook",
    "wait": "wait",
    "settled": "outcome",
    "audio": "audio",
}
_SOURCES = {"reconciled": "voice log", "reported": "command's response"}


def tooltip(mark: Mark, start: float, wall: float, *, payloads: bool) -> str:
    """Return the tooltip of *mark*: a headline, a line with its time, then detail and payload.

    Args:
        mark: The mark.
        start: ``at`` of the first mark; the tooltip shows seconds since then.
        wall: Add this to ``at`` to get Unix seconds.
        payloads: Whether to show the payload of an event.
    """
    took = "" if mark.took is None else f", took {mark.took:.3f} s"
    when = f"{mark.at - start:.3f} s, at {time_of_day(mark.at, wall)}{took}"
    return "\n".join(filter(None, (headline(mark), when, mark.detail, payload(mark) if payloads else "")))


def headline(mark: Mark) -> str:
    """Return one line: the sort of *mark*, its word, its verdict, and its action or call."""
    about = mark.kind if mark.key is None else f"{mark.kind} {mark.key}"
    verdict = f" ({mark.verdict})" if mark.verdict else ""
    return f"{source(mark)}: {mark.word}{verdict} · {about}"


def source(mark: Mark) -> str:
    """Return the sort of *mark* in words; for an event: who reported it."""
    return _SOURCES.get(mark.verdict, "") if mark.what == "event" and mark.verdict in _SOURCES else _WHATS[mark.what]


def payload(mark: Mark) -> str:
    """Return the payload of an event as indented JSON, cut to `MAX_PAYLOAD`; ``""`` if *mark* is no event."""
    if mark.event is None or mark.what != "event":
        return ""
    text = msgspec.json.format(msgspec.json.encode(mark.event.raw), indent=2).decode()
    return text if len(text) <= MAX_PAYLOAD else f"{text[:MAX_PAYLOAD]}\n… {len(text) - MAX_PAYLOAD} characters more"


def time_of_day(at: float, wall: float, *, date: bool = False) -> str:
    """Return the local time of *at*, to the millisecond; with *date*: date, time to the second, and time zone."""
    moment = datetime.fromtimestamp(wall + at).astimezone()
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}" if date else f"{moment:%H:%M:%S.%f}"[:-3]


def printable(text: str) -> str:
    """Escape characters of *text* that are not printable, which could hide or reorder the rest."""
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)


def markup(text: str) -> str:
    """Escape *text* for HTML and XML, and characters that are not printable."""
    return html.escape(printable(text))
