"""A plot as SVG, drawn by hand: bars for ratios, whiskers for their ranges, a line where the goal is.

It has a background of its own, and colours for light and for dark, so that it can be read on any page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from itertools import groupby

from .harness import Row

WIDTH, LABELS, RIGHT = 900, 380, 150
ROW, BAR, GROUP, TOP = 26, 14, 52, 64

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
  }
"""


def draw(title: str, rows: Sequence[Row]) -> str:
    """Draw *rows*, those of a group on a scale of their own, which begins at 0."""
    parts: list[str] = []
    y = TOP
    for (group, unit), members in groupby(rows, key=lambda row: (row.group, row.unit)):
        shown = list(members)
        figure = next(iter(shown[0].figures))
        y = _group(parts, y, f"{figure}: {group}" if unit == "x" else f"{group}", shown)
    height = y + 16
    legend = f"bar: median · line across: lowest to highest round · {_key(rows)}"
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


def _group(parts: list[str], y: int, name: str, rows: Sequence[Row]) -> int:
    """Draw one group below *y*, and return where it ends."""
    goals = [goal for row in rows for goal in (row.at_least, row.at_most) if goal is not None]
    step, top = scale(max([*(row.judged.high for row in rows), *goals]))
    wide = WIDTH - LABELS - RIGHT

    def at(value: float) -> float:
        return round(LABELS + wide * value / top, 1)

    bottom = y + 14 + ROW * len(rows)
    parts.append(f'<text class="group" x="24" y="{y}">{escape(name)}</text>')
    for number in range(round(top / step) + 1):
        x = at(number * step)
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{y + 8}" y2="{bottom}"/>')
        parts.append(f'<text class="dim" x="{x}" y="{bottom + 14}" text-anchor="middle">{_short(number * step)}</text>')
    # If one is compared with several, these are what tells the rows apart.
    one_subject = len({row.what for row in rows}) == 1 < len({row.against for row in rows})
    for number, row in enumerate(rows):
        middle = y + 14 + ROW * number + ROW / 2 - 2
        parts += _bar(row, row.against if one_subject else row.what, middle, at)
    return bottom + GROUP


def _bar(row: Row, label: str, y: float, at: Callable[[float], float]) -> list[str]:
    found = row.judged
    colour = {True: "bar", False: "missed", None: "plain"}[row.reached]
    zero, end, low, high = (at(max(0, value)) for value in (0, found.median, found.low, found.high))
    parts = [
        f'<text x="{LABELS - 10}" y="{y + 4}" text-anchor="end">{escape(_fit(label))}</text>',
        f'<rect class="{colour}" x="{zero}" y="{y - BAR / 2}" width="{end - zero:.1f}" height="{BAR}" rx="2"/>',
        f'<line class="range" x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>',
        *(f'<line class="range" x1="{x}" x2="{x}" y1="{y - 4}" y2="{y + 4}"/>' for x in (low, high)),
    ]
    goal = row.at_least if row.at_least is not None else row.at_most
    wanted = ""
    if goal is not None:
        x = at(goal)
        parts.append(f'<line class="goal" x1="{x}" x2="{x}" y1="{y - ROW / 2 + 1}" y2="{y + ROW / 2 - 1}"/>')
        wanted = f'<tspan class="goals" dx="8">{"≥" if row.at_least is not None else "≤"} {goal:g}</tspan>'
    parts.append(f'<text x="{WIDTH - RIGHT + 16}" y="{y + 4}">{_short(found.median)}{wanted}</text>')
    return parts


def scale(highest: float) -> tuple[float, float]:
    """Return a step of 1, 2 or 5 times a power of ten, and the end of a scale that reaches *highest*."""
    rough = max(highest, 1e-9) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * digit for digit in (1, 2, 5, 10) if power * digit >= rough)
    return step, step * math.ceil(highest / step - 1e-9)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _fit(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _key(rows: Sequence[Row]) -> str:
    colours = {row.reached for row in rows}
    words = {True: "blue: goal reached", False: "orange: not reached", None: "grey: no goal"}
    return ", ".join(word for colour, word in words.items() if colour in colours)
