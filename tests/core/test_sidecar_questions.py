"""Questions to AI sidecars: an answer finds its question, and the end of a sidecar ends its own questions only."""

from __future__ import annotations

from swcalls._core.decoding import read
from swcalls._core.operation import CallOperation, Operation
from swcalls._core.sidecar_questions import MOST_UNCLAIMED, SidecarQuestions
from swcalls.events import Event
from swcalls.outcome import Outcome

CALL = CallOperation("call")
ONE, OTHER = Operation("ai_sidecar", "one", CALL), Operation("ai_sidecar", "other", CALL)


def question(key: str) -> Operation:
    return Operation("ai_sidecar.ask", key, CALL)


def answer(ask_id: str) -> Event:
    return read("ai_sidecar", {"type": "ask_answer", "ask_id": ask_id, "text": "yes"})


def test_an_answer_finds_its_question_of_its_sidecar() -> None:
    questions, first, second = SidecarQuestions(), question("a"), question("b")
    assert questions.expect(ONE, "1", first) is None
    assert questions.expect(OTHER, "1", second) is None
    assert questions.answered_by(OTHER, answer("1")) is second
    assert questions.answered_by(ONE, answer("1")) is first
    assert questions.answered_by(ONE, answer("1")) is None, "it is answered"


def test_an_answer_may_come_before_its_question_is_confirmed() -> None:
    questions, early = SidecarQuestions(), answer("1")
    assert questions.answered_by(ONE, early) is None
    assert questions.expect(OTHER, "1", question("a")) is None, "that of another sidecar"
    assert questions.expect(ONE, "1", question("b")) is early


def test_the_end_of_a_sidecar_leaves_the_questions_to_another() -> None:
    questions, first, second = SidecarQuestions(), question("a"), question("b")
    questions.expect(ONE, "1", first)
    questions.expect(OTHER, "1", second)
    questions.answered_by(ONE, answer("2"))
    kept = answer("2")
    questions.answered_by(OTHER, kept)
    assert questions.remove(ONE) == [first]
    assert questions.remove(ONE) == []
    assert questions.expect(ONE, "2", question("c")) is None, "its early answers are forgotten"
    assert questions.expect(OTHER, "2", question("d")) is kept
    assert questions.answered_by(OTHER, answer("1")) is second


def test_answers_to_no_question_are_bounded() -> None:
    questions = SidecarQuestions()
    for number in range(MOST_UNCLAIMED + 1):
        questions.answered_by(ONE, answer(f"{number}"))
    assert questions.expect(ONE, "0", question("a")) is None, "the oldest is dropped"
    assert questions.expect(ONE, "1", question("b")) is not None


def test_what_is_no_answer_is_nobodys() -> None:
    questions = SidecarQuestions()
    questions.expect(ONE, "1", question("a"))
    assert questions.answered_by(ONE, read("ai_sidecar", {"type": "insight", "ask_id": "1"})) is None
    assert questions.answered_by(ONE, read("ai_sidecar", {"type": "ask_answer"})) is None


def test_questions_that_have_settled_are_forgotten_with_the_next_one() -> None:
    questions, settled = SidecarQuestions(), question("a")
    questions.expect(ONE, "1", settled)
    settled.outcome = Outcome(settled_by="deadline")
    questions.expect(ONE, "2", question("b"))
    assert questions.answered_by(ONE, answer("1")) is None
