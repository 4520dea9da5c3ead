"""Verifies the platform's own signature of a webhook, if the webhook has one.

``X-SignalWire-Signature`` is the lower-case hex HMAC-SHA1 of URL and raw body, ``X-SignalWire-SHA256-Signature`` the
same with SHA-256; the key is the project's signing key. The form-encoded scheme (base64, URL and parameters) leaves a
JSON body unprotected, so it is never accepted.

Source: wire contract, section h ("Signatures").
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

SHA1_HEADER = "X-SignalWire-Signature"
SHA256_HEADER = "X-SignalWire-SHA256-Signature"

_DIGESTS = {SHA1_HEADER: "sha1", SHA256_HEADER: "sha256"}
_CREDENTIALS = re.compile(r"^(https?://)[^/?#]*@", re.IGNORECASE)


class Verifier:
    """Checks signatures with each of *keys* (several while a key is being rotated)."""

    def __init__(self, keys: Sequence[str] = (), *, require: bool = False) -> None:
        # The keyed state is computed once and copied for each webhook: that saves two thirds of the time of an HMAC.
        self._keyed = tuple(
            (header, tuple(hmac.new(key.encode(), digestmod=digest) for key in keys))
            for header, digest in _DIGESTS.items()
        )
        self._has_keys = bool(keys)
        self._require = require

    def __bool__(self) -> bool:
        """Return whether there are keys to check with."""
        return self._has_keys

    def verify(
        self,
        url: str | None,
        body: bytes,
        headers: Mapping[str, str],
        *,
        required: bool = False,
        signed: bool = True,
    ) -> bool:
        """Return whether the signatures of *body*, posted to *url* (as the platform was given it), are right.

        Every signature that is present must be right. A webhook without a signature passes, unless *required* or
        ``require`` is set; not even then must what the platform never signs (*signed* is False). Without keys every
        webhook passes.
        """
        if not self._has_keys:
            return True
        # The headers of aiohttp have `getall`; a plain mapping does not.
        values_of = getattr(headers, "getall", None) or partial(_all, headers)
        covered, is_signed = b"", False
        for header, keyed in self._keyed:
            # Check each value: a header can be there twice, and a right value must not hide a wrong one.
            for value in values_of(header, ()):
                if url is None:
                    return False
                covered = covered or (_CREDENTIALS.sub(r"\1", url) if "@" in url else url).encode() + body
                if not _is_right(keyed, value, covered):
                    return False
                is_signed = True
        return is_signed or not signed or not (self._require or required)


def _is_right(keyed: tuple[hmac.HMAC, ...], value: str, signed: bytes) -> bool:
    if not value.isascii():
        return False
    for empty in keyed:
        mac = empty.copy()
        mac.update(signed)
        if hmac.compare_digest(mac.hexdigest(), value):
            return True
    return False


def _all(headers: Mapping[str, str], header: str, _: tuple[str, ...]) -> Iterable[str]:
    """Return each value of *header*, in whatever case its name is spelt."""
    return [value for name, value in headers.items() if name.lower() == header.lower()]
