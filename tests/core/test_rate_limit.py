"""How fast commands follow one another, and how many repetitions a client has."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from swcalls._core.rate_limit import SLACK, Pace
from swcalls._core.retries import Budget, Retry


def test_the_first_goes_at_once_and_the_others_evenly() -> None:
    pace = Pace(2)
    assert pace.wait(100) == 0
    pace.go(100)
    assert pace.wait(100) == pytest.approx(0.5)
    assert pace.wait(100.4) == pytest.approx(0.1)
    assert pace.wait(100.5) == 0


def test_time_in_which_nobody_went_is_not_saved_up() -> None:
    pace = Pace(1)
    pace.go(0)
    pace.go(1000)
    assert pace.wait(1000) >= 1 - SLACK


@given(st.floats(0.1, 5000), st.lists(st.floats(0, 1), max_size=50))
def test_no_span_of_time_sees_more_than_its_share(rate: float, idle: list[float]) -> None:
    pace, now, went = Pace(rate), 0.0, []
    for pause in idle:
        now += pause + pace.wait(now + pause)
        pace.go(now)
        went.append(now)
    for first, start in enumerate(went):
        for last in range(first, len(went)):
            allowed = 1 + (went[last] - start + SLACK) * rate
            assert last - first + 1 <= allowed + 1e-6


def test_a_late_awakening_is_made_up_for() -> None:
    pace = Pace(100)
    pace.go(0)
    pace.go(0.01 + 0.002)
    assert pace.wait(0.012) == pytest.approx(0.008)


def test_repetitions_run_out_and_come_back_with_time() -> None:
    budget = Budget(3)
    assert [budget.take(0) for _ in range(4)] == [True, True, True, False]
    assert not budget.take(19)
    assert budget.take(20)
    assert not budget.take(20)
    assert [budget.take(1000) for _ in range(4)] == [True, True, True, False]


def test_without_a_budget_nothing_is_repeated() -> None:
    assert not Budget(0).take(1e9)


@pytest.mark.parametrize(
    ("settings", "error", "named"),
    [
        ({"budget": -1}, ValueError, "budget=-1"),
        ({"budget": 1.5}, TypeError, "budget=1.5"),
        ({"attempts": 0}, ValueError, "attempts=0"),
        ({"longest_wait": -1}, ValueError, "longest_wait=-1"),
    ],
)
def test_settings_are_checked(settings: dict[str, int], error: type[Exception], named: str) -> None:
    with pytest.raises(error, match=named):
        Retry(**settings)
