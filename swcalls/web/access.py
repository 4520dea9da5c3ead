"""Who may see the page: the check of the token, the session cookie, and the headers that protect every response.

The token never stands in a URL, since URLs are logged by servers and proxies and kept by browsers. A person types it
into a form once, and gets a cookie that proves this for some hours; a program sends it in ``Authorization: Bearer``.
"""

from __future__ import annotations

import hmac
import re
import time
from hashlib import blake2b
from typing import TypeVar

from aiohttp import web

from ..errors import ConfigurationError

COOKIE = "swcalls-dashboard"
SESSION = 12 * 3600
"""Seconds for which a session cookie is valid."""
SHORTEST_TOKEN = 16

PROTECTION = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""The headers of every response, besides the Content-Security-Policy."""

ResponseT = TypeVar("ResponseT", bound=web.StreamResponse)

_TOKEN = re.compile(r"[!-~]+\Z")


class Access:
    """Checks tokens and session cookies, in constant time. It keeps only hashes of the token.

    A cookie holds the time of its end, and a MAC of that time. So all workers of an application accept it, and nothing
    is stored here.
    """

    def __init__(self, token: str) -> None:
        if not isinstance(token, str) or len(token) < SHORTEST_TOKEN or not _TOKEN.match(token):
            raise ConfigurationError(
                f"dashboard: token=*** must be at least {SHORTEST_TOKEN} characters of printable ASCII without spaces; "
                "secrets.token_urlsafe() makes one"
            )
        self._expected = _hash(token)
        self._key = blake2b(token.encode(), person=b"swcalls session").digest()

    def is_token(self, given: str) -> bool:
        """Return whether *given* is the token."""
        return hmac.compare_digest(_hash(given), self._expected)

    def admitted_until(self, request: web.BaseRequest) -> float | None:
        """Return the time (Unix seconds) until which the sender of *request* is admitted; ``None``: not admitted."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(given.strip()):
            return time.time() + SESSION
        end, _, mac = request.cookies.get(COOKIE, "").partition(".")
        is_genuine = hmac.compare_digest(mac.encode(errors="replace"), self._mac(end).encode())
        return float(end) if is_genuine and float(end) > time.time() else None

    def sign_in(self, request: web.BaseRequest, response: web.Response) -> None:
        """Give the browser that sent *request* a session cookie."""
        end = str(int(time.time()) + SESSION)
        # The header of a proxy can only make the cookie stricter.
        is_secure = request.secure or request.headers.get("X-Forwarded-Proto", "").lower() == "https"
        # Without a path, the browser takes the folder of the form's address, as it sees it behind any proxy.
        response.set_cookie(
            COOKIE,
            f"{end}.{self._mac(end)}",
            max_age=SESSION,
            path=None,  # type: ignore[arg-type]
            secure=is_secure,
            httponly=True,
            samesite="Strict",
        )

    def sign_out(self, response: web.Response) -> None:
        """Let the browser forget its session cookie."""
        response.set_cookie(COOKIE, "", max_age=0, path=None, httponly=True, samesite="Strict")  # type: ignore[arg-type]

    def _mac(self, end: str) -> str:
        return blake2b(end.encode(errors="replace"), key=self._key, digest_size=24).hexdigest()


def protected(response: ResponseT, policy: str) -> ResponseT:
    """Return *response* with the headers that protect it, and *policy* as its Content-Security-Policy."""
    response.headers.update(PROTECTION)
    response.headers["Content-Security-Policy"] = policy
    return response


def _hash(token: str) -> bytes:
    return blake2b(token.encode(errors="replace"), person=b"swcalls token").digest()
