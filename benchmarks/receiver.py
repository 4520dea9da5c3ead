"""What it costs to receive a webhook: verify, decode and resolve, against a bare handler and against FastAPI.

Every webhook is about an action of its own, which is pending before and settled after.
"""

from __future__ import annotations

from functools import partial

from . import report
from .harness import Measured, Result, Row, Sample, Samples, Size, interleave, ratios, spread
from .load import Fired, Load
from .party import GLIBC, Party
from .peers import UVLOOP, installed, lacks
from .receivers import Bare, FastAPIWithVendor, Swcalls

CONNECTIONS = (1, 16, 64)
REQUESTS = {1: 500, 16: 2000, 64: 3000}
JUDGED = 64

EMBEDDED, SERVED = "swcalls in an Application", "swcalls, serve()"
KEYED, SERVED_KEYED = f"{EMBEDDED}, signing key", f"{SERVED}, signing key"
BARE, FASTAPI = "bare aiohttp handler", "FastAPI with the vendor's dependency"
IN_TURNS = "bare aiohttp handler that takes turns"
ON_UVLOOP = " (uvloop)"

OURS = (EMBEDDED, KEYED, SERVED, SERVED_KEYED)

SUBJECTS = {
    BARE: (Bare,),
    IN_TURNS: (Bare, 2),
    EMBEDDED: (Swcalls, "embedded", False),
    KEYED: (Swcalls, "embedded", True),
    SERVED: (Swcalls, "served", False),
    SERVED_KEYED: (Swcalls, "served", True),
    FASTAPI: (FastAPIWithVendor,),
}

GOALS: dict[tuple[str, int], dict[str, float]] = {
    (EMBEDDED, 64): {"at_least": 0.90},
    (KEYED, 64): {"at_least": 0.85},
    (SERVED, 64): {"at_least": 1.25},
    (SERVED_KEYED, 64): {"at_least": 1.15},
    (EMBEDDED, 16): {"at_least": 0.90},
    (EMBEDDED, 1): {"at_least": 0.85},
}
"""By who receives and over how many connections, against a bare handler."""


def run(size: Size) -> Result:
    """Measure it."""
    skipped = {FASTAPI: missing} if (missing := lacks(FastAPIWithVendor.needs)) else {}
    if not installed(UVLOOP):
        skipped["everything on uvloop"] = f"needs {UVLOOP}"
    loops = (False, True) if installed(UVLOOP) else (False,)
    parties: dict[str, Party] = {}
    load = Party(Load, role="load", uvloop=installed(UVLOOP))
    try:
        for name, (subject, *arguments) in SUBJECTS.items():
            for uvloop in loops if name not in skipped else ():
                parties[name + ON_UVLOOP * uvloop] = Party(subject, *arguments, uvloop=uvloop)
            if size.whole and name != IN_TURNS and name not in skipped:
                parties[name + GLIBC] = Party(subject, *arguments, keep_memory=False)
        runs = {
            (name, connections): partial(_volley, party, load, connections, size.of(REQUESTS[connections], least=20))
            for connections in (CONNECTIONS if size.whole else (JUDGED,))
            for name, party in parties.items()
        }
        samples = interleave(runs, size)
    finally:
        for party in (*parties.values(), load):
            party.close()
    return report.result(
        "receiver",
        "What does it cost to receive a webhook?",
        size,
        rows=_rows(samples),
        measured=[_measured(name, connections, found) for (name, connections), found in samples.items()],
        skipped=skipped,
        notes=[
            "Every webhook has a valid signature, checked only with a signing key. The MAC in the URL always is.",
            (
                "swcalls reads all that came at once, then judges all of it, then answers: that keeps the code of each "
                "step in the processor's caches. A bare handler can do so too: that is the one that takes turns."
            ),
            "FastAPI runs on uvicorn and httptools, without an access log.",
            "On wall time, one process that posts must keep up: it has the other core.",
        ],
    )


def _volley(server: Party, load: Party, connections: int, count: int) -> Sample:
    """Post *count* webhooks and see what they cost the server."""
    # The first on each connection are not measured.
    requests = server.ask("arm", count + connections)
    load.ask("connect", server.ask("port"), connections)
    load.ask("fire", requests[:connections])
    server.ask("tidy")
    before = server.ask("spent")
    fired: Fired = load.ask("fire", requests[connections:])
    cpu = server.ask("spent") - before
    load.ask("disconnect")
    server.ask("check")
    return {"cpu": cpu / count, "wall": fired.wall / count, "p50": fired.p50, "p99": fired.p99}


def _rows(samples: Samples) -> list[Row]:
    def row(ours: str, theirs: str, connections: int = JUDGED, **goals: float) -> list[Row]:
        if not {(ours, connections), (theirs, connections)} <= set(samples):
            return []
        is_default = ours.endswith(GLIBC)
        what = f"{ours.removesuffix(GLIBC)}, {_connections(connections)}{GLIBC * is_default}"
        group = f"cost of {FASTAPI if theirs.startswith(FASTAPI) else BARE} / of swcalls"
        figures = ratios(samples, (theirs, connections), (ours, connections))
        theirs = theirs.removesuffix(GLIBC)
        return [Row(what=what, against=theirs, group=group, figures=figures, **goals)]

    def rows(connections: int) -> list[Row]:
        """Compare ours with a bare handler, with memory kept and with glibc's defaults."""
        return [
            line
            for settings in ("", GLIBC)
            for ours in OURS
            for line in row(ours + settings, BARE + settings, connections, **GOALS.get((ours, connections), {}))
        ]

    return [
        *(line for connections in reversed(CONNECTIONS) for line in rows(connections)),
        *row(EMBEDDED, IN_TURNS),
        *row(EMBEDDED + ON_UVLOOP, BARE + ON_UVLOOP),
        *row(SERVED + ON_UVLOOP, BARE + ON_UVLOOP),
        *row(KEYED, FASTAPI, at_least=3.2),
        *row(KEYED + GLIBC, FASTAPI + GLIBC, at_least=3.2),
        *row(KEYED, FASTAPI + ON_UVLOOP, at_least=3.2),
        *row(KEYED + ON_UVLOOP, FASTAPI + ON_UVLOOP),
    ]


def _measured(name: str, connections: int, found: list[Sample]) -> Measured:
    return Measured(
        f"{name}, {_connections(connections)}",
        {
            "CPU us": spread(sample["cpu"] * 1e6 for sample in found),
            "requests/s": spread(1 / sample["wall"] for sample in found),
            "p50 us": spread(sample["p50"] * 1e6 for sample in found),
            "p99 us": spread(sample["p99"] * 1e6 for sample in found),
        },
    )


def _connections(count: int) -> str:
    return "1 connection" if count == 1 else f"{count} connections"


if __name__ == "__main__":
    report.main(run)
