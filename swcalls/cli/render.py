"""A call's timeline as text: a line for each mark as it comes, and a picture of the whole. Pure; reads no clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from msgspec import Struct

from swcalls.timeline import Mark

from .look import Look, escaped
from .rows import Names, Point, Row, rows

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


class Scale(Struct, frozen=True):
    """The time axis: *span* seconds from *start*, on *width* columns."""

    start: float
    span: float
    width: int

    def column(self, at: float) -> int:
        """Say where the moment *at* is."""
        return round((at - self.start) / self.span * (self.width - 1)) if self.span else 0


def log_line(mark: Mark, start: float, names: Names, look: Look) -> str:
    """Tell of one mark: when, which way, about what, and what it says. *names* is that of all marks."""
    glyphs = look.glyphs
    arrow, style, said = {
        "command": (glyphs.sent, "cyan", mark.name),
        "accepted": (glyphs.passed, "dim", mark.name),
        "failed": (glyphs.refused, "red", f"{mark.name}: {mark.word}"),
        "event": (glyphs.webhook, "green", mark.word),
    }[mark.what]
    head = f"{mark.at - start:8.3f} s"
    name = look.shorten(names.of(mark), NAME_WIDTH)
    said = look.shorten(escaped(said), look.width - len(head) - len(arrow) - NAME_WIDTH - 6)
    return f"{look.paint(head, 'dim')}  {look.paint(arrow, style)}  {name:<{NAME_WIDTH}}  {said}"


def picture(marks: Sequence[Mark], look: Look) -> str:
    """Draw what happened: a bar for the call and for each of its actions, on one time axis.

    No line is wider than ``look.width``.
    """
    found = rows(marks)
    if not found:
        return ""
    name_width = min(max(len(row.name) for row in found), look.width // 4)
    room = look.width - MARGIN - name_width - GAP
    scale = _scale(found, room)
    lines = [" " * (look.width - room) + look.paint(text, "dim") for text in _axis(scale, room, look)]
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


def _scale(found: list[Row], room: int) -> Scale:
    """Make the time axis as wide as it can be if the last word of each row is to stand beside the end of its bar."""
    start = found[0].points[0].mark.at
    span = max(row.points[-1].mark.at for row in found) - start
    for width in range(room, room // 2, -1):
        scale = Scale(start, span, width)
        if all(_columns(row, scale)[-1] + 2 + len(row.points[-1].word) <= room for row in found):
            return scale
    return Scale(start, span, room // 2)


def _axis(scale: Scale, room: int, look: Look) -> tuple[str, str]:
    """Draw the times, and the line that they stand on."""
    step = _round_up(scale.span / (scale.width - 1) * MIN_TICK) if scale.span else 1.0
    decimals = max(0, -math.floor(math.log10(step)))
    times, line = "0 s", [look.glyphs.tick] + [look.glyphs.axis] * (scale.width - 1)
    for number in range(1, int(scale.span / step + 1e-6) + 1):
        column = scale.column(scale.start + number * step)
        line[column] = look.glyphs.tick
        time = f"{number * step:.{decimals}f}"
        if len(times) < column and column + len(time) <= room:
            times = f"{times:<{column}}{time}"
    return times, "".join(line)


def _round_up(least: float) -> float:
    """Find the least number, not below *least*, that is 1, 2 or 5 times a power of ten."""
    power: float = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


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
    """Draw the bar of *row*, from the axis' beginning to its last point.

    Return with it the words that have no room within: those since the last one that has.
    """
    columns = _columns(row, scale)
    cells: list[Cell] = [(" ", "")] * (columns[-1] + 1)
    words: list[str] = []
    for point, column, following in zip(row.points, columns, [*columns[1:], None], strict=True):
        if column > columns[0] or point is row.points[0]:
            cells[column] = _glyph(point, style, look)
        word = point.word
        if following is not None and following > column:
            fill = (look.glyphs.idle, "dim") if point.idle else (look.glyphs.active, style)
            cells[column + 1 : following] = [fill] * (following - column - 1)
            if word and len(word) + 2 < following - column:
                cells[column + 1 : column + len(word) + 3] = [(char, "") for char in f" {word} "]
                words, word = [], ""
        words += [word] if word else []
    return cells, words


def _glyph(point: Point, style: str, look: Look) -> Cell:
    match point.mark.what:
        case "command":
            return look.glyphs.command, style
        case "failed":
            return look.glyphs.refused, "red"
        case _:
            return look.glyphs.event, style


def _fitting(words: list[str], room: int, look: Look) -> str:
    """Join as many of the last *words* as there is room for."""
    separator = f" {look.glyphs.dot} "
    while len(words) > 1 and len(separator.join(words)) > room:
        words = words[1:]
    return look.shorten(separator.join(words), room)


def _text(cells: list[Cell], look: Look) -> str:
    runs = groupby(cells, key=lambda cell: cell[1])
    return "".join(look.paint("".join(char for char, _ in run), style) for style, run in runs)
