"""Connections of our own server: what is answered without aiohttp's requests, what is left to aiohttp, and in what order."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from swcalls._core.webhooks import REPLIES, Reply
from swcalls._engine import connection as connections
from swcalls._engine.connection import Connection
from swcalls._engine.server import _Server
from swcalls.receiver import ObservingReceiver

BODY = b'{"state":"playing"}'


class Wire(asyncio.Transport):
    """The server's end of a connection: keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_open = True
        self.reads = True

    def write(self, data: Any) -> None:
        assert self.is_open
        self.written += data

    def close(self) -> None:
        self.is_open = False

    abort = close

    def is_closing(self) -> bool:
        return not self.is_open

    def is_reading(self) -> bool:
        return self.reads

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", self.written)]


class Server:
    """A receiver behind a server of ours, with connections that have no sockets."""

    def __init__(self) -> None:
        self.receiver = ObservingReceiver("project", "token", public_url="https://hooks.example.com")
        self.ingress = self.receiver._ingress
        self.left: list[str] = []
        """The path of each request that was left to aiohttp."""
        self.server = _Server(self._handle, self.ingress)
        self.open: list[Connection] = []

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.left.append(request.raw_path)
        return await self.receiver._handle_any(request)

    def connect(self) -> tuple[Connection, Wire]:
        connection, wire = self.server(), Wire()
        connection.connection_made(wire)
        self.open.append(connection)
        return connection, wire

    def webhook(self, key: str = "p1", *headers: str, body: bytes = BODY, length: bool = True) -> bytes:
        path = self.ingress.reader.urls.mint("play", key).removeprefix("https://hooks.example.com")
        lines = [f"POST {path} HTTP/1.1", "Host: h", *headers, *([f"Content-Length: {len(body)}"] if length else [])]
        return "\r\n".join([*lines, "", ""]).encode() + body

    @property
    def delivered(self) -> int:
        return self.ingress.verdicts.total()


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server = Server()
    try:
        yield server
    finally:
        server.server.pre_shutdown()
        await server.server.shutdown(1)
        for connection in server.open:
            connection.connection_lost(None)
        await turns()


