"""A payload, kept as it came: that is a quarter of the room of what it says."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from msgspec import Struct


class Received(Struct, frozen=True, kw_only=True):
    """Something that a payload told. Base of events and results."""

    payload: bytes | dict[str, Any]
    """What was received: JSON, or the object that it stands for."""

    @property
    def raw(self) -> dict[str, Any]:
        """The payload as received: an object of its own, made each time."""
        if isinstance(self.payload, dict):
            return self.payload
        return cast(dict[str, Any], msgspec.json.decode(self.payload))

    def __repr__(self) -> str:
        names = (name for name in self.__struct_fields__ if name != "payload")
        shown = (f"{name}={value!r}" for name in names if (value := getattr(self, name)) is not None)
        return f"{type(self).__name__}({', '.join(shown)})"
