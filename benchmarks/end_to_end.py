"""From play to finished: commands, webhooks and waiting tasks together, against the sum of the parts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from . import report
from .flows import Swcalls, VendorRelay
from .harness import Measured, Result, Row, Sample, Samples, Size, Spread, interleave, ratios, spread
from .party import GLIBC, Party
from .peers import UVLOOP, installed, lacks
from .space import Space

ACTIONS = {1: 400, 100: 3000, 1000: 4000, 10_000: 10_000}
"""How many are played in a run, by how many at a time."""
JUDGED = 100
PARTS_OF = (100, 10_000)
WEBHOOK_CONNECTIONS = 64
FEW_ROUNDS = 3
"""So often the peer does what takes it very long."""

SWCALLS, ON_UVLOOP, VENDOR = "swcalls", "swcalls (uvloop)", "the vendor's RELAY actions"
PARTS = ", its parts alone"


def run(size: Size) -> Result:
    """Measure it."""
    skipped = {VENDOR: missing} if (missing := lacks(VendorRelay.needs)) else {}
    if not installed(UVLOOP):
        skipped[ON_UVLOOP] = f"needs {UVLOOP}"
    counts = {
        many: size.of(count, least=max(20, many)) for many, count in ACTIONS.items() if size.whole or many <= 1000
    }
    parties: dict[str, Party] = {}
    spaces: dict[str, Party] = {}
    runs: dict[tuple[str, int], Callable[[], Sample]] = {}
    subjects = {SWCALLS: Swcalls, ON_UVLOOP: Swcalls, VENDOR: VendorRelay}
    if size.whole:
        subjects[SWCALLS + GLIBC] = Swcalls
    try:
        for name, subject in subjects.items():
            if name in skipped:
                continue
            # A space of its own, since it has connections to its receiver.
            space = spaces[name] = Party(Space, role="platform", uvloop=installed(UVLOOP))
            party = parties[name] = Party(
                subject, space.ask("url"), uvloop=name == ON_UVLOOP, keep_memory=not name.endswith(GLIBC)
            )
            space.ask("reach", party.ask("port"), WEBHOOK_CONNECTIONS)
            for many, count in counts.items():
                if name.endswith(GLIBC) and many not in PARTS_OF:
                    continue
                runs[name, many] = partial(_whole, party, space, many, count)
                if name in (SWCALLS, ON_UVLOOP) and many in PARTS_OF:
                    runs[name + PARTS, many] = partial(_parts, party, space, many, count)
        samples = interleave(runs, size, seldom={(VENDOR, 10_000): FEW_ROUNDS, (VENDOR, 1000): FEW_ROUNDS})
    finally:
        for party in (*parties.values(), *spaces.values()):
            party.close()
    return report.result(
        "end_to_end",
        "What does it cost from play to finished?",
        size,
        rows=_rows(samples),
        measured=[_measured(name, many, found) for (name, many), found in samples.items()],
        skipped=skipped,
        notes=[
            (
                "One event loop sends, receives and waits; the platform is on the other core, and posts one "
                f"webhook an action, over {WEBHOOK_CONNECTIONS} connections, as soon as it has answered the "
                "command."
            ),
            "The parts are the same commands alone, and then the same webhooks alone, with nobody waiting.",
            "With many at once, delays are those of a queue that is always full; with one, they are the floor.",
            (
                "The vendor's REST commands run in 64 threads, and its RELAY actions get their events from a "
                "bare aiohttp handler that checks nothing."
            ),
        ],
    )


def _whole(party: Party, space: Party, concurrency: int, count: int) -> Sample:
    space.ask("post_back", True)
    sample: Sample = party.ask("play", concurrency, count)
    party.ask("check")
    return sample


def _parts(party: Party, space: Party, concurrency: int, count: int) -> Sample:
    space.ask("post_back", False)
    commands: Sample = party.ask("send", concurrency, count)
    party.ask("tidy")
    before = party.ask("spent")
    wall = space.ask("release")
    cpu = party.ask("spent") - before
    party.ask("check")
    return {
        "cpu": commands["cpu"] + cpu / count,
        "wall": commands["wall"] + wall / count,
        "commands": commands["cpu"],
        "webhooks": cpu / count,
    }


def _rows(samples: Samples) -> list[Row]:
    def row(ours: str, many: int, against: str, group: str, figures: dict[str, Spread], **goals: float) -> Row:
        what = f"{ours.removesuffix(GLIBC)}, {many:,} at once{GLIBC * ours.endswith(GLIBC)}"
        return Row(what=what, against=against, group=f"cost of {group}", figures=figures, **goals)

    rows = []
    for ours, least in ((SWCALLS, 0.5), (ON_UVLOOP, 0.7)):
        for many in PARTS_OF:
            if (ours, many) in samples:
                goals = {"at_least": least} if many == JUDGED else {}
                figures = ratios(samples, (ours + PARTS, many), (ours, many))
                rows.append(row(ours, many, "the sum of its parts", "the parts / of the whole", figures, **goals))
    most = max(many for _, many in samples)
    for ours in (SWCALLS, SWCALLS + GLIBC, ON_UVLOOP):
        if (ours, most) in samples:
            figures = ratios(samples, (ours, JUDGED), (ours, most))
            # What is asked for is actions a second.
            figures = {"wall": figures["wall"], "CPU": figures["CPU"]}
            goals = {"at_least": 0.9} if most == 10_000 else {}
            rows.append(
                row(ours, most, f"{JUDGED} at once", f"{JUDGED} at once / of {most:,} at once", figures, **goals)
            )
    for many in ACTIONS:
        if (VENDOR, many) in samples:
            figures = ratios(samples, (VENDOR, many), (SWCALLS, many))
            rows.append(row(SWCALLS, many, VENDOR, f"{VENDOR} / of swcalls", figures))
    return rows


def _measured(name: str, many: int, found: list[Sample]) -> Measured:
    figures = {
        "CPU us": spread(sample["cpu"] * 1e6 for sample in found),
        "actions/s": spread(1 / sample["wall"] for sample in found),
    }
    micro = {"delay p50": "webhook to waiter p50 us", "delay p99": "p99 us"}
    milli = {"p50": "round trip p50 ms", "p99": "p99 ms"}
    parts = {"commands": "command CPU us", "webhooks": "webhook CPU us"}
    for names, factor in ((micro, 1e6), (milli, 1e3), (parts, 1e6)):
        figures |= {
            shown: spread(sample[figure] * factor for sample in found)
            for figure, shown in names.items()
            if figure in found[0]
        }
    return Measured(f"{name}, {many:,} at once", figures)


if __name__ == "__main__":
    report.main(run)
