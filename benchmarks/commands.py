"""What it costs to send a command: ``await call.play(...)``, against a bare post of the same bytes, and peers."""

from __future__ import annotations

from functools import partial

from . import report
from .clients import BareAiohttp, Swcalls, Telnyx, Twilio, VendorInThreads
from .harness import Measured, Result, Row, Sample, Samples, Size, interleave, ratios, spread
from .party import GLIBC, Party
from .peers import UVLOOP, installed, lacks
from .space import Space

CONCURRENCIES = (1, 64, 512)
COMMANDS = {1: 400, 64: 2000, 512: 3000}
JUDGED = 64

SWCALLS, BARE = "swcalls", "bare aiohttp post"
VENDOR, TWILIO = "the vendor's REST client in threads", "twilio, asynchronous"
TELNYX, TELNYX_AIOHTTP = "telnyx, as it comes", "telnyx, on aiohttp"
ON_UVLOOP = " (uvloop)"
GROUP = f"cost of a {BARE} / of swcalls"
PEERS = "cost of what people would use instead / of swcalls"

SUBJECTS = {
    SWCALLS: (Swcalls,),
    BARE: (BareAiohttp,),
    VENDOR: (VendorInThreads,),
    TELNYX_AIOHTTP: (Telnyx, "aiohttp"),
    TELNYX: (Telnyx, "httpx"),
    TWILIO: (Twilio,),
}
NEEDS = {
    VENDOR: VendorInThreads.needs,
    TELNYX_AIOHTTP: (*Telnyx.needs, "httpx_aiohttp"),
    TELNYX: Telnyx.needs,
    TWILIO: Twilio.needs,
}
JUDGED_AGAINST = (BARE, VENDOR, TWILIO)
"""Whom swcalls is compared with under glibc's defaults, too."""
SLOW = {VENDOR: 0.3, TELNYX_AIOHTTP: 0.3, TELNYX: 0.12, TWILIO: 0.5}
"""What share of the commands these get, so that a round has an end."""


def run(size: Size) -> Result:
    """Measure it."""
    skipped = {name: missing for name, modules in NEEDS.items() if (missing := lacks(modules))}
    if not installed(UVLOOP):
        skipped["everything on uvloop"] = f"needs {UVLOOP}"
    parties: dict[str, Party] = {}
    space = Party(Space, role="platform", uvloop=installed(UVLOOP))
    try:
        url = space.ask("url")
        for name, (subject, *arguments) in SUBJECTS.items():
            if name in skipped:
                continue
            parties[name] = Party(subject, url, *arguments)
            if name in (SWCALLS, BARE) and installed(UVLOOP):
                parties[name + ON_UVLOOP] = Party(subject, url, *arguments, uvloop=True)
            if size.whole and name in (SWCALLS, *JUDGED_AGAINST):
                parties[name + GLIBC] = Party(subject, url, *arguments, keep_memory=False)
        runs = {
            (name, concurrency): partial(
                party.ask,
                "run",
                concurrency,
                size.of(int(COMMANDS[concurrency] * SLOW.get(name.removesuffix(GLIBC), 1)), least=10),
            )
            for concurrency in (CONCURRENCIES if size.whole else (JUDGED,))
            for name, party in parties.items()
            if concurrency == JUDGED or not name.endswith(GLIBC)
        }
        samples = interleave(runs, size)
    finally:
        for party in (*parties.values(), space):
            party.close()
    return report.result(
        "commands",
        "What does it cost to send a command?",
        size,
        rows=_rows(samples),
        measured=[_measured(name, concurrency, found) for (name, concurrency), found in samples.items()],
        skipped=skipped,
        notes=[
            "The space answers at once, so this is what the client itself costs, and no network hides it.",
            (
                "swcalls makes ids and the callback URL, encodes, registers the action and reads the leg; the "
                "bare post sends the same bytes, made before, and reads those of the answer."
            ),
            (
                "The vendor's client runs in 64 threads at most; swcalls, aiohttp, telnyx and twilio open 100 "
                "connections at most, as they do by default."
            ),
        ],
    )


def _rows(samples: Samples) -> list[Row]:
    def row(ours: str, theirs: str, group: str, concurrency: int = JUDGED, **goals: float) -> list[Row]:
        if not {(ours, concurrency), (theirs, concurrency)} <= set(samples):
            return []
        figures = ratios(samples, (theirs, concurrency), (ours, concurrency))
        what = f"{ours.removesuffix(GLIBC)}, {concurrency} at once{GLIBC * ours.endswith(GLIBC)}"
        return [Row(what=what, against=theirs.removesuffix(GLIBC), group=group, figures=figures, **goals)]

    return [
        *row(SWCALLS, BARE, GROUP, at_least=0.90),
        *row(SWCALLS + GLIBC, BARE + GLIBC, GROUP, at_least=0.90),
        *row(SWCALLS, BARE, GROUP, 1),
        *row(SWCALLS, BARE, GROUP, 512),
        *row(SWCALLS + ON_UVLOOP, BARE + ON_UVLOOP, GROUP),
        *row(SWCALLS, VENDOR, PEERS, at_least=6.5),
        *row(SWCALLS + GLIBC, VENDOR + GLIBC, PEERS, at_least=6.5),
        *row(SWCALLS, TELNYX_AIOHTTP, PEERS, at_least=5),
        *row(SWCALLS, TELNYX, PEERS, at_least=15),
        *row(SWCALLS, TWILIO, PEERS, at_least=1.9),
        *row(SWCALLS + GLIBC, TWILIO + GLIBC, PEERS, at_least=1.9),
    ]


def _measured(name: str, concurrency: int, found: list[Sample]) -> Measured:
    return Measured(
        f"{name}, {concurrency} at once",
        {
            "CPU us": spread(sample["cpu"] * 1e6 for sample in found),
            "commands/s": spread(1 / sample["wall"] for sample in found),
            "p50 ms": spread(sample["p50"] * 1e3 for sample in found),
            "p99 ms": spread(sample["p99"] * 1e3 for sample in found),
        },
    )


if __name__ == "__main__":
    report.main(run)
