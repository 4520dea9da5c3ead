"""Calls that come in: announced, answered, handed to the handler once."""

from __future__ import annotations

import asyncio
import hashlib
import hmac

import msgspec
import pytest

from swcalls import TTS, Call, CallEnded, Client, ConfigurationError, Limits, WebhookReceiver

KEY = "PSK-key"


def announcement(call_id: str = "in-1") -> dict[str, object]:
    call = {
        "call_id": call_id,
        "node_id": "n",
        "segment_id": call_id,
        "call_state": "created",
        "direction": "inbound",
        "type": "phone",
        "from": "+12223334444",
        "to": "+12223334445",
        "headers": [{"name": "X-Case", "value": "7"}],
        "project_id": "project",
        "space_id": "space",
    }
    return {"call": call, "vars": {"a": 1}, "envs": {"case_number": "54321"}, "params": {}}


@pytest.fixture
def rung(client: Client) -> asyncio.Queue[Call]:
    queue: asyncio.Queue[Call] = asyncio.Queue()

    @client.receiver.on_call
    async def handler(call: Call) -> None:
        queue.put_nowait(call)

    return queue


async def test_an_inbound_call_is_parked_and_handed_over(space, client: Client, rung) -> None:
    url = client.receiver.inbound_url
    reply = await client.accept(
        path=url.removeprefix(client._switchboard.urls.public_url), headers={}, body=msgspec.json.encode(announcement())
    )
    assert (reply.status, reply.verdict, reply.content_type) == (200, "inbound", "application/json")
    assert msgspec.json.decode(reply.body)["sections"]["main"] == [{"answer": {}}, {"sleep": -1}]
    call = await rung.get()
    assert (call.id, call.from_, call.to) == ("in-1", "+12223334444", "+12223334445")
    assert call.headers == {"X-Case": "7"}
    assert call.variables == {"a": 1, "case_number": "54321"}
    await call.answered(timeout=0.001)
    play = await call.play(TTS("Hello."))
    await space.tell("calling.play", state="finished")
    await play


async def test_an_announcement_that_is_repeated_rings_nobody_twice(space, client: Client, rung) -> None:
    for _ in range(3):
        assert await space.post(client.receiver.inbound_url, announcement()) == 200
    await rung.get()
    assert rung.empty()


async def test_the_state_of_an_inbound_call_may_be_posted_to_the_same_url(space, client: Client, rung) -> None:
    await space.post(client.receiver.inbound_url, announcement())
    call = await rung.get()
    assert (
        await space.post(
            client.receiver.inbound_url, {"call_id": "in-1", "call_state": "ended", "end_reason": "hangup"}
        )
        == 200
    )
    assert await call.ended(timeout=1) == "hangup"


async def test_without_a_handler_nobody_answers(space, client: Client) -> None:
    assert await space.post(client.receiver.inbound_url, announcement()) == 503


@pytest.mark.parametrize("body", [b"[", b"{}", b'{"call": null}', b'{"call": {"call_id": ""}}', b'{"call": {}}'])
async def test_what_is_no_announcement_is_refused_and_rings_nobody(space, client: Client, rung, body: bytes) -> None:
    assert await space.post(client.receiver.inbound_url, body) == 400
    assert rung.empty()


async def test_a_forged_or_oversized_announcement_rings_nobody(space, connect) -> None:
    client = await connect(limits=Limits(body=1000))
    rung: asyncio.Queue[Call] = asyncio.Queue()
    client.receiver.on_call(rung.put)
    url = client.receiver.inbound_url
    assert await space.post(url[:-1] + ("A" if url[-1] != "A" else "B"), announcement()) == 403
    assert await space.post(url, announcement() | {"x": "y" * 1000}) == 413
    assert rung.empty()


async def test_with_a_key_an_announcement_must_be_signed(space, connect) -> None:
    client = await connect(signing_key=KEY)
    client.receiver.on_call(lambda call: asyncio.sleep(0))
    url, body = client.receiver.inbound_url, msgspec.json.encode(announcement())
    assert await space.post(url, body) == 403
    signature = hmac.new(KEY.encode(), url.encode() + body, hashlib.sha1).hexdigest()
    assert await space.post(url, body, **{"X-SignalWire-Signature": signature}) == 200


async def test_a_handler_that_raises_is_logged_and_its_call_ended(space, client: Client, caplog) -> None:
    @client.receiver.on_call
    async def handler(call: Call) -> None:
        raise KeyError("oops")

    await space.post(client.receiver.inbound_url, announcement())
    while (await space.arrived.get())["command"] != "calling.end":
        pass
    assert space.last("calling.end") == {"reason": "error"}
    assert "oops" in caplog.text


async def test_a_handler_that_returns_leaves_the_call_as_it_is(space, client: Client, rung) -> None:
    await space.post(client.receiver.inbound_url, announcement())
    call = await rung.get()
    await call.denoise()
    assert [command["command"] for command in space.commands] == ["calling.denoise"]


async def test_closing_waits_for_handlers(space, connect) -> None:
    client = await connect(limits=Limits(drain=30))
    entered, proceed, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @client.receiver.on_call
    async def handler(call: Call) -> None:
        entered.set()
        await proceed.wait()
        await call.end()
        finished.set()

    await space.post(client.receiver.inbound_url, announcement())
    await entered.wait()
    closing = asyncio.create_task(client.close())
    await asyncio.sleep(0)
    assert await space.post(client.receiver.inbound_url, announcement("in-2")) == 503
    proceed.set()
    await closing
    assert finished.is_set()


async def test_closing_cancels_handlers_that_take_too_long(space, connect) -> None:
    client = await connect(limits=Limits(drain=0))
    entered, cancelled = asyncio.Event(), asyncio.Event()

    @client.receiver.on_call
    async def handler(call: Call) -> None:
        entered.set()
        try:
            await call.ended()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    await space.post(client.receiver.inbound_url, announcement())
    await entered.wait()
    await client.close()
    assert cancelled.is_set()


async def test_one_flow_serves_both_ways(space, client: Client) -> None:
    done: asyncio.Queue[str | None] = asyncio.Queue()

    async def flow(call: Call) -> None:
        await call.answered(timeout=5)
        await call.say("Hello.")
        try:
            await call.ended(timeout=5)
        except CallEnded:
            raise AssertionError from None
        done.put_nowait(call.id)

    client.receiver.on_call(flow)
    await space.post(client.receiver.inbound_url, announcement())
    while (await space.arrived.get())["command"] != "calling.play":
        pass
    await space.post(client.receiver.inbound_url, {"call_id": "in-1", "call_state": "ended"})
    assert await done.get() == "in-1"
    async with asyncio.TaskGroup() as group:
        call = await client.dial(to="+15550198765", from_="+12069708643")
        group.create_task(flow(call))
        while (await space.arrived.get())["command"] != "calling.play":
            pass
        await space.tell_call("ended")
    assert await done.get() == call.id


def test_a_receiver_without_a_client_takes_no_calls() -> None:
    receiver = WebhookReceiver("project", "token", public_url="https://hooks.example.com")
    with pytest.raises(ConfigurationError):
        receiver.on_call(lambda call: asyncio.sleep(0))
    assert receiver.inbound_url.startswith("https://hooks.example.com/swcalls/inbound/calls/")
    with pytest.raises(ConfigurationError, match="public_url"):
        _ = WebhookReceiver("project", "token").inbound_url
