"""How many processes a load needs, and what breaks first: a model made of measured costs.

It reads the results of `scale_out`, `commands` and `pending`. It assumes that a process uses one core, that costs add
up, and that work is spread evenly. ``--check`` compares it with runs of 1, 2, 4 and 8 processes on this machine.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import chain, pairwise
from pathlib import Path

import msgspec
from msgspec import Struct

from .harness import FULL, QUICK, TINY, Measured, Result, Size
from .load import Fired, Load
from .owners import ALONE, CONNECTIONS, EVENTS, POSTGRES, Front, Owner
from .party import Party
from .postgres_server import PostgresServer
from .redis_server import RedisServer
from .report import RESULTS

RECORD = 224
"""Bytes of the record of an inbound call in Redis, with its key: what each of 20,000 took in Redis 6.2."""
PROCESSES = (1, 2, 4, 8)
Store = RedisServer | PostgresServer
RATES = (10, 100, 1_000, 10_000)


class Traffic(Struct, frozen=True, kw_only=True):
    """What a call does."""

    webhooks: float = 8
    """Such as four states of the call, two of a play, two of a collect."""
    commands: float = 4
    """Such as dial, play, collect, end."""
    seconds: float = 60
    """How long it lasts."""
    inbound: float = 0.0
    """The share of calls that come in."""
    keep: float = 86_400
    """For how many seconds the store keeps the record of an inbound call."""


class Costs(Struct, frozen=True, kw_only=True):
    """What was measured. Times in seconds of one core."""

    alone: float
    """A webhook in one process that does everything."""
    receiver: float
    """A webhook of another process."""
    owner: list[tuple[float, float]]
    """Webhooks per second of an owner, and what one costs it: the more come at once, the less."""
    store: float
    """A webhook: publish, read, delete, forget."""
    start: float
    """A command, with HTTP."""
    memo: float
    """The memo of a command, in the worker."""
    store_start: float
    """The memo of a command, in the store."""
    pending: float
    """Bytes of a pending action in a worker."""
    store_pending: float
    """Bytes of a pending action in the store."""
    guessed: list[str] = []
    """What is not in the results, and was assumed."""

    def owner_at(self, rate: float) -> float:
        """Interpolate what a webhook costs an owner that gets *rate* of them a second."""
        points = sorted(self.owner)
        if rate <= points[0][0]:
            return points[0][1]
        for (low, dear), (high, cheap) in pairwise(points):
            if rate <= high:
                share = math.log(rate / low) / math.log(high / low)
                return dear + share * (cheap - dear)
        return points[-1][1]


class Plan(Struct, frozen=True, kw_only=True):
    """How many of each carry a load."""

    workers: int
    receivers: int
    stores: int
    worker_bytes: float
    """Of all workers together, for what is pending."""
    store_bytes: float
    """Of all stores together."""


def costs(directory: Path, store: str = "Redis") -> Costs:
    """Read the costs from the results in *directory*."""
    shared, commands = _measured(directory, "scale_out"), _measured(directory, "commands")
    suffix = f", {POSTGRES}" if store == POSTGRES else ""
    by_owners = {n: found for n in (1, 2, 4, 8) if (found := shared.get(f"{n} owner{'s' * (n > 1)}{suffix}"))}
    if not by_owners:
        raise SystemExit(
            f"{directory / 'scale_out.json'} has no figures for {store}: run python -m benchmarks.scale_out"
        )
    one, most = by_owners[1], by_owners[max(by_owners)]
    guessed = []
    if "a start, owners us" in one:
        memo = max(0.0, one["a start, owners us"] - shared[ALONE]["a start, owners us"])
        store_start = one["a start, store us"]
    else:
        guessed = ["the memo of a command: a third of what a webhook costs worker and store"]
        memo, store_start = one["owners us"] / 3, one[f"{store} us"] / 3
    pending = next(row for row in _result(directory, "pending").rows if row.what.startswith("swcalls, each with"))
    return Costs(
        alone=shared[ALONE]["CPU us"] / 1e6,
        receiver=most["receiver us"] / 1e6,
        owner=[(found["events/s"] / count, found["owners us"] / 1e6) for count, found in by_owners.items()],
        store=one[f"{store} us"] / 1e6,
        start=commands["swcalls, 64 at once"]["CPU us"] / 1e6,
        memo=memo / 1e6,
        store_start=store_start / 1e6,
        pending=pending.figures["bytes"].median,
        store_pending=shared["a pending action, in Redis"]["bytes"],
        guessed=guessed,
    )


def plan(found: Costs, traffic: Traffic, rate: float, *, share: float, store_cores: int) -> Plan:
    """Say how many of each carry *rate* calls a second, if each core is busy for *share* of the time."""
    webhooks, commands, up = rate * traffic.webhooks, rate * traffic.commands, rate * traffic.seconds
    workers = 1
    while _worker_load(found, webhooks / workers, commands / workers) > share:
        workers += max(1, workers // 50)
    store = webhooks * found.store + commands * found.store_start
    # Of a call there is its own memo and that of the action that is running.
    records = rate * traffic.inbound * traffic.keep * RECORD
    return Plan(
        workers=workers,
        receivers=math.ceil(webhooks * found.receiver / share),
        stores=math.ceil(store / (share * store_cores)),
        worker_bytes=2 * up * found.pending,
        store_bytes=2 * up * found.store_pending + records,
    )


def limits(found: Costs, traffic: Traffic, *, share: float, store_cores: int) -> dict[str, float]:
    """Say how many calls a second one of each carries, the weakest first."""
    worker = _most(lambda rate: _worker_load(found, rate * traffic.webhooks, rate * traffic.commands) <= share)
    store = traffic.webhooks * found.store + traffic.commands * found.store_start
    each = {
        "one worker": worker,
        "one receiver": share / (traffic.webhooks * found.receiver),
        "one store": share * store_cores / store,
    }
    return dict(sorted(each.items(), key=lambda item: item[1]))


def predicted(found: Costs, receivers: int, workers: int, load: float, *, cores: int) -> float:
    """Say how many webhooks a second so many processes settle on *cores*; *load*: what it costs to post one."""
    if not receivers:
        return min(1 / found.alone, cores / (found.alone + load))
    rate = 1.0 / found.receiver
    for _ in range(50):
        owner = found.owner_at(rate / workers)
        total = found.receiver + owner + found.store + load
        new = min(receivers / found.receiver, workers / owner, 1 / found.store, 1 / load, cores / total)
        rate = (rate + new) / 2
    return rate


def table(found: Costs, traffic: Traffic, *, share: float, store_cores: int) -> str:
    """Say it for people."""
    call = f"A call: {traffic.webhooks:g} webhooks, {traffic.commands:g} commands, {traffic.seconds:g} s"
    lines = [
        f"{call}, {traffic.inbound:.0%} inbound. Each core is busy for {share:.0%} of the time at most.",
        "",
        "| calls/s | webhooks/s | workers | receivers | stores | pending actions, in workers | in stores |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for rate in RATES:
        needs = plan(found, traffic, rate, share=share, store_cores=store_cores)
        counts = " | ".join(f"{number:,}" for number in (needs.workers, needs.receivers, needs.stores))
        memory = " | ".join(f"{size / 1e6:,.1f} MB" for size in (needs.worker_bytes, needs.store_bytes))
        lines.append(f"| {rate:,} | {rate * traffic.webhooks:,.0f} | {counts} | {memory} |")
    lines += ["", "| what is full first | calls/s |", "| --- | --- |"]
    each = limits(found, traffic, share=share, store_cores=store_cores)
    lines += [f"| {name} | {rate:,.0f} |" for name, rate in each.items()]
    return "\n".join([*lines, *(f"\nAssumed, since the results do not have it: {what}." for what in found.guessed)])


class Observed(Struct, frozen=True, kw_only=True):
    """What a run has shown."""

    rate: float
    """Webhooks per second."""
    cpu: float
    """CPU seconds of a webhook in receivers, workers and store."""
    load: float
    """CPU seconds of posting one."""


def check(found: Costs, size: Size, store: str) -> str:
    """Compare the model with runs of 1, 2, 4 and 8 processes, each on any core."""
    lines = [
        "| processes | receivers | workers | webhooks/s, model | measured | ratio | CPU us, model | measured | ratio |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    cores = len(os.sched_getaffinity(0))
    for number in PROCESSES:
        receivers = 0 if number == 1 else max(1, number // 4)
        workers = number - receivers
        runs = [_run(store, receivers, workers, size.of(EVENTS, least=80)) for _ in range(size.rounds)]
        # The best: what disturbs a run only makes it slower.
        rate, cpu = max(run.rate for run in runs), min(run.cpu for run in runs)
        should = predicted(found, receivers, workers, min(run.load for run in runs), cores=cores)
        per_event = found.receiver + found.owner_at(should / workers) + found.store if receivers else found.alone
        rates = f"{should:,.0f} | {rate:,.0f} | {rate / should:.2f}"
        costs = f"{per_event * 1e6:.0f} | {cpu * 1e6:.0f} | {cpu / per_event:.2f}"
        lines.append(f"| {number} | {receivers} | {workers} | {rates} | {costs} |")
    return "\n".join(lines)


def _run(kind: str, receivers: int, workers: int, count: int) -> Observed:
    """Let so many processes settle webhooks, twice; the first time warms up."""
    with ExitStack() as stack:
        store = stack.enter_context(PostgresServer() if kind == POSTGRES else RedisServer("anywhere"))
        load = stack.enter_context(Party(Load, role="anywhere"))
        fronts = [stack.enter_context(Party(Front, store.url, role="anywhere")) for _ in range(receivers)]
        ports = [front.ask("port") for front in fronts]
        owners = []
        for number in range(workers):
            to = (store.url, f"owner-{number}", f"http://127.0.0.1:{ports[number % receivers]}") if receivers else ()
            owners.append(stack.enter_context(Party(Owner, *to, role="anywhere")))
        observed = [_volley(store, load, fronts, owners, count) for _ in range(2)]
    return observed[-1]


def _volley(store: Store, load: Party, fronts: Sequence[Party], owners: Sequence[Party], count: int) -> Observed:
    posts = zip(*(owner.ask("arm", count // len(owners)) for owner in owners), strict=True)
    requests = list(chain.from_iterable(posts))
    # Now only: a receiver closes connections that bring nothing for long.
    receiving = fronts or owners
    for party in receiving:
        load.ask("connect", party.ask("port"), CONNECTIONS * len(owners) // len(receiving))
    parties = (*fronts, *owners)
    before, load_before = store.spent() + sum(party.ask("spent") for party in parties), load.ask("spent")
    fired: Fired = load.ask("fire", requests)
    posting = load.ask("spent") - load_before
    ended = max(chain.from_iterable(owner.ask("ended") for owner in owners))
    spent = store.spent() + sum(party.ask("spent") for party in parties) - before
    load.ask("disconnect")
    number = len(requests)
    return Observed(rate=number / (ended - min(fired.began)), cpu=spent / number, load=posting / number)


def _worker_load(found: Costs, webhooks: float, commands: float) -> float:
    return webhooks * found.owner_at(webhooks) + commands * (found.start + found.memo)


def _most(fits: Callable[[float], bool]) -> float:
    low, high = 0.0, 1e6
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _result(directory: Path, name: str) -> Result:
    return msgspec.json.decode((directory / f"{name}.json").read_bytes(), type=Result)


def _measured(directory: Path, name: str) -> dict[str, dict[str, float]]:
    found: Sequence[Measured] = _result(directory, name).measured
    return {each.variant: {figure: spread.median for figure, spread in each.figures.items()} for each in found}


def main() -> None:
    """Run it as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the results of the benchmarks are")
    parser.add_argument("--store", choices=["Redis", POSTGRES], default="Redis")
    parser.add_argument("--share", type=float, default=0.5, help="how busy each core may be (0 to 1)")
    parser.add_argument("--store-cores", type=int, help="cores of one store; default: 1 for Redis, 8 for PostgreSQL")
    for name, value in msgspec.structs.asdict(Traffic()).items():
        parser.add_argument(f"--{name}", type=float, default=value)
    parser.add_argument("--check", action="store_true", help="compare it with runs on this machine")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="size", action="store_const", const=QUICK)
    size.add_argument("--tiny", dest="size", action="store_const", const=TINY)
    arguments = parser.parse_args()
    found = costs(arguments.results, arguments.store)
    if arguments.check:
        print(check(found, arguments.size or FULL, arguments.store))
        return
    traffic = Traffic(**{name: getattr(arguments, name) for name in msgspec.structs.asdict(Traffic())})
    cores = arguments.store_cores or (8 if arguments.store == POSTGRES else 1)
    print(table(found, traffic, share=arguments.share, store_cores=cores))


if __name__ == "__main__":
    main()
