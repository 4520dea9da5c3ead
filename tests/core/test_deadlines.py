"""One heap for every deadline, which forgets what it does not need any more."""

from __future__ import annotations

from swcalls._core.deadlines import Deadlines
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
    assert deadlines.next == 2
    assert list(deadlines.expired(10)) == [second]
    assert deadlines.next is None


def test_a_deadline_that_was_moved_often_is_kept_once() -> None:
    deadlines, (one,) = Deadlines(), operations(1)
    for due in range(10_000):
        deadlines.set(one, due)
    assert len(deadlines._heap) <= 65
    assert list(deadlines.expired(20_000)) == [one]


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
        assert not deadlines._heap
