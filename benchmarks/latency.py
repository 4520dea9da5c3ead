"""From a webhook's last byte to the waiter's next line, among many flows that wait, against a bare future in a dict."""

from __future__ import annotations

from functools import partial

from . import report
from .harness import Measured, Result, Row, Sample, Samples, Size, interleave, quantile, ratio, spread
from .load import Fired, Load
from .party import Party, Subject
from .peers import UVLOOP, installed
from .waiters import Bare, Swcalls

PENDING = {"full": (100, 10_000), "quick": (100, 10_000), "tiny": (20, 100)}
WEBHOOKS = 400

BARE = "bare aiohttp handler that resolves a future"
EMBEDDED, SERVED = "swcalls in an Application", "swcalls, serve()"
SUBJECTS: dict[str, tuple[Subject, tuple[str, ...]]] = {
    BARE: (Bare, ()),
    EMBEDDED: (Swcalls, ("embedded",)),
    SERVED: (Swcalls, ("served",)),
}


def run(size: Size) -> Result:
    """Measure it."""
    pending = PENDING[size.name]
    parties = {
        (name, held): Party(subject, *arguments) for name, (subject, arguments) in SUBJECTS.items() for held in pending
    }
    load = Party(Load, role="load", uvloop=installed(UVLOOP))
    count = size.of(WEBHOOKS, least=10)
    try:
        samples = interleave(
            {key: partial(_volley, party, load, key[1], count) for key, party in parties.items()}, size
        )
    finally:
        for party in (*parties.values(), load):
            party.close()
    return report.result(
        "latency",
        "How long after its webhook does a flow go on?",
        size,
        rows=_rows(samples, pending),
        measured=[_measured(name, held, found) for (name, held), found in samples.items()],
        notes=[
            "From just before a webhook is written, in one process, to the waiter's next line, in another.",
            "One webhook at a time, over one connection: this is the floor, and no queue. There is no signing key.",
            (
                "Each flow is a task. In swcalls it awaits an action of a call of its own; in the bare handler a "
                "future, which is found in a dict by the id in the path, and no body is decoded. The webhooks are "
                "for flows drawn by chance; as many flows begin again before the next round."
            ),
        ],
    )


def _volley(server: Party, load: Party, held: int, count: int) -> Sample:
    """Post *count* webhooks, one after the other, and see how long each takes to its waiter."""
    server.ask("hold", held)
    requests = server.ask("draw", count)
    load.ask("connect", server.ask("port"), 1)
    server.ask("tidy")
    before = server.ask("spent")
    fired: Fired = load.ask("fire", requests)
    cpu = server.ask("spent") - before
    load.ask("disconnect")
    delays = [ended - began for ended, began in zip(server.ask("ended"), fired.began, strict=True)]
    # The first one opens the connection on the other side.
    return {"p50": quantile(delays[1:], 0.5), "p99": quantile(delays[1:], 0.99), "cpu": cpu / count}


def _rows(samples: Samples, pending: tuple[int, ...]) -> list[Row]:
    return [
        Row(
            what=f"{ours}, {held:,} flows wait",
            against=BARE,
            group="latency of the bare handler / of swcalls",
            figures={name: ratio(samples, (BARE, held), (ours, held), name) for name in ("p50", "p99")},
        )
        for ours in (EMBEDDED, SERVED)
        for held in pending
    ]


def _measured(name: str, held: int, found: list[Sample]) -> Measured:
    figures = {"p50": "p50 us", "p99": "p99 us", "cpu": "CPU us"}
    return Measured(
        f"{name}, {held:,} flows wait",
        {shown: spread(sample[figure] * 1e6 for sample in found) for figure, shown in figures.items()},
    )


if __name__ == "__main__":
    report.main(run)
