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
    margin: float = 10.0
    """How late the end of an action may be that was stopped, or whose own parameters bound its length.

    It counts from then, and is its grace where that is longer. An action with neither, and no ``deadline``, lives as
    long as its call.
    """
    unconfirmed: float = 600.0
    """How long a call may stay silent whose dial may not have arrived; then it is taken for one that never was."""
    silence: float = 14_400.0
    """How long a call may be silent: no webhook, no answer to a command, nothing in the voice log.

    Then, if somebody waits for it or for an action on it, it is taken for ended; if nobody does, it is forgotten.
    """
    playback: float = 300.0
    """How long a file that a prompt plays may take. Then the prompt goes on, even if no webhook told of its end."""
    body: int = 1024 * 1024
    """The largest webhook that is read."""
    early_events: int = 1000
    """How many authentic events are kept for actions that nobody here knows yet."""
    early_bytes: int = 4 * 1024 * 1024
    """How many bytes of bodies those may have in all."""
    early_age: float = 60.0
    """How long they are kept."""
    settled: int = 4096
    """How many settled actions are remembered by id (at times half as many), so that a late event is known as late."""
    running: int = 1024
    """How many detectors that have answered, but whose run goes on, still pass events to their iterators."""
    timeline: int = 512
    """How many marks of what happened on it a call keeps for its ``timeline``; 0 for none."""

    drain: float = 5.0
    """How long handlers of inbound calls may take to finish when the client, its server or its application is left."""

    def __post_init__(self) -> None:
        check_numbers(self, may_be_zero=("grace", "long_grace", "transcript_grace", "timeline", "drain"))


def check_numbers(settings: Struct, *, may_be_zero: tuple[str, ...] = ()) -> None:
    """Check that every field of *settings* is a number greater than 0.

    Raises:
        TypeError: One is no number.
        ValueError: One is too small. Both name the setting, the field, its value and the rule.
    """
    what = type(settings).__name__
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{what}: {name}={value!r} must be a number")
        if not (value >= 0 if name in may_be_zero else value > 0):
            raise ValueError(
                f"{what}: {name}={value!r} must be {'at least' if name in may_be_zero else 'greater than'} 0"
            )
