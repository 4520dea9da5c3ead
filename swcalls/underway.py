"""One command that is under way, for whoever follows it: the operation that it starts, and the timeline of its call."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from ._core.operation import CallOperation, Operation
from ._core.subject import subject_of
from .commands import Request
from .errors import CommandError


class Underway:
    """A block in which *request* is sent, to *call*, if it is about one; it may be what *starts* an operation."""

    __slots__ = ("_journal", "_number", "_starts")

    def __init__(self, request: Request, call: CallOperation | None, starts: Operation | None = None) -> None:
        self._starts = starts
        self._journal = None if call is None else call.journal
        if call is not None and self._journal is not None:
            command = request.command
            kind, key = subject_of(call, command, request.params) if starts is None else (starts.kind, starts.key)
            self._number = self._journal.command(kind, key, command)

    def leaves(self) -> None:
        """Be told that it is about to leave."""
        if self._starts is not None:
            self._starts.leaves()

    def held_back(self) -> None:
        """Be told that it was not processed, and will leave again later."""
        if self._starts is not None:
            self._starts.held_back()

    def repeated(self, error: CommandError) -> None:
        """Be told that it is sent again, since *error* came of it."""
        if self._journal is not None:
            self._journal.retry(self._number, error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._journal is None:
            return
        if exc is None:
            self._journal.answered(self._number)
        elif isinstance(exc, CommandError):
            self._journal.answered(self._number, "failed", exc)
        else:
            self._journal.answered(self._number, "cancelled")
