"""The variables of a call's documents: ``%{name}`` and ``${name}`` in any text become their values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

_PLACE = re.compile(r"[%$]\{\s*([\w.\[\]-]+)\s*\}")


def look_up(name: str, scopes: Mapping[str, Any]) -> Any:
    """Return the value of *name*, such as ``request_response.action`` or ``call.from``; ``""`` if it is not set.

    *scopes* are ``vars``, ``call``, ``envs`` and ``params``; a name that begins with none of them is of ``vars``.
    """
    path = name.split(".")
    value: Any = scopes if path[0] in scopes else scopes.get("vars", {})
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return "" if value is None else value


def expanded(value: Any, scopes: Mapping[str, Any]) -> Any:
    """Return *value* with every variable in its texts replaced, however deep they are."""
    if isinstance(value, str):
        return _PLACE.sub(lambda place: _as_text(look_up(place[1], scopes)), value)
    if isinstance(value, dict):
        return {key: expanded(inner, scopes) for key, inner in value.items()}
    return [expanded(inner, scopes) for inner in value] if isinstance(value, list) else value


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
