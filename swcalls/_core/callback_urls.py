"""Creates and verifies the callback URLs. Each URL names its operation, and carries a MAC, so it cannot be guessed.

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
    """The parts of a genuine callback URL."""

    kind: str
    key: str
    owner: str = ""
    """The process that waits for the webhook; ``""``: the process that receives it."""


class CallbackUrls:
    """Creates callback URLs and verifies them. *path* starts with a slash and does not end with one.

    ``public_url``, without a slash at its end, may change while the client is open. *owner* is the process that
    waits for the webhooks, where several processes share a project.
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
        """The URL at which the platform reaches the receiver; a path in it comes before the path of the receiver."""
        return self._public_url

    @public_url.setter
    def public_url(self, value: str | None) -> None:
        self._public_url = value
        _, slash, base = (value or "").partition("://")[2].partition("/")
        self._base = slash + base

    def relative(self, path: str) -> str:
        """Return *path* without query and without the path of ``public_url``, which a proxy may have removed."""
        if "?" in path:
            path = path.partition("?")[0]
        if not self._base:
            return path
        inner = path.removeprefix(self._base)
        return inner if inner.startswith(self.prefix) else path

    def mint(self, kind: str, key: str, *, shared: bool = False, owner: str | None = None) -> str:
        """Return the URL for the callbacks of the operation *kind*/*key*.

        Args:
            shared: Without an owner in it.
            owner: The process that waits for the webhooks, if it is another one.

        Raises:
            ConfigurationError: No public URL is set.
        """
        if self._public_url is None:
            raise ConfigurationError(
                "public_url is not set, and no receiver is being served: callbacks have nowhere to go. Pass public_url="
                " (from_env: SWCALLS_PUBLIC_URL), where the platform reaches the receiver, or use receiver.serve()"
            )
        tail = f"{kind}/{key if _PLAIN.match(key) else _encoded(key)}"
        owner = self._owner if owner is None else owner
        if owner and not shared:
            tail += f"/{owner}"
        return f"{self._public_url}{self.prefix}{tail}/{self._sign(tail)}"

    def handed_out(self, path: str) -> str | None:
        """Return the URL that the platform was given for *path*: a proxy may have changed scheme, host and port."""
        return None if self.public_url is None else self.public_url + path

    def parse(self, path: str) -> Address | None:
        """Return the parts of *path* (raw, without the query), or ``None`` if its MAC is wrong."""
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


def _encoded(key: str) -> str:
    """Return *key*, which a user has chosen, as one path segment; ``~`` marks an encoded key."""
    return "~" + base64.urlsafe_b64encode(key.encode()).rstrip(b"=").decode()


def _key(segment: str) -> str:
    """Return the key of a path segment; the reverse of `_encoded`."""
    if not segment.startswith("~"):
        return segment
    encoded = segment[1:]
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
