"""Calls that are up are counted, and dials begin in order when there are few enough."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from swcalls._core.call_slots import CallSlots


class Dialling(RuleBasedStateMachine):
    """Dials of any bound come, end, and give up, in any order. A plain list says what must come of it."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[str] = []
        self.slots = CallSlots(self.begin)
        self.up: list[str] = []
        self.waiting: list[tuple[str, int]] = []
        self.number = 0

    def begin(self, key: str) -> None:
        first, most = self.waiting.pop(0)
        assert key == first, "out of turn"
        assert len(self.up) < most, "too many at once"
        self.up.append(key)
        self.begun.append(key)

    @rule(most=st.one_of(st.none(), st.integers(1, 4)))
    def dial(self, most: int | None) -> None:
        self.number += 1
        key = str(self.number)
        if most is not None:
            self.waiting.append((key, most))
        if self.slots.take(key, most):
            if most is None:
                self.up.append(key)
            else:
                assert len(self.waiting) == 1, "it has overtaken another dial"
                self.begin(key)
        else:
            assert most is not None
            assert len(self.waiting) > 1 or len(self.up) >= most, "it waits for nothing"

    @precondition(lambda self: self.up)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.up))
        self.up.remove(key)
        self.slots.free(key)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        gone = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(gone)
        self.slots.free(gone[0])

    @rule(key=st.sampled_from(["never dialled", "1", "2"]))
    def end_again(self, key: str) -> None:
        if key not in self.up and key not in [waiting for waiting, _ in self.waiting]:
            self.slots.free(key)

    @invariant()
    def nobody_waits_in_vain_and_no_slot_is_lost(self) -> None:
        assert len(self.slots) == len(self.up)
        assert not self.waiting or len(self.up) >= self.waiting[0][1]

    def teardown(self) -> None:
        while self.up:
            self.slots.free(self.up.pop())
        assert not self.waiting
        assert len(self.slots) == 0


TestDialling = Dialling.TestCase
TestDialling.settings = settings(max_examples=settings().max_examples // 4, stateful_step_count=20)


@given(st.integers(1, 5), st.integers(0, 20))
@settings(max_examples=settings().max_examples // 5)
def test_all_get_their_turn_in_order(most: int, count: int) -> None:
    begun: list[str] = []
    slots = CallSlots(begun.append)
    keys = [str(number) for number in range(count)]
    at_once = [key for key in keys if slots.take(key, most)]
    assert at_once == keys[:most]
    for key in keys:
        slots.free(key)
    assert at_once + begun == keys
