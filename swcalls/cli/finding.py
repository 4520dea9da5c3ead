"""`Finding`: the result of one check of ``swcalls doctor``, and how it is printed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from swcalls.timeline.terminal_style import TerminalStyle

Level = Literal["ok", "warning", "wrong", "skipped"]
"""``skipped``: the check needs a setting, or an earlier result, that is missing."""

NAME_WIDTH = 12
_STYLES = {"ok": "green", "warning": "yellow", "wrong": "red", "skipped": "dim"}


class Finding(Struct, frozen=True, kw_only=True):
    """The result of one check."""

    name: str
    """The name of the check."""
    level: Level
    what: str
    """What the check found."""
    advice: str = ""
    """What the user should do."""


Report = Callable[[Finding], object]
"""Called with each finding as soon as its check is done."""


def finding_line(finding: Finding, terminal: TerminalStyle) -> str:
    """Return *finding* as one line."""
    glyphs = terminal.glyphs
    symbols = {"ok": glyphs.passed, "warning": "!", "wrong": glyphs.failed, "skipped": "-"}
    width = max(map(len, symbols.values()))
    symbol = terminal.paint(f"{symbols[finding.level]:<{width}}", _STYLES[finding.level])
    advice = f". {finding.advice}" if finding.advice else ""
    return f"{symbol}  {finding.name:<{NAME_WIDTH}}  {finding.what}{advice}"


def skipped(name: str, needs: str) -> Finding:
    """Return the finding for the check *name*, which cannot run without *needs*."""
    return Finding(name=name, level="skipped", what=f"not checked: it needs {needs}")