async def turns(count: int = 20) -> None:
    """Let the event loop do what is to be done."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_webhook_that_comes_whole_is_answered_without_a_request_of_aiohttp() -> None:
    async with serving() as server:
        connection, wire = server.connect()
        for number in range(3):
            connection.data_received(server.webhook(f"p{number}"))
            await turns()
        assert wire.statuses == [200, 200, 200]
        assert server.left == []
        assert server.delivered == 3
        assert wire.is_open


@pytest.mark.parametrize(
    ("left", "statuses"),
    [
        (lambda server: server.webhook() + server.webhook("p2"), [200, 200]),
        (lambda server: server.webhook(body=b"0\r\n\r\n", length=False).replace(b"Host", b"Transfer-Encoding: chunked\r\nHost"), [400]),
        (lambda server: server.webhook("p1", "Content-Encoding: gzip", body=gzip.compress(BODY)), [400]),
        (lambda server: server.webhook("p1", "Expect: 100-continue"), [200]),
        (lambda server: server.webhook("p1", "Connection: close"), [200]),
        (lambda server: server.webhook().replace(b"HTTP/1.1", b"HTTP/1.0"), [200]),
        (lambda server: server.webhook().replace(b"POST ", b"GET "), [405]),
        (lambda server: server.webhook().replace(b"/swcalls/", b"/elsewhere/"), [404]),
        (lambda server: server.webhook("p1", "Content-Length: 3"), [400]),
        (lambda server: server.webhook("p1", "Transfer-Encoding: chunked"), [400]),
        (lambda server: server.webhook(body=b" " * (1024 * 1024 + 1)), [413]),
        (lambda server: b"\r\n" + server.webhook(), [200]),
    ],
)  # fmt: skip
async def test_what_is_no_plain_webhook_is_left_to_aiohttp_with_all_that_follows(
    left: Any, statuses: list[int]
) -> None:
    async with serving() as server:
        connection, wire = server.connect()
        connection.data_received(server.webhook("first"))
        await turns()
        assert wire.statuses == [200]
        connection.data_received(left(server))
        await turns()
        assert wire.statuses == [200, *statuses]
        if wire.is_open:
            before = len(server.left)
            connection.data_received(server.webhook("last"))
            await turns()
            assert wire.statuses[-1] == 200
            assert len(server.left) == before + 1
        # Another connection is not touched by it.
        other, clean = server.connect()
        before = len(server.left)
        other.data_received(server.webhook("other"))
        await turns()
        assert clean.statuses == [200]
        assert len(server.left) == before


async def test_a_request_that_is_cut_anywhere_is_delivered_once_and_mixes_with_no_other() -> None:
    async with serving() as server:
        whole = server.webhook("cut")
        for cut in (*range(1, len(whole), 9), len(whole) - 1):
            before = server.delivered
            (one, first), (two, second) = server.connect(), server.connect()
            one.data_received(whole[:cut])
            two.data_received(server.webhook("whole"))
            one.data_received(whole[cut:])
            await turns(8)
            assert (first.statuses, second.statuses) == ([200], [200])
            assert server.delivered == before + 2


async def test_a_part_of_the_next_request_is_not_lost_behind_a_whole_one() -> None:
    async with serving() as server:
        whole = server.webhook("next")
        for cut in (*range(1, len(whole), 9), len(whole) - 1):
            before = server.delivered
            (one, first), (two, second) = server.connect(), server.connect()
            one.data_received(server.webhook() + whole[:cut])
            two.data_received(server.webhook("whole"))
            await turns(8)
            one.data_received(whole[cut:])
            await turns(8)
            assert (first.statuses, second.statuses) == ([200, 200], [200])
            assert server.delivered == before + 3


async def test_what_comes_before_the_answer_waits_for_it_unread() -> None:
    async with serving() as server:
        connection, wire = server.connect()
        connection.data_received(server.webhook("p1"))
        connection.data_received(server.webhook("p2") + server.webhook("p3"))
        assert not wire.reads
        assert server.delivered == 0
        await turns()
        assert wire.statuses == [200, 200, 200]
        assert wire.reads


async def test_a_webhook_that_takes_time_is_answered_before_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as server:
        gate, seen = asyncio.Event(), []

        async def accept(path: str, headers: object, body: bytes) -> Reply:
            seen.append(body)
            await gate.wait()
            return REPLIES["unavailable"]

        monkeypatch.setattr(server.ingress, "accept", accept)
        with monkeypatch.context() as patch:
            patch.setattr(server.ingress, "accept_now", lambda *request: object())
            connection, wire = server.connect()
            connection.data_received(server.webhook("slow"))
            await turns()
        connection.data_received(server.webhook("next"))
        await turns()
        assert seen == [BODY]
        assert wire.statuses == []
        gate.set()
        await turns()
        # A refusal ends the connection, and what follows is not looked at.
        assert wire.statuses == [503]
        assert b"Retry-After: 1\r\n" in wire.written
        assert b"Connection: close\r\n" in wire.written
        assert not wire.is_open
        assert server.delivered == 0


async def test_a_server_that_stops_finishes_what_it_has_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as server:
        gate = asyncio.Event()
        accept = server.ingress.accept

        async def later(path: str, headers: Any, body: bytes) -> Reply:
            await gate.wait()
            return await accept(path, headers, body)

        (quick, quick_wire), (slow, slow_wire) = server.connect(), server.connect()
        with monkeypatch.context() as patch:
            patch.setattr(server.ingress, "accept", later)
            patch.setattr(server.ingress, "accept_now", lambda *request: object())
            slow.data_received(server.webhook("slow"))
            await turns()
        quick.data_received(server.webhook("quick"))
        server.server.pre_shutdown()
        # From here on nothing is taken.
        quick.data_received(server.webhook("behind"))
        stopping = asyncio.ensure_future(server.server.shutdown(60))
        await turns()
        assert quick_wire.statuses == [200]
        assert not stopping.done()
        gate.set()
        await stopping
        assert slow_wire.statuses == [200]
        assert not quick_wire.is_open
        assert not slow_wire.is_open
        assert server.delivered == 2


async def test_a_webhook_that_takes_too_long_is_cancelled_when_the_server_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving() as server:
        ended: list[str] = []

        async def forever(path: str, headers: Any, body: bytes) -> Reply:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(path)
            raise AssertionError

        monkeypatch.setattr(server.ingress, "accept", forever)
        monkeypatch.setattr(server.ingress, "accept_now", lambda *request: object())
        connection, wire = server.connect()
        connection.data_received(server.webhook())
        await turns()
        server.server.pre_shutdown()
        await server.server.shutdown(0.01)
        assert len(ended) == 1
        assert wire.statuses == []
        assert not wire.is_open


async def test_a_webhook_is_delivered_although_its_sender_has_gone() -> None:
    async with serving() as server:
        connection, wire = server.connect()
        connection.data_received(server.webhook())
        connection.connection_lost(ConnectionResetError())
        server.open.clear()
        await turns()
        assert server.delivered == 1
        assert wire.statuses == []


async def test_an_error_is_answered_and_harms_no_other_webhook(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as server:
        accept_now = server.ingress.accept_now

        def accept(path: str, headers: Any, body: bytes) -> Any:
            if "/broken/" in path:
                raise RuntimeError("a bug")
            return accept_now(path, headers, body)

        monkeypatch.setattr(server.ingress, "accept_now", accept)
        (broken, one), (whole, two) = server.connect(), server.connect()
        broken.data_received(server.webhook("broken"))
        whole.data_received(server.webhook())
        await turns()
        assert (one.statuses, two.statuses) == ([500], [200])
        assert not one.is_open
        assert two.is_open
        assert [record.getMessage() for record in caplog.records] == ["a webhook could not be handled"]


async def test_who_does_not_read_the_responses_is_not_read() -> None:
    async with serving() as server:
        connection, wire = server.connect()
        connection.data_received(server.webhook())
        connection.pause_writing()
        await turns()
        connection.data_received(server.webhook("p2"))
        await turns()
        assert wire.statuses == [200]
        assert not wire.reads
        connection.resume_writing()
        await turns()
        assert wire.statuses == [200, 200]
        assert wire.reads


async def test_a_connection_may_be_idle_for_its_time_after_each_response(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    async with serving() as server:
        connection, wire = server.connect()
        connection.data_received(server.webhook())
        await turns()
        now = loop.time()
        for later, is_open in ((600, True), (631, True), (1200, True), (1240, False)):
            monkeypatch.setattr(loop, "time", lambda later=later: now + later)
            if later == 600:
                connection.data_received(server.webhook())
                await turns()
            connection._expire()
            assert wire.is_open is is_open
        monkeypatch.undo()


async def test_what_is_larger_than_the_fast_way_takes_is_left_to_aiohttp(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as server:
        monkeypatch.setattr(connections, "LARGEST", len(server.webhook()) - 1)
        connection, wire = server.connect()
        connection.data_received(server.webhook())
        await turns()
        assert wire.statuses == [200]
        assert len(server.left) == 1
