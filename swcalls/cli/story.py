"""What a client does and hears, told while it happens."""

from __future__ import annotations

from collections.abc import Callable

from swcalls import Client, Mark, Timeline
from swcalls.timeline import Journal
from swcalls.timeline.look import Look
from swcalls.timeline.rows import Names
from swcalls.timeline.text import log_line, sayings


class Story:
    """Listens to the one call of a client: *tell* is called with a line for whatever is news."""

    def __init__(self, client: Client, tell: Callable[[str], object], look: Look) -> None:
        self._tell = tell
        self._look = look
        self._names = Names()
        self._journal: Journal | None = None
        self._start = 0.0
        client._engine.observers.append(self._note)

    @property
    def timeline(self) -> Timeline:
        """What has happened so far."""
        return Timeline.of(self._journal)

    def _note(self, journal: Journal, mark: Mark) -> None:
        if self._journal is None:
            self._journal, self._start = journal, mark.at
        if mark.what == "wait" or mark.verdict == "reported":
            return
        now = mark.end
        for said in sayings(mark, self._look):
            # What was sent was told when it was sent.
            if said.at == now and (mark.took is None or said.at > mark.at):
                self._tell(log_line(mark, said, self._start, self._names, self._look))
