"""`LiveLog`: shows the commands and events of a call as lines while it runs. ``swcalls demo`` uses it."""

from __future__ import annotations

from collections.abc import Callable

from swcalls import Client, Mark, Timeline
from swcalls.timeline import Journal
from swcalls.timeline.rows import Names
from swcalls.timeline.terminal_style import TerminalStyle
from swcalls.timeline.text import format_line, log_lines


class LiveLog:
    """Observes *client*, which makes one call only, and calls *show* with a line for each command and event."""

    def __init__(self, client: Client, show: Callable[[str], object], terminal: TerminalStyle) -> None:
        self._show = show
        self._terminal = terminal
        self._names = Names()
        self._journal: Journal | None = None
        self._start = 0.0
        client._engine.observers.append(self._on_mark)

    @property
    def timeline(self) -> Timeline:
        """The timeline of the call up to now."""
        return Timeline.of(self._journal)

    def _on_mark(self, journal: Journal, mark: Mark) -> None:
        if self._journal is None:
            self._journal, self._start = journal, mark.at
        if mark.what == "wait" or mark.verdict == "reported":
            return
        now = mark.end
        for line in log_lines(mark, self._terminal):
            # The line for the start of a command was shown when the command was sent.
            if line.at == now and (mark.took is None or line.at > mark.at):
                self._show(format_line(mark, line, self._start, self._names, self._terminal))
