"""A fake platform: answers every command with prepared bytes, and posts webhooks back; a party of its own.

It checks nothing and costs next to nothing; `swcalls.testing.Simulator` is the one that behaves.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Self, cast

from .load import is_whole
from .wire import Target, leg_for

_TELNYX = b'{"data":{"result":"ok"}}'
_TWILIO = (
    b'{"account_sid":"ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","annotation":null,"answered_by":null,"api_version":"2010-04-01",'
    b'"caller_name":null,"date_created":"Tue, 31 Aug 2010 20:36:28 +0000","date_updated":"Tue, 31 Aug 2010 20:36:44 '
    b'+0000","direction":"inbound","duration":"15","end_time":null,"forwarded_from":"+141586753093","from":'
    b'"+15017122661","from_formatted":"(501) 712-2661","group_sid":null,"parent_call_sid":null,"phone_number_sid":'
    b'"PNaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","price":null,"price_unit":"USD","sid":"CAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",'
    b'"start_time":"Tue, 31 Aug 2010 20:36:29 +0000","status":"in-progress","subresource_uris":{},"to":"+15558675310",'
    b'"to_formatted":"(555) 867-5310","trunk_sid":null,"uri":"/2010-04-01/Accounts/AC/Calls/CA.json"}'
)


class Space:
    """Serves commands on a free port of the loopback."""

    def __init__(self) -> None:
        self._posts_back = False
        self._held: list[Target] = []
        self._waiting: deque[Target] = deque()
        self._idle: list[_Webhooks] = []
        self._webhooks: list[_Webhooks] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._port = 0
        self._all_answered: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Commands(self), "127.0.0.1", 0, backlog=1024)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._hang_up()
        self._server.close()

    async def url(self) -> str:
        """Say where it is."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def reach(self, port: int, connections: int) -> None:
        """Open connections for webhooks to a receiver; each has one under way at a time."""
        await self._hang_up()
        self._port = port
        for _ in range(connections):
            await self._connect()

    async def _hang_up(self) -> None:
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        gone, self._webhooks, self._idle = self._webhooks, [], []
        for connection in gone:
            connection.transport.close()

    async def post_back(self, wanted: bool) -> None:
        """From now on, let each command be followed by the webhook that it has finished; or hold the webhooks."""
        self._posts_back = wanted

    async def release(self) -> float:
        """Post what is held, wait until all of it is answered, and return how many seconds that took."""
        held, self._held = self._held, []
        self._all_answered = asyncio.get_running_loop().create_future()
        started = time.perf_counter()
        for target in held:
            self.post(target)
        await self._all_answered
        return time.perf_counter() - started

    def answer(self, head: bytes, body: bytes) -> bytes:
        """Return the answer to a command, of whichever platform it is."""
        if head.startswith(b"POST /v2/"):
            return _TELNYX
        if head.startswith(b"POST /2010-04-01/"):
            return _TWILIO
        if b'"status_url"' in body:
            target = Target.of(body)
            if self._posts_back:
                asyncio.get_running_loop().call_soon(self.post, target)
            elif self._webhooks:
                self._held.append(target)
        return leg_for(body)

    def post(self, target: Target) -> None:
        """Post the webhook to *target* as soon as a connection is free."""
        if self._idle:
            self._idle.pop().transport.write(target.request())
        else:
            self._waiting.append(target)

    def lost(self, connection: _Webhooks) -> None:
        """Open another one: a receiver hangs up on who has nothing to say for a while."""
        if connection in self._idle:
            self._idle.remove(connection)
            self._webhooks.remove(connection)
            task = asyncio.get_running_loop().create_task(self._connect_again())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _connect_again(self) -> None:
        # Or the receiver has gone for good, and the next one is reached anew.
        with suppress(OSError):
            await self._connect()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: _Webhooks(self), "127.0.0.1", self._port)
        self._webhooks.append(connection)
        self.free(connection)

    def free(self, connection: _Webhooks) -> None:
        """Use *connection* for the next one."""
        if self._waiting:
            connection.transport.write(self._waiting.popleft().request())
            return
        self._idle.append(connection)
        if self._all_answered is not None and len(self._idle) == len(self._webhooks):
            self._all_answered.set_result(None)
            self._all_answered = None


class _Commands(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, space: Space) -> None:
        self._space = space
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        # One request at a time: no client here pipelines.
        self._received += data
        if not is_whole(self._received):
            return
        head, _, body = self._received.partition(b"\r\n\r\n")
        self._received = b""
        answer = self._space.answer(head, body)
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer)
        )


class _Webhooks(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, space: Space) -> None:
        self._space = space
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not is_whole(self._received):
            return
        answer, self._received = self._received, b""
        assert answer.startswith(b"HTTP/1.1 200"), answer[:200]
        self._space.free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._space.lost(self)
