"""What Redis does under pressure, what may be found in it, and what an older or a newer version has left there."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from projects import Collector
from servers import Proxy, Server

from swcalls import TTS, Client, Limits, Retry, WebhookReceiver
from swcalls.backplane import BackplaneError, BackplaneUnavailable, Delivery, Memo, RedisBackplane, _format, _memos

pytestmark = pytest.mark.usefixtures("nothing_is_left_running")

FROM, TO = "+12069708643", "+15550198765"
PARTITION = 30.0 if os.environ.get("SWCALLS_DEEP") else 1.0
LATENCY = 0.2 if os.environ.get("SWCALLS_DEEP") else 0.02
"""Seconds, as all of these."""
LIFETIME = max(1.0, PARTITION / 3)


def delivery(key: str) -> Delivery:
    return Delivery(owner="one", kind="play", key=key, body=b"{}")


def memo(key: str) -> Memo:
    return Memo(kind="play", key=key, call_key="c", call_id="id")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, always a single one."""
    server = Server(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[Proxy]:
    async with Proxy(server.port) as proxy:
        yield proxy


async def beaten(server: Server, backplane: RedisBackplane, times: int = 1) -> None:
    """Wait for heartbeats that have kept the name."""
    for _ in range(times):
        left = server.ask("PTTL", backplane._name("one", "alive"))
        while server.ask("PTTL", backplane._name("one", "alive")) <= left:
            await asyncio.sleep(0.005)


# Pressure


async def test_while_the_memory_of_redis_is_full_webhooks_are_refused_and_names_are_kept(space, server: Server) -> None:
    async with AsyncExitStack() as stack:
        front = RedisBackplane(server.url, owner="front")
        stack.push_async_callback(front.close)
        serving = await stack.enter_async_context(WebhookReceiver("project", "token", backplane=front).serve())
        backplane = RedisBackplane(server.url, owner="one", lifetime=1.2)
        settings: Any = {"limits": Limits(grace=0, long_grace=0), "retry": Retry(attempts=1), "backplane": backplane}
        client = Client("project", "token", space.url, public_url=serving.url, **settings)
        await stack.enter_async_context(client)
        call = await client.dial(to=TO, from_=FROM)
        play = await call.play(TTS("Hi"), control_id="a")
        server.ask("CONFIG", "SET", "maxmemory", 1)
        assert await space.tell("calling.play", state="finished") == 503
        assert (front.published, front.refused) == (0, 1)
        late = await call.play(TTS("Hi"), control_id="b")
        await beaten(server, backplane)
        server.ask("CONFIG", "SET", "maxmemory", 0)
        for command in [found["params"] for found in space.commands if found["command"] == "calling.play"]:
            body = {"control_id": command["control_id"], "state": "finished"}
            assert await space.post(command["status_url"], body) == 200
        await play.finished(timeout=10)
        await late.finished(timeout=10)
        backplane._memos.catch_up()
        await backplane._sender.flush()
        assert [found.kind for found in await backplane.remembered("one")] == ["call"]


async def test_a_slow_redis_serves_as_any_other(server: Server, proxy: Proxy) -> None:
    proxy.delay = LATENCY / 2
    one, collector = RedisBackplane(proxy.url, owner="one"), Collector()
    await collector.open(one)
    await asyncio.gather(*(one.publish("project", delivery(str(number))) for number in range(200)))
    await asyncio.gather(*(one.remember(memo(str(number))) for number in range(200)))
    assert {(await collector.got.get()).key for _ in range(200)} == set(map(str, range(200)))
    assert len(await one.remembered("one")) == 200
    await one.close()
    assert (one.published, one.refused) == (200, 0)


async def test_after_a_partition_a_worker_gets_what_came_meanwhile(server: Server, proxy: Proxy) -> None:
    one, collector = RedisBackplane(proxy.url, owner="one", lifetime=LIFETIME, patience=0.5), Collector()
    front = RedisBackplane(server.url, owner="front", lifetime=LIFETIME)
    await collector.open(one)
    await Collector().open(front)
    await one.remember(memo("before"))
    proxy.cut()
    started = time.monotonic()
    await one.remember(memo("meanwhile"))
    with pytest.raises(BackplaneUnavailable):
        await one.publish("project", delivery("x"))
    await front.publish("project", delivery("a"))
    while "one" not in await front.dead() or time.monotonic() < started + PARTITION:
        await asyncio.sleep(0.01)
    proxy.join()
    while (await collector.got.get()).key != "a":
        pass
    while "one" in await front.dead():
        await asyncio.sleep(0.01)
    assert one.holds("one")
    assert collector.lost == []
    while len(await front.remembered("one")) < 2:
        await asyncio.sleep(0.01)
    await one.close()
    await front.close()


async def test_after_a_partition_in_which_a_worker_was_replaced_it_is_told(server: Server, proxy: Proxy) -> None:
    one, collector, inherited = (
        RedisBackplane(proxy.url, owner="one", lifetime=1.0, patience=0.5),
        Collector(),
        Collector(),
    )
    heir = RedisBackplane(server.url, owner="heir", lifetime=5)
    await collector.open(one)
    await inherited.open(heir)
    await one.remember(memo("before"))
    proxy.cut()
    while "one" not in await heir.dead():
        await asyncio.sleep(0.01)
    await heir.claim("one")
    await heir.publish("project", delivery("a"))
    assert (await inherited.got.get()).key == "a"
    proxy.join()
    while not collector.lost:
        await asyncio.sleep(0.01)
    assert (collector.lost, one.holds("one")) == (["one"], False)
    await one.close()
    assert heir.holds("one")
    assert [found.key for found in await heir.remembered("one")] == ["before"]
    await heir.close()


async def test_a_clock_that_jumps_moves_no_deadline_and_hides_no_delivery(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, collector = RedisBackplane(server.url, owner="one"), Collector()
    await collector.open(one)
    right, before = time.time, one.now()
    monkeypatch.setattr(time, "time", lambda: right() + 86_400 * 30)
    assert one.now() - before < 3600
    # As after a jump of Redis's clock a year ahead, and back.
    stream, future = one._name("one", "deliveries"), int(right() + 86_400 * 365) * 1000
    server.ask("XADD", stream, f"{future}-0", "kind", "play", "key", "ahead", "body", "{}")
    assert (await collector.got.get()).key == "ahead"
    await one.publish("project", delivery("back"))
    assert (await collector.got.get()).key == "back"
    await one.close()


async def test_a_redis_that_has_lost_all_and_whose_clock_went_back_hides_no_delivery(server: Server) -> None:
    one, collector = RedisBackplane(server.url, owner="one", patience=0.8), Collector()
    await collector.open(one)
    stream, future = one._name("one", "deliveries"), int(time.time() + 3600) * 1000
    server.ask("XADD", stream, f"{future}-0", "kind", "play", "key", "ahead", "body", "{}")
    assert (await collector.got.get()).key == "ahead"
    await one._sender.flush()
    server.ask("FLUSHALL")
    server.ask("CLIENT", "KILL", "TYPE", "normal")
    while True:
        await one.publish("project", delivery("back"))
        if not collector.got.empty():
            break
        await asyncio.sleep(0.01)
    assert (await collector.got.get()).key == "back"
    await one.close()


async def test_deletions_that_wait_for_redis_have_a_limit(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_memos, "MOST_UNSAVED", 3)
    one = RedisBackplane(server.url, owner="one", patience=1.0)
    await Collector().open(one)
    for number in range(5):
        await one.remember(memo(str(number)))
    server.pause()
    for number in range(5):
        one.forget("play", str(number))
    assert (len(one._memos._unsaved), one._memos.dropped) == (3, 2)
    server.go_on()
    while one._memos._unsaved:
        one._memos.catch_up()
        await asyncio.sleep(0.01)
    assert {found.key for found in await one.remembered("one")} == {"3", "4"}
    await one.close()


# What makes no sense


async def test_damaged_entries_are_set_aside_counted_and_logged_once(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    one, collector = RedisBackplane(server.url, owner="one"), Collector()
    damaged: list[dict[str, Any]] = [
        {"a": "b"},
        {"kind": "play", "key": "x"},
        {"kind": b"\xff", "key": "x", "body": "{}"},
        {"kind": "play", "key": "x", "body": '{"control_id": "x", "sta'},
        {"kind": "play", "key": "x", "body": '{"control_id": "y", "sta'},
        {"kind": "play", "key": "x", "body": ""},
        {"kind": "play", "key": "x", "body": "{}", "v": "one"},
    ]
    await collector.open(one)
    for fields in damaged:
        server.ask("XADD", one._name("one", "deliveries"), "*", *[each for pair in fields.items() for each in pair])
    await one.publish("project", delivery("good"))
    assert (await collector.got.get()).key == "good"
    await one._sender.flush()
    assert one.set_aside == len(damaged)
    assert server.ask("XLEN", one._name("one", "deliveries")) == 0
    rejected = server.ask("XRANGE", one._name("one", "rejected"), "-", "+")
    assert len(rejected) == len(damaged)
    assert rejected[0][1][b"a"] == b"b"
    assert 0 < server.ask("PTTL", one._name("one", "rejected")) <= 86_400_000
    one.redeliver("one")
    await one.publish("project", delivery("again"))
    assert (await collector.got.get()).key == "again"
    assert one.set_aside == len(damaged), "none is read twice"
    logged = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(logged) == 5, "each reason once"
    await one.close()


# Versions


async def test_what_this_version_leaves_the_next_one_reads(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    one = RedisBackplane(server.url, owner="one")
    await Collector().open(one)
    await one.remember(memo("a"))
    await one.close()
    front = RedisBackplane(server.url, owner="front")
    await front.publish("project", delivery("x"))
    await front.close()
    monkeypatch.setattr(_format, "FORMAT", 2)
    next_one, collector = RedisBackplane(server.url, owner="one"), Collector()
    await collector.open(next_one)
    assert (await collector.got.get()).key == "x"
    assert [found.key for found in await next_one.remembered("one")] == ["a"]
    assert next_one.set_aside == 0
    await next_one.close()


async def test_what_the_next_version_leaves_this_one_says_it_cannot_read(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as next_version:
        next_version.setattr(_format, "FORMAT", 2)
        newer = RedisBackplane(server.url, owner="one")
        await Collector().open(newer)
        await newer.remember(memo("a"))
        await newer.close()
    for attempt in (RedisBackplane(server.url, owner="one"), RedisBackplane(server.url, owner="one")):
        with pytest.raises(BackplaneError, match="format 2, and this version reads format 1 and older"):
            await Collector().open(attempt)
        assert not attempt.holds("one")
    other = RedisBackplane(server.url, owner="other")
    await Collector().open(other)
    with pytest.raises(BackplaneError, match="format 2"):
        await other.claim("one")
    assert not other.holds("one")
    assert await other.remembered("one") == []
    assert caplog.text.count("memos of format 2 are left alone: this version of swcalls reads format 1") == 1
    await other.close()
    assert server.ask("HLEN", newer._name("one", "memos")) == 1, "it is there for the newer version"


async def test_deliveries_of_the_next_version_wait_for_it(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one, front = RedisBackplane(server.url, owner="one"), RedisBackplane(server.url, owner="front")
    collector = Collector()
    with monkeypatch.context() as next_version:
        next_version.setattr(_format, "FORMAT", 2)
        for key in "ab":
            await front.publish("project", delivery(key))
    await collector.open(one)
    await front.publish("project", delivery("c"))
    assert (await collector.got.get()).key == "c"
    await one._sender.flush()
    one.redeliver("one")
    await front.publish("project", delivery("d"))
    assert (await collector.got.get()).key == "d"
    assert one.set_aside == 2
    assert caplog.text.count("deliveries of format 2 stay in the stream: this version of swcalls reads format 1") == 1
    await one.close()
    monkeypatch.setattr(_format, "FORMAT", 2)
    newer, collector = RedisBackplane(server.url, owner="one"), Collector()
    await collector.open(newer)
    assert [(await collector.got.get()).key for _ in range(2)] == ["a", "b"]
    await newer.close()
    await front.close()


async def test_a_name_that_the_next_version_left_empty_may_be_used_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as next_version:
        next_version.setattr(_format, "FORMAT", 2)
        newer = RedisBackplane(server.url, owner="one")
        await Collector().open(newer)
        await newer.close()
    one = RedisBackplane(server.url, owner="one")
    await Collector().open(one)
    await one.close()
