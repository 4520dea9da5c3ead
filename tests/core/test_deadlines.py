"""One structure for every deadline, which forgets what it does not need any more."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from swcalls._core.deadlines import SLOT, Deadlines
from swcalls._core.operation import CallOperation, Operation

CALL = CallOperation("key")


def operations(count: int) -> list[Operation]:
    return [Operation("play", f"p{n}", CALL) for n in range(count)]


def test_each_expires_once_in_the_order_of_its_time() -> None:
    deadlines, (first, second, third) = Deadlines(), operations(3)
    deadlines.set(second, 2)
    deadlines.set(third, 3)
    deadlines.set(first, 1)
    deadlines.set(third, 1.5)
    assert list(deadlines.expired(1.5)) == [first, third]
    assert deadlines.next is not None
    assert 2 <= deadlines.next <= 2 + 2 * SLOT
    assert list(deadlines.expired(10)) == [second]
    assert deadlines.next is None


def test_nothing_expires_before_its_time() -> None:
    deadlines, (one, other) = Deadlines(), operations(2)
    deadlines.set(one, 10.01)
    deadlines.set(other, 10.02)
    assert list(deadlines.expired(10.0099)) == []
    assert list(deadlines.expired(10.01)) == [one]
    assert list(deadlines.expired(10.02)) == [other]


def test_one_that_is_cleared_or_moved_while_others_expire_is_left_alone() -> None:
    deadlines, (one, other, third) = Deadlines(), operations(3)
    for operation in (one, other, third):
        deadlines.set(operation, 1)
    expired = []
    for operation in deadlines.expired(1):
        expired.append(operation)
        deadlines.clear(other)
        deadlines.set(third, 2)
    assert expired == [one]
    assert list(deadlines.expired(2)) == [third]


def test_one_that_is_due_at_once_again_expires_again() -> None:
    deadlines, (one,) = Deadlines(), operations(1)
    deadlines.set(one, 1)
    times = 0
    for operation in deadlines.expired(5):
        times += 1
        if times < 3:
            deadlines.set(operation, 4)
    assert times == 3


def test_a_deadline_that_was_moved_often_is_kept_once() -> None:
    deadlines, (one,) = Deadlines(), operations(1)
    for due in range(10_000):
        deadlines.set(one, 1000 + due * SLOT / 10)
    assert sum(map(len, deadlines._slots.values())) == 1
    assert list(deadlines.expired(20_000)) == [one]
    assert not deadlines._slots
    assert not deadlines._order


def test_what_expired_or_was_cleared_is_not_kept() -> None:
    for end in ("expire", "clear"):
        deadlines, many = Deadlines(), operations(1000)
        for operation in many:
            deadlines.set(operation, 1000)
            deadlines.set(operation, 5)
        if end == "expire":
            assert len(list(deadlines.expired(5))) == 1000
        else:
            for operation in many:
                deadlines.clear(operation)
        assert not any(deadlines._slots.values())
        assert deadlines.next is None
        assert not deadlines._slots


@given(st.lists(st.tuples(st.integers(0, 9), st.none() | st.floats(0, 1000), st.floats(0, 20))))
def test_it_behaves_like_a_sorted_list(steps: list[tuple[int, float | None, float]]) -> None:
    deadlines, many, now = Deadlines(), operations(10), 0.0
    model: dict[Operation, float] = {}
    for number, due, passed in steps:
        operation = many[number]
        if due is None:
            deadlines.clear(operation)
            model.pop(operation, None)
        else:
            deadlines.set(operation, due)
            model[operation] = due
        now += passed
        expected = {one for one, when in model.items() if when <= now}
        assert set(deadlines.expired(now)) == expected
        model = {one: when for one, when in model.items() if one not in expected}
        assert (deadlines.next is None) == (not model)
        if deadlines.next is not None:
            assert deadlines.next > now
            assert deadlines.next <= min(model.values()) + SLOT * 1.001
