"""The values of a JSON object, by key. What is missing, null or of a wrong type is ``None``, never an error."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

Object = Mapping[str, Any]
Fields = dict[str, Any]
"""The fields of an event, as its class takes them."""

_is_id = re.compile(r"[!-~]{1,128}\Z").match
_NUMERIC = (int, float, str)


def text(source: Object, key: str) -> str | None:
    """Read a string; a number is taken as one."""
    value = source.get(key)
    if value is None or isinstance(value, str):
        return value
    return None if number(source, key) is None else str(value)


def number(source: Object, key: str) -> float | None:
    """Read a finite number; a numeric string is taken as one."""
    value = source.get(key)
    if value is None:
        return None
    try:
        found = float(value) if isinstance(value, _NUMERIC) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(found):
        return None
    return value if isinstance(value, int) else found


def whole(source: Object, key: str) -> int | None:
    """Read a number as an ``int``."""
    value = number(source, key)
    return None if value is None else int(value)


def truth(source: Object, key: str) -> bool | None:
    """Read a boolean; ``"true"`` and ``"false"`` are taken as ones."""
    value = source.get(key)
    return (
        value
        if isinstance(value, bool)
        else {"true": True, "false": False}.get(value if isinstance(value, str) else "")
    )


def identifier(source: Object, key: str) -> str | None:
    """Read an id; what no id looks like, by its characters or its length, is taken as none."""
    value = text(source, key)
    return value if value is not None and _is_id(value) else None


def part(source: Object, key: str) -> Object:
    """Read an object; anything else is taken as an empty one."""
    value = source.get(key)
    return value if isinstance(value, dict) else {}
