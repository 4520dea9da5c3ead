"""Helpers of the simulator's HTTP server: JSON, bodies that cannot be read, connections that are reset."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web


def reset(request: web.Request) -> web.Response:
    """Reset the connection; the returned response is never sent."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def read_body(request: web.Request) -> bytes:
    """Return the body of a request; ``b""`` if it cannot be read."""
    try:
        return await request.read()
    except web.RequestPayloadError:
        return b""


@web.middleware
async def json_errors(request: web.Request, handler: Any) -> web.StreamResponse:
    """Give every error response of aiohttp a JSON body."""
    try:
        response: web.StreamResponse = await handler(request)
    except web.HTTPException as error:
        error.content_type = "application/json"
        error.text = dumps({"error": error.reason})
        raise
    return response


def dumps(value: object) -> str:
    """Return *value* as JSON."""
    return msgspec.json.encode(value).decode()
