"""The texts of the SVG picture: how much room each one takes, and which of them are drawn so that none covers another.

Text cannot be measured here: widths are those of DejaVu Sans, the widest of the common fonts, rounded up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from msgspec import Struct

from .tooltip import markup, printable

_WIDTHS = {
    " 'IJijl": (0.33, 0.39),
    ",.-/:;\\f|": (0.37, 0.44),
    "!()[]rt": (0.42, 0.5),
    "*_`csz": (0.56, 0.61),
    "?FLPTYaekovxy": (0.63, 0.74),
    '0123456789$EKSbdghnpqu{}"': (0.66, 0.79),
    "ABCDHNRUVXZ": (0.78, 0.85),
    "&#+<=>GMOQ^w~": (0.88, 1.0),
    "%@Wm": (1.03, 1.12),
}
"""The widths of characters, normal and bold, in em."""
_WIDTH_OF = {char: widths for chars, widths in _WIDTHS.items() for char in chars}
_OTHER = (1.3, 1.3)
_ASCENT, _DESCENT = 0.76, 0.24
_BUCKET = 64.0
"""Pixels; boxes are compared only with boxes that are near."""


class Font(Struct, frozen=True):
    """How the texts of one CSS class are drawn."""

    size: float
    """In pixels."""
    is_bold: bool = False
    is_centred: bool = False

    def width(self, text: str) -> float:
        """Return how many pixels *text* takes at most."""
        return self.size * sum(_WIDTH_OF.get(char, _OTHER)[self.is_bold] for char in printable(text))


FONTS = {
    "name": Font(12.5, is_bold=True),
    "time": Font(11, is_centred=True),
    "state": Font(11, is_bold=True),
    "last": Font(11),
    "verb": Font(10),
    "verb bad": Font(10),
    "pressed": Font(10, is_bold=True, is_centred=True),
    "odd": Font(10),
    "awaited": Font(9.5, is_centred=True),
}
"""By CSS class; `style.PICTURE` has the same sizes."""


class Box(Struct, frozen=True):
    """A rectangle, in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box, gap: float = 0.0) -> bool:
        """Return whether the boxes overlap, or are less than *gap* beside each other."""
        return (
            self.left < other.right + gap
            and other.left < self.right + gap
            and self.top < other.bottom
            and other.top < self.bottom
        )


def text_box(text: str, x: float, y: float, kind: str) -> Box:
    """Return the box of *text* of the class *kind*, whose baseline begins, or has its middle, at (*x*, *y*)."""
    font = FONTS[kind]
    width = font.width(text)
    left = x - width / 2 if font.is_centred else x
    return Box(left, y - _ASCENT * font.size, left + width, y + _DESCENT * font.size)


class Labels:
    """The texts and shapes of one row; a text that would cover one of them is left out."""

    GAP = 4.0
    """The least pixels between two texts of a line."""

    def __init__(self) -> None:
        self._taken: defaultdict[int, list[Box]] = defaultdict(list)

    def block(self, box: Box) -> None:
        """Keep *box* free of texts."""
        for bucket in _buckets(box):
            self._taken[bucket].append(box)

    def place(self, text: str, x: float, y: float, kind: str) -> str:
        """Return the SVG element of *text*, and keep its box free of others; ``""`` if its box is taken already."""
        box = text_box(text, x, y, kind)
        if not text or any(box.meets(taken, self.GAP) for bucket in _buckets(box) for taken in self._taken[bucket]):
            return ""
        self.block(box)
        return element(text, x, y, kind)


def element(text: str, x: float, y: float, kind: str, *, title: str = "") -> str:
    """Return the SVG element of *text*, of the CSS class *kind*, with the tooltip *title*."""
    tip = f"<title>{markup(title)}</title>" if title else ""
    return f'<text x="{number(x)}" y="{number(y)}" class="{kind}">{tip}{markup(text)}</text>'


def shorten(text: str, room: float, kind: str) -> str:
    """Return *text*, cut to *room* pixels; a text that was cut ends in an ellipsis."""
    font = FONTS[kind]
    if font.width(text) <= room:
        return text
    text = text[: int(room / font.width("i")) + 1]
    while text and font.width(f"{text}…") > room:
        text = text[:-1]
    return f"{text}…"


def number(value: float) -> str:
    """Format a coordinate."""
    return f"{value:.1f}".removesuffix(".0")


def _buckets(box: Box) -> Iterator[int]:
    yield from range(int(box.left // _BUCKET), int((box.right + Labels.GAP) // _BUCKET) + 1)
