"""A call's timeline as text: a line for what each mark says, and a picture of the whole. Pure; reads no clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from msgspec import Struct

from .axis import ticks
from .look import Look, escaped
from .marks import Mark
from .rows import Names, Point, Row, news, rows

MARGIN = 2
GAP = 2
NAME_WIDTH = 12
"""Of the names in the lines; in the picture they are as wide as they need be."""
MIN_TICK = 7
"""Columns between two ticks of the axis, at least."""
COLOURS = ("cyan", "green", "yellow", "magenta", "blue")
MAX_SHIFT = 2
"""Columns by which a point may stand beside its time, so that none hides another."""
Cell = tuple[str, str]
"""A character and its style."""

_NOT_BY_WEBHOOK = {"reconciled": "told by the voice log", "reported": "told by the answer to a command"}


class Scale(Struct, frozen=True):
    """The time axis: *span* seconds from *start*, on *width* columns."""

    start: float
    span: float
    width: int

    def column(self, at: float) -> int:
        """Say where the moment *at* is."""
        return round((at - self.start) / self.span * (self.width - 1)) if self.span else 0


class Said(Struct, frozen=True, order=True):
    """What is to be said of a mark at one moment."""

    at: float
    what: str
    arrow: str
    style: str


def text(marks: Sequence[Mark], look: Look, dropped: int = 0) -> str:
    """Tell of *marks* line by line, and draw them; *dropped* says how many there were before them."""
    if not marks:
        return "nothing has happened yet"
    names = Names()
    start = marks[0].at
    lines = [
        (said.at, log_line(mark, said, start, names, look)) for mark in news(marks) for said in sayings(mark, look)
    ]
    before = [look.paint(f"{dropped} earlier marks were dropped", "dim")] if dropped else []
    told = "\n".join([*before, *(line for _, line in sorted(lines, key=lambda line: line[0]))])
    return f"{told}\n\n{picture(marks, look)}\n\n{legend(look)}"


def sayings(mark: Mark, look: Look) -> Iterator[Said]:
    """Yield what there is to say of *mark*: at its time, and if it was no success, at its end."""
    glyphs = look.glyphs
    match mark.what:
        case "command":
            yield Said(mark.at, mark.word, glyphs.sent, "cyan")
            if mark.verdict in ("failed", "cancelled"):
                yield Said(mark.end, f"{mark.word}: {mark.detail or mark.verdict}", glyphs.refused, "red")
        case "retry":
            yield Said(mark.at, f"{mark.word} again, after {mark.detail}", glyphs.sent, "yellow")
        case "event":
            verdict = _NOT_BY_WEBHOOK.get(mark.verdict, mark.verdict)
            is_plain = mark.verdict == "applied"
            what = mark.word if is_plain else f"{mark.word} ({verdict})"
            yield Said(mark.at, what, glyphs.webhook, "green" if is_plain else "yellow")
        case "wait" if mark.verdict in ("timeout", "cancelled"):
            what = f"{mark.word}: {mark.verdict} after {mark.took or 0:.3f} s"
            yield Said(mark.end, what, glyphs.waiting, "yellow")
        case "wait" if mark.verdict == "":
            yield Said(mark.at, f"{mark.word}: still waited for", glyphs.waiting, "yellow")
        case "settled" if mark.event is None:
            arrow, style = (glyphs.passed, "green") if mark.word == "result" else (glyphs.refused, "red")
            detail = f": {mark.detail}" if mark.detail else ""
            yield Said(mark.at, f"settled by {mark.verdict}: {mark.word}{detail}", arrow, style)


def log_line(mark: Mark, said: Said, start: float, names: Names, look: Look) -> str:
    """Put in a line what is *said* of *mark*: when, which way, about what. *names* is that of all marks."""
    head = f"{said.at - start:8.3f} s"
    name = look.shorten(names.of(mark), NAME_WIDTH)
    what = look.shorten(escaped(said.what), look.width - len(head) - len(said.arrow) - NAME_WIDTH - 6)
    return f"{look.paint(head, 'dim')}  {look.paint(said.arrow, said.style)}  {name:<{NAME_WIDTH}}  {what}"


def picture(marks: Sequence[Mark], look: Look) -> str:
    """Draw what happened: a bar for the call and for each of its actions, on one time axis.

    No line is wider than ``look.width``.
    """
    found = [row for row in rows(marks) if row.points]
    if not found:
        return ""
    end = max(mark.end for mark in marks)
    name_width = min(max(len(row.name) for row in found), look.width // 4)
    room = look.width - MARGIN - name_width - GAP
    scale = _scale(found, end, room)
    lines = [" " * (look.width - room) + look.paint(line, "dim") for line in _axis(scale, room, look)]
    kinds = list(dict.fromkeys(row.kind for row in found if row.kind != "call"))
    for row in found:
        style = "bold" if row.kind == "call" else COLOURS[kinds.index(row.kind) % len(COLOURS)]
        name = look.paint(f"{look.shorten(row.name, name_width):<{name_width}}", style)
        bar, words = _bar(row, scale, style, look)
        said = _fitting(words, room - len(bar) - 1, look)
        lines.append(" " * MARGIN + name + " " * GAP + _text(bar, look) + (f" {said}" if said else ""))
    return "\n".join(lines)


def legend(look: Look) -> str:
    """Explain the glyphs of a picture."""
    glyphs = look.glyphs
    meanings = {glyphs.command: "command", glyphs.event: "webhook", glyphs.active: "going on", glyphs.idle: "waiting"}
    return " " * MARGIN + look.paint("   ".join(f"{glyph} {meaning}" for glyph, meaning in meanings.items()), "dim")


def _scale(found: list[Row], end: float, room: int) -> Scale:
    """Make the time axis as wide as it can be if the last word of each row is to stand beside the end of its bar."""
    start = min(row.points[0].mark.at for row in found)
    span = max(row.points[-1].mark.at for row in found) - start
    if not all(row.is_over for row in found):
        span = max(span, end - start)
    for width in range(room, room // 2, -1):
        scale = Scale(start, span, width)
        if all(_columns(row, scale)[-1] + 2 + len(row.points[-1].word) <= room for row in found):
            return scale
    return Scale(start, span, room // 2)


def _axis(scale: Scale, room: int, look: Look) -> tuple[str, str]:
    """Draw the times, and the line that they stand on."""
    _, *more = ticks(scale.span, scale.span / (scale.width - 1) * MIN_TICK)
    times, line = "0 s", [look.glyphs.tick] + [look.glyphs.axis] * (scale.width - 1)
    for seconds, time in more:
        column = scale.column(scale.start + seconds)
        line[column] = look.glyphs.tick
        if len(times) < column and column + len(time) <= room:
            times = f"{times:<{column}}{time}"
    return times, "".join(line)


def _columns(row: Row, scale: Scale) -> list[int]:
    """Place the points of *row*: what comes with its beginning stands on it, the rest side by side if possible."""
    columns = [scale.column(row.points[0].mark.at)]
    for point in row.points[1:]:
        column = scale.column(point.mark.at)
        if column > columns[0] or point is row.points[-1]:
            column = min(max(column, columns[-1] + 1), column + MAX_SHIFT)
        columns.append(column)
    return columns


def _bar(row: Row, scale: Scale, style: str, look: Look) -> tuple[list[Cell], list[str]]:
    """Draw the bar of *row*, from the axis' beginning to its last point, or further if it goes on.

    Return with it the words that have no room within: those since the last one that has.
    """
    columns = _columns(row, scale)
    goes_on = not row.is_over and scale.span > 0 and columns[-1] < scale.width - 1
    cells: list[Cell] = [(" ", "")] * (scale.width if goes_on else columns[-1] + 1)
    words: list[str] = []
    for point, column, following in zip(
        row.points, columns, [*columns[1:], scale.width if goes_on else None], strict=True
    ):
        if column > columns[0] or point is row.points[0]:
            cells[column] = _glyph(point, style, look)
        word = point.word
        if following is not None and following > column:
            fill = _fill(point, style, look)
            cells[column + 1 : following] = [fill] * (following - column - 1)
            if word and len(word) + 2 < following - column:
                cells[column + 1 : column + len(word) + 3] = [(char, "") for char in f" {word} "]
                words, word = [], ""
        words += [word] if word else []
    return cells, words


def _fill(point: Point, style: str, look: Look) -> Cell:
    """Choose what a bar is made of behind *point*."""
    match point.phase:
        case "active":
            return look.glyphs.active, style
        case "idle":
            return look.glyphs.idle, "dim"
        case "over":
            return " ", ""


def _glyph(point: Point, style: str, look: Look) -> Cell:
    glyphs, mark = look.glyphs, point.mark
    match mark.what, mark.verdict:
        case "command", "failed" | "cancelled":
            return glyphs.refused, "red"
        case "command", _:
            return glyphs.command, style
        case "settled", _:
            return (glyphs.extra, style) if mark.word == "result" else (glyphs.refused, "red")
        case _, "applied" | "unknown":
            return glyphs.event, style
        case _:
            return glyphs.extra, "yellow"


def _fitting(words: list[str], room: int, look: Look) -> str:
    """Join as many of the last *words* as there is room for."""
    if not words or room < 1:
        return ""
    separator = f" {look.glyphs.dot} "
    while len(words) > 1 and len(separator.join(words)) > room:
        words = words[1:]
    return look.shorten(separator.join(words), room)


def _text(cells: list[Cell], look: Look) -> str:
    runs = groupby(cells, key=lambda cell: cell[1])
    return "".join(look.paint("".join(char for char, _ in run), style) for style, run in runs)
