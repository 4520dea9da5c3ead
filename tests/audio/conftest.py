"""An audio server, and a platform that connects to it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from swcalls._core.audio_listeners import AudioListeners
from swcalls._core.callback_urls import CallbackUrls
from swcalls._engine.audio_server import AudioServer
from swcalls.actions.audio_feed import AudioFeed

sys.path.insert(0, str(Path(__file__).parent))

from audio_platform import Platform, expected


@pytest.fixture
async def platform(nothing_is_left_running: None) -> AsyncIterator[Platform]:
    urls = CallbackUrls("project", "token", "/swcalls")
    listeners = AudioListeners(urls)
    runner = web.ServerRunner(web.Server(AudioServer(listeners).handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    urls.public_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as session:
        yield Platform(listeners, urls, session)
    await runner.cleanup()


@pytest.fixture
def feed(platform: Platform) -> AudioFeed:
    return expected(platform)
