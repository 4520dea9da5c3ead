"""The journal: what it keeps, drops and tells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swcalls import Event, Mark, Outcome
from swcalls.timeline.journal import Journal


class Ticks:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def outcome(result: object = "R") -> Outcome[object]:
    return Outcome(result=result, settled_by="callback")


@given(
    st.integers(1, 6),
    st.lists(st.sampled_from(["command", "answer", "retry", "event", "own", "settled", "wait", "waited"]), max_size=40),
)
def test_it_keeps_the_latest_marks_and_counts_the_others(limit: int, steps: list[str]) -> None:
    clock = Ticks()
    heard: list[Mark] = []
    journal = Journal(limit, clock, 0.0, [lambda _, mark: heard.append(mark)])
    number, note, made = None, None, 0
    for step in steps:
        match step:
            case "command":
                number = journal.command("play", "p", "calling.play")
            case "answer" if number is not None:
                journal.answered(number)
                made -= 1
            case "retry" if number is not None and len(journal._times) and number >= journal._skipped:
                journal.retry(number, ValueError("no"))
            case "event":
                journal.event("play", "p", Event(state="playing", payload={}), "applied", clock())
            case "own":
                journal.event("play", "p", Event(state="finished", payload={}), "applied", clock())
                journal.settled("play", "p", outcome(), own=True)
                made += 1
            case "settled":
                journal.settled("play", "p", outcome())
            case "wait":
                note = journal.wait("play", "p", "finished")
            case "waited" if note is not None:
                journal.waited(note, "result")
                note, made = None, made - 1
            case _:
                made -= 1
        made += 1
        marks, dropped = journal.read()
        assert len(marks) <= limit
        assert len(marks) + dropped == made
        assert [mark.at for mark in marks] == sorted(mark.at for mark in marks)
        assert len(journal._notes) <= limit + 1
        assert len(journal._times) <= 2 * limit
    if heard:
        assert heard[-1].at <= clock.now


@pytest.mark.parametrize("error", [None, ValueError("no")])
def test_it_holds_no_error_and_no_result_but_their_text(error: Exception | None) -> None:
    journal = Journal(4, Ticks(), 0.0, [])
    journal.settled("play", "p", Outcome(error=error, settled_by="deadline"))
    assert not any(isinstance(part, Exception) for part in journal._notes[0])
    (mark,), _ = journal.read()
    assert (mark.word, mark.detail) == (("result", "") if error is None else ("ValueError", "no"))
