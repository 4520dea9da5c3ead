"""One command that is under way: whether it may still leave, what it starts, and the timeline of its call."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from ._core.operation import CallOperation, Operation
from ._core.registry import Registry
from ._core.subject import subject_of
from .commands import Request
from .errors import CallEnded, CommandError


class Underway:
    """A block in which *request* is sent, to *call*, if it is about one.

    Args:
        registry: Knows whether it is too late to send; ``None``: the command is sent in any case.
        starts: The operation that the command starts.
        leaving: Called when the command leaves.
    """

    __slots__ = ("_call", "_command", "_journal", "_leaving", "_number", "_registry", "_starts")

    def __init__(
        self,
        registry: Registry | None,
        request: Request,
        call: CallOperation | None,
        starts: Operation | None = None,
        leaving: Callable[[], object] | None = None,
    ) -> None:
        self._registry = registry
        self._command = request.command
        self._call = call
        self._starts = starts
        self._leaving = leaving
        self._journal = None if call is None else call.journal
        if call is not None and self._journal is not None:
            command = request.command
            kind, key = subject_of(call, command, request.params) if starts is None else (starts.kind, starts.key)
            self._number = self._journal.command(kind, key, command)

    @property
    def due(self) -> float | None:
        """When it is too late to send the command, by the clock of the event loop; ``None``: never."""
        return None if self._starts is None else self._starts.due

    def check(self) -> None:
        """Raise if it is too late to send the command.

        Raises:
            CallEnded: The call has ended while the command waited for its turn.
            ActionExpired: The deadline of the action has passed while its command waited for its turn.
            ClientClosed: The client was closed while the command waited for its turn.
        """
        registry, action = self._registry, self._starts
        if registry is not None and self._call is not None and self._call is not action:
            check_call(self._call, self._command)
        if registry is not None and action is not None:
            if action.due is not None and action.due <= time.monotonic():
                registry.give_up(action)
            if action.settled is not None and action.settled.error is not None:
                raise action.settled.error

    def leaves(self) -> None:
        """Check once more, and note that the command is about to leave: from now on it may have arrived."""
        self.check()
        if self._starts is not None:
            self._starts.leaves()
        if self._leaving is not None:
            self._leaving()

    def repeated(self, error: CommandError) -> None:
        """Note that the command will be sent again, since *error* says that it was not processed."""
        if self._starts is not None:
            self._starts.stage = "not_sent"
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
        elif isinstance(exc, Exception):
            self._journal.answered(self._number, "failed", exc)
        else:
            self._journal.answered(self._number, "cancelled")


def check_call(call: CallOperation, command: str) -> None:
    """Raise ``CallEnded`` if *call* is known to have ended: then no command to it is sent."""
    if call.is_known_to_have_ended:
        reason = call.end_reason
        message = f"{command}: not sent, since call {call.id} has ended ({reason or 'no reason given'})"
        raise CallEnded(message, reason=reason)
