"""The limits on memory and waiting that a client's user can set, and the checks of such numbers."""

from __future__ import annotations

import math
import sys

from msgspec import Struct

from ..errors import shown


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds on memory and waiting. Times are seconds, sizes bytes; all > 0 (graces, *timeline*, *drain*: >= 0)."""

    history: int = 256
    """How many of its latest events an action keeps for iterators."""
    grace: float = 5.0
    """How long a pending action may still settle by its own callback after its call has ended."""
    long_grace: float = 60.0
    """The same for a recording, whose last event usually comes after the end of the call."""
    transcript_grace: float = 600.0
    """The same for a transcription, which begins only after the end of the call."""
    margin: float = 10.0
    """How late the last event of an action may come after a stop, or after the longest duration in its parameters.

    If the grace of the action is longer, the grace counts instead. An action without a stop, a longest duration and a
    ``deadline`` lives as long as its call.
    """
    unconfirmed: float = 600.0
    """How long a call may stay silent whose dial may not have arrived; then the call counts as never started."""
    silence: float = 14_400.0
    """How long a call may be silent: no webhook, no answer to a command, nothing in the voice log.

    After that the call counts as ended if a task waits for it or for one of its actions; else it is forgotten.
    """
    playback: float = 300.0
    """How long a file that a prompt plays may take. Then the prompt goes on, even without a webhook for its end."""
    body: int = 1024 * 1024
    """The largest webhook that is read."""
    early_events: int = 1000
    """How many verified events are kept for actions that are not registered yet."""
    early_bytes: int = 4 * 1024 * 1024
    """How many bytes the bodies of these events may have in all."""
    early_age: float = 60.0
    """How long these events are kept."""
    settled: int = 4096
    """How many settled actions are remembered by id at most (half as many at least), to recognise late events.

    So are inbound calls, to recognise one that is announced again.
    """
    running: int = 1024
    """How many detectors that have settled, but still run, pass events to their iterators."""
    timeline: int = 512
    """How many entries the ``timeline`` of a call keeps; 0: a call has no timeline."""

    drain: float = 5.0
    """How long handlers of inbound calls may take to finish when the client, its server or its application closes."""

    hold: float = 20.0
    """How long an inbound call waits for ``answer()`` or ``reject()``, with ``answer=False``; then it is answered."""

    def __post_init__(self) -> None:
        check_numbers(self, may_be_zero=("grace", "long_grace", "transcript_grace", "timeline", "drain"))


def check_numbers(settings: Struct, *, may_be_zero: tuple[str, ...] = ()) -> None:
    """Check that every field of *settings* is a number greater than 0, and a whole number if its default is one.

    Args:
        may_be_zero: The names of fields that may be 0.

    Raises:
        TypeError: A field is no number.
        ValueError: A field is too small. Both errors name the setting, the field, its value and the rule.
    """
    what = type(settings).__name__
    for name, default in zip(settings.__struct_fields__, settings.__struct_defaults__, strict=True):
        least, above = (0, None) if name in may_be_zero else (None, 0)
        value = getattr(settings, name)
        check_number(f"{what}: {name}", value, least=least, above=above, whole=isinstance(default, int))


def check_number(
    name: str,
    value: object,
    *,
    least: float | None = None,
    above: float | None = None,
    whole: bool = False,
    finite: bool = False,
    unit: str = "",
) -> None:
    """Check a number that a user gave: >= *least*, and > *above*; *whole*: an ``int``; *finite*: not infinite.

    Args:
        name: The parameter, for the message.
        unit: The unit, for the message.

    Raises:
        TypeError: *value* is no number.
        ValueError: *value* is too small, or must be finite and is not. Both errors say *name*, the value and the rule.
    """
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise TypeError(f"{name}={shown(value)} must be a {'whole ' if whole else ''}number{unit and f' of {unit}'}")
    words = [f"at least {least}"] * (least is not None) + [f"greater than {above}"] * (above is not None)
    # NaN fails every comparison.
    if not ((least is None or value >= least) and (above is None or value > above)):
        raise ValueError(f"{name}={shown(value)} must be {' and '.join(words)}{unit and f' {unit}'}")
    # A larger value is no possible length, and cannot be added to a time.
    if value > (sys.maxsize if whole else sys.float_info.max) and (finite or value != math.inf):
        raise ValueError(f"{name}={shown(value)} must be {'finite' if finite else 'a smaller number'}")


def check_seconds(name: str, value: float | None) -> None:
    """Raise ``TypeError`` or ``ValueError`` unless *value* is ``None`` or a finite number of seconds > 0."""
    if value is not None:
        check_number(name, value, above=0, finite=True, unit="seconds")


def check_timeout(name: str, value: float | None) -> None:
    """Raise ``TypeError`` or ``ValueError`` unless *value* is ``None`` or seconds >= 0; infinity is allowed."""
    if value is not None:
        check_number(name, value, least=0, unit="seconds")
