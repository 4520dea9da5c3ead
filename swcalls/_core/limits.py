"""Every bound of the correlation, in one place."""

from __future__ import annotations

from msgspec import Struct


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds on memory and on waiting. Times are seconds, sizes bytes; all are > 0 (a grace and *drain* may be 0)."""

    history: int = 256
    """How many of its latest events an action keeps for iterators."""
    grace: float = 5.0
    """How long a pending action may still settle by its own callback after its call has ended."""
    long_grace: float = 60.0
    """The same for a recording, whose last event usually comes after the end of the call."""
    transcript_grace: float = 600.0
    """The same for a transcription, which begins only then."""
    body: int = 1024 * 1024
    """The largest webhook that is read."""
    early_events: int = 1000
    """How many authentic events are kept for actions that nobody here knows yet."""
    early_bytes: int = 4 * 1024 * 1024
    """How many bytes of bodies those may have in all."""
    early_age: float = 60.0
    """How long they are kept."""
    settled: int = 4096
    """How many settled actions are remembered by id, so that a late event of theirs is known as late."""
    running: int = 1024
    """How many detectors that have answered, but whose run goes on, still pass events to their iterators."""

    drain: float = 5.0
    """How long a client that is being closed waits for the handlers of inbound calls before it cancels them."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            least = 0 if name.endswith("grace") or name == "drain" else 1e-9
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"Limits: {name}={value!r} must be a number")
            if not value >= least:
                raise ValueError(f"Limits: {name}={value!r} must be {'at least' if least == 0 else 'greater than'} 0")
