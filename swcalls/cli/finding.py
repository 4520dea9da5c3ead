"""What the doctor says of one thing that was checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from swcalls.timeline.terminal_style import TerminalStyle

Level = Literal["ok", "warning", "wrong", "skipped"]
"""``skipped``: it could not be checked, or there was nothing to check."""

NAME_WIDTH = 12
_STYLES = {"ok": "green", "warning": "yellow", "wrong": "red", "skipped": "dim"}


class Finding(Struct, frozen=True, kw_only=True):
    """One line of the doctor's."""

    name: str
    """What was checked."""
    level: Level
    what: str
    """What came of it."""
    advice: str = ""
    """What to do about it."""


Tell = Callable[[Finding], object]
"""Takes what was found, as soon as it is."""


def line(finding: Finding, terminal: TerminalStyle) -> str:
    """Put *finding* in one line."""
    glyphs = terminal.glyphs
    marks = {"ok": glyphs.passed, "warning": "!", "wrong": glyphs.failed, "skipped": "-"}
    width = max(map(len, marks.values()))
    mark = terminal.paint(f"{marks[finding.level]:<{width}}", _STYLES[finding.level])
    advice = f". {finding.advice}" if finding.advice else ""
    return f"{mark}  {finding.name:<{NAME_WIDTH}}  {finding.what}{advice}"


def skipped(name: str, needs: str) -> Finding:
    """Say that there was nothing to check *name* with."""
    return Finding(name=name, level="skipped", what=f"not checked: it needs {needs}")
