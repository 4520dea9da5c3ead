"""A timeline as an SVG picture: a row for the call and for each action. `Timeline.svg` and the HTML page use it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

from msgspec import Struct

from .axis import ticks
from .entries import Mark
from .labels import FONTS, Box, Labels, element, number, shorten
from .rows import Point, Row, hue, rows
from .style import PICTURE
from .tooltip import markup, tooltip

# All sizes are in pixels.
WIDTH = 1120
"""The least width of the picture."""
LEFT, RIGHT, TOP, BOTTOM = 120, 176, 42, 12
"""Margins: names to the left (at least), last words to the right, times above."""
WIDEST_NAME, WIDEST_WORD = 190, 150
"""The most pixels for a name, and for a word above a bar."""
INDENT = 16
ROW, BAR, LANE = 49, 20, 13
"""Heights: of a row, of its bar, and of each lane of waits below the bar."""
MIDDLE = 26
"""From the top of a row to the middle of its bar. Commands are drawn above the bar, webhooks on its lower edge."""
DOTS = BAR / 2 + 2
"""From the middle of a bar to the middles of its webhooks, which leave room for a text in the bar."""
LANES = 5
"""The most lanes of waits in a row."""
MIN_TICK = 90
"""The least distance between two ticks of the axis."""
MIN_WAIT = 4
"""A wait that is narrower than this is not drawn, unless it failed."""
GAP = 9
"""The distance between the middles of two marks, if possible."""


_OUT_OF_PLACE = frozenset({"duplicate", "late", "early"})
"""Verdicts of events that bring nothing new, or bring it at the wrong time."""
Placed = Sequence[tuple[Mark, float]]
"""Marks, each with the x coordinate at which it is drawn."""


class Scale(Struct, frozen=True):
    """The time axis: *span* seconds from *start*, on *width* pixels from *left*."""

    start: float
    span: float
    left: float
    width: float

    @property
    def pace(self) -> float:
        """Pixels per second."""
        return self.width / self.span if self.span else 0.0

    def x(self, at: float) -> float:
        """Return the x coordinate of the moment *at*."""
        return self.left + (at - self.start) * self.pace


def svg(marks: Sequence[Mark], wall: float, *, payloads: bool = False, first: int | None = None) -> str:
    """Return a picture of *marks* as one ``<svg>`` element. No text in it covers another one; tooltips have all texts.

    Args:
        marks: The marks of one call.
        wall: Add this to ``Mark.at`` to get Unix seconds.
        payloads: Whether tooltips show the payloads of events.
        first: The number of the first mark on an HTML page; ``None``: no page, so the picture contains its own CSS.
    """
    found = rows(marks)
    start = min((mark.at for mark in marks), default=0.0)
    span = max((mark.end for mark in marks), default=0.0) - start
    names = [FONTS["name"].width(row.name) for row in found]
    left = max(LEFT, 2 * INDENT + min(WIDEST_NAME, math.ceil(max(names, default=0))))
    width = max(WIDTH, left + RIGHT + min(4000, 14 * max((len(row.marks) for row in found), default=0)))
    scale = Scale(start, span, left, width - left - RIGHT)
    drawing = _Drawing(marks, wall, scale, payloads=payloads, first=first or 0)
    parts, y = [], TOP
    for row in found:
        lanes = _lanes([mark for mark in row.marks if drawing.is_drawn(mark)])
        parts.append(f'<g class="row k{hue(row.kind)}">{"".join(drawing.row(row, y, lanes))}</g>')
        y += ROW + LANE * (max(lanes.values(), default=-1) + 1)
    height = y + BOTTOM
    style = f"<style>{PICTURE}</style>" if first is None else ""
    grid = "".join(_axis(scale, y))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="swcalls{" wide" if width > WIDTH else ""}" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="Timeline of a call">{style}'
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
        commands = list(self._placed([mark for mark in row.marks if mark.what in ("command", "retry")]))
        points = list(self._placed([point.mark for point in row.points if point.mark.what != "command"]))
        labels = Labels()
        self._block(commands, points, middle, labels)
        # The texts that matter most are placed first: they find room.
        name = shorten(row.name, WIDEST_NAME, "name")
        key = row.marks[0].key or ""
        worded = [point for point in row.points if point.word and point.mark.verdict not in _OUT_OF_PLACE]
        final = worded.pop() if worded and row.has_ended else None
        last = self._last_word(row, final, points, middle, labels)
        bars, states, nameless = self._bars(row, middle, labels)
        tips = [self._command(row, final, mark, x, middle, labels) for mark, x in commands]
        words = self._words(row, worded, points, nameless, middle, labels)
        dots = [self._point(mark, x, middle, labels) for mark, x in points]
        waits = [
            self._wait(mark, middle + BAR / 2 + 9 + LANE * lanes[id(mark)], labels)
            for mark in row.marks
            if id(mark) in lanes
        ]
        yield f'<path class="rule" d="M{INDENT} {y}H{number(self._scale.left + self._scale.width + RIGHT - INDENT)}"/>'
        yield element(name, INDENT, middle + 4, "name", title=key if name == row.name else f"{row.name}: {key}")
        yield from bars
        yield from (self._levels(mark, middle) for mark in row.marks if mark.what == "audio" and mark.levels)
        yield from (*states, *waits, *tips, *dots, *words, last)

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

    def _block(self, commands: Placed, points: Placed, middle: float, labels: Labels) -> None:
        """Keep the symbols of a row free of texts."""
        top, dots = middle - BAR / 2, middle + DOTS
        for mark, x in commands:
            labels.block(Box(x - 5, top - 9, x + 5, top + 1))
            labels.block(Box(x, top - 9, self._trip_end(mark, x), top - 7))
        for mark, x in points:
            if mark.what == "settled":
                labels.block(Box(x - 8, middle - 8, x + 8, middle + 8))
            else:
                labels.block(Box(x - 6, dots - 5.5, x + 6, dots + 5.5))

    def _last_word(self, row: Row, final: Point | None, points: Placed, middle: float, labels: Labels) -> str:
        """Return the text behind the bar: that of *final*, with which the row ended, or that it has not ended."""
        word, at = "not ended yet", self._end
        if row.has_ended:
            at = next(point.mark.at for point in row.points if point.phase == "ended")
            word, at = ("", at) if final is None else (final.word, max(at, final.mark.at))
        x = max([self._scale.x(at), *(x for mark, x in points if mark.what == "settled")]) + 10
        room = self._scale.left + self._scale.width + RIGHT - 6 - x
        return labels.place(shorten(word, room, "last"), x, middle + 3.5, "last")

    def _bars(self, row: Row, middle: float, labels: Labels) -> tuple[list[str], list[str], set[str]]:
        """Return the stretches of a row's bar, one for each state; the states' names; the states that have no room."""
        # A row of which only a wait is kept has no points.
        ends = [*(point.mark.at for point in row.points[1:]), self._end][: len(row.points)]
        lasting = [
            (point.state, point.phase, point.is_settled, point.mark.at, end)
            for point, end in zip(row.points, ends, strict=True)
        ]
        bars, states = [], []
        nameless: set[str] = set()
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
            box = (
                f'<rect x="{number(left)}" y="{number(middle - BAR / 2)}" width="{number(width)}" height="{BAR}" '
                'rx="4"/>'
            )
            seconds = stretch[-1][4] - stretch[0][3]
            caption = f"{state or 'no event yet'}, {seconds:.3f} s"
            arrows = _chevrons(right, middle) if is_open else ""
            bars.append(f'<g class="{kind}">{_title(caption)}{box}{arrows}</g>')
            label = ""
            if FONTS["state"].width(state) + (34 if is_open else 16) < width:
                label = labels.place(state, left + 11, middle + 2.5, "state")
            if label:
                states.append(f'<g class="{kind}">{_title(caption)}{label}</g>')
            else:
                nameless.add(state)
        return bars, states, nameless

    def _command(self, row: Row, final: Point | None, mark: Mark, x: float, middle: float, labels: Labels) -> str:
        top = middle - BAR / 2
        triangle = f"M{number(x - 5)} {number(top - 8)}H{number(x + 5)}L{number(x)} {number(top + 1)}Z"
        shape = f'<path class="tip" d="{triangle}"/>'
        if mark.took:
            shape = f'<path class="trip" d="M{number(x)} {number(top - 8)}H{number(self._trip_end(mark, x))}"/>{shape}'
        word, kind = mark.word.rpartition(".")[2], "verb"
        if mark.verdict == "failed":
            is_final = final is not None and mark is final.mark
            word, kind = "" if is_final else mark.detail.partition(":")[0], "verb bad"
        if mark.verdict == "failed" or (mark.verdict == "accepted" and mark is not row.marks[0]):
            word = shorten(word, WIDEST_WORD, kind)
            beside = labels.place(word, x + 10, top - 2, kind)
            shape += beside or labels.place(word, self._trip_end(mark, x) + 6, top - 2, kind)
        return self._hoverable(mark, f"{mark.what} {mark.verdict or 'open'}", shape)

    def _trip_end(self, mark: Mark, x: float) -> float:
        """Return where the line ends that shows how long a command took."""
        return x + (mark.took or 0) * self._scale.pace

    def _point(self, mark: Mark, x: float, middle: float, labels: Labels) -> str:
        y = middle + DOTS
        if mark.what == "settled":
            is_good = mark.word == "result"
            shape = _diamond(x, middle) if is_good else _cross(x, middle)
            return self._hoverable(mark, f"settled {'good' if is_good else 'bad'}", shape)
        if mark.verdict in ("reconciled", "reported"):
            return self._hoverable(mark, f"event {mark.verdict}", _diamond(x, y, 5))
        shape = f'<circle cx="{number(x)}" cy="{number(y)}" r="4.5"/>'
        if mark.verdict == "late":
            shape += labels.place("late", x + 11, y + 3.5, "odd")
        return self._hoverable(mark, f"event {mark.verdict}", shape)

    def _words(
        self, row: Row, worded: Sequence[Point], points: Placed, nameless: set[str], middle: float, labels: Labels
    ) -> list[str]:
        """Return the words of events that find room above the bar: digits, and states that have no name in the bar."""
        if row.kind == "call":
            return []
        places = {id(mark): x for mark, x in points}
        return [
            labels.place(
                shorten(point.word, WIDEST_WORD, "pressed"), places[id(point.mark)], middle - BAR / 2 - 4, "pressed"
            )
            for point in worded
            if point.mark.what != "command" and (point.state != point.mark.word or point.state in nameless)
        ]

    def _levels(self, mark: Mark, middle: float) -> str:
        """Draw how loud the audio was, into the bar: as high as it was loud."""
        left, right = self._scale.x(mark.at), self._scale.x(mark.end)
        step, bottom = (right - left) / len(mark.levels), middle + BAR / 2
        outline = "".join(
            f"H{number(left + at * step)}V{number(bottom - level / 8 * (BAR - 2))}"
            for at, level in enumerate(mark.levels)
        )
        shape = f'<path d="M{number(left)} {number(bottom)}{outline}H{number(right)}V{number(bottom)}Z"/>'
        return self._hoverable(mark, "audio", shape)

    def _wait(self, mark: Mark, y: float, labels: Labels) -> str:
        left, right = self._scale.x(mark.at), self._scale.x(mark.end if mark.took is not None else self._end)
        end = "" if mark.verdict == "" else f"V{number(y)}"
        shape = f'<path d="M{number(left)} {number(y)}V{number(y + 4)}H{number(right)}{end}"/>'
        word = mark.word if mark.verdict in ("", "result") else f"{mark.word}: {mark.verdict}"
        if FONTS["awaited"].width(word) + 12 < right - left:
            shape += labels.place(word, (left + right) / 2, y + 7, "awaited")
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
        yield f'<path class="grid" d="M{number(x)} {TOP - 8}V{number(bottom)}"/>'
        yield element(f"{time} s", x, TOP - 16, "time")


def _chevrons(right: float, middle: float) -> str:
    return f'<path d="M{number(right - 16)} {number(middle - 4)}l4 4l-4 4m6 -8l4 4l-4 4"/>'


def _diamond(x: float, middle: float, half: float = 6) -> str:
    return f'<path d="M{number(x)} {number(middle - half)}l{half} {half}l-{half} {half}l-{half} -{half}Z"/>'


def _cross(x: float, middle: float) -> str:
    shape = f'<path d="M{number(x - 3)} {number(middle - 3)}l6 6m0 -6l-6 6"/>'
    return f'<circle cx="{number(x)}" cy="{number(middle)}" r="7"/>{shape}'


def _title(text: str) -> str:
    return f"<title>{markup(text)}</title>"
