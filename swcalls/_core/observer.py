"""The interface to which the rules report what happens on a call. The journal of the timeline implements it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from ..events import Event, InboundCall
from ..outcome import Outcome

CommandVerdict = Literal["", "accepted", "failed", "cancelled"]
EventVerdict = Literal["applied", "duplicate", "late", "early", "unknown", "reconciled", "reported"]
AudioVerdict = Literal["", "stop", "closed", "idle", "local", "call_ended"]
WaitVerdict = Literal["", "result", "error", "timeout", "cancelled"]


class CallObserver(Protocol):
    """Gets everything that happens on one call. No method raises."""

    call_id: str | None
    """The platform's id of the call; ``None`` until it is known."""

    def command(self, kind: str, key: str, name: str) -> int:
        """Note that the command *name* is sent for the operation *kind*/*key*; return the command's number."""
        ...

    def retry(self, number: int, error: Exception) -> None:
        """Note that the command *number* is sent again because of *error*."""
        ...

    def answered(self, number: int, verdict: CommandVerdict = "accepted", error: Exception | None = None) -> None:
        """Note that the command *number* was answered, failed or was cancelled."""
        ...

    def event(self, kind: str, key: str, event: Event | InboundCall, verdict: EventVerdict, now: float) -> None:
        """Note an event for the operation *kind*/*key*, and how the registry judged it."""
        ...

    def settled(self, kind: str, key: str, outcome: Outcome[Any], *, own: bool = False) -> None:
        """Note the outcome of the operation; *own*: the event that was noted last has settled it."""
        ...

    def audio(self, kind: str, key: str, at: float, verdict: AudioVerdict, levels: Sequence[int], counts: str) -> None:
        """Note that the operation's audio, heard since *at*, has ended by *verdict*; *levels* are 0 (silence) to 8."""
        ...

    def wait(self, kind: str, key: str, word: str) -> Any:
        """Note that a task begins to wait for *word* (``finished``); return the note, for `waited`."""
        ...

    def waited(self, note: Any, verdict: WaitVerdict) -> None:
        """Note how the wait of *note*, which `wait` returned, has ended."""
        ...
