"""The platform's own signature on a webhook, checked where there is one.

``X-SignalWire-Signature`` is the lower-case hex HMAC-SHA1 of URL and raw body, ``X-SignalWire-SHA256-Signature`` the
same with SHA-256; the key is the project's signing key. The form-encoded scheme (base64, URL and parameters) leaves a
JSON body unprotected, so it is never accepted.

Source: wire contract, section h ("Signatures").
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping, Sequence

SHA1_HEADER = "X-SignalWire-Signature"
SHA256_HEADER = "X-SignalWire-SHA256-Signature"

_DIGESTS = {SHA1_HEADER: "sha1", SHA256_HEADER: "sha256"}
_CREDENTIALS = re.compile(r"^(https?://)[^/?#]*@", re.IGNORECASE)


class Verifier:
    """Checks signatures against any of *keys* (several while a key is being rotated)."""

    def __init__(self, keys: Sequence[str] = (), *, require: bool = False) -> None:
        # Keyed once, and copied for each webhook: that saves two thirds of what HMAC costs.
        self._keyed = {
            digest: tuple(hmac.new(key.encode(), digestmod=digest) for key in keys) for digest in _DIGESTS.values()
        }
        self._has_keys = any(self._keyed.values())
        self._require = require

    def __bool__(self) -> bool:
        """Whether there is anything to check."""
        return self._has_keys

    def verify(self, url: str | None, body: bytes, headers: Mapping[str, str], *, required: bool = False) -> bool:
        """Say whether *body*, posted to *url* (as it was handed out), may be believed as far as signatures go.

        Each signature that is present must be right. None at all passes, unless one is *required* here or always.
        Without keys there is nothing to check.
        """
        if not self._has_keys:
            return True
        # All of them: of a header that is there twice, the one that is right must not hide the other.
        present = [(digest, value) for header, digest in _DIGESTS.items() for value in _all(headers, header)]
        if not present:
            return not (self._require or required)
        if url is None:
            return False
        signed = (_CREDENTIALS.sub(r"\1", url) if "@" in url else url).encode() + body
        return all(self._is_right(digest, value, signed) for digest, value in present)

    def _is_right(self, digest: str, value: str, signed: bytes) -> bool:
        if not value.isascii():
            return False
        for keyed in self._keyed[digest]:
            mac = keyed.copy()
            mac.update(signed)
            if hmac.compare_digest(mac.hexdigest(), value):
                return True
        return False


def _all(headers: Mapping[str, str], header: str) -> Iterable[str]:
    """Return each value of *header*, in whatever case its name is spelt; aiohttp's headers know how to look it up."""
    getall = getattr(headers, "getall", None)
    if getall is not None:
        values: Iterable[str] = getall(header, ())
        return values
    return [value for name, value in headers.items() if name.lower() == header.lower()]
