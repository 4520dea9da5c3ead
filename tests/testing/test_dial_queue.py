"""The simulator with a dial rate: dials start one after the other, and wait in a queue as on the platform."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest

from swcalls import CallEnded, Client, InvalidParams
from swcalls.testing import Callee, Simulator

FROM, TO = "+12069708643", "+15550198765"


@pytest.fixture
async def space() -> AsyncIterator[Simulator]:
    async with Simulator(callee=Callee(rings_for=0), speed=100, dial_rate=1) as space:
        yield space


@pytest.fixture
async def client(space: Simulator) -> AsyncIterator[Client]:
    async with Client("project", "token", space.url) as client, client.receiver.serve():
        yield client


def created(space: Simulator) -> list[tuple[str, float]]:
    """Return call id and time of each call that was created, in the order of the times."""
    events = [delivery.payload for delivery in space.deliveries]
    found = [(event["params"]["call_id"], event["timestamp"]) for event in events if "created_by" in event["params"]]
    return sorted(found, key=lambda one: one[1])


async def test_dials_start_in_turn_and_a_second_apart(space: Simulator, client: Client) -> None:
    calls = [await client.dial(to=TO, from_=FROM) for _ in range(4)]
    await asyncio.gather(*(call.answered() for call in calls))
    await space.settled()
    ids, times = zip(*created(space), strict=True)
    assert list(ids) == [call.id for call in calls]
    assert all(after - before > 0.99 for before, after in itertools.pairwise(times))
    assert space.queued == 0


async def test_a_call_that_waits_for_its_turn_is_queued_and_can_be_canceled(client: Client, space: Simulator) -> None:
    space._exchange.queue._rate = 1e-9
    first, second = [await client.dial(to=TO, from_=FROM) for _ in range(2)]
    await first.answered()
    assert second.id is not None
    assert (space.queued, space.calls[second.id].leg()["status"]) == (1, "queued")
    with pytest.raises(InvalidParams, match="call_update_failed"):
        await second.complete()
    await second.cancel()
    with pytest.raises(CallEnded, match="cancel"):
        await second.answered()
    assert space.queued == 0
    assert second.id not in dict(created(space))


async def test_a_canceled_call_takes_no_turn(client: Client, space: Simulator) -> None:
    queue = space._exchange.queue
    queue._rate = 1e-9
    calls = [await client.dial(to=TO, from_=FROM) for _ in range(3)]
    await calls[1].cancel()
    queue._start_next(1e-9)
    await calls[2].answered()
    await space.settled()
    assert [name for name, _ in created(space)] == [calls[0].id, calls[2].id]


async def test_a_full_queue_refuses_a_dial(client: Client, space: Simulator) -> None:
    space._exchange.queue._rate, space._exchange.queue._limit = 1e-9, 2
    calls = [await client.dial(to=TO, from_=FROM) for _ in range(3)]
    with pytest.raises(InvalidParams, match="max_queued_calls_exceeded"):
        await client.dial(to=TO, from_=FROM)
    await calls[1].cancel()
    await client.dial(to=TO, from_=FROM)
    assert space.queued == 2


async def test_without_a_rate_every_dial_starts_at_once() -> None:
    async with (
        Simulator(callee=Callee(rings_for=0), speed=100) as space,
        Client("project", "token", space.url) as client,
        client.receiver.serve(),
    ):
        calls = [await client.dial(to=TO, from_=FROM) for _ in range(3)]
        assert space.queued == 0
        assert all(space.calls[call.id or ""].state != "queued" for call in calls)


@pytest.mark.parametrize("rate", [0, -1, float("inf"), float("nan"), True, "1"])
def test_a_wrong_rate_is_refused(rate: object) -> None:
    with pytest.raises(ValueError, match=r"^Simulator: dial_rate=.* must be None, or a finite number greater than 0$"):
        Simulator(dial_rate=rate)  # type: ignore[arg-type]
