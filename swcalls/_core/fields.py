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
    """Return the string at *key*; a number is converted to a string."""
    value = source.get(key)
    if value is None or isinstance(value, str):
        return value
    return None if number(source, key) is None else str(value)


def number(source: Object, key: str) -> float | None:
    """Return the finite number at *key*; a numeric string is converted to a number."""
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
    """Return the number at *key* as an ``int``."""
    value = number(source, key)
    return None if value is None else int(value)


def truth(source: Object, key: str) -> bool | None:
    """Return the boolean at *key*; ``"true"`` and ``"false"`` are converted to booleans."""
    value = source.get(key)
    return (
        value
        if isinstance(value, bool)
        else {"true": True, "false": False}.get(value if isinstance(value, str) else "")
    )


def identifier(source: Object, key: str) -> str | None:
    """Return the id at *key*: 1 to 128 printable ASCII characters without spaces; ``None`` for anything else."""
    value = text(source, key)
    return value if value is not None and _is_id(value) else None


def part(source: Object, key: str) -> Object:
    """Return the JSON object at *key*; an empty one for anything else."""
    value = source.get(key)
    return value if isinstance(value, dict) else {}
