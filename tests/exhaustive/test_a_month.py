"""Thirty days of calls, of which much is lost, repeated or forgotten: what a client holds ends where it began."""

from __future__ import annotations

import pytest
from simulation.month import live_through


@pytest.mark.parametrize(
    "how", [{}, {"shared": True}, {"reconcile": False}], ids=["alone", "with a backplane", "without the log"]
)
def test_nothing_is_left_of_a_month(how: dict[str, bool], exhaustive: bool, seed: int) -> None:
    month = live_through(3000 if exhaustive else 44, seed, **how)
    assert not month.trouble, "\n".join([f"after {dict(month.kinds)} (seed {seed}):", *month.trouble])
