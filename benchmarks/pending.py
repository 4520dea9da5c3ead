"""What a pending action costs: its bytes, a dispatch among very many, a deadline; against the vendor's RELAY."""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from . import report
from .harness import Measured, Result, Row, Sample, Samples, Size, Spread, interleave, progress, ratios, spread
from .holders import AT_ONCE, FAR, Swcalls, Timeouts, VendorRelay
from .machine import resident_bytes
from .party import GLIBC, Party, Subject
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

FLOWS = {"full": 10_000, "quick": 10_000, "tiny": 100}
"""So many flows wait, each in a task, in a process that has nothing else to do."""
BARE = "a bare asyncio.Future each"
WAITING = {SWCALLS: "swcalls", VENDOR: "vendor", BARE: "bare"}
"""The functions of `waiting` that make them."""


def run(size: Size) -> Result:
    """Measure it."""
    skipped = {VENDOR: missing} if (missing := lacks(VendorRelay.needs)) else {}
    held = [count for count in HELD if count <= MOST[size.name]]
    names = [name for name in SUBJECTS if name not in skipped]
    weights = _weights(names, held, size)
    dispatches = _dispatches([name for name in names if name != DEADLINE], held, size)
    flows = _flows([name for name in WAITING if name not in skipped], size)
    others = min(100_000 if size.whole else 10_000, held[-1])
    extras = {"": _deadlines(others, size, keep_memory=True)}
    if size.whole:
        extras[GLIBC] = _deadlines(others, size, keep_memory=False)
    skipped |= {
        f"{count:,} pending": f"needs a full run, this one is {size.name}" for count in HELD if count not in held
    }
    return report.result(
        "pending",
        "What does a pending action cost?",
        size,
        rows=[
            *_weight_rows(weights, names),
            *_flow_rows(flows, FLOWS[size.name]),
            *_dispatch_rows(dispatches, held),
            *(_deadline_row(found, settings) for settings, found in extras.items()),
        ],
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
                Measured(f"{name}, extra cost{settings}", {"CPU us": spread(sample["cpu"] * 1e6 for sample in found)})
                for settings, both in extras.items()
                for name, found in both.items()
            ),
            *(
                Measured(
                    f"{name}, {FLOWS[size.name]:,} flows that wait",
                    {
                        "bytes": spread(one["flow"] for one in found),
                        "MiB of the process": spread(one["process"] for one in found),
                    },
                )
                for name, found in flows.items()
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
                "A flow that waits has a call of its own, and a task. Its process is a program that imports what "
                "such a flow needs, with glibc's defaults. No command leaves the process."
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


def _flows(names: list[str], size: Size) -> dict[str, list[Sample]]:
    """Weigh flows that wait, with their tasks and the process around them."""
    found: dict[str, list[Sample]] = {name: [] for name in names}
    count = FLOWS[size.name]
    for _ in range(WEIGHINGS if size.name == "full" else 1):
        for name in names:
            program = [sys.executable, "-m", f"{__package__}.waiting", WAITING[name], str(count)]
            done = subprocess.run(
                program, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True, timeout=300
            )
            told = json.loads(done.stdout)
            if told["after"] is not None:
                process, flow = told["after"] / 2**20, (told["after"] - told["before"]) / count
                found[name].append({"process": process, "flow": flow})
    return {name: samples for name, samples in found.items() if samples}


def _deadlines(others: int, size: Size, *, keep_memory: bool) -> dict[str, list[Sample]]:
    """Measure what a deadline costs among *others*, and what a timeout does."""
    pairs = size.of(PAIRS, least=2)
    ours = Party(Swcalls, FAR, keep_memory=keep_memory)
    theirs = Party(Timeouts, others, keep_memory=keep_memory)
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


def _flow_rows(flows: dict[str, list[Sample]], count: int) -> list[Row]:
    return [
        Row(
            what=f"{name}, {count:,} flows that wait",
            against="",
            group="memory of the whole process, a task for each flow",
            figures={"memory": spread(one["process"] for one in found)},
            unit="MiB",
        )
        for name, found in flows.items()
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


def _deadline_row(extras: dict[str, list[Sample]], settings: str) -> Row:
    pairs = zip(extras[OURS], extras[THEIRS], strict=True)
    return Row(
        what=f"deadline=, extra cost{settings}",
        against="asyncio.timeout() a waiter",
        group="extra cost of a deadline / of a timeout (less is better)",
        figures={"CPU": spread(ours["cpu"] / theirs["cpu"] for ours, theirs in pairs)},
        at_most=0.2,
    )


if __name__ == "__main__":
    report.main(run)
