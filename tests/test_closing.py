"""How a client, its server and its application end: who may still speak, what is waited for, and that nothing is left."""

from __future__ import annotations

import asyncio
import functools
import gc
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

import swcalls
from swcalls import (
    TTS,
    Call,
    Client,
    ClientClosed,
    CommandNotSent,
    CommandUnconfirmed,
    ConfigurationError,
    Limits,
    Retry,
)
from swcalls._engine.server import Address
from swcalls._engine.tasks import Tasks, each_of
from swcalls.backplane import Backplane, BackplaneUnavailable

FROM = "+12069708643"
REFUSED = (CommandNotSent, ClientClosed)


def announcement(call_id: str = "in-1") -> dict[str, object]:
    return {"call": {"call_id": call_id, "call_state": "created", "direction": "inbound", "type": "phone"}}


async def dial(client: Client) -> Call:
    return await client.dial(to="+15550198765", from_=FROM)


def made(space, **settings: Any) -> Client:
    return Client("project", "token", space.url, **{"retry": Retry(attempts=1), **settings})


async def refuses(space, url: str, leaving: asyncio.Task[Any]) -> None:
    """Return once new calls are refused. A call that is there already is announced, which rings nobody."""
    while True:
        assert not leaving.done(), "it has been left already"
        try:
            status = await space.post(url, announcement())
        except aiohttp.ClientConnectionError:
            continue  # One server has stopped, and the other does not listen yet.
        if status == 503:
            return
        assert status == 200


# Whichever way it is left, handlers finish while webhooks come in


@asynccontextmanager
async def client_outside(client: Client) -> AsyncIterator[None]:
    async with client, client.receiver.serve():
        yield


@asynccontextmanager
async def server_outside(client: Client) -> AsyncIterator[None]:
    async with client.receiver.serve(), client:
        yield


@asynccontextmanager
async def closed_within(client: Client) -> AsyncIterator[None]:
    async with client, client.receiver.serve():
        yield
        await client.close()


def listener() -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", 0))
    return listening


