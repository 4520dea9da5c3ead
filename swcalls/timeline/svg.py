"""A timeline as an SVG picture: a row for the call and for each action. `Timeline.svg` and the HTML page use it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

from msgspec import Struct

from .axis import ticks
from .entries import Mark
from .rows import Row, hues, rows
from .style import PICTURE
from .tooltip import markup, tooltip

# All sizes are in pixels.
WIDTH = 1120
"""The least width of the picture."""
LEFT, RIGHT, TOP, BOTTOM = 120, 176, 42, 12
"""Margins: names to the left, last words to the right, times above."""
ROW, BAR, LANE = 46, 18, 13
"""Heights: of a row, of its bar, and of each lane of waits below the bar."""
MIDDLE = 25
"""From the top of a row to the middle of its bar. Commands are drawn above the bar, webhooks on its lower edge."""
LANES = 3
"""The most lanes of waits in a row."""
MIN_TICK = 90
"""The least distance between two ticks of the axis."""
MIN_WAIT = 4
"""A wait that is narrower than this is not drawn, unless it failed."""
GAP = 9
"""The distance between the middles of two marks, if possible."""
CHARACTER = 6.3
"""The greatest width of a character at font size 11, since text cannot be measured here."""


class Scale(Struct, frozen=True):
    """The time axis: *span* seconds from *start*, on *width* pixels."""

    start: float
    span: float
    width: float

    @property
    def pace(self) -> float:
        """Pixels per second."""
        return self.width / self.span if self.span else 0.0

    def x(self, at: float) -> float:
        """Return the x coordinate of the moment *at*."""
        return LEFT + (at - self.start) * self.pace


def svg(marks: Sequence[Mark], wall: float, *, payloads: bool = False, first: int | None = None) -> str:
    """Return a picture of *marks* as one ``<svg>`` element.

    Args:
        marks: The marks of one call.
        wall: Add this to ``Mark.at`` to get Unix seconds.
        payloads: Whether tooltips show the payloads of events.
        first: The number of the first mark on an HTML page; ``None``: no page, so the picture contains its own CSS.
    """
    found = rows(marks)
    start = min((mark.at for mark in marks), default=0.0)
    span = max((mark.end for mark in marks), default=0.0) - start
    width = max(WIDTH, LEFT + RIGHT + min(4000, 14 * max((len(row.marks) for row in found), default=0)))
    scale = Scale(start, span, width - LEFT - RIGHT)
    drawing = _Drawing(marks, wall, scale, payloads=payloads, first=first or 0)
    kinds = hues(marks)
    parts, y = [], TOP
    for row in found:
        lanes = _lanes([mark for mark in row.marks if drawing.is_drawn(mark)])
        parts.append(f'<g class="row k{kinds[row.kind]}">{"".join(drawing.row(row, y, lanes))}</g>')
        y += ROW + LANE * (max(lanes.values(), default=-1) + 1)
    height = y + BOTTOM
    style = f"<style>{PICTURE}</style>" if first is None else ""
    grid = "".join(_axis(scale, y))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="swcalls" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="Timeline of a call">{style}'
        f'<rect class="paper" width="{width}" height="{height}" rx="10"/>{grid}{"".join(parts)}</svg>'
    )


class _Drawing:
    """Draws the rows of one picture."""

    def __init__(self, marks: Sequence[Mark], wall: float, scale: Scale, *, payloads: bool, first: int) -> None:
        self._wall = wall
        self._scale = scale
        self._payloads = payloads
        self._numbers = {id(mark): number for number, mark in enumerate(marks, first)}
        self._start = scale.start
        self._end = scale.start + scale.span

    def row(self, row: Row, y: float, lanes: dict[int, int]) -> Iterator[str]:
        """Yield the elements of one row, whose top is at *y*; *lanes* maps the ``id`` of each wait to its lane."""
        middle = y + MIDDLE
        yield f'<path class="rule" d="M16 {y}H{_n(LEFT + self._scale.width + RIGHT - 16)}"/>'
        key = row.marks[0].key
        yield _text(16, middle + 4, row.name, "name", title=key or "")
        yield from self._spans(row, middle)
        for mark in row.marks:
            if mark.what == "audio" and mark.levels:
                yield self._levels(mark, middle)
            if id(mark) in lanes:
                yield self._wait(mark, middle + BAR / 2 + 8 + LANE * lanes[id(mark)])
        commands = [mark for mark in row.marks if mark.what in ("command", "retry")]
        for mark, x in self._placed(commands):
            yield self._command(mark, x, middle, is_first=mark is row.marks[0])
        others = [point.mark for point in row.points if point.mark.what != "command"]
        for mark, x in self._placed(others):
            yield self._point(mark, x, middle)
        yield from self._words(row, middle)

    def is_drawn(self, mark: Mark) -> bool:
        """Return whether *mark* is a wait that is wide enough to draw, or that failed."""
        if mark.what != "wait":
            return False
        return mark.verdict != "result" or (mark.took or 0) * self._scale.pace >= MIN_WAIT

    def _placed(self, marks: Sequence[Mark]) -> Iterator[tuple[Mark, float]]:
        """Yield each mark with its x coordinate: that of its time, or a little more where marks would overlap."""
        free = -math.inf
        for mark in marks:
            wanted = self._scale.x(mark.at)
            x = min(max(wanted, free), wanted + 2 * GAP)
            free = x + GAP
            yield mark, x

    def _spans(self, row: Row, middle: float) -> Iterator[str]:
        """Yield the bar of a row: a stretch for each state, as long as the state lasted."""
        ends = [point.mark.at for point in row.points[1:]] + [self._end]
        lasting = [
            (point.state, point.phase, point.is_settled, point.mark.at, end)
            for point, end in zip(row.points, ends, strict=True)
        ]
        for (state, phase, is_answered), run in groupby(lasting, key=lambda one: one[:3]):
            if phase == "ended":
                continue
            stretch = list(run)
            left, right = self._scale.x(stretch[0][3]), self._scale.x(stretch[-1][4])
            is_open = stretch[-1][4] == self._end and not row.has_ended
            kind = " ".join(("span", phase, *(["answered"] if is_answered else []), *(["open"] if is_open else [])))
            width = right - left
            if width < 1:
                continue
            box = f'<rect x="{_n(left)}" y="{_n(middle - BAR / 2)}" width="{_n(width)}" height="{BAR}" rx="4"/>'
            seconds = stretch[-1][4] - stretch[0][3]
            caption = f"{state or 'no event yet'}, {seconds:.3f} s"
            label = _chevrons(right, middle) if is_open else ""
            if len(state) * CHARACTER + 24 < width:
                label += _text(left + 11, middle + 3.5, state, "state")
            yield f'<g class="{kind}">{_title(caption)}{box}{label}</g>'

    def _command(self, mark: Mark, x: float, middle: float, *, is_first: bool) -> str:
        top = middle - BAR / 2
        shape = f'<path class="tip" d="M{_n(x - 5)} {_n(top - 8)}H{_n(x + 5)}L{_n(x)} {_n(top + 1)}Z"/>'
        if mark.took:
            shape = f'<path class="trip" d="M{_n(x)} {_n(top - 8)}H{_n(x + mark.took * self._scale.pace)}"/>{shape}'
        if mark.verdict == "accepted" and not is_first:
            shape += _text(x + 8, top - 2, mark.word.rpartition(".")[2], "verb")
        return self._hoverable(mark, f"{mark.what} {mark.verdict or 'open'}", shape)

    def _point(self, mark: Mark, x: float, middle: float) -> str:
        y = middle + BAR / 2
        if mark.what == "settled":
            is_good = mark.word == "result"
            shape = _diamond(x, middle) if is_good else _cross(x, middle)
            return self._hoverable(mark, f"settled {'good' if is_good else 'bad'}", shape)
        if mark.verdict in ("reconciled", "reported"):
            return self._hoverable(mark, f"event {mark.verdict}", _diamond(x, y))
        shape = f'<circle cx="{_n(x)}" cy="{_n(y)}" r="4.5"/>'
        if mark.verdict == "late":
            shape += _text(x + 9, y + 3.5, "late", "odd")
        return self._hoverable(mark, f"event {mark.verdict}", shape)

    def _words(self, row: Row, middle: float) -> Iterator[str]:
        """Yield the words of events above the bar (digits, mostly), where there is room, and the last one behind it."""
        free = -math.inf
        worded = [
            point for point in row.points if point.word and point.mark.verdict not in ("duplicate", "late", "early")
        ]
        for point in worded[:-1]:
            x, room = self._scale.x(point.mark.at), len(point.word) * CHARACTER
            is_news = point.state != point.mark.word and row.kind != "call"
            if is_news and x - room / 2 > free and not self._has_verb(row, x - room / 2, x + room / 2):
                yield _text(x, middle - BAR / 2 - 4, point.word, "pressed")
                free = x + room / 2 + 3
        if not row.has_ended:
            yield _text(self._scale.x(self._end) + 10, middle + 4, "not ended yet", "last")
        elif worded:
            yield _text(self._scale.x(worded[-1].mark.at) + 10, middle + 4, _shorten(worded[-1].word, 26), "last")

    def _has_verb(self, row: Row, left: float, right: float) -> bool:
        """Return whether the name of a later command (``stop``, ``pause``, …) is drawn between *left* and *right*."""
        verbs = [mark for mark in row.marks[1:] if mark.what == "command" and mark.verdict == "accepted"]
        places = [(self._scale.x(mark.at), len(mark.word.rpartition(".")[2]) * CHARACTER) for mark in verbs]
        return any(x < right and left < x + GAP + room for x, room in places)

    def _levels(self, mark: Mark, middle: float) -> str:
        """Draw how loud the audio was, into the bar: as high as it was loud."""
        left, right = self._scale.x(mark.at), self._scale.x(mark.end)
        step, bottom = (right - left) / len(mark.levels), middle + BAR / 2
        outline = "".join(
            f"H{_n(left + at * step)}V{_n(bottom - level / 8 * (BAR - 2))}" for at, level in enumerate(mark.levels)
        )
        shape = f'<path d="M{_n(left)} {_n(bottom)}{outline}H{_n(right)}V{_n(bottom)}Z"/>'
        return self._hoverable(mark, "audio", shape)

    def _wait(self, mark: Mark, y: float) -> str:
        left, right = self._scale.x(mark.at), self._scale.x(mark.end if mark.took is not None else self._end)
        end = "" if mark.verdict == "" else f"V{_n(y)}"
        shape = f'<path d="M{_n(left)} {_n(y)}V{_n(y + 4)}H{_n(right)}{end}"/>'
        word = mark.word if mark.verdict in ("", "result") else f"{mark.word}: {mark.verdict}"
        if len(word) * CHARACTER < right - left:
            shape += _text((left + right) / 2, y + 7, word, "awaited")
        return self._hoverable(mark, f"wait {mark.verdict or 'open'}", shape)

    def _hoverable(self, mark: Mark, kind: str, shape: str) -> str:
        title = _title(tooltip(mark, self._start, self._wall, payloads=self._payloads))
        return f'<g class="mark {kind}" data-mark="{self._numbers[id(mark)]}">{title}{shape}</g>'


def _lanes(waits: Sequence[Mark]) -> dict[int, int]:
    """Return the lane of each wait, by ``id`` of its mark: the first free lane, or the last one if none is free."""
    free_from = [-math.inf] * LANES
    lanes = {}
    for mark in sorted(waits, key=lambda mark: mark.at):
        lane = next((lane for lane in range(LANES) if free_from[lane] <= mark.at), LANES - 1)
        free_from[lane] = mark.end if mark.took is not None else math.inf
        lanes[id(mark)] = lane
    return lanes


def _axis(scale: Scale, bottom: float) -> Iterator[str]:
    """Yield the ticks: each a vertical line through all rows, and its time."""
    for seconds, time in ticks(scale.span, scale.span / max(scale.width / MIN_TICK, 1)):
        x = scale.x(scale.start + seconds)
        yield f'<path class="grid" d="M{_n(x)} {TOP - 8}V{_n(bottom)}"/>'
        yield _text(x, TOP - 16, f"{time} s", "time")


def _chevrons(right: float, middle: float) -> str:
    return f'<path d="M{_n(right - 16)} {_n(middle - 4)}l4 4l-4 4m6 -8l4 4l-4 4"/>'


def _diamond(x: float, middle: float) -> str:
    return f'<path d="M{_n(x)} {_n(middle - 6)}l6 6l-6 6l-6 -6Z"/>'


def _cross(x: float, middle: float) -> str:
    return f'<circle cx="{_n(x)}" cy="{_n(middle)}" r="7"/><path d="M{_n(x - 3)} {_n(middle - 3)}l6 6m0 -6l-6 6"/>'


def _text(x: float, y: float, text: str, kind: str, *, title: str = "") -> str:
    return f'<text x="{_n(x)}" y="{_n(y)}" class="{kind}">{_title(title) if title else ""}{markup(text)}</text>'


def _title(text: str) -> str:
    return f"<title>{markup(text)}</title>"


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _n(number: float) -> str:
    """Format a coordinate."""
    return f"{number:.1f}".removesuffix(".0")
