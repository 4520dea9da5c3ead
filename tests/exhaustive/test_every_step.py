"""Flows that are cancelled, closed or broken at every step: whatever happens, nothing is left that nobody can reach.

By default a sample is tried; ``SWCALLS_EXHAUSTIVE=1`` tries all of it, ``SWCALLS_SEED`` draws another sample.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from simulation import cases
from simulation.stage import FLOWS, Case, Mode

STRUCK = [(flow, mode) for flow in FLOWS for mode in cases.modes(flow)]


@pytest.fixture
def check(exhaustive: bool, seed: int, record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Try cases, and say which of them went wrong."""

    def check(every: list[Case], most: int) -> None:
        chosen = cases.sample(every, None if exhaustive else most, seed)
        record_property("pairs of a flow and a step", len(chosen))
        wrong = cases.troubles(chosen)
        assert not wrong, cases.told(wrong, len(chosen), seed)

    return check


@pytest.mark.parametrize("flow", FLOWS)
def test_a_flow_that_nothing_happens_to_leaves_nothing(flow: str, check: Callable[..., None]) -> None:
    check(cases.plain(flow), most=2)


@pytest.mark.parametrize(("flow", "mode"), STRUCK)
def test_cancelled_at_any_step_a_flow_leaves_nothing(flow: str, mode: Mode, check: Callable[..., None]) -> None:
    check(cases.cancelled(flow, mode), most=3)


@pytest.mark.parametrize(("flow", "mode"), STRUCK)
def test_cancelled_twice_a_flow_leaves_nothing(flow: str, mode: Mode, check: Callable[..., None]) -> None:
    check(cases.cancelled_twice(flow, mode), most=1)


@pytest.mark.parametrize("flow", FLOWS)
def test_a_flow_in_which_something_breaks_leaves_nothing(flow: str, check: Callable[..., None]) -> None:
    check(cases.broken(flow), most=4)


@pytest.mark.parametrize("flow", FLOWS)
def test_cancelled_while_something_breaks_a_flow_leaves_nothing(
    flow: str, check: Callable[..., None], exhaustive: bool, seed: int
) -> None:
    check(cases.combined(flow, 300 if exhaustive else 2, seed), most=2)
