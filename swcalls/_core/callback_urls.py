"""The URLs that are handed out for callbacks. They say what they are for, and cannot be guessed.

``{public_url}{path}/{kind}/{key}/{mac}``, or ``…/{key}/{owner}/{mac}`` where several processes share a project. Path
segments only, since a query string may not survive. The MAC binds all of it and the project; its secret derives from
the API token, so every process of one project agrees on it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import NamedTuple

from ..errors import ConfigurationError

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
_MAC_BYTES = 18  # 144 bits


class Address(NamedTuple):
    """What a genuine callback URL says."""

    kind: str
    key: str
    owner: str = ""
    """Which of the processes that share a project waits for it; ``""``: whoever gets it."""


class CallbackUrls:
    """Mints callback URLs and recognises them. *path* starts with a slash and does not end with one.

    ``public_url``, without a slash at its end, may change while we run. *owner* is the process that waits for the
    webhooks, where several processes share a project.
    """

    def __init__(self, project: str, token: str, path: str, public_url: str | None = None, *, owner: str = "") -> None:
        self._owner = owner
        self.prefix: str = f"{path}/"
        self._base = ""
        self.public_url = public_url
        secret = hashlib.blake2b(token.encode(), digest_size=32, person=b"swcalls callback").digest()
        # Keyed BLAKE2b is a MAC of its own (RFC 7693, section 2.5); the keyed state is copied for each URL.
        self._mac = hashlib.blake2b(project.encode() + b"\0", digest_size=_MAC_BYTES, key=secret)

    @property
    def public_url(self) -> str | None:
        """Where the platform reaches us; a path in it is one that comes before ours."""
        return self._public_url

    @public_url.setter
    def public_url(self, value: str | None) -> None:
        self._public_url = value
        _, slash, base = (value or "").partition("://")[2].partition("/")
        self._base = slash + base

    def relative(self, path: str) -> str:
        """Take the query off *path*, and the public URL's own path, unless a proxy or what mounts us has done so."""
        if "?" in path:
            path = path.partition("?")[0]
        if not self._base:
            return path
        inner = path.removeprefix(self._base)
        return inner if inner.startswith(self.prefix) else path

    def mint(self, kind: str, key: str, *, shared: bool = False) -> str:
        """Return the URL for the callbacks of the operation *kind*/*key*; *shared*: which is nobody's in particular.

        Raises:
            ConfigurationError: There is no public URL to hand out.
        """
        if self.public_url is None:
            raise ConfigurationError(
                "public_url is not set, and no receiver is being served: callbacks have nowhere to go. Pass public_url="
                " (from_env: SWCALLS_PUBLIC_URL), where the platform reaches the receiver, or use receiver.serve()"
            )
        tail = f"{kind}/{_segment(key)}"
        if self._owner and not shared:
            tail += f"/{self._owner}"
        return f"{self.public_url}{self.prefix}{tail}/{self._sign(tail)}"

    def handed_out(self, path: str) -> str | None:
        """Return the URL that a request for *path* was posted to: a proxy may have changed all but its path."""
        return None if self.public_url is None else self.public_url + path

    def parse(self, path: str) -> Address | None:
        """Return what *path* (raw, without the query) says, or ``None`` if it was not minted with this secret."""
        if not path.startswith(self.prefix):
            return None
        tail, _, mac = path[len(self.prefix) :].rpartition("/")
        if not path.isascii() or not hmac.compare_digest(mac, self._sign(tail)):
            return None
        kind, _, rest = tail.partition("/")
        segment, _, owner = rest.partition("/")
        return Address(kind, _key(segment), owner)

    def _sign(self, tail: str) -> str:
        mac = self._mac.copy()
        mac.update(tail.encode())
        return mac.hexdigest()


def _segment(key: str) -> str:
    """Make one path segment of a key that a user may have chosen; ``~`` marks one that had to be encoded."""
    if _PLAIN.match(key):
        return key
    return "~" + base64.urlsafe_b64encode(key.encode()).rstrip(b"=").decode()


def _key(segment: str) -> str:
    if not segment.startswith("~"):
        return segment
    encoded = segment[1:]
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
