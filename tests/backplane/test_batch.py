"""How Redis is asked: what becomes of those who wait for an answer when the client fails, hangs, or is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from projects import Collector
from redis.exceptions import RedisError

from swcalls.backplane import BackplaneUnavailable, Delivery, OwnerTaken, RedisBackplane, _batch
from swcalls.backplane._batch import Batch

Execute = Callable[[list[str]], Awaitable[list[Any]]]


class Client:
    """Stands in for the Redis client: pipelines are answered by *execute*, which is given the names of the commands."""

    def __init__(self, execute: Execute) -> None:
        self.execute = execute
        self.sent: list[list[str]] = []
        self.is_closed = False

    def pipeline(self, *, transaction: bool) -> Pipeline:
        assert not transaction
        return Pipeline(self)

    async def xread(self, *_: Any, **__: Any) -> Any:
        await swallowing(asyncio.Event().wait())

    async def aclose(self) -> None:
        self.is_closed = True


class Pipeline:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._commands: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., object]:
        return lambda *_, **__: self._commands.append(name)

    async def execute(self, *, raise_on_error: bool) -> list[Any]:
        assert not raise_on_error
        self._client.sent.append(self._commands)
        return await self._client.execute(self._commands)


async def swallowing(work: Awaitable[object]) -> None:
    """Do as `asyncio.wait_for` does on Python 3.11 when its answer comes together with a cancellation."""
    try:
        await work
    except asyncio.CancelledError:
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()


async def echo(commands: list[str]) -> list[Any]:
    return list(commands)


def ping(pipeline: Any) -> None:
    pipeline.ping()


def wrong(pipeline: Any) -> None:
    raise ValueError("on purpose")


pytestmark = pytest.mark.usefixtures("nothing_is_left_running")


async def test_what_comes_together_is_sent_together() -> None:
    batch = Batch(client := Client(echo))
    assert await asyncio.gather(*(batch.run(ping) for _ in range(5))) == ["ping"] * 5
    assert client.sent == [["ping"] * 5]


async def test_each_who_waits_is_told_when_it_fails() -> None:
    async def fail(commands: list[str]) -> list[Any]:
        raise OSError("on purpose")

    batch = Batch(client := Client(fail))
    answers: list[Any] = []
    batch.post(ping, answers.append)
    results = await asyncio.gather(batch.run(ping), batch.run(ping), return_exceptions=True)
    assert [type(result) for result in (*results, *answers)] == [RedisError] * 3
    client.execute = echo
    assert await batch.run(ping) == "ping"


async def test_a_command_that_cannot_be_put_together_keeps_nobody_waiting() -> None:
    batch = Batch(Client(echo))
    results = await asyncio.gather(batch.run(ping), batch.run(wrong), return_exceptions=True)
    assert [type(result) for result in results] == [RedisError] * 2
    assert await batch.run(ping) == "ping"


async def test_what_is_cancelled_before_it_left_is_not_sent() -> None:
    batch = Batch(client := Client(echo))
    cancelled, kept = asyncio.create_task(batch.run(ping)), asyncio.create_task(batch.run(ping))
    await asyncio.sleep(0)
    cancelled.cancel()
    assert await kept == "ping"
    assert client.sent == [["ping"]]


async def test_when_its_task_is_cancelled_those_who_wait_are_told_and_the_next_are_sent() -> None:
    started, proceed = asyncio.Event(), asyncio.Event()

    async def hang(commands: list[str]) -> list[Any]:
        started.set()
        await proceed.wait()
        return list(commands)

    batch = Batch(client := Client(hang))
    running = asyncio.create_task(batch.run(ping))
    await started.wait()
    waiting = asyncio.create_task(batch.run(ping))
    await asyncio.sleep(0)
    assert batch._sender is not None
    batch._sender.cancel()
    results = await asyncio.gather(running, waiting, return_exceptions=True)
    assert [type(result) for result in results] == [RedisError] * 2
    client.execute = echo
    assert await batch.run(ping) == "ping"


async def test_who_waits_for_a_client_that_swallows_cancellations_is_cancelled_all_the_same() -> None:
    started = asyncio.Event()

    async def hang(commands: list[str]) -> list[Any]:
        started.set()
        await swallowing(asyncio.Event().wait())
        return list(commands)

    batch = Batch(Client(hang))
    waiting = asyncio.create_task(batch.run(ping))
    await started.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await batch.close()


async def test_a_client_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(commands: list[str]) -> list[Any]:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(_batch, "LONGEST", 0.01)
    batch = Batch(Client(hang))
    with pytest.raises(RedisError, match="Timeout"):
        await batch.run(ping)


async def test_when_it_is_closed_nothing_more_is_sent_until_it_is_opened() -> None:
    batch = Batch(client := Client(echo))
    waiting = asyncio.create_task(batch.run(ping))
    await asyncio.sleep(0)
    await batch.close()
    for refused in (waiting, batch.run(ping)):
        with pytest.raises(RedisError, match="closed"):
            await refused
    assert client.sent == []
    batch.open()
    assert await batch.run(ping) == "ping"


async def test_too_many_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_batch, "MOST_WAITING", 2)
    batch = Batch(Client(echo))
    results = await asyncio.gather(*(batch.run(ping) for _ in range(4)), return_exceptions=True)
    assert [isinstance(result, RedisError) for result in results] == [False, False, True, True]


def with_client(execute: Execute, **settings: Any) -> tuple[RedisBackplane, Client]:
    client: Any = Client(execute)
    return RedisBackplane(client, owner="one", **settings), client


async def held_by_another(commands: list[str]) -> list[Any]:
    await swallowing(asyncio.sleep(0.001))
    return [(1, 0) if name == "time" else 0 for name in commands]


async def held_by_us(commands: list[str]) -> list[Any]:
    await swallowing(asyncio.sleep(0.001))
    return [(1, 0) if name == "time" else 1 for name in commands]


async def test_opening_ends_in_its_time_though_the_client_swallows_cancellations() -> None:
    backplane, _ = with_client(held_by_another, lifetime=0.05)
    async with asyncio.timeout(5):
        with pytest.raises(OwnerTaken):
            await Collector().open(backplane)


async def test_closing_ends_though_the_client_swallows_cancellations() -> None:
    backplane, client = with_client(held_by_us)
    await Collector().open(backplane)
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await backplane.close()
    assert not client.is_closed, "it was borrowed"
    with pytest.raises(BackplaneUnavailable):
        await backplane.dead()


async def test_one_backplane_serves_one_client() -> None:
    backplane, _ = with_client(held_by_us)
    await Collector().open(backplane)
    with pytest.raises(Exception, match="one client only"):
        await Collector().open(backplane)
    assert backplane.holds("one")
    await backplane.close()


@pytest.mark.parametrize("protocol", [2, 3])
async def test_a_client_of_ones_own_may_speak_either_protocol(server, prefix: str, protocol: int) -> None:
    async with server.client(protocol=protocol) as client:
        backplane, collector = RedisBackplane(client, owner="one", prefix=prefix), Collector()
        backplane.offer(takes_calls=True)
        await collector.open(backplane)
        await backplane.publish("project", Delivery(owner="one", kind="play", key="a", body=b"{}"))
        assert (await collector.got.get()).key == "a"
        await backplane._sender.flush()
        assert await backplane.taker("project") == "one"
        assert await backplane.announce_call("project", "in-1", 60) is None
        assert await backplane.take_call("project", "in-1", "one") == "one"
        assert await backplane.dead() == []
        await backplane.close()
        assert await client.ping(), "it is its owner's to close"


async def test_a_delivery_that_cannot_be_dealt_with_holds_up_no_other(server, prefix: str, caplog) -> None:
    got: asyncio.Queue[str] = asyncio.Queue()

    async def receive(delivery: Delivery) -> bool:
        got.put_nowait(delivery.key)
        if delivery.key == "bad":
            raise KeyError("on purpose")
        return True

    backplane = RedisBackplane(server.url, owner="one", prefix=prefix)
    await backplane.open("project", receive, lambda _: None)
    for key in ("bad", "good"):
        await backplane.publish("project", Delivery(owner="one", kind="play", key=key, body=b"{}"))
    assert [await got.get(), await got.get()] == ["bad", "good"]
    backplane.redeliver("one")
    assert await got.get() == "bad", "it was kept"
    assert "play/bad could not be processed" in caplog.text
    await backplane.close()


async def test_a_publication_that_is_cancelled_at_any_step_leaves_nothing(server, prefix: str) -> None:
    backplane = RedisBackplane(server.url, owner="one", prefix=prefix)
    for turns in range(10):
        delivery = Delivery(owner="one", kind="play", key=str(turns), body=b"{}")
        publishing = asyncio.create_task(backplane.publish("project", delivery))
        for _ in range(turns):
            await asyncio.sleep(0)
        publishing.cancel()
        await asyncio.wait([publishing])
    await backplane._sender.flush()
    await backplane.publish("project", Delivery(owner="one", kind="play", key="last", body=b"{}"))
    await backplane.close()
