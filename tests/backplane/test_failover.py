"""Masters that are killed, stopped or replaced while thousands of actions run; only with ``SWCALLS_DEEP``."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from projects import Collector
from servers import ClusterServers, SentinelServers, Server, Servers, until

from swcalls import TTS, Action, Client, Limits, WebhookReceiver
from swcalls.backplane import BackplaneUnavailable, Delivery, RedisBackplane

_log = logging.getLogger("tests.failover")

FROM, TO = "+12069708643", "+15550198765"
ACTIONS, WORKERS = 2_000, 4
AT_ONCE = 32


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ClusterServers]:
    servers = ClusterServers(tmp_path, replicas=1)
    servers.start()
    try:
        yield servers
    finally:
        servers.go_on()
        servers.kill()


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[SentinelServers]:
    servers = SentinelServers(tmp_path)
    servers.start()
    yield servers
    servers.kill()


def replace(cluster: ClusterServers, victim: Server) -> None:
    """Kill a master; when its replica has replaced it, start it again, as the replica of the new master."""
    name = cluster.name_of(victim)
    victim.kill()
    others = [node for node in cluster.nodes if node is not victim]
    until(lambda: all(_has_no_slots(node, name) for node in others))
    victim.start()


def _has_no_slots(node: Server, name: str) -> bool:
    return not any(master[2] == name.encode() for _, _, master, *_ in node.ask("CLUSTER", "SLOTS"))


@asynccontextmanager
async def workers(space: Any, servers: Servers, **settings: Any) -> AsyncIterator[list[Client]]:
    async with AsyncExitStack() as stack:
        front = RedisBackplane(servers.url, owner="front", **settings)
        stack.push_async_callback(front.close)
        serving = await stack.enter_async_context(WebhookReceiver("project", "token", backplane=front).serve())
        common: dict[str, Any] = {"public_url": serving.url, "reconcile": None, "limits": Limits(grace=0, long_grace=0)}
        yield [
            await stack.enter_async_context(
                Client(
                    "project",
                    "token",
                    space.url,
                    backplane=RedisBackplane(servers.url, owner=f"worker-{number}", lifetime=20, **settings),
                    **common,
                )
            )
            for number in range(WORKERS)
        ]


async def run(space: Any, clients: list[Client], harm: Callable[[], object]) -> Counter[str]:
    """Start actions, post their ends until each is answered with 200, and do *harm* in the middle."""
    calls = [await client.dial(to=TO, from_=FROM) for client in clients]
    actions: list[Action[Any]] = []
    answers: Counter[str] = Counter()
    slots = asyncio.Semaphore(AT_ONCE)

    async def live(number: int) -> None:
        async with slots:
            action = await calls[number % len(calls)].play(TTS("Hi"), control_id=f"play-{number}", deadline=600)
            actions.append(action)
            if number == ACTIONS // 2:
                await asyncio.to_thread(harm)
            command = next(
                found["params"]
                for found in reversed(space.commands)
                if found["params"].get("control_id") == action.control_id
            )
            body = {"control_id": action.control_id, "state": "finished"}
            while (status := await space.post(command["status_url"], body)) != 200:
                answers[str(status)] += 1
                await asyncio.sleep(0.05)
            answers["200"] += 1

    async with asyncio.TaskGroup() as group:
        for number in range(ACTIONS):
            group.create_task(live(number))
    lost = 0
    for action in actions:
        try:
            async with asyncio.timeout(20 if not lost else 0.1):
                await action.outcome()
        except TimeoutError:
            lost += 1
    answers["lost"] = lost
    return answers


async def test_a_master_of_a_cluster_is_killed_in_the_middle_of_2000_actions(space, cluster: ClusterServers) -> None:
    async with workers(space, cluster) as clients:
        backplane = clients[0]._engine.member.backplane
        victim = cluster.master_of(backplane._name("worker-0", "deliveries"))
        answers = await run(space, clients, victim.kill)
        _log.warning(dict(answers))
        assert answers["200"] == ACTIONS
        # What the replica did not have yet; here the owners read at once, so that it is next to nothing.
        assert answers["lost"] <= AT_ONCE


async def test_a_master_of_a_cluster_is_killed_and_replicas_had_confirmed_all(space, cluster: ClusterServers) -> None:
    async with workers(space, cluster, replicas=1) as clients:
        backplane = clients[0]._engine.member.backplane
        victim = cluster.master_of(backplane._name("worker-0", "deliveries"))

        answers = await run(space, clients, lambda: replace(cluster, victim))
        _log.warning(dict(answers))
        assert (answers["200"], answers["lost"]) == (ACTIONS, 0)


async def test_slots_of_a_cluster_are_moved_while_2000_actions_run(space, cluster: ClusterServers) -> None:
    async with workers(space, cluster) as clients:
        backplane = clients[0]._engine.member.backplane

        def harm() -> None:
            for name in [*(f"worker-{number}" for number in range(WORKERS))] * 2:
                key = backplane._name(name, "deliveries")
                cluster.move(key, next(node for node in cluster.masters if node is not cluster.master_of(key)))

        answers = await run(space, clients, harm)
        _log.warning(dict(answers))
        assert (answers["200"], answers["lost"]) == (ACTIONS, 0)


@pytest.mark.parametrize("replicas", [0, 1])
async def test_of_deliveries_that_wait_those_are_kept_that_a_replica_has(
    cluster: ClusterServers, replicas: int, nothing_is_left_running: None
) -> None:
    front = RedisBackplane(cluster.url, owner="front", replicas=replicas)
    key = front._keys.of("project", "one", "deliveries")
    victim = cluster.master_of(key)
    kept: list[str] = []

    async def publish(number: int, slots: asyncio.Semaphore) -> None:
        async with slots:
            if number == ACTIONS // 2:
                await asyncio.to_thread(replace, cluster, victim)
            for _ in range(100):
                try:
                    await front.publish("project", Delivery(owner="one", kind="play", key=str(number), body=b"{}"))
                except BackplaneUnavailable:
                    continue
                kept.append(str(number))
                return

    slots = asyncio.Semaphore(AT_ONCE)
    async with asyncio.TaskGroup() as group:
        for number in range(ACTIONS):
            group.create_task(publish(number, slots))
    await front.close()
    one, collector = RedisBackplane(cluster.url, owner="one"), Collector()
    await collector.open(one)
    left = set(kept)
    try:
        while left:
            async with asyncio.timeout(3):
                left.discard((await collector.got.get()).key)
    except TimeoutError:
        pass
    await one.close()
    _log.warning("%d kept, %d lost, with %d replicas that confirm", len(kept), len(left), replicas)
    assert len(kept) == ACTIONS
    assert len(left) <= (0 if replicas else AT_ONCE)


async def test_the_master_of_sentinels_is_killed_in_the_middle_of_2000_actions(
    space, sentinels: SentinelServers
) -> None:
    async with workers(space, sentinels) as clients:
        answers = await run(space, clients, sentinels.master.kill)
        _log.warning(dict(answers))
        assert answers["200"] == ACTIONS
        assert answers["lost"] <= AT_ONCE


async def test_a_master_that_stops_for_a_while_is_replaced_and_comes_back(space, cluster: ClusterServers) -> None:
    async with workers(space, cluster) as clients:
        backplane = clients[0]._engine.member.backplane
        victim = cluster.master_of(backplane._name("worker-0", "deliveries"))
        loop = asyncio.get_running_loop()

        def harm() -> None:
            victim.pause()
            loop.call_soon_threadsafe(loop.call_later, 5, victim.go_on)

        answers = await run(space, clients, harm)
        _log.warning(dict(answers))
        assert answers["200"] == ACTIONS
        assert answers["lost"] <= AT_ONCE
