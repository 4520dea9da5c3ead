"""Checks of values that users pass to the simulator: used by `Callee`, `Faults` and `SimulatedCall`."""

from __future__ import annotations

import math
import re
from typing import NoReturn

from msgspec import Struct

_DIGITS = re.compile(r"[0-9A-D*#]*\Z")


def refuse(settings: Struct, name: str, rule: str) -> NoReturn:
    """Raise ValueError for the field *name* of *settings*, whose value breaks *rule*."""
    raise ValueError(f"{type(settings).__name__}: {name}={getattr(settings, name)!r} must be {rule}")


def is_dtmf(value: object) -> bool:
    """Return whether *value* is a string of DTMF digits."""
    return isinstance(value, str) and _DIGITS.match(value) is not None


def is_text(value: object) -> bool:
    """Return whether *value* is a string that UTF-8 can encode."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_duration(value: object) -> bool:
    """Return whether *value* is a finite number of seconds, not negative."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
