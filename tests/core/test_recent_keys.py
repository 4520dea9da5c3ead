"""A bounded memory of keys."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from swcalls._core.early_events import RecentKeys


@given(st.integers(1, 9), st.lists(st.integers(0, 20).map(str), max_size=60))
def test_it_knows_the_latest_and_never_more_than_there_is_room_for(most: int, keys: list[str]) -> None:
    latest = RecentKeys(most)
    for count, key in enumerate(keys, 1):
        latest.add(key)
        assert len(latest) <= most
        distinct = list(dict.fromkeys(reversed(keys[:count])))
        assert all(known in latest for known in distinct[: max(1, most // 2)])


@pytest.mark.parametrize("others", range(4))
def test_what_is_discarded_is_forgotten_wherever_it_was(others: int) -> None:
    latest = RecentKeys(6)
    latest.add("key")
    for number in range(others):
        latest.add(str(number))
    latest.discard("key")
    latest.discard("never there")
    assert "key" not in latest
    assert len(latest) == others
