"""What the platform does on a stream's WebSocket, and what it says there."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec
import pytest

from swcalls._core.audio_listeners import AUDIO, AudioListeners
from swcalls._core.callback_urls import CallbackUrls
from swcalls.actions.audio_feed import AudioFeed

BEARER = "a-token-of-its-own"
ID = "4f6a1f6e-0b0c-4d6e-9a53-0d7a6d0f4d11"
FRAME = b"\xd5" * 160


class Platform:
    """Connects to where a stream is to be sent, as the platform would."""

    def __init__(self, listeners: AudioListeners, urls: CallbackUrls, session: aiohttp.ClientSession) -> None:
        self.listeners = listeners
        self.urls = urls
        self.session = session

    def url(self, control_id: str = ID) -> str:
        return self.urls.mint(AUDIO, control_id)

    async def connect(
        self, url: str | None = None, *, bearer: str | None = BEARER, **options: Any
    ) -> aiohttp.ClientWebSocketResponse:
        headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
        return await self.session.ws_connect(url or self.url(), headers=headers, **options)

    async def refused(self, url: str | None = None, **options: Any) -> int:
        """Connect, and return the status with which that was refused."""
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await self.connect(url, **options)
        return refusal.value.status


def message(event: str, number: int = 1, **inner: Any) -> str:
    return msgspec.json.encode({"event": event, "sequenceNumber": str(number), event: inner}).decode()


def start(encoding: str = "audio/x-mulaw", rate: int = 8000, *tracks: str) -> str:
    form = {"encoding": encoding, "sampleRate": rate, "channels": 1}
    return message("start", streamSid="s", callSid="c", tracks=tracks or ["inbound"], mediaFormat=form)


def media(chunk: int, payload: bytes = FRAME, track: str = "inbound") -> str:
    encoded = base64.b64encode(payload).decode()
    return message("media", chunk + 1, track=track, chunk=str(chunk), timestamp=str((chunk - 1) * 20), payload=encoded)


STOP = '{"event":"stop","sequenceNumber":"999"}'


def expected(platform: Platform, **settings: Any) -> AudioFeed:
    """Make a feed that the platform can connect to."""
    feed = AudioFeed(f"stream {ID}", BEARER, **settings)
    platform.listeners.expect(ID, feed)
    return feed


async def frames_of(feed: AudioFeed) -> list[Any]:
    """Read *feed* to its end."""
    found = []
    while True:
        try:
            found.append(await feed.next_frame())
        except StopAsyncIteration:
            return found


async def until(feed: AudioFeed, ready: Callable[[], Any]) -> None:
    """Wait until *ready*, which is asked whenever the feed has moved."""
    while not ready():
        await feed.has_moved.wait()
