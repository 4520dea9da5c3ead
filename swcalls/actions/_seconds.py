"""Checks of the times that a user gives, in seconds."""

from __future__ import annotations

_INFINITY = float("inf")


def check_seconds(name: str, value: float | None) -> None:
    """Refuse what is neither ``None`` nor a number of seconds greater than 0."""
    if value is None:
        return
    _check_number(name, value)
    if not 0 < value < _INFINITY:
        raise ValueError(f"{name}={value!r} must be greater than 0 seconds")


def check_timeout(name: str, value: float | None) -> None:
    """Refuse what is neither ``None`` nor a number of seconds of at least 0: 0 looks once, and does not wait."""
    if value is None:
        return
    _check_number(name, value)
    if not 0 <= value < _INFINITY:
        raise ValueError(f"{name}={value!r} must be at least 0 seconds, or None for no limit")


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}={value!r} must be a number of seconds")
