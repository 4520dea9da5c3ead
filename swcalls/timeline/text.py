"""A timeline as text: a line for each mark, and a picture. `Timeline.text`, the command line and pytest show it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from msgspec import Struct

from .axis import ticks
from .entries import Mark
from .rows import Names, Point, Row, hue, rows, without_repeated_states
from .terminal_style import TerminalStyle, escaped

MARGIN = 2
GAP = 2
NAME_WIDTH = 12
"""Columns of a name in the lines; in the picture, names are as wide as necessary."""
MIN_TICK = 7
"""The least number of columns between two ticks of the axis."""
COLOURS = ("bold", "cyan", "green", "magenta", "yellow", "blue", "cyan", "blue")
"""The style of each `hue`."""
MAX_SHIFT = 2
"""The most columns by which a point is moved to the right of its time, to avoid overlaps."""
Cell = tuple[str, str]
"""A character and its style."""

_SOURCES = {"reconciled": "from the voice log", "reported": "from a command's response"}
"""For events that are no webhooks."""


class Scale(Struct, frozen=True):
    """The time axis: *span* seconds from *start*, on *width* columns."""

    start: float
    span: float
    width: int

    def column(self, at: float) -> int:
        """Return the column of the moment *at*."""
        return round((at - self.start) / self.span * (self.width - 1)) if self.span else 0


class LogLine(Struct, frozen=True, order=True):
    """A line of text about a mark, without time and name."""

    at: float
    what: str
    symbol: str
    style: str
    """The style of the symbol."""


def text(marks: Sequence[Mark], terminal: TerminalStyle, dropped: int = 0) -> str:
    """Return the lines for *marks*, a picture, and its legend; *dropped* is how many older marks were dropped."""
    if not marks:
        return "nothing has happened yet"
    names = Names()
    start = marks[0].at
    lines = [
        (line.at, format_line(mark, line, start, names, terminal))
        for mark in without_repeated_states(marks)
        for line in log_lines(mark, terminal)
    ]
    before = [terminal.paint(f"{dropped} earlier marks were dropped", "dim")] if dropped else []
    in_order = [formatted for _, formatted in sorted(lines, key=lambda line: line[0])]
    log = "\n".join([*before, *in_order])
    return f"{log}\n\n{picture(marks, terminal)}\n\n{legend(terminal)}"


def log_lines(mark: Mark, terminal: TerminalStyle) -> Iterator[LogLine]:
    """Yield the lines for *mark*: one for its time, and one for its end if it failed. Most waits have none."""
    glyphs = terminal.glyphs
    match mark.what:
        case "command":
            yield LogLine(mark.at, mark.word, glyphs.sent, "cyan")
            if mark.verdict in ("failed", "cancelled"):
                yield LogLine(mark.end, f"{mark.word}: {mark.detail or mark.verdict}", glyphs.refused, "red")
        case "retry":
            yield LogLine(mark.at, f"{mark.word} sent again after {mark.detail}", glyphs.sent, "yellow")
        case "event":
            verdict = _SOURCES.get(mark.verdict, mark.verdict)
            is_plain = mark.verdict == "applied"
            what = mark.word if is_plain else f"{mark.word} ({verdict})"
            yield LogLine(mark.at, what, glyphs.webhook, "green" if is_plain else "yellow")
        case "wait" if mark.verdict in ("timeout", "cancelled"):
            what = f"{mark.word}: {mark.verdict} after {mark.took or 0:.3f} s"
            yield LogLine(mark.end, what, glyphs.waiting, "yellow")
        case "wait" if mark.verdict == "":
            yield LogLine(mark.at, f"waiting for {mark.word}", glyphs.waiting, "yellow")
        case "audio":
            yield LogLine(mark.end, f"heard {mark.detail}; ended by {mark.verdict}", glyphs.extra, "cyan")
        case "settled" if mark.event is None:
            symbol, style = (glyphs.passed, "green") if mark.word == "result" else (glyphs.refused, "red")
            detail = f": {mark.detail}" if mark.detail else ""
            yield LogLine(mark.at, f"settled by {mark.verdict}: {mark.word}{detail}", symbol, style)


def format_line(mark: Mark, line: LogLine, start: float, names: Names, terminal: TerminalStyle) -> str:
    """Return *line*, which is about *mark*, with the seconds since *start*, its symbol and a name.

    Args:
        mark: The mark that the line is about.
        line: One of `log_lines`.
        start: ``at`` of the first mark.
        names: The same object for all marks of a call, since it counts them.
        terminal: Width, colours and symbols.
    """
    head = f"{line.at - start:8.3f} s"
    name = terminal.shorten(names.of(mark), NAME_WIDTH)
    what = terminal.shorten(escaped(line.what), terminal.width - len(head) - len(line.symbol) - NAME_WIDTH - 6)
    return f"{terminal.paint(head, 'dim')}  {terminal.paint(line.symbol, line.style)}  {name:<{NAME_WIDTH}}  {what}"


def picture(marks: Sequence[Mark], terminal: TerminalStyle) -> str:
    """Return a picture of *marks*: a bar for the call and for each of its actions, on one time axis.

    No line is wider than ``terminal.width``.
    """
    found = [row for row in rows(marks) if row.points]
    if not found:
        return ""
    end = max(mark.end for mark in marks)
    name_width = min(max(len(row.name) for row in found), terminal.width // 4)
    room = terminal.width - MARGIN - name_width - GAP
    scale = _scale(found, end, room)
    lines = [" " * (terminal.width - room) + terminal.paint(line, "dim") for line in _axis(scale, room, terminal)]
    for row in found:
        style = COLOURS[hue(row.kind)]
        name = terminal.paint(f"{terminal.shorten(row.name, name_width):<{name_width}}", style)
        bar, words = _bar(row, scale, style, terminal)
        label = _fitting(words, room - len(bar) - 1, terminal)
        lines.append(" " * MARGIN + name + " " * GAP + _text(bar, terminal) + (f" {label}" if label else ""))
    return "\n".join(lines)


def legend(terminal: TerminalStyle) -> str:
    """Return the line that explains the symbols of a picture."""
    glyphs = terminal.glyphs
    meanings = {glyphs.command: "command", glyphs.event: "webhook", glyphs.active: "active", glyphs.idle: "waiting"}
    return " " * MARGIN + terminal.paint("   ".join(f"{glyph} {meaning}" for glyph, meaning in meanings.items()), "dim")


def _scale(found: list[Row], end: float, room: int) -> Scale:
    """Return the widest time axis that leaves room for the last word of each row behind its bar."""
    start = min(row.points[0].mark.at for row in found)
    span = max(row.points[-1].mark.at for row in found) - start
    if not all(row.has_ended for row in found):
        span = max(span, end - start)
    for width in range(room, room // 2, -1):
        scale = Scale(start, span, width)
        if all(_columns(row, scale)[-1] + 2 + len(row.points[-1].word) <= room for row in found):
            return scale
    return Scale(start, span, room // 2)


def _axis(scale: Scale, room: int, terminal: TerminalStyle) -> tuple[str, str]:
    """Return the two lines of the axis: the times, and the ticks below them."""
    _, *more = ticks(scale.span, scale.span / (scale.width - 1) * MIN_TICK)
    times, line = "0 s", [terminal.glyphs.tick] + [terminal.glyphs.axis] * (scale.width - 1)
    for seconds, time in more:
        column = scale.column(scale.start + seconds)
        line[column] = terminal.glyphs.tick
        if len(times) < column and column + len(time) <= room:
            times = f"{times:<{column}}{time}"
    return times, "".join(line)


def _columns(row: Row, scale: Scale) -> list[int]:
    """Return the columns of the points of *row*: side by side where their times are close, if possible.

    Points at the same column as the first one stay there, except for the last point.
    """
    columns = [scale.column(row.points[0].mark.at)]
    for point in row.points[1:]:
        column = scale.column(point.mark.at)
        if column > columns[0] or point is row.points[-1]:
            column = min(max(column, columns[-1] + 1), column + MAX_SHIFT)
        columns.append(column)
    return columns


def _bar(row: Row, scale: Scale, style: str, terminal: TerminalStyle) -> tuple[list[Cell], list[str]]:
    """Return the cells of the bar of *row*, and the words to write behind the bar.

    The bar ends at its last point, or at the end of the axis if the row has not ended. Words that fit are written into
    the bar; behind it come the words after the last one that fits.
    """
    columns = _columns(row, scale)
    goes_on = not row.has_ended and scale.span > 0 and columns[-1] < scale.width - 1
    cells: list[Cell] = [(" ", "")] * (scale.width if goes_on else columns[-1] + 1)
    words: list[str] = []
    for point, column, following in zip(
        row.points, columns, [*columns[1:], scale.width if goes_on else None], strict=True
    ):
        if column > columns[0] or point is row.points[0]:
            cells[column] = _glyph(point, style, terminal)
        word = point.word
        if following is not None and following > column:
            fill = _fill(point, style, terminal)
            cells[column + 1 : following] = [fill] * (following - column - 1)
            if word and len(word) + 2 < following - column:
                cells[column + 1 : column + len(word) + 3] = [(char, "") for char in f" {word} "]
                words, word = [], ""
        words += [word] if word else []
    _draw_levels(row, cells, scale, style, terminal)
    return cells, words


def _levels(mark: Mark, width: int, terminal: TerminalStyle) -> str:
    """Return how loud the audio of *mark* was, in *width* characters."""
    count = len(mark.levels)
    if not count or width < 1:
        return ""
    return "".join(
        terminal.glyphs.levels[
            max(mark.levels[at * count // width : max((at + 1) * count // width, at * count // width + 1)])
        ]
        for at in range(width)
    )


def _draw_levels(row: Row, cells: list[Cell], scale: Scale, style: str, terminal: TerminalStyle) -> None:
    """Show in the bar how loud the audio of *row* was, where the bar is not taken by points and words."""
    for mark in row.marks:
        if mark.what == "audio":
            first, last = scale.column(mark.at), min(scale.column(mark.end), len(cells) - 1)
            for column, level in zip(range(first, last + 1), _levels(mark, last + 1 - first, terminal), strict=False):
                if cells[column] == (terminal.glyphs.active, style) and level != terminal.glyphs.levels[0]:
                    cells[column] = level, style


def _fill(point: Point, style: str, terminal: TerminalStyle) -> Cell:
    """Return the cell that fills the bar from *point* to the next one."""
    match point.phase:
        case "active":
            return terminal.glyphs.active, style
        case "idle":
            return terminal.glyphs.idle, "dim"
        case "ended":
            return " ", ""


def _glyph(point: Point, style: str, terminal: TerminalStyle) -> Cell:
    """Return the cell of *point* itself."""
    glyphs, mark = terminal.glyphs, point.mark
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


def _fitting(words: list[str], room: int, terminal: TerminalStyle) -> str:
    """Return as many of the last *words* as fit into *room* columns, joined."""
    if not words or room < 1:
        return ""
    separator = f" {terminal.glyphs.dot} "
    while len(words) > 1 and len(separator.join(words)) > room:
        words = words[1:]
    return terminal.shorten(separator.join(words), room)


def _text(cells: list[Cell], terminal: TerminalStyle) -> str:
    runs = groupby(cells, key=lambda cell: cell[1])
    return "".join(terminal.paint("".join(char for char, _ in run), style) for style, run in runs)
