"""What a pending action costs: its bytes, a dispatch among very many, a deadline; against the vendor's RELAY."""

from __future__ import annotations

import random
import statistics
import time
from functools import partial

from . import report
from .harness import Measured, Result, Row, Sample, Samples, Size, Spread, interleave, progress, ratios, spread
from .holders import AT_ONCE, FAR, Swcalls, Timeouts, VendorRelay
from .machine import resident_bytes
from .party import Party, Subject
from .peers import lacks

HELD = (1_000, 10_000, 100_000, 1_000_000)
MOST = {"full": 1_000_000, "quick": 10_000, "tiny": 1_000}
TRACED = 10_000
"""Up to so many, every allocation is counted; more would take too long."""
WEIGHED = 100_000
"""Of so many, what the process holds is what counts. A million are weighed once, since it takes a minute."""
WEIGHINGS = 3
BLOCK, PAIRS = 500, 48

SWCALLS, DEADLINE, VENDOR = "swcalls", "swcalls, each with a deadline", "the vendor's RELAY actions"
SUBJECTS: dict[str, tuple[Subject, tuple[float, ...]]] = {
    SWCALLS: (Swcalls, ()),
    DEADLINE: (Swcalls, (FAR,)),
    VENDOR: (VendorRelay, ()),
}
OURS, THEIRS = "swcalls: deadline=", "asyncio.timeout()"


def run(size: Size) -> Result:
    """Measure it."""
    skipped = {VENDOR: missing} if (missing := lacks(VendorRelay.needs)) else {}
    held = [count for count in HELD if count <= MOST[size.name]]
    names = [name for name in SUBJECTS if name not in skipped]
    weights = _weights(names, held, size)
    dispatches = _dispatches([name for name in names if name != DEADLINE], held, size)
    extras = _deadlines(min(100_000 if size.whole else 10_000, held[-1]), size)
    skipped |= {
        f"{count:,} pending": f"needs a full run, this one is {size.name}" for count in HELD if count not in held
    }
    return report.result(
        "pending",
        "What does a pending action cost?",
        size,
        rows=[*_weight_rows(weights, names), *_dispatch_rows(dispatches, held), _deadline_row(extras)],
        measured=[
            *(Measured(f"{name}, {count:,} pending", found) for (name, count), found in weights.items()),
            *(
                Measured(
                    f"{name}, a dispatch among {count:,}",
                    {f"{shown} us": spread(s[figure] * 1e6 for s in found) for figure, shown in _TIMES.items()},
                )
                for (name, count), found in dispatches.items()
            ),
            *(
                Measured(f"{name}, extra cost", {"CPU us": spread(sample["cpu"] * 1e6 for sample in found)})
                for name, found in extras.items()
            ),
        ],
        skipped=skipped,
        notes=[
            f"Up to {TRACED:,}, bytes are counted as Python allocates them; beyond, they are what the process holds.",
            (
                "Bytes are those of an action that was started and accepted, with its place in the registry; the "
                "string of its id, its call and whoever waits for it are not included."
            ),
            (
                f"A dispatch takes path and body, {AT_ONCE} at once and each in a task, verifies the URL's MAC, "
                "decodes, and settles; the vendor's takes the body, decodes and settles, in no task. Actions are "
                "drawn by chance, so that caches help nobody."
            ),
            (
                f"Ten actions to a call. A deadline's extra cost: blocks of {BLOCK} started and finished with and "
                "without, in turn, while as many others as stated pend with deadlines of their own."
            ),
        ],
    )


_TIMES = {"cpu": "CPU", "wall": "wall"}


def _weights(names: list[str], held: list[int], size: Size) -> dict[tuple[str, int], dict[str, Spread]]:
    """Weigh actions, each time in a process of its own: memory that was used before tells nothing."""
    found: dict[tuple[str, int], list[float]] = {}
    wanted = [(name, count) for name in names for count in held if count <= TRACED or resident_bytes() is not None]
    draw = random.Random(1)
    started = time.monotonic()
    for number in range(WEIGHINGS if size.name == "full" else 1):
        draw.shuffle(wanted)
        for name, count in wanted:
            if number and (count > WEIGHED or time.monotonic() - started > size.seconds):
                continue
            progress(f"weighing {name}: {count:,}")
            subject, arguments = SUBJECTS[name]
            with Party(subject, *arguments, keep_memory=False) as party:
                found.setdefault((name, count), []).append(party.ask("weigh", count, count <= TRACED))
    return {key: {"bytes": spread(weights)} for key, weights in found.items()}


def _dispatches(names: list[str], held: list[int], size: Size) -> Samples:
    """Dispatch to one action among many; all processes hold theirs at the same time."""
    parties: dict[tuple[str, int], Party] = {}
    try:
        for name in names:
            for count in held:
                party = parties[name, count] = Party(SUBJECTS[name][0], keep_memory=False)
                progress(f"starting {count:,} of {name}")
                party.ask("fill", count)
        return interleave({key: partial(party.ask, "dispatch") for key, party in parties.items()}, size)
    finally:
        for party in parties.values():
            party.kill()


def _deadlines(others: int, size: Size) -> dict[str, list[Sample]]:
    """Measure what a deadline costs among *others*, and what a timeout does."""
    pairs = size.of(PAIRS, least=2)
    ours, theirs = Party(Swcalls, FAR, keep_memory=False), Party(Timeouts, others, keep_memory=False)
    try:
        ours.ask("fill", others)

        def extra(party: Party) -> Sample:
            # One difference is mostly noise, and a median of many is not.
            return {"cpu": statistics.median(party.ask("extra", pairs, BLOCK))}

        return interleave({OURS: partial(extra, ours), THEIRS: partial(extra, theirs)}, size)
    finally:
        ours.kill()
        theirs.kill()


def _weight_rows(weights: dict[tuple[str, int], dict[str, Spread]], names: list[str]) -> list[Row]:
    count = min(WEIGHED, max(held for _, held in weights))
    goals: dict[str, dict[str, float]] = {SWCALLS: {"at_most": 300, "go_for": 150}}
    return [
        Row(
            what=f"{name}, of {count:,}",
            against="",
            group="bytes a pending action, id string apart",
            figures=weights[name, count],
            unit="bytes",
            **goals.get(name, {}),
        )
        for name in names
    ]


def _dispatch_rows(samples: Samples, held: list[int]) -> list[Row]:
    group = "cost among many / among 10,000 (less is better)"
    rows = [
        Row(
            what=f"a dispatch among {count:,}",
            against="among 10,000",
            group=group,
            figures=ratios(samples, (SWCALLS, count), (SWCALLS, 10_000)),
            at_most=3.0 if count == 1_000_000 else None,
        )
        for count in held
        if count > 10_000
    ]
    return rows + [
        Row(
            what=f"a dispatch among {count:,}",
            against=VENDOR,
            group=f"cost of {VENDOR} / of swcalls",
            figures=ratios(samples, (VENDOR, count), (SWCALLS, count)),
        )
        for count in held
        if (VENDOR, count) in samples
    ]


def _deadline_row(extras: dict[str, list[Sample]]) -> Row:
    pairs = zip(extras[OURS], extras[THEIRS], strict=True)
    return Row(
        what="deadline=, extra cost",
        against="asyncio.timeout() a waiter",
        group="extra cost of a deadline / of a timeout (less is better)",
        figures={"CPU": spread(ours["cpu"] / theirs["cpu"] for ours, theirs in pairs)},
        at_most=0.2,
    )


if __name__ == "__main__":
    report.main(run)