@asynccontextmanager
async def application(
    client: Client, prepare: Callable[[web.Application], None] = lambda _: None
) -> AsyncIterator[None]:
    listening = listener()
    client._engine.urls.public_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    app = web.Application()
    swcalls.setup(app, client)
    prepare(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        yield
    finally:
        await runner.cleanup()


WAYS = [client_outside, server_outside, closed_within, application]
Way = Callable[[Client], AbstractAsyncContextManager[None]]


@pytest.mark.parametrize("way", WAYS)
async def test_handlers_finish_while_webhooks_come_in(space, way: Way) -> None:
    client = made(space)
    playing, leave = asyncio.Event(), asyncio.Event()
    done: list[str] = []

    @client.receiver.on_call
    async def handler(call: Call) -> None:
        play = await call.play(TTS("One moment."))
        playing.set()
        await play.finished()
        await call.say("Goodbye.").finished()
        done.append("handler")

    async def main() -> None:
        async with way(client):
            entered.set()
            await leave.wait()
        done.append("main")

    entered = asyncio.Event()
    leaving = asyncio.create_task(main())
    await entered.wait()
    url = client.receiver.inbound_url
    assert await space.post(url, announcement()) == 200
    await playing.wait()
    leave.set()
    await refuses(space, url, leaving)
    assert await space.tell("calling.play", state="finished") == 200
    while [command["command"] for command in space.commands].count("calling.play") < 2:
        await space.arrived.get()
    assert await space.tell("calling.play", state="finished") == 200
    await leaving
    assert done == ["handler", "main"]
    assert [command["command"] for command in space.commands] == ["calling.play", "calling.play", "calling.end"]


@pytest.mark.parametrize("way", WAYS)
async def test_who_does_not_finish_is_cancelled_and_the_call_ended_before_the_server_stops(space, way: Way) -> None:
    client = made(space, limits=Limits(drain=0))
    waiting, leave, entered = asyncio.Event(), asyncio.Event(), asyncio.Event()
    heard: list[object] = []

    @client.receiver.on_call
    async def handler(call: Call) -> None:
        waiting.set()
        try:
            await call.ended()
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise

    async def answer_the_end(request: web.Request) -> web.StreamResponse:
        heard.append(await space.post(url, announcement("in-2")))
        return space.leg()

    async def main() -> None:
        async with way(client):
            entered.set()
            await leave.wait()

    leaving = asyncio.create_task(main())
    await entered.wait()
    url = client.receiver.inbound_url
    assert await space.post(url, announcement()) == 200
    await waiting.wait()
    space.answers.append(answer_the_end)
    leave.set()
    await leaving
    assert heard == ["cancelled", 503], "the server still listens when the call is ended, and takes no new one"
    assert [command["command"] for command in space.commands] == ["calling.end"]
    assert space.last("calling.end") == {}


async def test_a_handler_that_was_cancelled_before_its_first_step_has_its_call_ended(space) -> None:
    client = made(space, limits=Limits(drain=0))

    @client.receiver.on_call
    async def handler(call: Call) -> None:
        raise AssertionError

    async with client, client.receiver.serve():
        path = client.receiver.inbound_url.removeprefix(client._engine.urls.public_url)
        client._engine.ingress.accept_now(path, {}, b'{"call": {"call_id": "in-1"}}')
    assert [command["command"] for command in space.commands] == ["calling.end"]


async def test_after_a_server_was_left_another_takes_calls_again(space) -> None:
    client = made(space)
    rung: asyncio.Queue[str | None] = asyncio.Queue()

    @client.receiver.on_call(hang_up=False)
    async def handler(call: Call) -> None:
        rung.put_nowait(call.id)

    async with client:
        for call_id in ("in-1", "in-2"):
            async with client.receiver.serve():
                assert await space.post(client.receiver.inbound_url, announcement(call_id)) == 200
                assert await rung.get() == call_id


@pytest.mark.parametrize("raised", [KeyError, asyncio.CancelledError])
async def test_what_is_raised_in_the_block_is_passed_on_when_handlers_have_finished(space, raised) -> None:
    client = made(space)
    playing = asyncio.Event()

    @client.receiver.on_call
    async def handler(call: Call) -> None:
        play = await call.play(TTS("One moment."))
        playing.set()
        await play.finished()

    async def main() -> None:
        async with client, client.receiver.serve():
            entered.set()
            await playing.wait()
            if raised is KeyError:
                raise KeyError
            await asyncio.Event().wait()

    entered = asyncio.Event()
    task = asyncio.create_task(main())
    await entered.wait()
    url = client.receiver.inbound_url
    await space.post(url, announcement())
    await playing.wait()
    if raised is asyncio.CancelledError:
        task.cancel()
    await refuses(space, url, task)
    assert await space.tell("calling.play", state="finished") == 200
    with pytest.raises(raised):
        await task
    assert space.commands[-1]["command"] == "calling.end"


@pytest.mark.parametrize("way", WAYS)
async def test_a_second_cancellation_is_passed_on_and_leaves_nothing(space, way: Way) -> None:
    client = made(space, limits=Limits(drain=3600))
    waiting, entered = asyncio.Event(), asyncio.Event()

    @client.receiver.on_call
    async def handler(call: Call) -> None:
        waiting.set()
        await call.ended()

    async def main() -> None:
        async with way(client):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(main())
    await entered.wait()
    url = client.receiver.inbound_url
    await space.post(url, announcement())
    await waiting.wait()
    task.cancel()
    await refuses(space, url, task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [command["command"] for command in space.commands] == ["calling.end"]
    assert not len(client._engine.tasks)
    with pytest.raises(RuntimeError, match="closed"):
        await client.open()


async def test_a_third_cancellation_does_not_keep_a_call_from_being_ended(space) -> None:
    client = made(space, limits=Limits(drain=3600))
    waiting, entered, release = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @client.receiver.on_call
    async def handler(call: Call) -> None:
        waiting.set()
        await call.ended()

    async def main() -> None:
        async with client, client.receiver.serve():
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(main())
    await entered.wait()
    url = client.receiver.inbound_url
    await space.post(url, announcement())
    await waiting.wait()
    space.answers.append(space.held(release))
    task.cancel()
    await refuses(space, url, task)
    task.cancel()
    assert (await space.arrived.get())["command"] == "calling.end"
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not len(client._engine.tasks)


async def test_a_handler_may_leave_the_server_itself(space) -> None:
    client = made(space, limits=Limits(drain=3600))
    left = asyncio.Event()

    async with client:
        server = client.receiver.serve()
        await server.__aenter__()

        @client.receiver.on_call
        async def handler(call: Call) -> None:
            # Also from a task of its own.
            async with asyncio.TaskGroup() as group:
                group.create_task(server.__aexit__(None, None, None))
            await call.denoise()
            left.set()

        await space.post(client.receiver.inbound_url, announcement())
        await left.wait()
    assert [command["command"] for command in space.commands] == ["calling.denoise", "calling.end"]


@pytest.mark.parametrize("while_closing", [False, True])
async def test_a_handler_may_close_the_client_itself(space, while_closing: bool) -> None:
    client = made(space, limits=Limits(drain=3600))
    waiting, proceed, closed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @client.receiver.on_call
    async def handler(call: Call) -> None:
        waiting.set()
        await proceed.wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(client.close())
        closed.set()

    async with client, client.receiver.serve():
        await space.post(client.receiver.inbound_url, announcement())
        await waiting.wait()
        if not while_closing:
            proceed.set()
            await closed.wait()
        else:
            closing = asyncio.create_task(client.close())
            await asyncio.sleep(0)
            proceed.set()
            await closing
    assert [command["command"] for command in space.commands] == ["calling.end"], "nobody could end it afterwards"
    assert not len(client._engine.tasks)


# While it closes


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

    call = await dial(client)
    await space.post(client.receiver.inbound_url, announcement())
    await entered.wait()
    closing = asyncio.create_task(client.close())
    await asyncio.sleep(0)
    for attempt in (
        call.play(TTS("Hi")),
        client.dial(to="+15550198765", from_=FROM),
        call.end(),
        client.execute("calling.end"),
    ):
        with pytest.raises(REFUSED, match="closed"):
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
    assert isinstance(error, REFUSED)
    await closing


async def test_a_second_close_returns_when_the_first_does(space, connect) -> None:
    client = await connect()
    entered, proceed = asyncio.Event(), asyncio.Event()

    @client.receiver.on_call
    async def handler(call: Call) -> None:
        entered.set()
        await proceed.wait()

    call = await dial(client)
    play = await call.play(TTS("Hi"))
    await space.post(client.receiver.inbound_url, announcement())
    await entered.wait()
    closings = [asyncio.create_task(client.close()) for _ in range(3)]
    # One that is given up changes nothing for the others.
    await asyncio.sleep(0)
    closings[2].cancel()
    await asyncio.wait([closings[2]])
    assert not any(closing.done() for closing in closings[:2])
    proceed.set()
    await asyncio.gather(*closings[:2])
    await client.close()
    assert (await play.outcome()).settled_by == "closed"
    with pytest.raises(ClientClosed):
        await call.ended()


async def test_done_callbacks_have_run_when_it_is_closed(space, connect) -> None:
    client = await connect()
    play = await (await dial(client)).play(TTS("Hi"))
    told: list[str] = []
    play.add_done_callback(lambda action: told.append(action._operation.outcome.settled_by))
    await client.close()
    assert told == ["closed"]


async def test_waiters_of_every_sort_are_released(space, connect) -> None:
    client = await connect()
    call = await dial(client)
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
    client = made(space, public_url="http://127.0.0.1:9")
    async with client:
        call = await dial(client)
        await call.play(TTS("Hi"), deadline=1000)
        session = session_of(client)
        timer = client._engine.timer._handle
        assert session is not None
        assert timer is not None
    assert session.closed
    assert timer.cancelled()
    assert client._engine.timer._handle is None
    assert not len(client._engine.tasks)
    del session, call, client
    gc.collect()  # A socket that was left open would be a ResourceWarning, which is an error here.


async def test_a_client_that_was_never_opened_can_be_closed(space) -> None:
    client = made(space)
    await client.close()
    with pytest.raises(RuntimeError, match="closed"):
        await client.open()


async def test_a_webhook_that_comes_after_the_end_changes_nothing(space, connect) -> None:
    client = await connect()
    play = await (await dial(client)).play(TTS("Hi"))
    await client.close()
    outcome = await play.outcome()
    assert await space.tell("calling.play", state="finished") == 200
    assert await play.outcome() is outcome


async def test_a_block_that_is_cancelled_closes_and_passes_the_cancellation_on(space) -> None:
    up = asyncio.Event()

    async def main() -> None:
        async with (
            made(space) as client,
            client.receiver.serve(),
            client.dial(to="+15550198765", from_=FROM) as call,
        ):
            up.set()
            await call.ended()

    task = asyncio.create_task(main())
    await up.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert space.commands[-1]["command"] == "calling.end", "the block hangs up on its way out"


async def test_a_start_that_gets_no_answer_while_it_closes_is_stopped(space, monkeypatch: pytest.MonkeyPatch) -> None:
    client = made(space, public_url="http://127.0.0.1:9", limits=Limits(drain=0.01))
    await client.open()
    call = await dial(client)
    space.answers.append(space.hang)
    starting = asyncio.create_task(call.play(TTS("Hi")).finished())
    while (await space.arrived.get())["command"] != "calling.play":
        pass
    await client.close()
    assert space.commands[-1]["command"] == "calling.play.stop"
    with pytest.raises(CommandUnconfirmed):
        await starting


async def test_a_second_cancellation_ends_what_a_handler_does_to_clean_up() -> None:
    tasks, began, cleaning = Tasks(), asyncio.Event(), asyncio.Event()

    async def handler() -> None:
        try:
            began.set()
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await asyncio.Event().wait()

    tasks.handle(handler(), lambda: None)
    await began.wait()
    draining = asyncio.create_task(tasks.drain(0))
    await cleaning.wait()
    draining.cancel()
    await asyncio.wait([draining])
    assert draining.cancelled()
    assert not len(tasks)


# A dial that is under way


@pytest.mark.parametrize("borrowed", [False, True])
@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_dial_that_is_on_its_way_is_hung_up(space, borrowed: bool, cancelled: bool) -> None:
    release = asyncio.Event()
    space.answers.append(space.held(release))
    async with aiohttp.ClientSession() as session:
        client = made(space, session=session if borrowed else None, public_url="http://127.0.0.1:9")
        await client.open()
        dialling = asyncio.create_task(dial(client))
        await space.arrived.get()
        if cancelled:
            dialling.cancel()
            await asyncio.wait([dialling])
        closing = asyncio.create_task(client.close())
        await asyncio.sleep(0)
        release.set()
        await closing
        with pytest.raises(asyncio.CancelledError if cancelled else ClientClosed):
            await dialling
    assert [command["command"] for command in space.commands] == ["dial", "calling.end"]
    assert not len(client._engine.tasks)


async def test_a_hang_up_that_is_refused_is_logged(space, caplog: pytest.LogCaptureFixture) -> None:
    client = made(space, public_url="http://127.0.0.1:9")
    await client.open()
    space.answers.extend([space.leg(), web.json_response({}, status=422)])
    dialling = asyncio.create_task(dial(client))
    await space.arrived.get()
    await client.close()
    with pytest.raises(ClientClosed):
        await dialling
    assert "not hung up: calling.end: refused with 422" in caplog.text


async def test_a_dial_whose_answer_has_come_but_was_not_taken_is_hung_up(space) -> None:
    client = made(space, public_url="http://127.0.0.1:9")
    await client.open()
    dialling = asyncio.create_task(dial(client))
    await space.arrived.get()
    while not any(task.done() for task in client._engine.tasks._dials):
        await asyncio.sleep(0)
    await client.close()
    with pytest.raises(ClientClosed):
        await dialling
    assert [command["command"] for command in space.commands] == ["dial", "calling.end"]


async def test_a_dial_that_waits_for_its_turn_is_not_sent(space) -> None:
    client = made(space, public_url="http://127.0.0.1:9", max_connections=1)
    await client.open()
    release = asyncio.Event()
    space.answers.append(space.held(release))
    ending = asyncio.create_task(client.call("other").end())
    await space.arrived.get()
    dialling = asyncio.create_task(dial(client))
    await asyncio.sleep(0)
    await client.close()
    with pytest.raises(ClientClosed):
        await dialling
    assert [command["command"] for command in space.commands] == ["calling.end"]
    release.set()
    await asyncio.wait([ending])
    assert ending.exception() is not None


async def test_a_dial_that_was_not_begun_yet_is_not_sent(space) -> None:
    client = made(space, public_url="http://127.0.0.1:9")
    await client.open()
    dialling = asyncio.create_task(dial(client))
    while not client._engine.tasks._dials:
        await asyncio.sleep(0)
    await client.close()
    with pytest.raises(ClientClosed):
        await dialling
    assert space.commands == []


async def test_a_dial_without_an_answer_is_waited_for_as_long_as_handlers_are(
    space, caplog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swcalls._engine.tasks, "HANG_UP_WITHIN", 0.01)
    client = made(space, public_url="http://127.0.0.1:9", limits=Limits(drain=0.01))
    await client.open()
    space.answers.append(space.hang)
    dialling = asyncio.create_task(dial(client))
    await space.arrived.get()
    await client.close()
    with pytest.raises(ClientClosed):
        await dialling
    assert "a phone may be ringing" in caplog.text
    assert not len(client._engine.tasks)


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_dial_that_may_have_arrived_is_hung_up_when_a_webhook_brings_its_id(
    space, cancelled: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "swcalls.engine")
    release = asyncio.Event()
    space.answers.append(space.held(release, web.Response(status=502)))
    async with made(space) as client, client.receiver.serve():
        dialling = asyncio.create_task(dial(client))
        await space.arrived.get()
        if cancelled:
            dialling.cancel()
            await asyncio.wait([dialling])
        closing = asyncio.create_task(client.close())
        await asyncio.sleep(0)
        release.set()
        with pytest.raises(asyncio.CancelledError if cancelled else CommandUnconfirmed):
            await dialling
        (operation,) = client._engine.registry.calls
        await space.post(space.last("dial")["status_url"], {"call_state": "created"})
        await space.tell_call("ringing")
        await closing
    assert ("a cancelled dial failed" in caplog.text) == cancelled
    assert f"call {operation.id}: hung up, since its dial was cancelled" in caplog.text
    assert not operation.watchers
    assert [command["command"] for command in space.commands] == ["dial", "calling.end"]


async def test_a_dial_that_is_cancelled_at_the_end_is_hung_up_when_a_webhook_brings_its_id(
    space, caplog: pytest.LogCaptureFixture
) -> None:
    async with made(space, limits=Limits(drain=0.01)) as client, client.receiver.serve():
        space.answers.append(space.hang)
        dialling = asyncio.create_task(dial(client))
        await space.arrived.get()
        closing = asyncio.create_task(client.close())
        while "a phone may be ringing" not in caplog.text:
            await asyncio.sleep(0)
        await space.tell_call("ringing")
        await closing
        with pytest.raises(ClientClosed):
            await dialling
    assert [command["command"] for command in space.commands] == ["dial", "calling.end"]


async def test_a_dial_of_a_handler_that_is_cancelled_is_hung_up(space) -> None:
    client = made(space, limits=Limits(drain=0))
    release, leave = asyncio.Event(), asyncio.Event()

    @client.receiver.on_call(hang_up=False)
    async def handler(call: Call) -> None:
        try:
            await dial(client)
        finally:
            release.set()

    async def main() -> None:
        async with client, client.receiver.serve():
            entered.set()
            await leave.wait()

    entered = asyncio.Event()
    task = asyncio.create_task(main())
    await entered.wait()
    space.answers.append(space.held(release))
    await space.post(client.receiver.inbound_url, announcement())
    await space.arrived.get()
    leave.set()
    await task
    assert [command["command"] for command in space.commands] == ["dial", "calling.end"]


async def test_a_handler_may_dial_while_it_is_waited_for(space) -> None:
    client = made(space)
    waiting, proceed = asyncio.Event(), asyncio.Event()

    @client.receiver.on_call(hang_up=False)
    async def handler(call: Call) -> None:
        waiting.set()
        await proceed.wait()
        async with client.dial(to="+15550198765", from_=FROM):
            pass

    async with client.receiver.serve(), client:
        await space.post(client.receiver.inbound_url, announcement())
        await waiting.wait()
        closing = asyncio.create_task(client.close())
        await asyncio.sleep(0)
        proceed.set()
        await closing
    assert [command["command"] for command in space.commands] == ["dial", "calling.end"]


# What fails on the way


class Plane(Backplane):
    """A backplane within this process; what it is told to do goes wrong."""

    owner = "one"

    def __init__(self) -> None:
        self.opening: Any = None
        self.closing: Any = None
        self.said: list[str] = []
        self.takes_calls = False

    def holds(self, owner: str) -> bool:
        return owner == self.owner

    async def open(self, project: str, receive: Any, lost: Any) -> None:
        self.said.append("open")
        if callable(self.opening):
            await self.opening()
        elif self.opening is not None:
            raise self.opening

    async def close(self) -> None:
        self.said.append("close")
        if callable(self.closing):
            await self.closing()
        elif self.closing is not None:
            raise self.closing

    async def remember(self, memo: Any, *, owner: str | None = None) -> None: ...

    def forget(self, kind: str, key: str, *, owner: str | None = None) -> None: ...

    def offer(self, *, takes_calls: bool) -> None:
        if takes_calls != self.takes_calls:
            self.takes_calls = takes_calls
            self.said.append(f"takes_calls={takes_calls}")

    def now(self) -> float:
        return 0.0


def session_of(client: Client) -> aiohttp.ClientSession | None:
    return client._engine.transport._session


@pytest.mark.parametrize("borrowed", [False, True])
async def test_an_opening_that_fails_leaves_nothing_and_may_be_tried_again(
    space, monkeypatch: pytest.MonkeyPatch, borrowed: bool
) -> None:
    made_sessions = []
    session_class = aiohttp.ClientSession
    plane = Plane()
    plane.opening = BackplaneUnavailable("away")
    plane.closing = OSError("away")
    async with session_class() as session:
        client = made(space, backplane=plane, public_url="http://127.0.0.1:9", session=session if borrowed else None)
        client.receiver.on_call(takes_nothing)

        def make(*args: Any, **settings: Any) -> aiohttp.ClientSession:
            made_sessions.append(session_class(*args, **settings))
            return made_sessions[-1]

        monkeypatch.setattr(aiohttp, "ClientSession", make)
        with pytest.raises(BackplaneUnavailable, match="away"):
            await client.open()
        assert all(opened.closed for opened in made_sessions)
        assert len(made_sessions) == (not borrowed)
        assert session_of(client) is None
        assert client._engine.timer._handle is None
        assert plane.said == ["open", "close"], "it is left, and offers nothing"
        plane.opening = plane.closing = None
        await client.open()
        if borrowed:
            assert session_of(client) is session
        await dial(client)
        await client.close()
        assert all(opened.closed for opened in made_sessions)
        assert not session.closed


async def takes_nothing(call: Call) -> None: ...


async def test_an_opening_that_is_cancelled_leaves_nothing_and_may_be_tried_again(space) -> None:
    plane, reached = Plane(), asyncio.Event()

    async def wait() -> None:
        reached.set()
        await asyncio.Event().wait()

    plane.opening = wait
    client = made(space, backplane=plane, public_url="http://127.0.0.1:9")
    opening = asyncio.create_task(client.open())
    await reached.wait()
    session = session_of(client)
    assert session is not None
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert session.closed
    plane.opening = None
    async with client:
        await dial(client)


async def test_a_client_that_is_closed_while_it_is_opened_is_closed(space) -> None:
    plane, reached, proceed = Plane(), asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        reached.set()
        await proceed.wait()

    plane.opening = wait
    client = made(space, backplane=plane)
    opening = asyncio.create_task(client.open())
    await reached.wait()
    session = session_of(client)
    assert session is not None
    await client.close()
    proceed.set()
    with pytest.raises(RuntimeError, match="closed"):
        await opening
    assert session.closed
    assert plane.said[-1] == "close"


async def test_two_that_open_it_at_once_open_it_once(space) -> None:
    plane = Plane()
    client = made(space, backplane=plane)
    await asyncio.gather(client.open(), client.open())
    await client.close()
    assert plane.said == ["open", "close"]


async def test_an_opening_that_fails_says_what_else_failed(space, monkeypatch: pytest.MonkeyPatch) -> None:
    plane = Plane()
    plane.opening = OSError("the disk is full")
    client = made(space, backplane=plane, public_url="http://127.0.0.1:9")
    close = client._engine.transport.close

    async def fail() -> None:
        await close()
        raise OSError("the socket, too")

    monkeypatch.setattr(client._engine.transport, "close", fail)
    with pytest.raises(OSError, match="the disk is full") as failure:
        await client.open()
    assert failure.value.__notes__ == [
        "closing the parts that were open failed too: OSError('the socket, too')",
    ]


async def test_of_several_errors_of_a_close_the_first_is_raised_and_the_others_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done: list[str] = []

    async def fail(error: BaseException) -> None:
        done.append(str(error))
        raise error

    steps = (OSError("first"), asyncio.CancelledError("cancelled"), OSError("last"))
    with pytest.raises(asyncio.CancelledError, match="cancelled"):
        await each_of(*(functools.partial(fail, error) for error in steps))
    assert done == ["first", "cancelled", "last"]
    assert [record.getMessage() for record in caplog.records if record.name == "swcalls.tasks"] == [
        "a further error while closing: OSError('first')",
        "a further error while closing: OSError('last')",
    ]


async def test_a_backplane_that_fails_to_close_keeps_nothing_open(space, caplog: pytest.LogCaptureFixture) -> None:
    plane = Plane()
    client = made(space, backplane=plane, public_url="http://127.0.0.1:9")
    await client.open()
    call = await dial(client)
    play = await call.play(TTS("Hi"))
    waiter = asyncio.create_task(play.outcome())
    session = session_of(client)
    assert session is not None
    plane.closing = OSError("the disk is full")
    await client.close()
    assert "the disk is full" in caplog.text, "what a backplane says at the end is for the log"
    assert (await waiter).settled_by == "closed"
    with pytest.raises(ClientClosed):
        await call.ended()
    assert session.closed
    await client.close()
    assert plane.said.count("close") == 1


async def test_a_transport_that_fails_to_close_keeps_nothing_waiting(space, monkeypatch: pytest.MonkeyPatch) -> None:
    client = made(space, public_url="http://127.0.0.1:9")
    await client.open()
    play = await (await dial(client)).play(TTS("Hi"))
    session = session_of(client)
    assert session is not None

    async def fail() -> None:
        await aiohttp.ClientSession.close(session)
        raise OSError("no")

    monkeypatch.setattr(session, "close", fail)
    with pytest.raises(OSError, match="no"):
        await client.close()
    assert (await play.outcome()).settled_by == "closed"
    await client.close()


async def test_a_close_that_is_cancelled_in_the_middle_is_done_all_the_same(
    space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swcalls.backplane.member, "CLOSING", 0.01)
    plane, reached = Plane(), asyncio.Event()

    async def wait() -> None:
        reached.set()
        await asyncio.Event().wait()

    client = made(space, backplane=plane, public_url="http://127.0.0.1:9")
    await client.open()
    play = await (await dial(client)).play(TTS("Hi"))
    session = session_of(client)
    assert session is not None
    plane.closing = wait
    closing = asyncio.create_task(client.close())
    await reached.wait()
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert (await play.outcome()).settled_by == "closed"
    assert session.closed
    await client.close()


async def test_a_cancellation_is_passed_on_although_something_fails_too(space) -> None:
    plane, reached = Plane(), asyncio.Event()

    async def wait() -> None:
        reached.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise OSError("cut short") from None

    client = made(space, backplane=plane, limits=Limits(drain=3600))
    client.receiver.on_call(takes_nothing)
    await client.open()
    client._engine.tasks.handle(wait(), lambda: None)
    await reached.wait()
    plane.closing = OSError("the disk is full")
    closing = asyncio.create_task(client.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert client._engine.lifetime.is_closed


async def test_other_processes_are_told_whether_calls_are_taken(space) -> None:
    plane = Plane()
    client = made(space, backplane=plane)
    client.receiver.on_call(takes_nothing)
    assert plane.said == [], "it has no loop yet"
    async with client, client.receiver.serve():
        assert plane.said == ["open", "takes_calls=True"]
    assert plane.said == [
        "open",
        "takes_calls=True",
        "takes_calls=False",
        "takes_calls=True",
        "takes_calls=False",
        "close",
    ]


# In an application


async def test_an_application_without_a_public_url_does_not_start(space) -> None:
    app = web.Application()
    swcalls.setup(app, made(space))
    runner = web.AppRunner(app)
    with pytest.raises(ConfigurationError, match=r"public_url.*SWCALLS_PUBLIC_URL"):
        await runner.setup()
    await runner.cleanup()


async def test_mounted_alone_a_dial_says_what_to_do(space) -> None:
    async with made(space) as client:
        client.receiver.routes()
        with pytest.raises(ConfigurationError, match=r"Pass public_url=.* or use receiver\.serve"):
            await dial(client)


async def test_an_application_without_calls_stops_listening_at_once(space) -> None:
    client = made(space)
    found: list[object] = []

    async def look(_: web.Application) -> None:
        with pytest.raises(aiohttp.ClientConnectionError) as caught:
            await space.post(url, announcement())
        found.append(caught.value)

    async with application(client, lambda app: app.on_shutdown.append(look)):
        url = client.receiver.inbound_url
        assert await space.post(url, announcement()) == 503
    assert len(found) == 1


async def test_what_else_is_asked_of_an_application_that_has_stopped_finds_nobody(space) -> None:
    client = made(space)
    waiting, leave, entered = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @client.receiver.on_call
    async def handler(call: Call) -> None:
        waiting.set()
        await call.ended()

    async def main() -> None:
        async with application(client):
            entered.set()
            await leave.wait()

    task = asyncio.create_task(main())
    await entered.wait()
    url = client.receiver.inbound_url
    await space.post(url, announcement())
    await waiting.wait()
    leave.set()
    await refuses(space, url, task)
    with pytest.raises(aiohttp.ClientConnectionError):
        await space.post(url.partition("/swcalls")[0] + "/", {})
    assert await space.post(url, {"call_id": "in-1", "call_state": "ended"}) == 200
    await task
    assert space.commands == []


async def test_no_connection_is_left_open_that_nobody_reads_from(space) -> None:
    """Whoever has one open already, and posts a webhook there, would wait for an answer in vain."""
    client = made(space)
    waiting, proceed, leave, entered = (asyncio.Event() for _ in range(4))

    @client.receiver.on_call
    async def handler(call: Call) -> None:
        waiting.set()
        await proceed.wait()

    async def main() -> None:
        async with application(client):
            entered.set()
            await leave.wait()

    task = asyncio.create_task(main())
    await entered.wait()
    url = client.receiver.inbound_url
    port = int(client._engine.urls.public_url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await space.post(url, announcement())
    await waiting.wait()
    leave.set()
    await refuses(space, url, task)
    closed = asyncio.create_task(reader.read())
    await asyncio.wait([closed, task], return_when=asyncio.FIRST_COMPLETED)
    assert closed.result() == b""
    assert space.commands == [], "the handler has not been given up yet"
    proceed.set()
    await task
    writer.close()
    await writer.wait_closed()


async def test_a_request_that_is_being_handled_gets_its_webhooks_until_it_is_answered(space) -> None:
    client = made(space)
    leave, entered = asyncio.Event(), asyncio.Event()

    async def ring(request: web.Request) -> web.Response:
        async with client.dial(to="+15550198765", from_=FROM) as call:
            await call.say("Your table is ready.").finished()
        return web.Response()

    async def main() -> None:
        async with application(client, lambda app: app.router.add_post("/ring", ring)):
            entered.set()
            await leave.wait()

    task = asyncio.create_task(main())
    await entered.wait()
    url = client.receiver.inbound_url
    assert await space.post(url, announcement()) == 503, "now it is known where webhooks come in"
    ringing = asyncio.create_task(space.post(url.partition("/swcalls")[0] + "/ring", {}))
    while (await space.arrived.get())["command"] != "calling.play":
        pass
    leave.set()
    while True:
        try:
            assert await space.tell("calling.play", state="finished") == 200
            break
        except aiohttp.ClientConnectionError:
            assert not task.done()
    assert await ringing == 200
    await task
    assert space.commands[-1]["command"] == "calling.end"


async def test_where_nothing_can_stand_in_handlers_are_cancelled_and_their_calls_ended(space, caplog) -> None:
    """As where a supervisor has the listening socket too, and keeps it."""
    client = made(space, limits=Limits(drain=0.01))
    waiting = asyncio.Event()

    @client.receiver.on_call
    async def handler(call: Call) -> None:
        waiting.set()
        await call.ended()

    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

        async def take(_: web.Application) -> None:
            other.bind(("127.0.0.1", int(client._engine.urls.public_url.rpartition(":")[2])))
            other.listen()

        async with application(client, lambda app: app.on_shutdown.insert(0, take)):
            await space.post(client.receiver.inbound_url, announcement())
            await waiting.wait()
    assert "no webhooks can be received" in caplog.text
    assert [command["command"] for command in space.commands] == ["calling.end"]


async def leave_an_application(space, client: Client, site: Any, session: aiohttp.ClientSession) -> None:
    """Shut an application down, which is reached with *session* only, and tell it afterwards what it waits for."""
    waiting, left = asyncio.Event(), asyncio.Event()

    @client.receiver.on_call
    async def handler(call: Call) -> None:
        waiting.set()
        await call.ended()

    async def post(payload: dict[str, object]) -> int:
        async with session.post(client.receiver.inbound_url, json=payload) as response:
            return response.status

    app = web.Application()
    swcalls.setup(app, client)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await site(runner).start()
    assert await post(announcement()) == 200
    await waiting.wait()
    leaving = asyncio.create_task(runner.cleanup())
    leaving.add_done_callback(lambda _: left.set())
    while not left.is_set():
        try:
            assert await post({"call_id": "in-1", "call_state": "ended"}) == 200
            break
        except aiohttp.ClientConnectionError:
            continue
    assert not left.is_set()
    await leaving
    assert space.commands == [], "it has ended, and nobody was cancelled"


async def test_an_application_behind_a_unix_socket(space, tmp_path: Path) -> None:
    path = tmp_path / "http"
    client = made(space, public_url="http://hooks.example.com")
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path), force_close=True)) as session:
        await leave_an_application(space, client, lambda runner: web.UnixSite(runner, str(path)), session)


def test_an_address_of_both_families_is_taken_over_where_sockets_are_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class OneFamily(socket.socket):
        """A socket as Windows makes it."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)

    monkeypatch.setattr(socket, "socket", OneFamily)
    listening = Address(socket.AF_INET6, ("::ffff:127.0.0.1", 0, 0, 0), None, None).listen()
    assert listening.getsockname()[0] == "::ffff:127.0.0.1"
    listening.close()


@pytest.mark.parametrize("was", ["stale", "replaced", "gone"])
def test_the_file_of_a_unix_socket_is_taken_over_unless_somebody_else_has_it(tmp_path: Path, was: str) -> None:
    path = str(tmp_path / "http")
    with socket.socket(socket.AF_UNIX) as before, socket.socket(socket.AF_UNIX) as successor:
        before.bind(path)
        Path(path).chmod(0o600)
        address = Address(socket.AF_UNIX, path, None, Path(path).stat())
        if was != "stale":
            Path(path).unlink()
        if was == "replaced":
            successor.bind(path)
            with pytest.raises(OSError, match="in use"):
                address.listen()
            assert Path(path).exists()
        else:
            address.listen().close()
            assert Path(path).stat().st_mode & 0o777 == 0o600


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 1 -keyout {key} -out {certificate}".split(),
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is nothing to make a certificate with")
async def test_an_application_that_speaks_tls(space, tls: ssl.SSLContext) -> None:
    listening = listener()
    client = made(space, public_url=f"https://127.0.0.1:{listening.getsockname()[1]}")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False, force_close=True)) as session:
        await leave_an_application(
            space, client, lambda runner: web.SockSite(runner, listening, ssl_context=tls), session
        )


async def test_an_application_that_listens_on_both_families_of_addresses(space) -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listening:
        client = made(space, public_url=f"http://127.0.0.1:{listening.getsockname()[1]}")
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            await leave_an_application(space, client, lambda runner: web.SockSite(runner, listening), session)
