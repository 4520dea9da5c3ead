"""One command that is under way: whether it may still leave, what it starts, and the timeline of its call."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from .._core.command_target import target_of
from .._core.operation import CallOperation, Operation
from .._core.registry import Registry
from ..commands import Request
from ..errors import CallEnded, CommandError


class CommandTrace:
    """A block in which *request* is sent, to *call*, if it is about one.

    Args:
        registry: Knows whether it is too late to send; ``None``: the command is sent in any case.
        starts: The operation that the command starts.
        leaving: Called when the command leaves.
    """

    __slots__ = ("_call", "_command", "_leaving", "_number", "_observer", "_registry", "_starts")

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
        self._observer = None if call is None else call.observer
        if call is not None and self._observer is not None:
            command = request.command
            kind, key = target_of(call, command, request.params) if starts is None else (starts.kind, starts.key)
            self._number = self._observer.command(kind, key, command)

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
                registry.settler.give_up(action)
            if action.outcome is not None and action.outcome.error is not None:
                raise action.outcome.error

    def leaves(self) -> None:
        """Check once more, and note that the command is about to leave: from now on it may have arrived."""
        self.check()
        if self._starts is not None:
            self._starts.note_sent()
        if self._leaving is not None:
            self._leaving()

    def repeated(self, error: CommandError) -> None:
        """Note that the command will be sent again, since *error* says that it was not processed."""
        if self._starts is not None:
            self._starts.stage = "not_sent"
        if self._observer is not None:
            self._observer.retry(self._number, error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._observer is None:
            return
        if exc is None:
            self._observer.answered(self._number)
        elif isinstance(exc, Exception):
            self._observer.answered(self._number, "failed", exc)
        else:
            self._observer.answered(self._number, "cancelled")


def check_call(call: CallOperation, command: str) -> None:
    """Raise ``CallEnded`` if *call* is known to have ended: then no command to it is sent."""
    if call.is_known_to_have_ended:
        reason = call.end_reason
        message = f"{command}: not sent, since call {call.id} has ended ({reason or 'no reason given'})"
        raise CallEnded(message, reason=reason)
