"""Redis as people run it: a cluster, Sentinels, TLS with a certificate of the client, a user with the fewest rights."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from projects import Collector
from servers import ClusterServers, SentinelServers, Server, further_rights, has_tls, limited, rights, secured

from swcalls import ConfigurationError
from swcalls.backplane import BackplaneUnavailable, Delivery, Memo, OwnerTaken, RedisBackplane

pytestmark = pytest.mark.usefixtures("nothing_is_left_running")

Open = Callable[..., Awaitable[tuple[RedisBackplane, Collector]]]


def delivery(key: str, owner: str = "one") -> Delivery:
    return Delivery(owner=owner, kind="play", key=key, body=b"{}")


def memo(key: str) -> Memo:
    return Memo(kind="play", key=key, call_key="c", call_id="id")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterServers]:
    servers = ClusterServers(tmp_path_factory.mktemp("cluster"))
    servers.start()
    yield servers
    servers.kill()


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """Make open backplanes."""
    async with AsyncExitStack() as stack:

        async def make(where: Any, owner: str = "one", **settings: Any) -> tuple[RedisBackplane, Collector]:
            backplane, collector = RedisBackplane(where, owner=owner, **settings), Collector()
            stack.push_async_callback(backplane.close)
            await collector.open(backplane)
            return backplane, collector

        yield make


async def publish(backplane: RedisBackplane, *deliveries: Delivery) -> None:
    """Publish as the platform does that repeats what was refused."""
    for each in deliveries:
        while True:
            try:
                await backplane.publish("project", each)
                break
            except BackplaneUnavailable:
                await asyncio.sleep(0.01)


async def received(collector: Collector, *keys: str) -> None:
    """Wait until all *keys* have come, in any order, and any of them more than once."""
    left = set(keys)
    while left:
        left.discard((await collector.got.get()).key)


async def use_all_of_it(where: Any, opened: Open, prefix: str = "swcalls") -> None:
    """Do everything that a backplane can do."""
    settings = {"prefix": prefix, "lifetime": 1.0}
    one, collector = await opened(where, "one", **settings)
    heir, inherited = await opened(where, "heir", **settings)
    one.offer(takes_calls=True)
    await one.remember(memo("a"))
    await one.remember(memo("b"))
    one.forget("play", "b")
    await publish(heir, delivery("x"))
    await received(collector, "x")
    assert await heir.announce_call("project", "in-1", 60) is None
    assert await heir.taker("project") == "one"
    assert await one.take_call("project", "in-1", "one") == "one"
    assert await heir.find_call("project", "in-1") == "one"
    beats = await heartbeats(one)
    await beats(2)
    with pytest.raises(OwnerTaken):
        await heir.claim("one")
    await one.close()
    await publish(heir, delivery("y"))
    assert await heir.dead() == ["one"]
    await heir.claim("one")
    await received(inherited, "y")
    assert [found.key for found in await heir.remembered("one")] == ["a"]
    stream = heir._name("one", "deliveries")
    await heir._sender.run(lambda pipeline: pipeline.xadd(stream, {"a": "b"}), stream)
    while not heir.set_aside:
        await asyncio.sleep(0.005)
    assert await heir._readers._is_the_same(stream, b"0-0")
    await heir._sender.flush()


async def heartbeats(backplane: RedisBackplane) -> Callable[[int], Awaitable[None]]:
    """Return what waits for a number of heartbeats."""
    beaten = asyncio.Semaphore(0)
    set_clock = backplane._set_clock

    async def noted() -> None:
        await set_clock()
        beaten.release()

    backplane._set_clock = noted  # type: ignore[method-assign]

    async def wait(count: int) -> None:
        for _ in range(count):
            await beaten.acquire()

    return wait


# A cluster


async def test_on_a_cluster_owners_are_spread_over_the_masters(
    cluster: ClusterServers, prefix: str, opened: Open
) -> None:
    names = [f"worker-{number}" for number in range(6)]
    found = [await opened(cluster.url, name, prefix=prefix) for name in names]
    assert len({cluster.master_of(one._name(one.owner, "alive")).port for one, _ in found}) == 3
    front = found[0][0]
    await asyncio.gather(*(publish(front, delivery(f"{name}-{n}", name)) for name in names for n in range(5)))
    for (one, collector), name in zip(found, names, strict=True):
        await received(collector, *(f"{name}-{n}" for n in range(5)))
        await one.remember(memo(name))
        await one.close()
    (heir, _) = await opened(cluster.url, "heir", prefix=prefix)
    assert sorted(await heir.dead()) == names
    for name in names:
        await heir.claim(name)
        assert [kept.key for kept in await heir.remembered(name)] == [name]


async def test_while_a_slot_is_moved_nothing_is_lost(cluster: ClusterServers, prefix: str, opened: Open) -> None:
    front, _ = await opened(cluster.url, "front", prefix=prefix)
    one, collector = await opened(cluster.url, "one", prefix=prefix)
    key = one._name("one", "deliveries")
    await publish(front, delivery("0"))
    await received(collector, "0")
    for turn in range(2):
        target = next(node for node in cluster.masters if node is not cluster.master_of(key))
        keys = [f"{turn}-{number}" for number in range(30)]
        moving = asyncio.create_task(asyncio.to_thread(cluster.move, key, target))
        for name in keys:
            await publish(front, delivery(name))
            await one.remember(memo(name))
            if name != keys[-1]:
                one.forget("play", name)
        await moving
        assert cluster.master_of(key) is target
        await received(collector, *keys)
    one._memos.catch_up()
    await one._sender.flush()
    assert {kept.key for kept in await one.remembered("one")} == {"0-29", "1-29"}


async def test_of_a_slot_on_its_way_each_node_is_asked_for_what_it_has(
    cluster: ClusterServers, prefix: str, opened: Open
) -> None:
    one, collector = await opened(cluster.url, "one", prefix=prefix)
    key = one._name("one", "deliveries")
    source = cluster.master_of(key)
    target = next(node for node in cluster.masters if node is not source)
    finish = cluster.begin_to_move(key, target)
    # The stream is made at the target, as the source does not have it; the names are still at the source.
    await publish(one, delivery("a"))
    await received(collector, "a")
    assert await one._names.take("one", one.now())
    finish()
    await publish(one, delivery("b"))
    await received(collector, "b")
    assert one.holds("one")


async def test_a_cluster_can_do_all_of_it_with_a_client_of_ones_own_and_the_rights_that_are_documented(
    cluster: ClusterServers, prefix: str, opened: Open
) -> None:
    for node in cluster.nodes:
        node.ask("ACL", "SETUSER", "limited", "on", ">a-password", *rights(f"{prefix}:*"), *further_rights())
    asked: set[Any] = set()

    def remap(address: tuple[str, int]) -> tuple[str, int]:
        asked.add(address)
        return "localhost", address[1]

    user = {"username": "limited", "password": "a-password"}
    await use_all_of_it(cluster.client(socket_timeout=1, address_remap=remap, **user), opened, prefix)
    assert asked >= {("127.0.0.1", node.port) for node in cluster.masters}


async def test_what_no_replica_confirms_is_refused_also_while_a_slot_is_on_its_way(
    cluster: ClusterServers, prefix: str, opened: Open
) -> None:
    for node in cluster.nodes:
        node.ask("ACL", "SETUSER", "limited", "on", ">a-password", *rights(f"{prefix}:*"), *further_rights())
    url = cluster.url.replace("://", "://limited:a-password@")
    one, collector = await opened(url, prefix=prefix)
    key = one._name("one", "deliveries")
    finish = cluster.begin_to_move(key, next(node for node in cluster.masters if node is not cluster.master_of(key)))
    await publish(one, delivery("a"))
    await received(collector, "a")
    finish()
    confirmed = RedisBackplane(url, prefix=prefix, replicas=1, patience=0.4)
    with pytest.raises(BackplaneUnavailable, match="0 of 1 replicas"):
        await confirmed.publish("project", delivery("b"))
    assert confirmed.refused == 1
    await confirmed.close()


# Sentinels


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[SentinelServers]:
    servers = SentinelServers(tmp_path, sentinels=1)
    servers.start()
    yield servers
    servers.kill()


async def test_when_a_sentinel_makes_another_the_master_clients_follow(
    sentinels: SentinelServers, opened: Open
) -> None:
    front, _ = await opened(sentinels.url, "front")
    one, collector = await opened(sentinels.url, "one")
    await one.remember(memo("a"))
    await publish(front, *(delivery(str(number)) for number in range(20)))
    sentinels.fail_over()
    await publish(front, *(delivery(str(number)) for number in range(20, 40)))
    await received(collector, *map(str, range(40)))
    while not sentinels.has_failed_over():
        await asyncio.sleep(0.02)
    sentinels.master.kill()
    await publish(front, delivery("last"))
    await received(collector, "last")
    assert [kept.key for kept in await one.remembered("one")] == ["a"]
    assert one.holds("one")


# TLS, users, passwords


async def test_with_tls_a_client_without_a_certificate_is_refused(tmp_path: Path, opened: Open) -> None:
    if not has_tls() or shutil.which("openssl") is None:
        pytest.skip("the Redis server has no TLS, or there is no openssl")
    server = secured(tmp_path)
    server.start()
    try:
        await use_all_of_it(server.url, opened)
        without = RedisBackplane(server.url.partition("&ssl_certfile")[0], patience=0.5)
        with pytest.raises(BackplaneUnavailable):
            await without.publish("project", delivery("a"))
        await without.close()
    finally:
        server.kill()


async def test_the_rights_that_are_documented_are_all_that_is_needed_and_no_more(tmp_path: Path, opened: Open) -> None:
    server = limited(tmp_path)
    server.start()
    try:
        server.ask("ACL", "SETUSER", "swcalls", "resetkeys", "~swcalls:*")
        server.ask("CONFIG", "RESETSTAT")
        await use_all_of_it(server.url, opened)
        used = {name.removeprefix("cmdstat_").partition("|")[0] for name in server.ask("INFO", "commandstats")}
        connecting = {"auth", "hello", "client", "config", "info", "acl"}
        assert {f"+{name}" for name in used - connecting} == {
            right.partition("|")[0] for right in rights() if right.startswith("+")
        }
    finally:
        server.kill()


async def test_a_password_may_be_changed_while_it_runs(tmp_path: Path, opened: Open) -> None:
    class Current(redis.CredentialProvider):
        password = "first"

        def get_credentials(self) -> tuple[str, str]:
            return "default", self.password

    server, current = Server(tmp_path), Current()
    server.start()
    try:
        server.ask("CONFIG", "SET", "requirepass", current.password)
        server.admin["password"] = "first"
        client = redis.asyncio.Redis.from_url(server.url, credential_provider=current, socket_timeout=1)
        one, collector = await opened(client)
        await publish(one, delivery("a"))
        await received(collector, "a")
        server.ask("ACL", "SETUSER", "default", ">second")
        current.password = "second"
        server.ask("ACL", "SETUSER", "default", "<first")
        server.admin["password"] = "second"
        server.ask("CLIENT", "KILL", "TYPE", "normal")
        await publish(one, delivery("b"))
        await received(collector, "b")
        await one.close()
        await client.aclose()
    finally:
        server.kill()


# URLs


@pytest.mark.parametrize(
    "url",
    [
        "http://a-secret@host",
        "redis+cluster://",
        "redis+sentinel://host:26379",
        "redis+cluster://host:port",
        "redis+sentinel://host/name/x",
    ],
)
def test_a_wrong_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match="redis=") as caught:
        RedisBackplane(url)
    assert "a-secret" not in str(caught.value)


@pytest.mark.parametrize("replicas", [-1, 1.5, True])
def test_a_wrong_number_of_replicas_is_refused(replicas: Any) -> None:
    with pytest.raises(ConfigurationError, match="replicas"):
        RedisBackplane("redis://127.0.0.1", replicas=replicas)


def test_the_options_of_a_url_reach_every_node_and_the_sentinels() -> None:
    query = "?ssl_ca_certs=/ca.crt&ssl_check_hostname=false"
    cluster: Any = RedisBackplane(f"rediss+cluster://user:pass%40word@one,[::1]:7000{query}")._sender
    assert cluster._seeds == [("one", 6379), ("::1", 7000)]
    node = cluster._make("two", 6380).redis.connection_pool
    sentinel: Any = RedisBackplane(f"rediss+sentinel://user:pass%40word@one:1,two/main/3{query}")._sender
    for pool in (node, sentinel.redis.connection_pool):
        options = pool.connection_kwargs
        assert (options["username"], options["password"]) == ("user", "pass@word")
        assert (options["ssl_ca_certs"], options["ssl_check_hostname"]) == ("/ca.crt", False)
    assert sentinel.redis.connection_pool.connection_kwargs["db"] == 3
    addresses = [watcher.connection_pool.connection_kwargs for watcher in sentinel._owned]
    assert [(each["host"], each["port"]) for each in addresses] == [("one", 1), ("two", 26379)]
    assert all(each["ssl_ca_certs"] == "/ca.crt" for each in addresses)
