"""A client in an aiohttp application: it opens and closes with it, and its receiver is mounted."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from .client import Client

CLIENT: web.AppKey[Client] = web.AppKey("swcalls.client", Client)
"""Where ``setup`` puts the client: ``request.app[CLIENT]``."""


def setup(app: web.Application, client: Client) -> None:
    """Mount the receiver of *client* in *app*, open and close the client with it, and put it at ``app[CLIENT]``."""

    async def lifetime(_: web.Application) -> AsyncIterator[None]:
        async with client:
            yield

    app[CLIENT] = client
    app.add_routes(client.receiver.routes())
    app.cleanup_ctx.append(lifetime)
