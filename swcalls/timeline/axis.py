"""Tick positions on the time axis of a timeline, at round times. The text and the SVG picture use it."""

from __future__ import annotations

import math
from collections.abc import Iterator


def ticks(span: float, min_step: float) -> Iterator[tuple[float, str]]:
    """Yield the ticks of an axis from 0 to *span* seconds, at least *min_step* seconds apart, as (seconds, label)."""
    step = _round_up(min_step) if span else 1.0
    decimals = max(0, -math.floor(math.log10(step)))
    for number in range(int(span / step + 1e-6) + 1):
        yield number * step, f"{number * step:.{decimals}f}"


def _round_up(step: float) -> float:
    """Return *step*, rounded up to 1, 2 or 5 times a power of ten."""
    power: float = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))
