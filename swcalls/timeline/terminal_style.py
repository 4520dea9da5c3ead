"""What a terminal can show: its width, its colours, its characters. The text timeline and the command line use it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from typing import Self, TextIO

from msgspec import Struct

MIN_WIDTH = 40
_PLAIN = re.compile(r"[\w.:/#*+-]+\Z", re.ASCII)
_SGR = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}


class Glyphs(Struct, frozen=True, kw_only=True):
    """The symbols in printed lines and in the text picture; those inside the picture are one column wide."""

    sent: str
    webhook: str
    command: str
    event: str
    extra: str
    refused: str
    active: str
    idle: str
    axis: str
    tick: str
    ellipsis: str
    dot: str
    waiting: str
    passed: str
    failed: str
    levels: str
    """From silence to the greatest loudness, nine of them."""


UNICODE = Glyphs(
    sent="→",
    webhook="←",
    command="▸",
    event="●",
    extra="○",
    refused="✗",
    active="━",
    idle="╌",
    axis="─",
    tick="┬",
    ellipsis="…",
    dot="·",
    waiting="⧖",
    passed="✓",
    failed="✗",
    levels=" ▁▂▃▄▅▆▇█",
)
ASCII = Glyphs(
    sent="->",
    webhook="<-",
    command=">",
    event="o",
    extra="%",
    refused="x",
    active="=",
    idle="-",
    axis="-",
    tick="+",
    ellipsis="~",
    dot=",",
    waiting="..",
    passed="ok",
    failed="FAILED",
    levels=" .:-=+*#@",
)


class TerminalStyle(Struct, frozen=True):
    """The width, the colours and the symbols with which text is printed."""

    width: int = 80
    """Columns."""
    colour: bool = False
    glyphs: Glyphs = UNICODE

    @classmethod
    def of(cls, stream: TextIO | None, environ: Mapping[str, str] = os.environ) -> Self:
        """Return the style for *stream*; ``None`` stands for a standard stream that Python found closed."""
        if stream is None:
            return cls()
        colour = stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        width = shutil.get_terminal_size((80, 24)).columns
        return cls(max(MIN_WIDTH, width), colour, UNICODE if _shows(stream, UNICODE) else ASCII)

    def paint(self, text: str, style: str) -> str:
        """Return *text* in *style*: ``""``, or words such as ``bold``, ``dim``, ``red``, separated by spaces."""
        if not self.colour or not style or not text:
            return text
        return f"\x1b[{';'.join(_SGR[word] for word in style.split())}m{text}\x1b[0m"

    def shorten(self, text: str, width: int) -> str:
        """Return *text*, cut to *width* columns; a text that was cut ends in an ellipsis."""
        return text if len(text) <= width else text[: max(0, width - 1)] + self.glyphs.ellipsis


def escaped(text: str) -> str:
    """Escape everything but printable ASCII: other characters may control the terminal, or have an unknown width."""
    return "".join(char if " " <= char <= "~" else ascii(char)[1:-1] for char in text)


def quoted(value: object, limit: int = 80) -> str:
    """Return *value*, which came from the network, as one word: as it is if harmless, else quoted and escaped."""
    text = str(value)
    if len(text) > limit:
        text = text[:limit] + "..."
    return text if _PLAIN.match(text) else ascii(text)


def _shows(stream: TextIO, glyphs: Glyphs) -> bool:
    try:
        "".join(getattr(glyphs, name) for name in glyphs.__struct_fields__).encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
