"""Where a stream is sent: the WebSocket URL that belongs to an HTTP one."""

from __future__ import annotations

from ..commands import is_loopback
from ..errors import ConfigurationError, shown


def socket_url(url: str) -> str:
    """Return *url*, an http(s) URL that was handed out, as a WebSocket's: ``wss``, or ``ws`` on the loopback.

    Raises:
        ConfigurationError: It is a plain http URL of another host, which the platform refuses.
    """
    scheme, _, rest = url.partition("://")
    if scheme.lower() in ("https", "wss"):
        return f"wss://{rest}"
    if not is_loopback(url):
        host = rest.partition("/")[0].rpartition("@")[2]
        raise ConfigurationError(
            f"listen() needs a public_url that begins with https://, or audio_url= with wss://: the platform brings "
            f"audio to no other, and {shown(f'{scheme}://{host}')} is none"
        )
    return f"ws://{rest}"
