"""`dial(max_calls=)`: dials wait in turn until few enough calls are up, and no slot is ever lost."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from aiohttp import web

from swcalls import Call, Client, ClientClosed, CommandUnconfirmed, InvalidParams, Limits
from swcalls.testing import Callee, Simulator

NUMBERS = {"to": "+15550198765", "from_": "+12069708643"}


@pytest.fixture
def ids(space) -> None:
    """Give each dialled call an id of its own."""
    number = 0

    def leg(body=None, status=None) -> web.Response:
        nonlocal number
        body = body or {}
        number += body.get("command") == "dial"
        call_id = body.get("id") or f"call-{number}"
        return web.json_response({"id": call_id, "type": "relay_pstn_call", "status": "queued"})

    space.leg = leg


def dialled(space) -> list[str]:
    """Return the callback URLs of the dials that were sent."""
    return [command["params"]["status_url"] for command in space.commands if command["command"] == "dial"]


async def ends(space, number: int) -> None:
    """Report the end of the call that was dialled as *number*, from 0."""
    url = dialled(space)[number]
    await space.post(url, {"call_id": f"call-{number + 1}", "call_state": "ended", "end_reason": "busy"})


def up(client: Client) -> int:
    return len(client._engine.dials.calls_up._slots)


def dialling(client: Client, count: int, **how: object) -> list[asyncio.Task[Call]]:
    return [asyncio.create_task(client.dial(**NUMBERS, **how)) for _ in range(count)]


async def settle() -> None:
    """Let what is ready run."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_dials_wait_in_turn_until_a_call_ends(space, ids, client: Client) -> None:
    tasks = dialling(client, 5, max_calls=2)
    await asyncio.gather(*tasks[:2])
    await settle()
    assert [task.done() for task in tasks] == [True, True, False, False, False]
    for number in range(3):
        await ends(space, number)
        await tasks[number + 2]
        assert [task.done() for task in tasks] == [index <= number + 2 for index in range(5)]
        assert up(client) == 2
    await ends(space, 3)
    await ends(space, 4)
    assert up(client) == 0


async def test_a_dial_without_a_bound_counts_and_does_not_wait(space, ids, client: Client) -> None:
    await client.dial(**NUMBERS)
    (waits,) = dialling(client, 1, max_calls=1)
    await settle()
    await client.dial(**NUMBERS)
    assert (waits.done(), up(client)) == (False, 2)
    await ends(space, 0)
    await ends(space, 1)
    await waits


@pytest.mark.parametrize("how", [{"status_url": "https://example.com/x"}, {"status_events": ["answered"]}])
async def test_a_call_whose_end_is_not_reported_here_does_not_count(space, ids, client: Client, how) -> None:
    await client.dial(**NUMBERS, **how)
    await client.dial(**NUMBERS, max_calls=1)
    assert up(client) == 1
    with pytest.raises(ValueError, match=r"dial: max_calls=1 must be used without status_url"):
        client.dial(**NUMBERS, max_calls=1, **how)


async def test_a_dial_that_is_refused_gives_its_slot_back(space, ids, client: Client) -> None:
    space.answers.append(web.json_response({}, status=422))
    first, second = dialling(client, 2, max_calls=1)
    with pytest.raises(InvalidParams):
        await first
    await second
    assert up(client) == 1


async def test_waiting_can_be_cancelled_and_takes_no_turn(space, ids, client: Client) -> None:
    tasks = dialling(client, 4, max_calls=1)
    await tasks[0]
    tasks[1].cancel()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await client.dial(**NUMBERS, max_calls=1)
    # The turn of the third comes, and it is cancelled at the same moment.
    await ends(space, 0)
    tasks[2].cancel()
    await asyncio.wait(tasks[1:3])
    # Perhaps its command has left, and its call is hung up.
    while not tasks[3].done():
        await ends(space, len(dialled(space)) - 1)
    assert tasks[1].cancelled()
    await ends(space, len(dialled(space)) - 1)
    assert up(client) == 0


