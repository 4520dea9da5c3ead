"""Timelines as one HTML page, for `Timeline.html` and ``swcalls demo`` and ``replay``: picture, payloads and a table.

Text from the network is escaped, and the page's Content-Security-Policy allows its own script only, by hash.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Protocol

from .entries import Mark
from .rows import Names, hue, without_repeated_states
from .style import PAGE, PICTURE, SCRIPT
from .svg import svg
from .tooltip import markup, source, time_of_day

_LOST = frozenset({"deadline", "call_ended", "closed"})
_COUNTED = frozenset({"command", "webhook", "failed command", "repetition", "duplicate", "timeout"})
"""Counted nouns: these get a plural ``s``."""
_LEGEND = (
    ('<g class="mark command"><path class="tip" d="M3 3H13L8 12Z"/></g>', "command"),
    ('<g class="mark event k1"><circle cx="8" cy="8" r="4.5"/></g>', "webhook"),
    ('<g class="mark event duplicate"><circle cx="8" cy="8" r="4.5"/></g>', "duplicate, late or early"),
    ('<g class="event"><path d="M8 2L14 8L8 14L2 8Z"/></g>', "no webhook: from the voice log or a response"),
    ('<g class="bad"><circle cx="8" cy="8" r="7"/><path d="M5 5l6 6m0 -6l-6 6"/></g>', "ended without a webhook"),
    ('<g class="wait"><path d="M2 5V10H14V5"/></g>', "the program waits"),
)


class Drawable(Protocol):
    """The attributes of `Timeline` that the page reads."""

    @property
    def marks(self) -> tuple[Mark, ...]: ...
    @property
    def wall(self) -> float: ...
    @property
    def dropped(self) -> int: ...
    @property
    def call_id(self) -> str | None: ...


def page(timelines: Sequence[Drawable], title: str, notes: Sequence[str] = ()) -> str:
    """Return one HTML page with each of *timelines*, and *notes* below its title."""
    script, styles = SCRIPT, PICTURE + PAGE
    policy = f"default-src 'none'; style-src {_hash(styles)}; script-src {_hash(script)}"
    first = 0
    parts = []
    for timeline in timelines:
        parts.append(_section(timeline, first))
        first += len(timeline.marks)
    legend = "".join(
        f'<li><svg class="swcalls" viewBox="0 0 16 16">{shape}</svg>{meaning}</li>' for shape, meaning in _LEGEND
    )
    lead = "".join(f'<p class="lead">{markup(note)}</p>' for note in notes)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{markup(title)}</title><style>{styles}</style></head><body><main>"
        f'<h1>{markup(title)}</h1>{lead}<ul class="legend">{legend}</ul>{"".join(parts)}</main>'
        '<div id="card" hidden></div>'
        f"<script>{script}</script></body></html>\n"
    )


def _section(timeline: Drawable, first: int) -> str:
    """Return the section of one timeline; *first* is the number that its first mark has on the page."""
    head = f"<h2>{markup(timeline.call_id or 'call')}</h2>"
    if not timeline.marks:
        return f'{head}<p class="lead">Nothing has happened on this call.</p>'
    picture = svg(timeline.marks, timeline.wall, payloads=True, first=first)
    return (
        f'<section>{head}<p class="lead">{_lead(timeline)}</p><ul class="facts">{"".join(_facts(timeline))}</ul>'
        f'<figure class="picture"><div class="scroll" tabindex="0">{picture}</div>'
        "<figcaption>The picture is wider than the screen: scroll it sideways.</figcaption></figure>"
        f"<details><summary>All marks, in order</summary>{_table(timeline, first)}</details></section>"
    )


def _lead(timeline: Drawable) -> str:
    marks = timeline.marks
    span = max(mark.end for mark in marks) - marks[0].at
    return f"{time_of_day(marks[0].at, timeline.wall, date=True)}, {span:.1f} s"


def _facts(timeline: Drawable) -> Iterator[str]:
    """Yield the counts that are shown above the picture, as list items."""
    counts = Counter[str](mark.what for mark in timeline.marks)
    verdicts = Counter[tuple[str, str]]((mark.what, mark.verdict) for mark in timeline.marks)
    posted = counts["event"] - verdicts["event", "reconciled"] - verdicts["event", "reported"]
    lost = sum(verdicts["settled", verdict] for verdict in _LOST)
    failed = verdicts["command", "failed"] + verdicts["command", "cancelled"]
    for number, what, style in (
        (counts["command"], "command", ""),
        (posted, "webhook", ""),
        (failed, "failed command", "bad"),
        (counts["retry"], "repetition", "odd"),
        (verdicts["event", "duplicate"], "duplicate", "odd"),
        (verdicts["event", "late"], "late", "odd"),
        (verdicts["event", "early"], "early", "odd"),
        (verdicts["event", "unknown"], "of unknown shape", "odd"),
        (verdicts["event", "reconciled"], "found in the voice log", "odd"),
        (lost, "ended without a webhook", "bad"),
        (verdicts["wait", "timeout"], "timeout", "bad"),
        (timeline.dropped, "earlier, not kept", "odd"),
    ):
        if number or not style:
            plural = "s" if number != 1 and what in _COUNTED else ""
            yield f'<li class="{style}">{number} {what}{plural}</li>'


def _table(timeline: Drawable, first: int) -> str:
    names, start = Names(), timeline.marks[0].at
    shown = {id(mark) for mark in without_repeated_states(timeline.marks)}
    lines = []
    for number, mark in enumerate(timeline.marks, first):
        style = _style(mark) if id(mark) in shown else "soft"
        lines.append(
            f'<tr data-mark="{number}"><td class="clock">{mark.at - start:.3f}</td>'
            f'<td class="clock">{time_of_day(mark.at, timeline.wall)}</td>'
            f'<td class="about k{hue(mark.kind)}">{markup(names.of(mark))}</td><td>{source(mark)}</td>'
            f'<td>{markup(mark.word)}</td><td class="{style}">{mark.verdict or "open"}</td>'
            f'<td class="clock">{"" if mark.took is None else f"{mark.took:.3f}"}</td>'
            f"<td>{markup(mark.detail)}</td></tr>"
        )
    heads = "".join(
        f"<th>{head}</th>" for head in ("s", "time", "action", "what", "word", "verdict", "took, s", "detail")
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _style(mark: Mark) -> str:
    match mark.what, mark.verdict:
        case ("command" | "wait", "failed" | "cancelled" | "timeout" | "error") | (
            "settled",
            "deadline" | "call_ended",
        ):
            return "bad"
        case ("event", "duplicate" | "late" | "early" | "unknown" | "reconciled" | "reported") | (_, ""):
            return "odd"
        case "settled", _:
            return "good" if mark.word == "result" else "bad"
        case _:
            return "soft"


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
