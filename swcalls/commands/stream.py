"""``calling.stream``: send the call's audio to a WebSocket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import msgspec

from ._base import KeyedCommand
from ._types import Document, Name, StreamUrl

Track = Literal["inbound_track", "outbound_track", "both_tracks"]
Method = Literal["GET", "POST"]


class Stream(KeyedCommand, kw_only=True):
    command: ClassVar[str] = "calling.stream"
    secret: ClassVar[frozenset[str]] = frozenset({"status_url", "authorization_bearer_token"})

    url: StreamUrl
    name: Name | None = None
    codec: Name | None = None
    track: Track | None = None
    authorization_bearer_token: Name | None = None
    custom_parameters: Document | None = None
    status_url_method: Method | None = None


def as_strings(parameters: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Turn each value into a string. The platform's methods differ on whether other values are allowed."""
    if not isinstance(parameters, Mapping):
        return parameters  # The command allows None and refuses all else.
    return {key: _as_string(value) for key, value in parameters.items()}


def _as_string(value: Any) -> Any:
    try:
        return value if isinstance(value, str) else msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError, OverflowError):
        return value  # The command refuses it.
