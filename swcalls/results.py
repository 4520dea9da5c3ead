"""What an action comes to, one Struct a kind: the answer to ``await action.finished()``."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Result(Struct, frozen=True, kw_only=True):
    """Base of all results."""

    raw: dict[str, Any]
    """The payload of the event that settled the action, as received."""

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name != "raw")
        return f"{type(self).__name__}({', '.join(shown)})"


class Playback(Result, frozen=True, kw_only=True):
    """It was played out, or stopped: the platform has one word for both."""


class Recording(Result, frozen=True, kw_only=True):
    """A recording that ended; of ``no_input`` when nobody spoke in time (then there may be no file)."""

    state: str
    """``finished`` or ``no_input``."""
    url: str | None = None
    """Where the file is; it may need the API credentials, and a moment to appear."""
    duration: float | None = None
    """Seconds."""
    size: int | None = None
    """Bytes."""
    recording_id: str | None = None


class CollectResult(Result, frozen=True, kw_only=True):
    """What was pressed or said."""

    type: str
    """``digit``, ``speech``, ``no_input``, ``no_match``, or ``finished`` (a continuous collect that was ended)."""
    digits: str | None = None
    terminator: str | None = None
    """The key that ended it; ``None`` or ``""`` when none did."""
    text: str | None = None
    confidence: float | None = None
    """As it came (the platform's examples use 0 to 1)."""


class Detection(Result, frozen=True, kw_only=True):
    """Who or what answered."""

    type: str | None
    """``machine``, ``fax`` or ``digit``: the detector."""
    event: str | None
    """``HUMAN``, ``MACHINE``, ``UNKNOWN``, ``CED``, ``CNG``, the digits; ``None``: nothing was detected in time."""
    beep: bool = False
    """Whether a machine's beep was heard."""


class StreamResult(Result, frozen=True, kw_only=True):
    """A stream that ended."""

    url: str | None = None
    name: str | None = None
