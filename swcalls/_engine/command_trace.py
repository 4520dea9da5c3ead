"""Follows one command while it is sent: checks whether it may still be sent, and notes its progress in the timeline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .._core.command_target import not_found_means_call_gone, target_of
from .._core.decoding import read
from .._core.operation import CallOperation, Operation
from .._core.registry import Registry
from ..commands import Request
from ..errors import CallEnded, CallNotFound, CommandError
from ..events import CallEvent


class CommandTrace:
    """The progress of one *request*; *call* is the call that it is about, if any. The transport calls the methods.

    Args:
        registry: Settles an action that is overdue before it is sent; ``None``: the command is sent in any case.
        starts: The operation that the command starts; ``None``: the command starts nothing.
        leaving: Called just before the request is written.
    """

    __slots__ = ("_call", "_command", "_leaving", "_number", "_observer", "_params", "_registry", "_starts")

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
        self._params = request.params
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
        """The time after which the command must not be sent, by the clock of the event loop; ``None``: none."""
        return None if self._starts is None else self._starts.due

    def check(self) -> None:
        """Raise if it is too late to send the command.

        Raises:
            CallEnded: The call has ended while the command waited to be sent.
            ActionExpired: The deadline of the action has passed while its command waited to be sent.
            ClientClosed: The client was closed while the command waited to be sent.
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
        """Check once more, and note that the request is about to be written, and may arrive from now on."""
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

    def answered(self, answer: dict[str, Any]) -> None:
        """Note that the platform accepted the command, and apply the state of the call in *answer*."""
        if self._observer is not None:
            self._observer.answered(self._number)
        if self._registry is not None and self._call is not None:
            report(self._registry, self._call, answer)

    def failed(self, error: BaseException) -> None:
        """Note that the command was refused, was not answered, or was cancelled."""
        if self._observer is not None:
            if isinstance(error, Exception):
                self._observer.answered(self._number, "failed", error)
            else:
                self._observer.answered(self._number, "cancelled")
        registry, call = self._registry, self._call
        if registry is None or call is None or not isinstance(error, CallNotFound):
            return
        # 410 is always about the call.
        if error.status == 410 or not_found_means_call_gone(self._command, self._params):
            registry.lose(call, time.monotonic())


def report(registry: Registry, call: CallOperation, answer: dict[str, Any]) -> None:
    """Apply the state of *call* in a command's response. Usually the state is known already."""
    if answer.get("id") != call.id or answer.get("status") in (None, call.state):
        return
    event = read("call", answer)
    if isinstance(event, CallEvent):
        registry.report(call, event, time.monotonic())


def check_call(call: CallOperation, command: str) -> None:
    """Raise ``CallEnded`` if *call* is known to have ended: then no command to it is sent."""
    if call.is_known_to_have_ended:
        reason = call.end_reason
        message = f"{command}: not sent, since call {call.id} has ended ({reason or 'no reason given'})"
        raise CallEnded(message, reason=reason)
