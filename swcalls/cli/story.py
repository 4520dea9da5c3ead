"""What a client does and hears, recorded while it happens."""

from __future__ import annotations

import time
from collections.abc import Callable

from swcalls import CallEvent, Client, CollectEvent, Event
from swcalls._core.inbox import Receipt
from swcalls.timeline import Mark


class Story:
    """Listens to a client: ``marks`` is what happened so far, and *tell* is called with each, once it is there.

    The words of its marks say more than a bare state: what was pressed, and why the call ended.
    """

    def __init__(self, client: Client, tell: Callable[[Mark], object]) -> None:
        self.marks: list[Mark] = []
        self._tell = tell
        client._switchboard.observers.append(self._note_command)
        client._switchboard.inbox.observers.append(self._note_webhook)

    def _note_command(self, mark: Mark) -> None:
        if mark.what != "event":
            self._add(mark)

    def _note_webhook(self, receipt: Receipt) -> None:
        if receipt.kind is not None and receipt.event is not None:
            word = said(receipt.event)
            if receipt.verdict != "applied":
                word += f" ({receipt.verdict})"
            self._add(Mark(at=time.monotonic(), what="event", name=receipt.kind, key=receipt.key, word=word))

    def _add(self, mark: Mark) -> None:
        self.marks.append(mark)
        self._tell(mark)


def said(event: Event) -> str:
    """Put an event in a word or two."""
    match event:
        case CollectEvent(digits=str(digits)):
            return digits + (event.terminator or "")
        case CallEvent(end_reason=str(reason)):
            return f"{event.state}: {reason}"
        case _:
            return event.state
