"""A call centre in one process: calls that play, collect and record in a loop, on a space that answers at once."""

from __future__ import annotations

import time

from . import report
from .centre import PATIENCE, CallCentre, Platform
from .harness import Measured, Result, Row, Size, spread
from .party import Party
from .peers import UVLOOP, installed

CALLS = {"full": 2000, "quick": 2000, "tiny": 20}
SECONDS = {"full": 60.0, "quick": 3.0, "tiny": 0.1}
"""For which calls begin a further command."""
WEBHOOK_CONNECTIONS = 64


def run(size: Size, calls: int | None = None, seconds: float | None = None) -> Result:
    """Measure it, with the *calls* and for the *seconds* of the size if nothing else is said."""
    calls, seconds = calls or CALLS[size.name], seconds or SECONDS[size.name]
    space = Party(Platform, role="platform", uvloop=installed(UVLOOP))
    # Memory is measured, so glibc does what it does by default.
    centre = Party(CallCentre, space.ask("url"), keep_memory=False)
    try:
        space.ask("reach", centre.ask("port"), WEBHOOK_CONNECTIONS)
        space.ask("post_back", True)
        began, before = time.perf_counter(), space.ask("spent")
        found: dict[str, float] = centre.ask("work", calls, seconds)
        busy = (space.ask("spent") - before) / (time.perf_counter() - began)
    finally:
        for party in (centre, space):
            party.close()
    mib = {name: found[name] / 2**20 for name in ("start", "full", "end")}
    return report.result(
        "call_centre",
        "What does one process carry that sends commands and receives webhooks?",
        size,
        rows=_rows(found, calls, mib),
        measured=[
            Measured(
                f"{calls:,} calls, {seconds:g} s",
                {
                    "commands/s": spread([found["commands"] / found["wall"]]),
                    "webhooks/s": spread([found["webhooks"] / found["wall"]]),
                    "CPU us a command and its webhook": spread([found["cpu"] / max(1, found["commands"]) * 1e6]),
                    "wait p50 ms": spread([found["p50"] * 1e3]),
                    "wait p99 ms": spread([found["p99"] * 1e3]),
                    "errors": spread([found["errors"]]),
                    "lost waits": spread([found["lost"]]),
                    "MiB at the start": spread([mib["start"]]),
                    "MiB when each call had a command": spread([mib["full"]]),
                    "MiB at the end": spread([mib["end"]]),
                    "the space is busy, %": spread([busy * 100]),
                },
            )
        ],
        notes=[
            (
                "Each call plays, collects digits and records, again and again, and waits for the end of each; the "
                "platform, in another process, accepts each command at once, and posts its webhook after that."
            ),
            f"There are always as many waits as calls, so a wait is mostly a queue. {WEBHOOK_CONNECTIONS} connections.",
            f"An error is any exception of a command, or of a wait, which may take {PATIENCE:g} s.",
            "A lost wait is one for an action that has not settled at the end, or not by its webhook.",
            "Memory is that of the whole process, with glibc's defaults, before the first command and after the last.",
            "It grows by the timelines of the calls, until each has as many entries as Limits.timeline allows.",
        ],
    )


def _rows(found: dict[str, float], calls: int, mib: dict[str, float]) -> list[Row]:
    def row(what: str, group: str, value: float, unit: str, **goals: float) -> Row:
        figures = {"wall": spread([value])}
        return Row(what=f"{what}, {calls:,} calls", against="", group=group, figures=figures, unit=unit, **goals)

    rate = "a second (more is better)"
    return [
        row("commands", rate, found["commands"] / found["wall"], "a second"),
        row("webhooks", rate, found["webhooks"] / found["wall"], "a second"),
        row("errors", "what went wrong", found["errors"], "times", at_most=0),
        row("lost waits", "what went wrong", found["lost"], "times", at_most=0),
        row("memory before the first command", "memory of the whole process", mib["start"], "MiB"),
        row("memory when each call had a command", "memory of the whole process", mib["full"], "MiB"),
        row("memory after the last command", "memory of the whole process", mib["end"], "MiB"),
    ]


if __name__ == "__main__":
    report.main(run)
