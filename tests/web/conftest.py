"""An application with the page, and viewers that read its events."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

import swcalls
from swcalls.web import Dashboard, board, viewers

sys.path.insert(0, str(Path(__file__).parent))

from site_of_a_page import TOKEN, Site

ServePage = Callable[..., Awaitable[Site]]


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the page wait for milliseconds only where it waits."""
    monkeypatch.setattr(board, "RATE", 1000)
    monkeypatch.setattr(board, "SHARE", 1.0)
    monkeypatch.setattr(viewers, "TICK", 0.01)


@pytest.fixture
async def serve_page(nothing_is_left_running: None) -> AsyncIterator[ServePage]:
    """Serve applications with a page, of a client or of a `Source`."""
    async with AsyncExitStack() as stack:

        async def serve(source: Any, **settings: Any) -> Site:
            app = web.Application()
            settings = {"token": TOKEN, **settings}
            if isinstance(source, swcalls.Client):
                page = swcalls.dashboard(app, source, **settings)
            else:
                page = Dashboard(source, **settings)
                page.add_to(app)
            # A viewer that kept the server from shutting down would do so for an hour.
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=3600)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            stack.push_async_callback(runner.cleanup)
            jar = aiohttp.CookieJar(unsafe=True)
            session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=jar))
            return Site(page, runner, session)

        yield serve
