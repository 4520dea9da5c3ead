"""How figures come about: interleaved rounds, medians and ranges, and ratios within a round. Knows no benchmark.

On a shared machine a figure of one minute says little about one of the next. So every variant runs once in every round,
in an order that is drawn anew, and two variants are compared round by round.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from .machine import Machine

Key = TypeVar("Key", bound=Hashable)
Sample = dict[str, float]
"""The figures of one run, by name. Costs: less is better. ``cpu`` and ``wall`` are seconds an operation."""
Samples = Mapping[Any, Sequence[Sample]]


class Size(Struct, frozen=True):
    """How much is measured."""

    name: str
    rounds: int
    share: float
    """Of the operations of a full run."""
    seconds: float
    """After which one benchmark begins no further round."""
    whole: bool = False
    """Not only what has a goal, but also what shows where it comes from."""

    def of(self, count: int, *, least: int = 1) -> int:
        """Scale a number of operations."""
        return max(least, int(count * self.share))


FULL = Size("full", rounds=11, share=1.0, seconds=150, whole=True)
QUICK = Size("quick", rounds=3, share=0.25, seconds=6)
TINY = Size("tiny", rounds=1, share=0.01, seconds=3)
"""To see that everything runs. Its figures mean nothing."""


class Spread(Struct, frozen=True):
    """A figure, as its rounds tell it."""

    median: float
    low: float
    high: float
    rounds: int


class Row(Struct, frozen=True, kw_only=True):
    """One line of the table of ratios."""

    what: str
    against: str
    group: str
    """Rows of a group share a scale in the plot, and are beside each other there."""
    figures: dict[str, Spread]
    """``CPU``, ``wall``, …; the first is the one that *at_least*, *at_most* and *go_for* are about."""
    at_least: float | None = None
    at_most: float | None = None
    go_for: float | None = None
    unit: str = "x"

    @property
    def judged(self) -> Spread:
        return next(iter(self.figures.values()))

    @property
    def reached(self) -> bool | None:
        """Whether the median is where it should be; ``None`` if nothing is asked of it."""
        if self.at_least is not None:
            return self.judged.median >= self.at_least
        return None if self.at_most is None else self.judged.median <= self.at_most


class Measured(Struct, frozen=True):
    """What one variant cost, in figures with units."""

    variant: str
    figures: dict[str, Spread]


class Result(Struct, frozen=True, kw_only=True):
    """All that a benchmark has found."""

    benchmark: str
    question: str
    size: str
    seconds: float
    machine: Machine
    rows: list[Row]
    measured: list[Measured]
    skipped: dict[str, str]
    """What was not measured, and what would have been needed."""
    notes: list[str]


def interleave(
    runs: Mapping[Key, Callable[[], Sample]],
    size: Size,
    *,
    seldom: Mapping[Key, int] | None = None,
) -> dict[Key, list[Sample]]:
    """Run everything once a round, in an order drawn anew, and return the samples, round by round.

    A round before the first is not counted. No round begins after ``size.seconds``, but for the first. What is named
    in *seldom* runs in so many rounds only, the first ones, and does not warm up.
    """
    few = seldom or {}
    order = list(runs)
    draw = random.Random(len(order))
    samples: dict[Key, list[Sample]] = {key: [] for key in order}
    if size.name != "tiny":
        for key in order:
            if key not in few:
                runs[key]()
    started = time.monotonic()
    for number in range(size.rounds):
        if number and time.monotonic() - started > size.seconds:
            break
        draw.shuffle(order)
        for key in order:
            if number < few.get(key, size.rounds):
                samples[key].append(runs[key]())
        progress(f"round {number + 1} of {size.rounds}")
    progress("")
    return samples


def spread(values: Iterable[float]) -> Spread:
    """Sum up the values of several rounds."""
    found = list(values)
    return Spread(statistics.median(found), min(found), max(found), len(found))


def ratio(samples: Samples, reference: Hashable, subject: Hashable, figure: str) -> Spread:
    """Compare two costs round by round: 2.0 says that *subject* costs half of what *reference* does."""
    pairs = zip(samples[reference], samples[subject], strict=False)
    return spread(theirs[figure] / ours[figure] for theirs, ours in pairs)


def ratios(samples: Samples, reference: Hashable, subject: Hashable) -> dict[str, Spread]:
    """Compare two variants on CPU time and on wall time."""
    return {name: ratio(samples, reference, subject, figure) for name, figure in (("CPU", "cpu"), ("wall", "wall"))}


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that *share* of *values* do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def progress(text: str) -> None:
    """Show how far it is, to who sits before it."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
