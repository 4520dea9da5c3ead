"""The receiver over real sockets: embedded, served, and through ``accept``; its answers, row by row."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
import logging
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

import swcalls
from swcalls import TTS, Call, Client, Limits, Playback
from swcalls.receiver import ObservingReceiver

KEY = "PSKtest1234567890abcdef"


def signed(url: str, body: bytes, key: str = KEY) -> dict[str, str]:
    return {"X-SignalWire-Signature": hmac.new(key.encode(), url.encode() + body, hashlib.sha1).hexdigest()}


# The table of answers


async def test_accepted_duplicate_and_late_are_200(space, call: Call, client: Client) -> None:
    await call.play(TTS("Hi"))
    for state in ("playing", "playing", "finished", "finished"):
        assert await space.tell("calling.play", state=state) == 200
    assert client.stats.webhooks == {"applied": 2, "duplicate": 1, "late": 1}


async def test_an_answer_has_an_empty_body(space, call: Call) -> None:
    await call.play(TTS("Hi"))
    sent = space.last("calling.play")
    async with aiohttp.ClientSession() as session:
        for body, status in ((b"{}", 200), (b"[", 400)):
            async with session.post(sent["status_url"], data=body) as response:
                assert (response.status, await response.read()) == (status, b"")


async def test_what_no_action_wants_yet_is_kept_and_handed_over(space, call: Call, client: Client) -> None:
    url = client._engine.urls.mint("play", "later")
    assert await space.post(url, {"control_id": "later", "state": "finished"}) == 200
    assert client.stats.webhooks == {"early": 1}
    assert client.stats.early == 1
    play = call.action("play", "later")
    assert isinstance(await play, Playback)
    assert client.stats.early == 0


async def test_what_is_kept_is_bounded_and_what_is_dropped_is_counted(space, connect) -> None:
    client = await connect(limits=Limits(early_events=2))
    for number in range(5):
        url = client._engine.urls.mint("play", f"unknown-{number}")
        assert await space.post(url, {"state": "playing"}) == 200
    assert (client.stats.early, client.stats.early_dropped) == (2, 3)


async def test_a_shape_never_seen_is_200_counted_and_logged_once(space, call: Call, client: Client, caplog) -> None:
    play = await call.play(TTS("Hi"))
    with caplog.at_level(logging.WARNING, "swcalls"):
        for _ in range(3):
            assert await space.tell("calling.play", state="humming", at=str(_)) == 200
    assert client.stats.webhooks == {"unknown": 3}
    assert len([record for record in caplog.records if "unknown event" in record.message]) == 1
    assert not play.done()
    assert play.last_event is not None
    assert play.last_event.state == "humming"


@pytest.mark.parametrize(
    "body", [b"", b"[", b"[]", b'"x"', b"null", b"\xff\xfe", b'{"a":"\xff"}', b"[" * 100_000, b"1"]
)
async def test_a_body_that_is_no_json_object_is_400(space, call: Call, client: Client, body: bytes) -> None:
    play = await call.play(TTS("Hi"))
    assert await space.post(space.last("calling.play")["status_url"], body) == 400
    assert client.stats.webhooks == {"malformed": 1}
    assert not play.done()


async def test_a_url_with_one_character_changed_is_refused(space, call: Call, client: Client) -> None:
    play = await call.play(TTS("Hi"))
    url: str = space.last("calling.play")["status_url"]
    start = url.index("/swcalls/") + 1
    for position in range(start, len(url)):
        changed = url[:position] + ("A" if url[position] != "A" else "B") + url[position + 1 :]
        assert await space.post(changed, {"control_id": play.control_id, "state": "finished"}) in (403, 404)
    assert not play.done()


async def test_a_payload_of_another_action_is_403(space, call: Call, client: Client) -> None:
    one, other = await call.play(TTS("One")), await call.play(TTS("Other"))
    url = space.last("calling.play")["status_url"]
    assert await space.post(url, {"control_id": one.control_id, "state": "finished"}) == 403
    assert not one.done()
    assert not other.done()
    assert client.stats.webhooks == {"foreign": 1}


async def test_a_body_over_the_limit_is_413(space, connect) -> None:
    client = await connect(limits=Limits(body=1000))
    call = await client.dial(to="+15550198765", from_="+12069708643")
    await call.play(TTS("Hi"))
    url = space.last("calling.play")["status_url"]
    assert await space.post(url, {"state": "playing", "x": "y" * 2000}) == 413

    async def chunks():
        for _ in range(100):
            yield b"x" * 100

    async with aiohttp.ClientSession() as session, session.post(url, data=chunks()) as response:
        assert response.status == 413
    bomb = gzip.compress(b"x" * 1_000_000)
    assert await space.post(url, bomb, **{"Content-Encoding": "gzip"}) in (400, 413)
    assert await space.post(url, {"state": "finished"}) == 200


async def test_other_paths_and_methods_are_refused(client: Client) -> None:
    base = client._engine.urls.public_url
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{base}/swcalls/play/x/y") as response:
            assert response.status == 405
        async with session.post(f"{base}/elsewhere") as response:
            assert response.status == 404


# Signatures


@pytest.mark.parametrize("require", [True, False])
async def test_a_signature_that_is_right_is_accepted(space, connect, require: bool) -> None:
    client = await connect(signing_key=["old", KEY], require_signature=require)
    call = await client.dial(to="+15550198765", from_="+12069708643")
    play = await call.play(TTS("Hi"))
    url = space.last("calling.play")["status_url"]
    body = msgspec.json.encode({"control_id": play.control_id, "state": "finished"})
    assert await space.post(url, body, **signed(url, body)) == 200
    assert isinstance(await play, Playback)


async def test_a_signature_that_is_wrong_is_403(space, connect) -> None:
    client = await connect(signing_key=KEY)
    call = await client.dial(to="+15550198765", from_="+12069708643")
    play = await call.play(TTS("Hi"))
    url = space.last("calling.play")["status_url"]
    body = msgspec.json.encode({"control_id": play.control_id, "state": "finished"})
    for headers in (
        signed(url, body, "other"),
        signed(url, b""),
        signed(url, body + b" "),
        signed("https://e.com", body),
    ):
        assert await space.post(url, body, **headers) == 403
    assert not play.done()
    assert await space.post(url, body) == 200


async def test_a_missing_signature_is_403_when_one_is_required(space, connect) -> None:
    client = await connect(signing_key=KEY, require_signature=True)
    call = await client.dial(to="+15550198765", from_="+12069708643")
    await call.play(TTS("Hi"))
    assert await space.tell("calling.play", state="finished") == 403


async def test_behind_a_proxy_the_url_is_the_one_that_was_handed_out(space, connect) -> None:
    client = await connect(signing_key=KEY, public_url="https://user:secret@hooks.example.com")
    call = await client.dial(to="+15550198765", from_="+12069708643")
    play = await call.play(TTS("Hi"))
    url = space.last("calling.play")["status_url"]
    assert url.startswith("https://user:secret@hooks.example.com/swcalls/play/")
    body = msgspec.json.encode({"state": "finished"})
    path = url.removeprefix("https://user:secret@hooks.example.com")
    headers = signed(f"https://hooks.example.com{path}", body)
    reply = await client.accept(path=path, headers=headers, body=body)
    assert (reply.status, reply.body, reply.verdict) == (200, b"", "applied")
    assert isinstance(await play, Playback)


@pytest.mark.parametrize("stripped", [True, False])
async def test_a_public_url_may_have_a_path_that_a_proxy_strips_or_not(space, connect, stripped: bool) -> None:
    client = await connect(signing_key=KEY, require_signature=True, public_url="https://example.com/hooks/v1/")
    call = await client.dial(to="+15550198765", from_="+12069708643")
    play = await call.play(TTS("Hi"))
    url: str = space.last("calling.play")["status_url"]
    assert url.startswith("https://example.com/hooks/v1/swcalls/play/")
    body = msgspec.json.encode({"state": "finished"})
    path = url.removeprefix("https://example.com/hooks/v1" if stripped else "https://example.com")
    assert (await client.accept(path=path, headers=signed(url, body), body=body)).verdict == "applied"
    assert isinstance(await play, Playback)


async def test_mounted_below_another_application(space) -> None:
    client = Client("project", "token", space.url, public_url="http://127.0.0.1:1")
    inner, outer = web.Application(), web.Application()
    swcalls.setup(inner, client)
    outer.add_subapp("/api", inner)
    runner = web.AppRunner(outer, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client._engine.urls.public_url = f"http://127.0.0.1:{runner.addresses[0][1]}/api"
    call = await client.dial(to="+15550198765", from_="+12069708643")
    play = await call.play(TTS("Hi"))
    assert await space.tell("calling.play", state="finished") == 200
    assert isinstance(await play, Playback)
    await runner.cleanup()


# Ways in


async def test_embedded_in_an_application_with_setup(space) -> None:
    client = Client("project", "token", space.url, public_url="http://127.0.0.1:1")
    app = web.Application()
    swcalls.setup(app, client)
    assert app[swcalls.CLIENT] is client
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client._engine.urls.public_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    call = await client.dial(to="+15550198765", from_="+12069708643")
    play = await call.play(TTS("Hi"))
    assert await space.tell("calling.play", state="finished") == 200
    assert isinstance(await play, Playback)
    waiter = asyncio.create_task(call.ended())
    await asyncio.sleep(0)
    await runner.cleanup()
    with pytest.raises(swcalls.ClientClosed):
        await waiter


async def test_accept_takes_any_mapping_of_headers(space, connect) -> None:
    client = await connect(signing_key=KEY, require_signature=True)
    call = await client.dial(to="+15550198765", from_="+12069708643")
    play = await call.play(TTS("Hi"))
    url = space.last("calling.play")["status_url"]
    path = url.removeprefix(client._engine.urls.public_url)
    body = msgspec.json.encode({"state": "finished"})
    headers = {name.lower(): value for name, value in signed(url, body).items()}
    assert (await client.accept(path=path, headers={}, body=body)).verdict == "forged"
    assert (await client.accept(path=path, headers=headers, body=body)).verdict == "applied"
    assert play.done()


async def test_a_webhook_is_taken_even_if_nobody_is_left_to_be_answered(space, call: Call, client: Client) -> None:
    play = await call.play(TTS("Hi"))
    path = space.last("calling.play")["status_url"].removeprefix(client._engine.urls.public_url)
    request = asyncio.create_task(client.accept(path=path, headers={}, body=b'{"state": "finished"}'))
    await asyncio.sleep(0)
    assert not play.done()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert play.done()


async def test_webhooks_that_come_at_once_are_all_dealt_with_before_any_is_answered(
    space, call: Call, client: Client
) -> None:
    paths = []
    for _ in range(3):
        await call.play(TTS("Hi"))
        paths.append(space.last("calling.play")["status_url"].removeprefix(client._engine.urls.public_url))
    pending: list[int] = []

    async def post(path: str) -> None:
        await client.accept(path=path, headers={}, body=b'{"state": "finished"}')
        pending.append(client.stats.pending)

    await asyncio.gather(*map(post, paths))
    assert pending == [0, 0, 0]


async def test_a_served_receiver_fills_in_the_public_url_for_its_time(space) -> None:
    async with Client("project", "token", space.url) as client:
        async with client.receiver.serve(host="127.0.0.1", port=0) as server:
            assert server.url.startswith("http://127.0.0.1:")
            assert client._engine.urls.public_url == server.url
        assert client._engine.urls.public_url is None


@pytest.mark.parametrize(("host", "shown"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]")])
async def test_the_url_of_a_server_on_all_interfaces_names_one_that_can_be_reached(host: str, shown: str) -> None:
    async with Client("project", "token", "space").receiver.serve(host=host) as server:
        assert server.url.rpartition(":")[0] == f"http://{shown}"


async def test_a_port_that_is_taken_is_an_os_error(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[web.BaseRunner] = []
    cleanup = web.BaseRunner.cleanup

    async def note(runner: web.BaseRunner) -> None:
        stopped.append(runner)
        await cleanup(runner)

    monkeypatch.setattr(web.BaseRunner, "cleanup", note)
    port = int(client._engine.urls.public_url.rpartition(":")[2])
    other = Client("project", "token", "space")
    with pytest.raises(OSError, match="address already in use"):
        async with other.receiver.serve(port=port):
            pass
    assert len(stopped) == 1


async def test_a_connection_that_says_nothing_is_closed_when_the_server_stops(nothing_is_left_running: None) -> None:
    async with Client("project", "token", "space").receiver.serve() as server:
        _, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
        while not server._runner.server.connections:
            await asyncio.sleep(0)
        (connection,) = server._runner.server.connections
        assert connection.transport is not None
    assert connection.transport is None
    writer.close()
    await writer.wait_closed()


async def test_nothing_is_kept_of_connections_that_are_closed(space, client: Client) -> None:
    async with client.receiver.serve() as server:
        for _ in range(3):
            async with aiohttp.ClientSession() as session:
                assert (await session.post(f"{server.url}/nowhere")).status == 404
        running = server._runner.server
        while running.connections or running._tasks:
            await asyncio.sleep(0)


async def test_a_receiver_in_a_process_that_sends_no_commands(
    space, client: Client, nothing_is_left_running: None
) -> None:
    receiver = ObservingReceiver("project", "token", signing_key=KEY)
    async with receiver.serve() as server:
        url = client._engine.urls.mint("play", "x").replace(client._engine.urls.public_url, server.url)
        assert await space.post(url, {"state": "playing"}) == 200
        forged = Client("project", "other token", "space", public_url=server.url)._engine.urls.mint("play", "x")
        assert await space.post(forged, {"state": "playing"}) == 403


async def test_an_aborted_request_harms_nobody(space, call: Call, client: Client) -> None:
    play = await call.play(TTS("Hi"))
    host, _, port = client._engine.urls.public_url.removeprefix("http://").partition(":")
    path = space.last("calling.play")["status_url"].partition(port)[2]
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert await space.tell("calling.play", state="finished") == 200
    assert isinstance(await play, Playback)


async def test_both_shapes_of_a_payload(space, call: Call) -> None:
    def enveloped(kind: str, params: dict[str, Any]) -> dict[str, Any]:
        return {"event_type": f"calling.call.{kind}", "event_channel": "swml:x", "timestamp": 1.5, "params": params}

    stream = await call.stream("wss://example.com/s", name="s")
    url = space.last("calling.stream")["status_url"]
    params = {"control_id": stream.control_id, "state": "streaming", "url": "wss://example.com/s", "name": "s"}
    assert await space.post(url, enveloped("stream", params)) == 200
    assert stream.last_event.timestamp == 1.5
    assert await space.post(url, params | {"state": "finished"}) == 200
    result = await stream
    assert (result.url, result.name, result.raw["state"]) == ("wss://example.com/s", "s", "finished")


def posted(url: str, body: bytes, version: str = "1.1", *headers: str) -> bytes:
    path = "/" + url.split("/", 3)[3]
    lines = [f"POST {path} HTTP/{version}", "Host: h", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def test_its_own_server_acknowledges_in_a_few_bytes_with_the_date() -> None:
    receiver = ObservingReceiver("project", "token")
    async with receiver.serve() as server:
        body = b'{"state": "playing"}'
        url = receiver._ingress.reader.urls.mint("play", "p1")
        # Two at once, on one connection, are answered in turn.
        host, _, port = server.url.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(2 * posted(url, body))
        for _ in range(2):
            status, *headers = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            assert status == "HTTP/1.1 200 OK"
            assert headers[0] == "Content-Length: 0"
            assert parsedate_to_datetime(headers[1].removeprefix("Date: ")).utcoffset() == timedelta(0)
        writer.close()
        await writer.wait_closed()
    assert receiver._ingress.verdicts["early"] == 2


@web.middleware
async def mark_each_response(request: web.Request, handler: Any) -> web.StreamResponse:
    response = await handler(request)
    response.headers.add("X-Marked", "by a middleware")
    return response


async def mark_when_prepared(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.add("X-Marked", "by a signal")


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("by", [None, "by a middleware", "by a signal"])
async def test_an_application_may_change_the_response_to_a_webhook(by: str | None, nested: bool) -> None:
    receiver = ObservingReceiver("project", "token", public_url="http://hooks.example.com")
    app = web.Application(middlewares=[mark_each_response] if by == "by a middleware" else [])
    if by == "by a signal":
        app.on_response_prepare.append(mark_when_prepared)
    inner = web.Application()
    inner.add_routes(receiver.routes())
    if nested:
        app.add_subapp("/nested", inner)
    else:
        app.add_routes(receiver.routes())
    path = receiver._ingress.reader.urls.mint("play", "p1").removeprefix("http://hooks.example.com")
    receiver._ingress.reader.urls.public_url = "http://hooks.example.com" + ("/nested" if nested else "")
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}{'/nested' if nested else ''}"
    async with aiohttp.ClientSession() as session:
        for _ in range(2):
            async with session.post(f"{base}{path}", data=b'{"state": "playing"}') as response:
                assert (response.status, await response.read()) == (200, b"")
                assert response.headers.getall("X-Marked", []) == ([by] if by else [])
                assert response.headers["Content-Length"] == "0"
                assert "Date" in response.headers
    await runner.cleanup()
    assert receiver._ingress.verdicts["early"] == 2


@pytest.mark.parametrize(
    ("version", "headers", "says"),
    [
        ("1.0", (), None),
        ("1.0", ("Connection: keep-alive",), "keep-alive"),
        ("1.1", ("Connection: close",), "close"),
    ],
)
async def test_its_own_server_does_as_the_sender_says_about_the_connection(
    version: str, headers: tuple[str, ...], says: str | None
) -> None:
    receiver = ObservingReceiver("project", "token")
    async with receiver.serve() as server:
        url = receiver._ingress.reader.urls.mint("play", "p1")
        host, _, port = server.url.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(posted(url, b"{}", version, *headers))
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert head.startswith(f"http/{version} 200 ok")
        assert (f"connection: {says}" in head) if says else "connection: keep-alive" not in head
        if says != "keep-alive":
            assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
