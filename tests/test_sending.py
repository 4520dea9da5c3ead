"""How commands share the way to the platform: slots, pace, repetitions; over real HTTP, by a clock of the test's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web

import swcalls._engine.transport
from swcalls import TTS, Client, ClientClosed, CommandNotSent, ConfigurationError, Limits, RateLimited, Retry
from swcalls._engine.transport import _Slots

FROM = "+12069708643"


class FakeTime:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    async def passes(self, seconds: float, event: asyncio.Event) -> bool:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)
        return event.is_set()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTime]:
    clock = FakeTime()
    monkeypatch.setattr(
        swcalls._engine.transport, "time", SimpleNamespace(monotonic=lambda: clock.now, time=lambda: clock.now)
    )
    monkeypatch.setattr(swcalls._engine.transport, "_passes", clock.passes)
    return clock


# Pace


async def test_dials_follow_one_another_at_their_rate_in_their_order(space, connect, clock: FakeTime) -> None:
    client = await connect(dial_rate=2, max_connections=1)
    numbers = [f"+1555000{n:04}" for n in range(10)]
    await asyncio.gather(*(_dial(client, n) for n in numbers))
    assert [command["params"]["to"] for command in space.commands] == numbers
    assert sum(clock.slept) == pytest.approx(4.5)


async def _dial(client: Client, to: str) -> None:
    await client.dial(to=to, from_=FROM)


async def test_the_pace_of_dials_is_no_pace_of_other_commands(space, connect, clock: FakeTime) -> None:
    client = await connect(dial_rate=0.001)
    call = await client.dial(to="+15550198765", from_=FROM)
    for _ in range(20):
        await call.play(TTS("Hi"))
    assert not clock.slept


async def test_every_command_keeps_the_pace_of_commands(space, connect, clock: FakeTime) -> None:
    client = await connect(command_rate=10)
    call = await client.dial(to="+15550198765", from_=FROM)
    for _ in range(20):
        await call.play(TTS("Hi"))
    assert sum(clock.slept) == pytest.approx(2)


async def test_a_repetition_keeps_the_pace_too(space, connect, clock: FakeTime) -> None:
    client = await connect(dial_rate=0.1, retry=Retry(attempts=3, first_wait=0))
    space.answers.extend([web.Response(status=429), web.Response(status=429)])
    await client.dial(to="+15550198765", from_=FROM)
    assert len(space.commands) == 3
    assert sum(clock.slept) == pytest.approx(20)


async def test_waiting_for_a_turn_is_cancellable_and_takes_no_turn(space, connect) -> None:
    client = await connect(dial_rate=0.001)
    await client.dial(to="+15550198765", from_=FROM)
    gate = client._engine.transport._dials
    before = gate._pace._next
    waiting = [asyncio.create_task(_dial(client, f"+1555019{n:04}")) for n in range(3)]
    while not gate.turn.locked():
        await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    assert all(isinstance(r, asyncio.CancelledError) for r in await asyncio.gather(*waiting, return_exceptions=True))
    while gate.turn.locked():
        await asyncio.sleep(0)
    assert gate._pace._next == before
    assert len(space.commands) == 1


@pytest.mark.parametrize("setting", ["dial_rate", "command_rate"])
@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), True, "1"])
def test_a_rate_is_a_number_greater_than_zero(setting: str, rate: object) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        Client("p", "t", "s", **{setting: rate})


# Slots


async def test_slots_are_given_in_turn(space, connect) -> None:
    client = await connect(max_connections=1)
    call = await client.dial(to="+15550198765", from_=FROM)
    release = asyncio.Event()
    space.answers.append(space.held(release))
    texts = [f"text {n}" for n in range(6)]
    starts = [asyncio.create_task(call.play(TTS(text))) for text in texts]
    while len(space.commands) < 2:
        await space.arrived.get()
    starts[2].cancel()
    release.set()
    await asyncio.gather(*starts, return_exceptions=True)
    said = [command["params"]["play"][0]["params"]["text"] for command in space.commands[1:]]
    assert said == [text for text in texts if text != "text 2"]


async def test_a_slot_that_is_given_to_a_command_that_is_cancelled_goes_to_the_next() -> None:
    slots = _Slots(1)
    assert slots.take()
    first, second = (asyncio.create_task(slots.wait()) for _ in range(2))
    await asyncio.sleep(0)
    slots.release()
    first.cancel()
    await second
    assert first.cancelled()
    third = asyncio.create_task(slots.wait())
    await asyncio.sleep(0)
    third.cancel()
    await asyncio.wait([third])
    assert slots.taken == 1
    slots.release()
    assert slots.taken == 0


# Repetitions


async def test_a_storm_of_refusals_is_answered_within_the_budget(
    space, connect, clock: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    client = await connect(retry=Retry(attempts=10, first_wait=0.001, budget=5))
    space.answers.extend(web.Response(status=429) for _ in range(1000))
    refused = await asyncio.gather(*(_dial(client, f"+1555019{n:04}") for n in range(40)), return_exceptions=True)
    assert {type(error) for error in refused} == {RateLimited}
    assert client.stats.retried == 5
    assert len(space.commands) == 45
    assert "no retries are left for now (Retry.budget)" in caplog.text
    assert "attempt 2 of 10 in 0.00 s" in caplog.text
    space.answers.clear()


async def test_a_wait_that_was_asked_for_is_kept(space, connect, clock: FakeTime) -> None:
    client = await connect(retry=Retry(attempts=3, first_wait=0.5))
    space.answers.append(web.Response(status=503, headers={"Retry-After": "7"}))
    await client.dial(to="+15550198765", from_=FROM)
    (waited,) = clock.slept
    assert 7 <= waited <= 7.5


async def test_a_connection_that_could_not_be_made_is_made_again(space, connect) -> None:
    """The request never left, so it is safe to repeat: the second time the platform is there."""
    client = await connect(retry=Retry(attempts=2, first_wait=0.001))
    session = client._engine.transport._session
    post, tries = session.post, []

    def flaky(*args, **kwargs):
        tries.append(args)
        if len(tries) == 1:
            raise aiohttp.ClientConnectorError(SimpleNamespace(host="h", port=1, ssl=None), OSError("refused"))
        return post(*args, **kwargs)

    session.post = flaky
    await client.dial(to="+15550198765", from_=FROM)
    assert len(space.commands) == 1


# Closing


async def test_closing_wakes_whoever_waits_for_a_turn(space, connect) -> None:
    client = await connect(dial_rate=0.001)
    await client.dial(to="+15550198765", from_=FROM)
    waiting = [asyncio.create_task(_dial(client, f"+1555019{n:04}")) for n in range(3)]
    while not client._engine.transport._dials.turn.locked():
        await asyncio.sleep(0)
    await client.close()
    assert {type(r) for r in await asyncio.gather(*waiting, return_exceptions=True)} == {ClientClosed}
    assert len(space.commands) == 1


async def test_closing_wakes_whoever_waits_to_try_again(space, connect) -> None:
    client = await connect(retry=Retry(attempts=2, longest_wait=1000))
    space.answers.append(web.Response(status=429, headers={"Retry-After": "1000"}))
    waiting = asyncio.create_task(_dial(client, "+15550198765"))
    while not client.stats.retried:
        await asyncio.sleep(0)
    await client.close()
    with pytest.raises(ClientClosed):
        await waiting
    assert [command["command"] for command in space.commands] == ["dial"]


async def test_closing_wakes_whoever_waits_for_a_slot(space, connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swcalls._engine.tasks.HANG_UP_WITHIN", 0.05)
    client = await connect(max_connections=1, limits=Limits(drain=0.05))
    call = await client.dial(to="+15550198765", from_=FROM)
    release = asyncio.Event()
    space.answers.append(space.held(release))
    flying = asyncio.create_task(call.play(TTS("Hi")))
    while len(space.commands) < 2:
        await space.arrived.get()
    waiting = asyncio.create_task(call.play(TTS("Hi")))
    while len(client.actions) < 2:
        await asyncio.sleep(0)
    await client.close()
    results = await asyncio.gather(flying, waiting, return_exceptions=True)
    assert [type(result).__name__ for result in results] == ["CommandUnconfirmed", "ClientClosed"]
    release.set()


@pytest.mark.parametrize("first_wait", [0, 0.5, 1e300])
def test_the_wait_after_very_many_attempts_is_the_longest(first_wait: float) -> None:
    retry = Retry(attempts=10**6, first_wait=first_wait, longest_wait=30)
    error = CommandNotSent("no connection", command="dial")
    assert retry.wait(5000, error, 1) == (30 if first_wait else 0)
