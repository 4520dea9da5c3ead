"""How the arguments of a method become the fields of its command."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def listed(value: Any) -> Any:
    """Return an iterable as a list. A string, a mapping and all else stay as they are; the command checks them."""
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping) else value


def mapped(value: Any) -> Any:
    """Return a mapping as a dict. All else stays as it is; the command checks it."""
    return dict(value) if isinstance(value, Mapping) else value


def refuse_none(command: str, **values: object) -> None:
    """Refuse ``None`` for a parameter that has a default of swcalls: without a value, the platform uses its own."""
    for name, value in values.items():
        if value is None:
            raise TypeError(f"{command}: {name}=None must be left out, for its default, or be another value")
