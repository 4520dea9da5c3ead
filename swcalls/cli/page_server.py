"""The page of ``swcalls listen --web``: its token, and its server, which only this machine reaches."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TextIO

from aiohttp import web

from swcalls.errors import ConfigurationError
from swcalls.web import Dashboard
from swcalls.web.sources import Source

from .output import print_line
from .serving import bind_errors_as_failure

HOST = "127.0.0.1"
"""Always this machine: the page is served without TLS, and the receiver's port is often open to the world."""

VARIABLE = "SWCALLS_DASHBOARD_TOKEN"


def page_token(terminal: TextIO) -> str:
    """Return the token of the page: of the environment, or a new one, which is shown on *terminal*.

    Raises:
        ConfigurationError: There is none, and *terminal* is no terminal, but perhaps a log.
    """
    token = os.environ.get(VARIABLE)
    if token:
        return token
    if not terminal.isatty():
        raise ConfigurationError(
            f"not set in the environment: {VARIABLE}; without it, --web makes a token, but shows it on a terminal only"
        )
    token = secrets.token_urlsafe()
    print_line(f"token of the page: {token}", terminal)
    return token


@asynccontextmanager
async def served_page(source: Source, port: int, token: str, *, show_private: bool) -> AsyncIterator[str]:
    """Serve a page that shows *source* on this machine, and give its URL to the block."""
    page = Dashboard(source, token=token, show_private=show_private)
    app = web.Application()
    page.add_to(app)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        with bind_errors_as_failure(HOST, port):
            await web.TCPSite(runner, HOST, port).start()
        yield f"http://{HOST}:{runner.addresses[0][1]}{page.path}"
    finally:
        await runner.cleanup()
