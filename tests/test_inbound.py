"""Calls that come in: announced, answered, handed to the handler once."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import hmac
import unittest.mock
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
from aiohttp import web

from swcalls import TTS, Call, CallEnded, Client, ConfigurationError, Limits, WebhookReceiver
from swcalls.backplane import RedisBackplane
from swcalls.receiver import ObservingReceiver

KEY = "PSK-key"


def announcement(call_id: str = "in-1", to: str = "+12223334445") -> dict[str, object]:
    call = {
        "call_id": call_id,
        "node_id": "n",
        "segment_id": call_id,
        "call_state": "created",
        "direction": "inbound",
        "type": "phone",
        "from": "+12223334444",
        "to": to,
        "headers": [{"name": "X-Case", "value": "7"}],
        "project_id": "project",
        "space_id": "space",
    }
    return {"call": call, "vars": {"a": 1}, "envs": {"case_number": "54321"}, "params": {}}


@pytest.fixture
def rung(client: Client) -> asyncio.Queue[Call]:
    queue: asyncio.Queue[Call] = asyncio.Queue()

    @client.receiver.on_call(hang_up=False)
    async def handler(call: Call) -> None:
        queue.put_nowait(call)

    return queue


async def test_an_inbound_call_is_parked_and_handed_over(space, client: Client, rung) -> None:
    url = client.receiver.inbound_url
    reply = await client.accept(
        path=url.removeprefix(client._engine.urls.public_url), headers={}, body=msgspec.json.encode(announcement())
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
    client.receiver.on_call(takes_it)
    url, body = client.receiver.inbound_url, msgspec.json.encode(announcement())
    assert await space.post(url, body) == 403
    signature = hmac.new(KEY.encode(), url.encode() + body, hashlib.sha1).hexdigest()
    assert await space.post(url, body, **{"X-SignalWire-Signature": signature}) == 200


async def takes_it(call: Call) -> None: ...


# What becomes of the call when its handler has come to its end


Handle = Callable[[Any, Call], Awaitable[object]]


async def handled(space, connect, handle: Handle, **options: bool) -> list[tuple[str, dict[str, Any]]]:
    """Have *handle* take a call, wait until all is done, and return what was sent."""
    client = await connect()
    done = asyncio.Event()

    @client.receiver.on_call(**options)
    async def handler(call: Call) -> None:
        try:
            await handle(space, call)
        finally:
            done.set()

    await space.post(client.receiver.inbound_url, announcement())
    await done.wait()
    await client._engine.lifetime.drain()
    return [(sent["command"], sent.get("params", {})) for sent in space.commands]


async def returns(space, call: Call) -> None: ...


async def raises(space, call: Call) -> None:
    raise KeyError("oops")


async def is_cancelled(space, call: Call) -> None:
    raise asyncio.CancelledError


async def is_refused(space, call: Call) -> None:
    space.answers.append(web.json_response({"errors": []}, status=422))
    await call.transfer("sip:a@example.com")


async def is_refused_the_end(space, call: Call) -> None:
    space.answers.append(web.json_response({"errors": []}, status=422))
    await call.end("busy")


END: dict[str, Any] = {}
FAILED = {"reason": "error"}


@pytest.mark.parametrize(
    ("handle", "sent"),
    [
        (returns, [("calling.end", END)]),
        (raises, [("calling.end", FAILED)]),
        (is_cancelled, [("calling.end", END)]),
        (is_refused, [("calling.transfer", {"dest": "sip:a@example.com"}), ("calling.end", FAILED)]),
        (is_refused_the_end, [("calling.end", {"reason": "busy"}), ("calling.end", FAILED)]),
    ],
)
async def test_a_call_is_hung_up_when_its_handler_has_come_to_its_end(space, connect, handle: Handle, sent) -> None:
    assert await handled(space, connect, handle) == sent


async def test_a_text_of_a_command_must_be_one_that_utf_8_can_encode(client: Client) -> None:
    call = client.call("c")
    with pytest.raises(ValueError, match=r"control_id='\\udc80' must be text that UTF-8 can encode"):
        call.record(control_id="\udc80")
    call.record(control_id="Grüße").close()


async def test_a_handler_that_raises_is_logged(space, connect, caplog) -> None:
    await handled(space, connect, raises)
    (record,) = [record for record in caplog.records if record.name == "swcalls.inbound"]
    assert (record.levelname, record.call_id) == ("ERROR", "in-1")
    assert "oops" in caplog.text


async def transfers(space, call: Call) -> None:
    await call.transfer("sip:a@example.com")


async def gives_a_document(space, call: Call) -> None:
    await call.update(swml={"version": "1.0.0", "sections": {"main": []}})


async def gives_a_url(space, call: Call) -> None:
    await call.update(url="https://example.com/swml")


async def fails_after_a_transfer(space, call: Call) -> None:
    await call.transfer("sip:a@example.com")
    raise KeyError


async def ends(space, call: Call) -> None:
    await call.end("busy")


async def completes(space, call: Call) -> None:
    await call.complete()


async def is_told_of_the_end(space, call: Call) -> None:
    url = call._engine.urls.mint("inbound", "calls", shared=True)
    assert await space.post(url, {"call_id": "in-1", "call_state": "ended", "end_reason": "hangup"}) == 200
    assert await call.ended() == "hangup"


@pytest.mark.parametrize(
    ("handle", "sent"),
    [
        (transfers, "calling.transfer"),
        (gives_a_document, "update"),
        (gives_a_url, "update"),
        (fails_after_a_transfer, "calling.transfer"),
        (ends, "calling.end"),
        (completes, "update"),
        (is_told_of_the_end, None),
    ],
)
async def test_nothing_more_is_sent_to_a_call_that_was_handed_on_or_is_over(
    space, connect, handle: Handle, sent: str | None
) -> None:
    assert [command for command, _ in await handled(space, connect, handle)] == [sent] * bool(sent)


@pytest.mark.parametrize("handle", [returns, raises, is_cancelled])
async def test_a_call_may_be_left_as_it_is(space, connect, handle: Handle) -> None:
    assert await handled(space, connect, handle, hang_up=False) == []


async def changes_its_status_url(space, call: Call) -> None:
    await call.update(status_url="https://example.com/status")


async def test_an_update_without_a_dialplan_hands_nothing_on(space, connect) -> None:
    sent = await handled(space, connect, changes_its_status_url)
    assert [command for command, _ in sent] == ["update", "calling.end"]


# A caller who hangs up in the middle


def gone(space) -> None:
    space.answers.append(web.json_response({"errors": []}, status=404))


async def hears_of_the_end(space, call: Call) -> None:
    play = await call.play(TTS("Hello."))
    await is_told_of_the_end(space, call)
    await play.finished()


async def finds_nobody(space, call: Call) -> None:
    gone(space)
    await call.play(TTS("Hello."))


async def finds_nobody_in_a_group(space, call: Call) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(finds_nobody(space, call))
        group.create_task(call.ended())


async def hears_of_another(space, call: Call) -> None:
    raise CallEnded("call 2: it ended", reason="hangup")


@pytest.mark.parametrize("handle", [hears_of_the_end, finds_nobody, finds_nobody_in_a_group])
async def test_a_caller_who_hangs_up_is_no_error(space, connect, caplog, handle: Handle) -> None:
    with caplog.at_level("INFO", "swcalls.inbound"):
        sent = await handled(space, connect, handle)
    assert "calling.end" not in [command for command, _ in sent]
    (record,) = [record for record in caplog.records if record.name == "swcalls.inbound"]
    assert (record.levelname, record.call_id, record.exc_info) == ("INFO", "in-1", None)
    assert "TaskGroup" not in record.getMessage()


async def test_that_another_call_has_ended_is_no_error_and_the_own_one_is_hung_up(space, connect, caplog) -> None:
    assert await handled(space, connect, hears_of_another) == [("calling.end", END)]
    assert not caplog.records


async def has_another_error_in_a_group(space, call: Call) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(hears_of_another(space, call))
        group.create_task(raises(space, call))


async def test_an_error_beside_it_is_an_error(space, connect, caplog) -> None:
    assert await handled(space, connect, has_another_error_in_a_group) == [("calling.end", FAILED)]
    assert "oops" in caplog.text


async def test_a_call_that_turns_out_to_be_over_when_it_is_hung_up_is_no_error(space, connect, caplog) -> None:
    async def handle(space, call: Call) -> None:
        gone(space)

    assert await handled(space, connect, handle) == [("calling.end", END)]
    assert not [record for record in caplog.records if record.name == "swcalls.inbound"]


async def test_a_call_that_cannot_be_hung_up_is_logged(space, connect, caplog) -> None:
    async def handle(space, call: Call) -> None:
        space.answers.append(web.json_response({"errors": []}, status=500))

    assert await handled(space, connect, handle) == [("calling.end", END)]
    assert "call in-1: not ended" in caplog.text


# What can be a handler


def test_a_second_handler_is_refused_and_the_first_stays() -> None:
    receiver = Client("project", "token", "space").receiver
    assert receiver.on_call(takes_it) is takes_it
    for handler in (takes_it, returns):
        with pytest.raises(ConfigurationError, match=r"takes_it at .* is there"):
            receiver.on_call(handler)


class Taker:
    async def __call__(self, call: Call) -> None: ...

    async def take(self, call: Call) -> None: ...


@pytest.mark.parametrize(
    "handler", [takes_it, functools.partial(returns, None), Taker(), Taker().take, unittest.mock.AsyncMock()]
)
async def test_whatever_is_a_coroutine_function_can_be_a_handler(space, handler: Any) -> None:
    async with Client("project", "token", space.url) as client, client.receiver.serve():
        assert client.receiver.on_call(handler) is handler
        assert await space.post(client.receiver.inbound_url, announcement()) == 200
        while (await space.arrived.get())["command"] != "calling.end":
            pass
    assert space.commands == [{"command": "calling.end", "id": "in-1", "params": {}}]


def sync(call: Call) -> None: ...


async def generates(call: Call) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize(
    "handler", [sync, functools.partial(sync), generates, lambda call: asyncio.sleep(0), Call, object(), 5]
)
def test_whatever_is_none_is_refused_at_once(handler: Any) -> None:
    receiver = Client("project", "token", "space").receiver
    for take in (receiver.on_call, receiver.on_call(hang_up=False)):
        with pytest.raises(TypeError, match=r"on_call: handler=.* must be a coroutine function"):
            take(handler)
    receiver.on_call(takes_it)


def test_a_handler_may_be_given_where_no_loop_runs() -> None:
    backplane = RedisBackplane("redis://127.0.0.1:1")
    Client("project", "token", "space", backplane=backplane).receiver.on_call(takes_it)


async def test_a_client_that_is_not_open_takes_no_calls(space) -> None:
    client = Client("project", "token", space.url)
    client.receiver.on_call(takes_it)
    async with client.receiver.serve():
        assert await space.post(client.receiver.inbound_url, announcement()) == 503
        async with client:
            assert await space.post(client.receiver.inbound_url, announcement()) == 200
        assert await space.post(client.receiver.inbound_url, announcement("in-2")) == 503


# Closing


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
    assert [command["command"] for command in space.commands] == ["calling.end"]


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


# A handler for each number


@pytest.mark.parametrize(
    ("to", "handler"),
    [
        ("+15550100001", "sales"),
        ("sip:support@example.com", "support"),
        ("SIP:Support@example.com;transport=udp?X-Case=7", "support"),
        ("sip:support@example.org", "the rest"),
        ("+15550100009", "the rest"),
        ("", "the rest"),
    ],
)
async def test_a_call_gets_the_handler_of_the_number_that_was_called(space, client: Client, to, handler) -> None:
    taken: asyncio.Queue[str] = asyncio.Queue()

    def takes(name: str) -> Callable[[Call], Awaitable[None]]:
        async def handle(call: Call) -> None:
            taken.put_nowait(name)

        return handle

    on_call = client.receiver.on_call
    on_call(takes("sales"), to="+15550100001")
    on_call(takes("the rest"))
    on_call(to="sip:support@EXAMPLE.com")(takes("support"))
    assert await space.post(client.receiver.inbound_url, announcement(to=to)) == 200
    assert await taken.get() == handler
    assert taken.empty()


async def test_a_call_to_a_number_that_nobody_handles_is_refused(space, client: Client) -> None:
    client.receiver.on_call(takes_it, to="+15550100001")
    assert await space.post(client.receiver.inbound_url, announcement(to="+15550100002")) == 503
    assert await space.post(client.receiver.inbound_url, announcement("in-2", to="+15550100001")) == 200
    # The refusal was not its end: it may be announced again, when there is a handler.
    client.receiver.on_call(takes_it)
    assert await space.post(client.receiver.inbound_url, announcement(to="+15550100002")) == 200


async def test_each_handler_answers_and_hangs_up_as_it_is_told(space, client: Client) -> None:
    ended: asyncio.Queue[str] = asyncio.Queue()

    async def handler(call: Call) -> None:
        if call.state == "ringing":
            await call.answer()
        ended.put_nowait(call.to or "")

    client.receiver.on_call(handler, to="+15550100001", hang_up=False)
    client.receiver.on_call(handler, to="+15550100002", answer=False)
    url, path = client.receiver.inbound_url, client.receiver.inbound_url.removeprefix(client._engine.urls.public_url)
    body = msgspec.json.encode(announcement("in-1", to="+15550100001"))
    reply = await client.accept(path=path, headers={}, body=body)
    assert msgspec.json.decode(reply.body)["sections"]["main"] == [{"answer": {}}, {"sleep": -1}]
    assert await ended.get() == "+15550100001"
    body = msgspec.json.encode(announcement("in-2", to="+15550100002"))
    reply = await client.accept(path=path, headers={}, body=body)
    asks, *_ = msgspec.json.decode(reply.body)["sections"]["main"]
    assert await space.post(asks["request"]["url"], {"call_id": "in-2"}) == 200
    assert await ended.get() == "+15550100002"
    assert (await space.arrived.get())["id"] == "in-2", "only the second handler hangs up"
    assert url.startswith("http")


def test_a_second_handler_for_one_number_is_refused() -> None:
    receiver = Client("project", "token", "space").receiver
    receiver.on_call(takes_it, to="sip:a@example.com")
    receiver.on_call(takes_it, to="sip:b@example.com")
    with pytest.raises(
        ConfigurationError, match=r"must be the only one for to='sip:A@example.com'; .*takes_it.* is there"
    ):
        receiver.on_call(takes_it, to="sip:A@example.com")
    receiver.on_call(takes_it)
    with pytest.raises(ConfigurationError, match="must be the only one without to"):
        receiver.on_call(takes_it)
    for wrong, error in (("", ValueError), (15550100001, TypeError), ("\ud800", ValueError)):
        with pytest.raises(error, match="to="):
            receiver.on_call(takes_it, to=wrong)


def test_a_receiver_without_a_client_takes_no_calls() -> None:
    receiver = ObservingReceiver("project", "token", public_url="https://hooks.example.com")
    with pytest.raises(ConfigurationError, match="cannot send commands"):
        receiver.on_call(takes_it)
    assert receiver.inbound_url.startswith("https://hooks.example.com/swcalls/inbound/calls/")
    with pytest.raises(ConfigurationError, match="public_url"):
        _ = ObservingReceiver("project", "token").inbound_url


def test_a_receiver_that_nobody_would_hear_of_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"backplane=None.*answered with 200 and lost"):
        WebhookReceiver("project", "token")


@pytest.mark.parametrize("limit", [0, 10])
async def test_the_timeline_of_an_inbound_call_begins_with_its_announcement(space, connect, limit: int) -> None:
    client, calls = await connect(limits=Limits(timeline=limit)), asyncio.Queue[Call]()

    @client.receiver.on_call(hang_up=False)
    async def handler(call: Call) -> None:
        calls.put_nowait(call)

    assert await space.post(client.receiver.inbound_url, announcement()) == 200
    call = await calls.get()
    assert [(mark.what, mark.word) for mark in call.timeline] == [("event", "inbound")][:limit]
