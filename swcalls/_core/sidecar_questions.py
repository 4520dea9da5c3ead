"""Matches answers of AI sidecars to questions. Answers come to the sidecar's callback URL, and name their question."""

from __future__ import annotations

from ..events import Event, SidecarEvent
from .operation import Operation

MOST_UNCLAIMED = 64
"""How many answers to questions without a confirmed ``ask_id`` are kept; the oldest are dropped first."""


class SidecarQuestions:
    """Finds the question of an answer by its ``ask_id``, which the platform chooses."""

    def __init__(self) -> None:
        self._asked: dict[tuple[Operation, str], Operation] = {}
        self._unclaimed: dict[tuple[Operation, str], Event] = {}

    def expect(self, sidecar: Operation, ask_id: str, question: Operation) -> Event | None:
        """Expect the answer to *question*; return the answer if it has come already."""
        event = self._unclaimed.pop((sidecar, ask_id), None)
        if event is None:
            # Remove the questions that have expired: the memory stays bounded.
            self._asked = {place: other for place, other in self._asked.items() if other.outcome is None}
            self._asked[sidecar, ask_id] = question
        return event

    def answered_by(self, sidecar: Operation, event: Event) -> Operation | None:
        """Return the question that *event* of *sidecar* answers; keep the answer if the question is not known yet."""
        if not isinstance(event, SidecarEvent) or event.state != "ask_answer" or event.ask_id is None:
            return None
        question = self._asked.pop((sidecar, event.ask_id), None)
        if question is None:
            self._unclaimed[sidecar, event.ask_id] = event
            if len(self._unclaimed) > MOST_UNCLAIMED:
                del self._unclaimed[next(iter(self._unclaimed))]
        return question

    def remove(self, sidecar: Operation) -> list[Operation]:
        """Forget *sidecar*, which has ended; return its questions that were not answered."""
        left = [question for (asked, _), question in self._asked.items() if asked is sidecar]
        self._asked = {place: question for place, question in self._asked.items() if place[0] is not sidecar}
        self._unclaimed = {place: event for place, event in self._unclaimed.items() if place[0] is not sidecar}
        return left
