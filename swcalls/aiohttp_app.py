"""Runs a client inside an aiohttp application: mounts its receiver, and opens and closes it with the application."""

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
"""The key at which ``setup`` stores the client: ``request.app[CLIENT]``."""

ADDRESSES_KEPT = 16
"""How many local addresses at which webhooks came in are remembered."""


def setup(app: web.Application, client: Client) -> None:
    """Mount the receiver of *client* in *app*, open and close the client with *app*, and store it at ``app[CLIENT]``.

    The client needs a ``public_url``, since an application does not know its own URL. When the application shuts down,
    inbound calls are refused, and handlers of ``on_call`` get ``Limits.drain`` seconds to finish. aiohttp has stopped
    listening by then; while calls are up, a server of swcalls receives webhooks at the same addresses, until running
    requests have been answered and the client is closed.
    """
    embedded = _Embedded(client)
    app[CLIENT] = client
    webhooks, audio = client.receiver.routes()
    app.add_routes([web.post(webhooks.path, embedded.receive), audio])
    # First of all, since nothing listens for webhooks until `shut_down` does.
    app.on_shutdown.insert(0, embedded.shut_down)
    app.cleanup_ctx.append(embedded.lifetime)


class _Embedded:
    """Opens, drains and closes a client at the signals of an application."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._receiver = client.receiver
        self._engine = client._engine
        self._addresses: dict[object, Address] = {}
        """The local addresses at which webhooks came in, by ``sockname``."""
        self._servers: WeakSet[web.Server] = WeakSet()
        """The servers through which webhooks came in."""
        self._stand_in = StandIn(self._receiver._handle_any)

    async def receive(self, request: web.Request) -> web.StreamResponse:
        """Answer a webhook, and note the local address at which it came in."""
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
        """Open the client, and close it when the application is cleaned up."""
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
        """Wait for the handlers, while the stand-in server receives webhooks."""
        try:
            if self._engine.lifetime.is_busy:
                await self._stand_in.start(self._addresses.values())
                await self._close_idle_connections()
            await self._engine.lifetime.drain()
            # Else aiohttp would wait for the connections of streams to end by themselves.
            for feed in self._engine.listeners:
                feed.leave()
        except BaseException:
            # After an error here, aiohttp does not run `cleanup_ctx`.
            await self._close()
            raise

    async def _close_idle_connections(self) -> None:
        """Close idle connections: aiohttp leaves them open, but does not read them: their webhooks would be lost."""
        # Within these turns of the event loop, the handling of a request that was read begins.
        for _ in range(3):
            await asyncio.sleep(0)
        for server in self._servers:
            for connection in server.connections:
                is_busy = getattr(connection, "_request_in_progress", True)
                if connection.transport is not None and not is_busy:
                    connection.transport.close()

    async def _close(self) -> None:
        await each_of(self._client.close, self._stand_in.stop)
