"""Checks of the times that a user gives, in seconds."""

from __future__ import annotations

from .._core.limits import check_number


def check_seconds(name: str, value: float | None) -> None:
    """Refuse what is neither ``None`` nor a number of seconds greater than 0."""
    if value is not None:
        check_number(name, value, above=0, finite=True, unit="seconds")


def check_timeout(name: str, value: float | None) -> None:
    """Refuse what is neither ``None`` nor a number of seconds that a wait can take: 0, too, and infinity."""
    if value is not None:
        check_number(name, value, least=0, unit="seconds")
