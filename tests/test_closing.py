"""How a client ends: who may still speak, what is waited for, and that nothing is left."""

from __future__ import annotations

import asyncio
import gc

import pytest

from swcalls import TTS, Call, Client, ClientClosed, CommandNotSent, Limits

FROM = "+12069708643"


def announcement(call_id: str = "in-1") -> dict[str, object]:
    return {"call": {"call_id": call_id, "call_state": "created", "direction": "inbound", "type": "phone"}}


async def test_while_it_closes_only_handlers_may_send(space, connect) -> None:
    client = await connect(limits=Limits(drain=30))
    entered, proceed = asyncio.Event(), asyncio.Event()
    done: list[str] = []

    @client.receiver.on_call
    async def handler(call: Call) -> None:
        entered.set()
        await proceed.wait()
        # Also from a task that the handler started.
        async with asyncio.TaskGroup() as group:
            group.create_task(call.play(TTS("Goodbye.")))
        await call.end()
        done.append("handler")

    call = await client.dial(to="+1", from_=FROM)
    await space.post(client.receiver.inbound_url, announcement())
    await entered.wait()
    closing = asyncio.create_task(client.close())
    await asyncio.sleep(0)
    for attempt in (call.play(TTS("Hi")), client.dial(to="+1", from_=FROM), call.end(), client.execute("calling.end")):
        with pytest.raises(CommandNotSent, match="being closed"):
            await attempt
    proceed.set()
    await closing
    assert done == ["handler"]
    assert [command["command"] for command in space.commands] == ["dial", "calling.play", "calling.end"]


async def test_what_a_handler_of_one_client_does_is_no_licence_at_another(space, connect) -> None:
    client, other = await connect(), await connect()
    results: asyncio.Queue[object] = asyncio.Queue()
    entered, proceed = asyncio.Event(), asyncio.Event()

    @client.receiver.on_call
    async def handler(call: Call) -> None:
        entered.set()
        await proceed.wait()
        results.put_nowait(await asyncio.gather(other.execute("calling.end"), return_exceptions=True))

    @other.receiver.on_call
    async def busy(call: Call) -> None:
        await proceed.wait()

    await space.post(client.receiver.inbound_url, announcement())
    await space.post(other.receiver.inbound_url, announcement("in-2"))
    await entered.wait()
    closing = asyncio.create_task(other.close())
    await asyncio.sleep(0)
    proceed.set()
    (error,) = await results.get()
    assert isinstance(error, CommandNotSent)
    await closing


async def test_a_second_close_is_harmless(space, connect) -> None:
    client = await connect()
    call = await client.dial(to="+1", from_=FROM)
    play = await call.play(TTS("Hi"))
    await asyncio.gather(client.close(), client.close())
    await client.close()
    assert (await play.outcome()).settled_by == "closed"
    with pytest.raises(ClientClosed):
        await call.ended()


async def test_done_callbacks_have_run_when_it_is_closed(space, connect) -> None:
    client = await connect()
    call = await client.dial(to="+1", from_=FROM)
    play = await call.play(TTS("Hi"))
    told: list[str] = []
    play.add_done_callback(lambda action: told.append(action.settled.settled_by))
    await client.close()
    assert told == ["closed"]


async def test_waiters_of_every_sort_are_released(space, connect) -> None:
    client = await connect()
    call = await client.dial(to="+1", from_=FROM)
    play = await call.play(TTS("Hi"))

    async def events() -> list[object]:
        return [event async for event in play]

    waiters = [
        asyncio.create_task(waiter)
        for waiter in (play.finished(), play.reached("playing"), call.ended(), events(), play.outcome())
    ]
    await asyncio.sleep(0)
    await client.close()
    results = await asyncio.gather(*waiters, return_exceptions=True)
    assert [type(result).__name__ for result in results] == [
        "ClientClosed",
        "ActionFailed",
        "ClientClosed",
        "list",
        "Outcome",
    ]


async def test_no_timer_and_no_socket_is_left(space) -> None:
    client = Client("project", "token", space.url, public_url="http://127.0.0.1:9")
    async with client:
        call = await client.dial(to="+1", from_=FROM)
        await call.play(TTS("Hi"), deadline=1000)
        session = client._switchboard.transport._session
        timer = client._switchboard._timer
        assert session is not None
        assert timer is not None
    assert session.closed
    assert timer.cancelled()
    assert client._switchboard._timer is None
    assert not len(client._switchboard.tasks)
    del session, call, client
    gc.collect()  # A socket that was left open would be a ResourceWarning, which is an error here.


async def test_a_client_that_was_never_opened_can_be_closed(space) -> None:
    client = Client("project", "token", space.url)
    await client.close()
    with pytest.raises(RuntimeError, match="closed"):
        await client.open()


async def test_a_webhook_that_comes_after_the_end_changes_nothing(space, connect) -> None:
    client = await connect()
    call = await client.dial(to="+1", from_=FROM)
    play = await call.play(TTS("Hi"))
    await client.close()
    outcome = await play.outcome()
    assert await space.tell("calling.play", state="finished") == 200
    assert await play.outcome() is outcome


async def test_a_block_that_is_cancelled_closes_and_passes_the_cancellation_on(space) -> None:
    up = asyncio.Event()

    async def main() -> None:
        async with (
            Client("project", "token", space.url) as client,
            client.receiver.serve(),
            client.dial(to="+1", from_=FROM) as call,
        ):
            up.set()
            await call.ended()

    task = asyncio.create_task(main())
    await up.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert space.commands[-1]["command"] == "calling.end", "the block hangs up on its way out"
