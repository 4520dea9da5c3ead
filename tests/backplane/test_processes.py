"""Real processes on one store: workers that wait, receivers that do not, and a worker that is killed in the middle.

``SWCALLS_DEEP=10`` makes ten times as many actions.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from forking import PIPE, Process, python
from projects import PostgresProject, RedisProject

from benchmarks.postgres_server import PostgresServer

SCALE = float(os.environ.get("SWCALLS_DEEP", "1"))
PER_WORKER = int(120 * SCALE)
PATIENCE = 60 * max(1.0, SCALE)
HOURS = 3600.0


async def spawn(script: str, task: dict[str, Any], **pipes: int) -> Process:
    argument = msgspec.json.encode(task).decode()
    return await python("-W", "error", str(Path(__file__).with_name(script)), argument, **pipes)


class Workers:
    """Worker processes, and what they have written down."""

    def __init__(self, ledger: Path, common: dict[str, Any]) -> None:
        self.ledger = ledger
        self.common = common
        self.processes: dict[str, Process] = {}

    async def start(
        self, owner: str, *, takes_over: str | None = None, count: int = PER_WORKER, skew: float = 0
    ) -> None:
        """Start a worker whose clock is wrong by *skew* seconds."""
        more = {"owner": owner, "takes_over": takes_over, "count": count, "skew": skew, "ledger": str(self.ledger)}
        self.processes[owner] = await spawn("worker.py", {**self.common, **more})

    async def kill(self, owner: str) -> None:
        process = self.processes.pop(owner)
        process.kill()
        await process.communicate()

    def lines(self, what: str) -> list[list[str]]:
        found = self.ledger.read_text().splitlines() if self.ledger.exists() else []
        return [line.split()[1:] for line in found if line.startswith(f"{what} ")]

    async def until(self, what: str, count: int) -> None:
        """Return once the ledger has that many lines; fail if a worker ends badly."""
        async with asyncio.timeout(PATIENCE):
            while len(self.lines(what)) < count:
                assert not any(process.returncode for process in self.processes.values()), "a worker failed"
                await asyncio.sleep(0.02)


@pytest.fixture
async def receivers(any_server, prefix: str, nothing_is_left_running: None) -> AsyncIterator[list[str]]:
    """The addresses of two processes that only receive."""
    tasks = ({"owner": name, "store": any_server.url, "prefix": prefix} for name in ("front-1", "front-2"))
    fronts = [await spawn("front.py", task, stdin=PIPE) for task in tasks]
    yield [(await front.stdout.readline()).decode().strip() for front in fronts]
    for front in fronts:
        await front.communicate()
    assert [front.returncode for front in fronts] == [0, 0]


@pytest.fixture
async def workers(space, any_server, prefix: str, receivers: list[str], tmp_path: Path) -> AsyncIterator[Workers]:
    common = {
        "space": space.url,
        "store": any_server.url,
        "prefix": prefix,
        "lifetime": 1.0,
        "public_url": receivers[0],
    }
    workers = Workers(tmp_path / "ledger", common)
    yield workers
    for process in workers.processes.values():
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
async def store(any_server, prefix: str) -> AsyncIterator[PostgresProject | RedisProject]:
    """What is stored."""
    is_postgres = isinstance(any_server, PostgresServer)
    project = PostgresProject(any_server.url, prefix) if is_postgres else RedisProject(any_server, prefix)
    yield project
    await project.close()


async def finish(space, receivers: list[str], commands: list[dict[str, Any]], seed: int) -> None:
    """Post the end of what *commands* started, in any order, some twice, to any of the receivers."""
    dice = Random(seed)
    posts = [
        (
            command["params"]["status_url"].replace(receivers[0], dice.choice(receivers)),
            {"control_id": command["params"]["control_id"], "state": "finished"},
        )
        for command in commands
        for _ in range(2 if dice.random() < 0.1 else 1)
    ]
    dice.shuffle(posts)
    slots = asyncio.Semaphore(32)

    async def post(url: str, payload: dict[str, Any]) -> None:
        async with slots:
            assert await space.post(url, payload) == 200

    async with asyncio.TaskGroup() as group:
        for url, payload in posts:
            group.create_task(post(url, payload))


def plays(space) -> list[dict[str, Any]]:
    return [command for command in space.commands if command["command"] == "calling.play"]


async def test_each_worker_gets_its_own_wherever_the_webhook_lands(space, receivers, workers: Workers) -> None:
    names = [f"worker-{n}" for n in range(4)]
    for name in names:
        await workers.start(name)
    await workers.until("ready", 4)
    await finish(space, receivers, plays(space), 1)
    await workers.until("done", 4)
    settled = workers.lines("settled")
    assert {key: owner for key, _, owner in settled} == {f"{n}-{i}": n for n in names for i in range(PER_WORKER)}
    assert Counter(by for _, by, _ in settled) == {"callback": 4 * PER_WORKER}
    assert len(settled) == 4 * PER_WORKER, "none settles twice"


async def test_what_a_killed_worker_leaves_is_taken_up_by_another_and_settles_once(
    space, receivers, workers: Workers, store: PostgresProject | RedisProject
) -> None:
    names = ["doomed", "worker-1", "worker-2", "worker-3"]
    for name in names:
        await workers.start(name)
    await workers.until("ready", 4)
    commands = plays(space)
    first = [command for command in commands if int(command["params"]["control_id"].rpartition("-")[2]) % 3 == 0]
    await finish(space, receivers, first, 2)
    await workers.until("settled", len(first))
    # Until what has settled is forgotten: from there to the end of a process nothing is done twice.
    while len(await store.stored("doomed")) > 1 + sum(n % 3 != 0 for n in range(PER_WORKER)):
        await asyncio.sleep(0.02)
    await workers.kill("doomed")
    rest = [command for command in commands if command not in first]
    await finish(space, receivers, rest[::2], 3)
    await workers.start("heir", takes_over="doomed")
    await workers.until("ready", 5)
    await finish(space, receivers, rest[1::2], 4)
    await workers.until("done", 4)
    settled = workers.lines("settled")
    assert Counter(key for key, _, _ in settled) == {f"{n}-{i}": 1 for n in names for i in range(PER_WORKER)}
    assert {by for _, by, _ in settled} == {"callback"}
    heirs = [key for key, _, owner in settled if owner == "heir"]
    assert len(heirs) == sum(int(n % 3 != 0) for n in range(PER_WORKER))
    assert all(key.startswith("doomed-") for key in heirs)
    # A repetition may have come after the heir had seen all ends, and gone.
    assert set(await store.deliveries("doomed")) <= set(heirs)


async def test_of_two_heirs_one_wins(space, receivers, workers: Workers) -> None:
    await workers.start("doomed", count=20)
    await workers.until("ready", 1)
    await workers.kill("doomed")
    for name in ("heir-1", "heir-2"):
        await workers.start(name, takes_over="doomed")
    await workers.until("ready", 2)
    await finish(space, receivers, plays(space), 5)
    await workers.until("done", 1)
    winners = {owner for _, _, owner in workers.lines("settled")}
    assert len(winners) == 1
    assert len(workers.lines("settled")) == 20


async def test_clocks_that_are_wrong_by_hours_harm_nobody(space, receivers, workers: Workers) -> None:
    """An action with a deadline in an hour passes between clocks that differ by twelve, and nobody takes it for due."""
    await workers.start("doomed", count=20, skew=-6 * HOURS)
    await workers.until("ready", 1)
    await workers.kill("doomed")
    await finish(space, receivers, plays(space)[::2], 6)
    await workers.start("heir", takes_over="doomed", skew=6 * HOURS)
    await workers.until("ready", 2)
    await finish(space, receivers, plays(space)[1::2], 7)
    await workers.until("done", 1)
    settled = workers.lines("settled")
    assert {key for key, _, _ in settled} == {f"doomed-{number}" for number in range(20)}
    assert Counter(by for _, by, _ in settled) == {"callback": 20}
