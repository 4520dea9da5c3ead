"""A client in an aiohttp application: it opens and closes with it, and its receiver is mounted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from aiohttp import web

from .client import Client
from .errors import ConfigurationError
from .serving import Address, StandIn
from .tasks import each_of

CLIENT: web.AppKey[Client] = web.AppKey("swcalls.client", Client)
"""Where ``setup`` puts the client: ``request.app[CLIENT]``."""

ADDRESSES_KEPT = 16
"""Of how many addresses at which webhooks came in is known that they did."""


def setup(app: web.Application, client: Client) -> None:
    """Mount the receiver of *client* in *app*, open and close the client with it, and put it at ``app[CLIENT]``.

    The client needs a ``public_url``: an application does not know where it is reached. When the application shuts
    down, calls that come in are refused, and handlers of ``on_call`` get ``Limits.drain`` seconds to finish. aiohttp
    does not listen any more then; while calls are up, a server of ours receives webhooks at the same addresses, until
    the requests that were under way have been answered and the client is closed.
    """
    embedded = _Embedded(client)
    app[CLIENT] = client
    app.add_routes([web.post(route.path, embedded.receive) for route in client.receiver.routes()])
    app.on_response_prepare.append(embedded.note_connection)
    # Before all others, since nobody listens meanwhile.
    app.on_shutdown.insert(0, embedded.shut_down)
    app.cleanup_ctx.append(embedded.lifetime)


class _Embedded:
    """The life of a client in an application."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._receiver = client.receiver
        self._engine = client._switchboard
        self._addresses: dict[object, Address] = {}
        """Where webhooks came in."""
        self._connections: dict[asyncio.Task[None], asyncio.Transport] = {}
        """Those that are open, by the task that handles their requests."""
        self._stand_in = StandIn(self._receiver._handle_any)

    async def receive(self, request: web.Request) -> web.StreamResponse:
        """Answer a webhook, and note where it came in."""
        transport = request.transport
        if transport is not None:
            name = transport.get_extra_info("sockname")
            if name not in self._addresses and len(self._addresses) < ADDRESSES_KEPT:
                address = Address.of(transport)
                if address is not None:
                    self._addresses[name] = address
        return await self._receiver._handle(request)

    async def note_connection(self, request: web.Request, response: web.StreamResponse) -> None:
        """Note the connection of a request, which may bring another one."""
        task, transport = request.task, request.transport
        if transport is not None and task not in self._connections:
            self._connections[task] = transport
            task.add_done_callback(self._connections.pop)

    async def lifetime(self, app: web.Application) -> AsyncIterator[None]:
        """Open the client, and close it when the application is over."""
        if self._engine.urls.public_url is None:
            raise ConfigurationError(
                "swcalls.setup: the client has no public_url. Pass public_url= (from_env: SWCALLS_PUBLIC_URL), where "
                "the platform reaches this application"
            )
        await self._client.open()
        try:
            yield
        finally:
            await self._close()

    async def shut_down(self, app: web.Application) -> None:
        """Let handlers finish, with webhooks still coming in."""
        try:
            if self._engine.lifetime.is_busy:
                await self._stand_in.start(self._addresses.values())
                for task, transport in self._connections.items():
                    # aiohttp leaves those that are idle open for now, but reads no more from them.
                    task.add_done_callback(partial(_close, transport))
            await self._engine.lifetime.drain()
        except BaseException:
            # After this aiohttp cleans up nothing.
            await self._close()
            raise

    async def _close(self) -> None:
        await each_of(self._client.close, self._stand_in.stop)


def _close(transport: asyncio.Transport, _: object) -> None:
    transport.close()
