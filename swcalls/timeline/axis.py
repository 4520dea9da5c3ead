"""The ticks of a time axis, at round times."""

from __future__ import annotations

import math
from collections.abc import Iterator


def ticks(span: float, least: float) -> Iterator[tuple[float, str]]:
    """Yield where ticks are on an axis of *span* seconds, from 0, and what stands there; *least* seconds apart."""
    step = _round_up(least) if span else 1.0
    decimals = max(0, -math.floor(math.log10(step)))
    for number in range(int(span / step + 1e-6) + 1):
        yield number * step, f"{number * step:.{decimals}f}"


def _round_up(least: float) -> float:
    """Find the least number, not below *least*, that is 1, 2 or 5 times a power of ten."""
    power: float = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))
