"""What a client does and hears, told while it happens."""

from __future__ import annotations

from collections.abc import Callable

from swcalls import Client, Mark, Timeline
from swcalls.timeline import Journal
from swcalls.timeline.rows import Names
from swcalls.timeline.terminal_style import TerminalStyle
from swcalls.timeline.text import format_line, log_lines


class LiveLog:
    """Listens to the one call of a client: *tell* is called with a line for whatever is news."""

    def __init__(self, client: Client, tell: Callable[[str], object], terminal: TerminalStyle) -> None:
        self._tell = tell
        self._terminal = terminal
        self._names = Names()
        self._journal: Journal | None = None
        self._start = 0.0
        client._switchboard.observers.append(self._note)

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
        for said in log_lines(mark, self._terminal):
            # What was sent was told when it was sent.
            if said.at == now and (mark.took is None or said.at > mark.at):
                self._tell(format_line(mark, said, self._start, self._names, self._terminal))
