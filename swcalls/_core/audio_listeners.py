"""The table of streams that are expected: mints their WebSocket URLs, and checks the requests to connect.

An address has a MAC, as every callback URL has, and each stream a bearer token of its own. Both are compared in
constant time. A stream takes one connection, and none when nobody listens.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from msgspec import Struct

from ..commands import is_loopback
from ..errors import ConfigurationError
from .callback_urls import CallbackUrls

AUDIO = "audio"
"""The kind of address that a stream has; its key is the ``control_id``."""


class Feed(Protocol):
    """Takes the messages of one stream, from one connection."""

    name: str
    bearer: str
    refused: int
    was_connected: bool
    is_crowded: bool

    @property
    def received(self) -> int:
        """How many messages have come."""
        ...

    def connect(self, cut: Callable[[], object]) -> None:
        """Take the connection; *cut* closes it soon."""
        ...

    def receive(self, data: bytes | str) -> bool:
        """Take one message; ``False``: no further one is wanted."""
        ...

    def disconnected(self) -> None:
        """Note that the connection is gone."""
        ...

    def leave(self) -> None:
        """End the stream and close its connection, since nobody listens any more."""
        ...


class Refused(Struct, frozen=True):
    """A connection that is not accepted: the HTTP status, and for the log what is wrong, and what to do."""

    status: int
    reason: str
    is_ours: bool = True
    """The address was handed out. A refusal of a guessed address is not logged."""


_NOT_FOUND = Refused(403, "the address was not handed out", is_ours=False)


class AudioListeners:
    """The streams that this process listens to.

    Args:
        urls: Mints the addresses, and recognises them.
        audio_url: Where the platform reaches this process for audio, if not at the public URL: a WebSocket URL without
            a slash at its end.
        owner: The name of this process among those that share a project; it is in the addresses.
    """

    def __init__(self, urls: CallbackUrls, audio_url: str | None = None, owner: str = "") -> None:
        self._urls = urls
        self._owner = owner
        self._audio_url = audio_url
        _, slash, base = (audio_url or "").partition("://")[2].partition("/")
        self._base = slash + base
        self._feeds: dict[str, Feed] = {}

    def __len__(self) -> int:
        return len(self._feeds)

    def __iter__(self) -> Iterator[Feed]:
        return iter(tuple(self._feeds.values()))

    def url(self, control_id: str) -> str:
        """Return the address for a stream.

        Raises:
            ConfigurationError: There is no public URL, or the platform does not connect to it for audio.
        """
        minted = self._urls.mint(AUDIO, control_id)
        public_url = self._urls.public_url or ""
        if self._audio_url is not None:
            return self._audio_url + minted.removeprefix(public_url)
        scheme, _, rest = minted.partition("://")
        if scheme.lower() == "https":
            return f"wss://{rest}"
        if not is_loopback(minted):
            raise ConfigurationError(
                "listen() needs a public_url that begins with https://, or an audio_url that begins with wss://, since "
                f"the platform brings audio to no other; public_url={public_url!r} begins with {scheme}://"
            )
        return f"ws://{rest}"

    def expect(self, control_id: str, feed: Feed) -> None:
        """Have *feed* take the connection of a stream."""
        self._feeds[control_id] = feed

    def forget(self, control_id: str) -> None:
        """Refuse connections of a stream from now on."""
        self._feeds.pop(control_id, None)

    def is_address(self, path: str) -> bool:
        """Return whether *path*, as sent, begins as the addresses of streams do. The MAC is not checked."""
        return self._relative(path).startswith(f"{self._urls.prefix}{AUDIO}/")

    def admit(self, path: str, authorization: Sequence[str]) -> Feed | Refused:
        """Return the feed that takes a connection, or why the connection is refused.

        Args:
            path: The request's, as sent.
            authorization: The values of its ``Authorization`` headers.
        """
        address = self._urls.parse(self._relative(path))
        if address is None or address.kind != AUDIO:
            return _NOT_FOUND
        name = f"stream {address.key}"
        if address.owner and address.owner != self._owner:
            return Refused(
                409,
                f"{name}: another worker listens to it: {address.owner!r}. Pass Client(audio_url=...), a wss:// URL "
                "that leads to the worker itself",
            )
        feed = self._feeds.get(address.key)
        if feed is None:
            return Refused(
                409,
                f"{name}: nobody listens to it in this process. Its block has ended; or there are several workers, and "
                "each needs Client(audio_url=...), a wss:// URL that leads to the worker itself",
            )
        if not _is_token(authorization, feed.bearer):
            feed.refused += 1
            return Refused(403, f"{name}: the bearer token is absent or wrong")
        if feed.was_connected:
            feed.refused += 1
            return Refused(409, f"{name}: it takes one connection, and has had it")
        return feed

    def _relative(self, path: str) -> str:
        if self._base and path.startswith(f"{self._base}{self._urls.prefix}"):
            path = path.removeprefix(self._base)
        return self._urls.relative(path)


def _is_token(authorization: Sequence[str], bearer: str) -> bool:
    if len(authorization) != 1:
        return False
    scheme, _, token = authorization[0].partition(" ")
    is_right = hmac.compare_digest(token.encode("utf-8", "surrogateescape"), bearer.encode())
    return is_right and scheme.lower() == "bearer"
