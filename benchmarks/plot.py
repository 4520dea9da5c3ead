"""A plot as SVG: bars for ratios, whiskers for their ranges, a line at the baseline and one at each goal.

The picture has a background of its own, and colours for light and for dark pages.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from html import escape
from itertools import groupby

from .harness import Row

WIDTH, LABELS, RIGHT = 980, 450, 150
LINE, BAR, GAP, GROUP, TOP = 15, 14, 10, 56, 70
LETTERS = 64
"""How many letters of a label stand in one line. The widest common font, DejaVu Sans, takes 6 pixels a letter."""
LESS = " (less is better)"
"""How the name of a group ends when a small figure is the good one."""
MORE = " (more is better)"
"""How the name of a group ends when a large figure is the good one, although it is no ratio."""

_STYLE = """
  text { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #24292f }
  .title { font-size: 16px; font-weight: 600 }
  .group { font-weight: 600 }
  .dim { fill: #57606a }
  .back { fill: #ffffff; stroke: #d0d7de }
  .grid { stroke: #d8dee4 }
  .bar { fill: #4c8bf5 }
  .missed { fill: #d4843e }
  .plain { fill: #9aa4b2 }
  .range { stroke: #24292f; stroke-width: 1.5 }
  .goal { stroke: #1a7f37; stroke-width: 2 }
  .goals { fill: #1a7f37 }
  .base { stroke: #57606a; stroke-width: 1.5; stroke-dasharray: 4 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .dim { fill: #9198a1 }
    .back { fill: #0d1117; stroke: #3d444d }
    .grid { stroke: #2a313c }
    .bar { fill: #4184e4 }
    .missed { fill: #c9793a }
    .plain { fill: #6e7681 }
    .range { stroke: #e6edf3 }
    .goal { stroke: #3fb950 }
    .goals { fill: #3fb950 }
    .base { stroke: #9198a1 }
  }
"""


def draw(title: str, rows: Sequence[Row]) -> str:
    """Draw *rows*. Each group has a scale of its own, which begins at 0."""
    parts: list[str] = []
    y = TOP
    for (group, unit), members in groupby(rows, key=lambda row: (row.group, row.unit)):
        shown = list(members)
        name = group.removesuffix(LESS).removesuffix(MORE)
        figure = next(iter(shown[0].figures))
        if unit == "x" and not name.startswith(figure):
            name = f"{figure}: {name}"
        aimed = next((row for row in shown if row.at_least is not None or row.at_most is not None), shown[0])
        y = _group(parts, y, name, direction(aimed), shown)
    height = y + 16
    legend = f"bar: median · whisker: lowest to highest round · {_key(rows)}"
    head = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'role="img" aria-label="{escape(title)}">'
        ),
        f"<style>{_STYLE}</style>",
        f'<rect class="back" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
        f'<text class="title" x="24" y="34">{escape(title)}</text>',
    ]
    foot = [f'<text class="dim" x="24" y="{height - 16}">{escape(legend)}</text>', "</svg>"]
    return "\n".join([*head, *parts, *foot]) + "\n"


def direction(row: Row) -> str:
    """Say which figures are the good ones in the group of *row*: its goal says so, or else its unit and its group."""
    if row.group.endswith(MORE) or row.at_least is not None:
        return "more is better"
    return "less is better" if row.unit != "x" or row.group.endswith(LESS) else "more is better"


def _group(parts: list[str], y: int, name: str, better: str, rows: Sequence[Row]) -> int:
    """Draw one group below *y*, and return where it ends."""
    is_ratio = rows[0].unit == "x"
    goals = [goal for row in rows for goal in (row.at_least, row.at_most) if goal is not None]
    step, top = scale(max([*(row.judged.high for row in rows), *goals, *([1.0] if is_ratio else [])]))
    wide = WIDTH - LABELS - RIGHT

    def at(value: float) -> float:
        return round(LABELS + wide * value / top, 1)

    labels = [_lines(row) for row in rows]
    first = y + LINE + 12
    bottom = first + sum(LINE * len(lines) + GAP for lines in labels)
    baseline = "; dashed line: the baseline, which each row names, costs the same (1.0)" if is_ratio else ""
    parts.append(f'<text class="group" x="24" y="{y}">{escape(name)}</text>')
    parts.append(f'<text class="dim" x="24" y="{y + LINE}">{better}{baseline}</text>')
    for number in range(round(top / step) + 1):
        x = at(number * step)
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{first}" y2="{bottom}"/>')
        parts.append(f'<text class="dim" x="{x}" y="{bottom + 14}" text-anchor="middle">{_short(number * step)}</text>')
    above = first
    for row, lines in zip(rows, labels, strict=True):
        below = above + LINE * len(lines) + GAP
        parts += _label(lines, above + GAP / 2)
        parts += _bar(row, above, below, at)
        above = below
    if is_ratio:
        parts.append(f'<line class="base" x1="{at(1)}" x2="{at(1)}" y1="{first}" y2="{bottom}"/>')
    return bottom + GROUP


def _lines(row: Row) -> list[tuple[str, str]]:
    """Return the lines of a row's label, each with the class of its text."""
    lines = [(line, "what") for line in textwrap.wrap(row.what, LETTERS)]
    baseline = f"against {row.against}" if row.against else ""
    return lines + [(line, "dim") for line in textwrap.wrap(baseline, LETTERS)]


def _label(lines: Sequence[tuple[str, str]], top: float) -> list[str]:
    """Write the label of one row as one text of several lines."""
    # The space parts the lines for whoever copies the text. Before a line that is flush right, it moves nothing.
    spans = (
        f'<tspan class="{kind}" x="{LABELS - 10}" y="{top + LINE * (number + 1) - 4:g}">'
        f"{' ' if number else ''}{escape(line)}</tspan>"
        for number, (line, kind) in enumerate(lines)
    )
    return [f'<text class="label" text-anchor="end">{"".join(spans)}</text>']


def _bar(row: Row, above: float, below: float, at: Callable[[float], float]) -> list[str]:
    found = row.judged
    y = (above + below) / 2
    colour = {True: "bar", False: "missed", None: "plain"}[row.reached]
    zero, end, low, high = (at(max(0, value)) for value in (0, found.median, found.low, found.high))
    parts = [
        f'<rect class="{colour}" x="{zero}" y="{y - BAR / 2}" width="{end - zero:.1f}" height="{BAR}" rx="2"/>',
        f'<line class="range" x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>',
        *(f'<line class="range" x1="{x}" x2="{x}" y1="{y - 4}" y2="{y + 4}"/>' for x in (low, high)),
    ]
    goal = row.at_least if row.at_least is not None else row.at_most
    wanted = ""
    if goal is not None:
        x = at(goal)
        parts.append(f'<line class="goal" x1="{x}" x2="{x}" y1="{above + 2}" y2="{below - 2}"/>')
        wanted = f'<tspan class="goals" dx="8">{"≥" if row.at_least is not None else "≤"} {goal:g}</tspan>'
    parts.append(f'<text x="{WIDTH - RIGHT + 16}" y="{y + 4}">{_figure(found.median)}{wanted}</text>')
    return parts


def scale(highest: float) -> tuple[float, float]:
    """Return a step of 1, 2 or 5 times a power of ten, and the end of a scale that reaches *highest*."""
    highest = highest if highest > 0 else 1.0
    rough = highest / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * digit for digit in (1, 2, 5, 10) if power * digit >= rough)
    return step, step * math.ceil(highest / step - 1e-9)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"


def _key(rows: Sequence[Row]) -> str:
    colours = {row.reached for row in rows}
    words = {True: "blue: goal reached", False: "orange: goal not reached", None: "grey: no goal"}
    shown = [word for colour, word in words.items() if colour in colours]
    return ", ".join([*shown, *(["green line: the goal"] if colours - {None} else [])])
