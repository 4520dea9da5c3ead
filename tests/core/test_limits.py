"""The numbers that a user gives: what is refused, and in which words."""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest

from swcalls._core.limits import check_number, check_seconds, check_timeout


@pytest.mark.parametrize(
    ("value", "rule", "message"),
    [
        ("1", {}, "x='1' must be a number"),
        (True, {}, "x=True must be a number"),
        (1.0, {"whole": True}, "x=1.0 must be a whole number"),
        (None, {"unit": "seconds"}, "x=None must be a number of seconds"),
        (0, {"least": 1}, "x=0 must be at least 1"),
        (0, {"above": 0, "unit": "seconds"}, "x=0 must be greater than 0 seconds"),
        (0, {"least": 1, "above": 0}, "x=0 must be at least 1 and greater than 0"),
        (math.nan, {"least": 1}, "x=nan must be at least 1"),
        (math.inf, {"least": 1, "finite": True}, "x=inf must be finite"),
        (10**400, {"least": 1}, "x=.* must be a smaller number"),
        (sys.maxsize + 1, {"least": 1, "whole": True}, "x=.* must be a smaller number"),
    ],
)
def test_a_wrong_number_is_refused_by_name_value_and_rule(value: Any, rule: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError if "number" in message and "smaller" not in message else ValueError) as refusal:
        check_number("x", value, **rule)
    assert refusal.match(f"^{message}$")


def test_the_numbers_at_the_edge_are_right() -> None:
    check_number("x", 1, least=1, above=0, whole=True)
    check_number("x", math.inf, least=0)
    check_number("x", sys.maxsize, least=0, whole=True)
    check_number("x", sys.float_info.max, least=0, finite=True)
    check_seconds("x", None)
    check_timeout("x", None)
    check_timeout("x", 0)


@pytest.mark.parametrize(("check", "value"), [(check_seconds, 0), (check_seconds, math.inf), (check_timeout, -1)])
def test_a_wrong_time_is_refused(check: Any, value: float) -> None:
    with pytest.raises(ValueError, match=f"x={value}"):
        check("x", value)
