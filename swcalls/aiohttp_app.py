"""A client in an aiohttp application: it opens and closes with it, and its receiver is mounted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from weakref import WeakSet

from aiohttp import web

from ._engine.server import Address, StandIn
from ._engine.tasks import each_of
from .client import Client
from .errors import ConfigurationError

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
    # Before all others, since nobody listens meanwhile.
    app.on_shutdown.insert(0, embedded.shut_down)
    app.cleanup_ctx.append(embedded.lifetime)


class _Embedded:
    """The life of a client in an application."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._receiver = client.receiver
        self._engine = client._engine
        self._addresses: dict[object, Address] = {}
        """Where webhooks came in."""
        self._servers: WeakSet[web.Server] = WeakSet()
        """Those by which they did."""
        self._stand_in = StandIn(self._receiver._handle_any)

    async def receive(self, request: web.Request) -> web.StreamResponse:
        """Answer a webhook, and note where it came in."""
        transport, server = request.transport, getattr(request.protocol, "_manager", None)
        if transport is not None and server is not None:
            name = transport.get_extra_info("sockname")
            if name not in self._addresses and len(self._addresses) < ADDRESSES_KEPT:
                address = Address.of(transport)
                if address is not None:
                    self._addresses[name] = address
                    self._servers.add(server)
        return await self._receiver._handle(request)

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
                await self._close_idle_connections()
            await self._engine.lifetime.drain()
        except BaseException:
            # After this aiohttp cleans up nothing.
            await self._close()
            raise

    async def _close_idle_connections(self) -> None:
        """Close what aiohttp leaves open for now, but reads no more from: a webhook that came there would be lost."""
        # Within these turns of the loop, a request that has been read begins to be handled.
        for _ in range(3):
            await asyncio.sleep(0)
        for server in self._servers:
            for connection in server.connections:
                is_busy = getattr(connection, "_request_in_progress", True)
                if connection.transport is not None and not is_busy:
                    connection.transport.close()

    async def _close(self) -> None:
        await each_of(self._client.close, self._stand_in.stop)