async def test_a_dial_that_is_cancelled_under_way_frees_its_slot_when_the_call_ends(space, ids, client: Client) -> None:
    release = asyncio.Event()
    space.answers.append(space.held(release))
    first, second = dialling(client, 2, max_calls=1)
    await space.arrived.get()
    first.cancel()
    release.set()
    while (await space.arrived.get())["command"] != "calling.end":
        pass
    assert not second.done()
    await ends(space, 0)
    await second


async def test_closing_wakes_whoever_waits(space, ids, client: Client) -> None:
    tasks = dialling(client, 3, max_calls=1)
    await tasks[0]
    await client.close()
    for task in tasks[1:]:
        with pytest.raises(ClientClosed):
            await task
    assert len(dialled(space)) == 1
    assert up(client) == 0


async def test_closing_wakes_a_handler_that_waits(space, ids, connect) -> None:
    client = await connect(limits=Limits(drain=60))
    await client.dial(**NUMBERS)
    waits, errors = asyncio.Event(), []

    async def handler(call: Call) -> None:
        for _ in range(2):  # The second one comes when the client is being closed already.
            waits.set()
            try:
                await client.dial(**NUMBERS, max_calls=1)
            except ClientClosed as error:
                errors.append(str(error))

    client.receiver.on_call(handler)
    await space.post(client.receiver.inbound_url, {"call": {"call_id": "in-1"}})
    await waits.wait()
    await settle()
    await client.close()
    assert errors == ["dial: not sent, since the client was closed while the dial waited for its turn (max_calls)"] * 2


async def test_a_call_that_is_found_to_be_gone_frees_its_slot(space, ids, client: Client) -> None:
    call = await client.dial(**NUMBERS, max_calls=1)
    (waits,) = dialling(client, 1, max_calls=1)
    space.answers.append(web.json_response({}, status=404))
    with suppress(Exception):
        await call.user_event({})
    await waits


async def test_a_call_that_is_only_forgotten_frees_its_slot(space, ids, client: Client) -> None:
    await client.dial(**NUMBERS, max_calls=1)
    (waits,) = dialling(client, 1, max_calls=1)
    await settle()
    registry = client._engine.registry
    registry.expire(max(call.last_activity for call in registry.calls) + 2 * registry.limits.silence)
    await waits
    assert up(client) == 1


async def test_a_dial_that_may_not_have_arrived_frees_its_slot_when_it_expires(space, ids, client: Client) -> None:
    space.answers.append(web.Response(status=504))
    with pytest.raises(CommandUnconfirmed):
        await client.dial(**NUMBERS, max_calls=1)
    (waits,) = dialling(client, 1, max_calls=1)
    await settle()
    assert not waits.done()
    registry = client._engine.registry
    call = next(iter(registry.calls._held.values()))
    registry.expire(call.last_activity + 2 * Limits().unconfirmed)
    await waits


async def test_calls_that_another_process_has_taken_over_free_their_slots(space, ids, client: Client) -> None:
    await client.dial(**NUMBERS, max_calls=1)
    (waits,) = dialling(client, 1, max_calls=1)
    await settle()
    client._engine.registry.disown(lambda operation: True, "another process has them")
    await waits
    assert up(client) == 1


@pytest.mark.parametrize("most", [0, -1, 1.5, True, "2"])
async def test_a_bound_is_a_whole_number(client: Client, most: object) -> None:
    with pytest.raises((TypeError, ValueError), match="dial: max_calls="):
        client.dial(**NUMBERS, max_calls=most)


async def test_a_campaign_never_has_more_calls_up_than_it_may(nothing_is_left_running: None) -> None:
    most = 0
    async with (
        Simulator(callee=Callee(hangs_up_after=5), speed=500) as space,
        Client("project", "token", space.url) as client,
        client.receiver.serve(),
    ):

        async def remind() -> None:
            nonlocal most
            async with client.dial(**NUMBERS, max_calls=3) as call:
                most = max(most, sum(call.state not in ("ended", "failed") for call in space.calls.values()))
                await call.ended()

        async with asyncio.TaskGroup() as group:
            for _ in range(12):
                group.create_task(remind())
        assert up(client) == 0
    assert most == 3
