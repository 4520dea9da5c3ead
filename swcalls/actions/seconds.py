"""Checks deadlines and timeouts that a user gives, in seconds."""

from __future__ import annotations

from .._core.limits import check_number


def check_seconds(name: str, value: float | None) -> None:
    """Raise ``TypeError`` or ``ValueError`` unless *value* is ``None`` or a finite number of seconds > 0."""
    if value is not None:
        check_number(name, value, above=0, finite=True, unit="seconds")


def check_timeout(name: str, value: float | None) -> None:
    """Raise ``TypeError`` or ``ValueError`` unless *value* is ``None`` or seconds >= 0; infinity is allowed."""
    if value is not None:
        check_number(name, value, least=0, unit="seconds")
