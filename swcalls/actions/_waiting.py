"""Waiting for an operation to change, without polling and without sharing a future.

Each waiter has a future of its own, so that cancelling one leaves the others and the operation alone, and an outcome
that nobody waits for is no exception that was never retrieved.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import TypeVar, cast

from .._core.operation import CallOperation, Operation
from ..events import Event
from ..logbook import about
from ._seconds import check_timeout

E = TypeVar("E", bound=Event)

_log = logging.getLogger("swcalls.actions")


async def until(
    ready: Callable[[], bool],
    what: str,
    timeout: float | None,
    *operations: Operation,
    check: Callable[[], object],
    end: float | None = None,
) -> None:
    """Return once *ready* is true, which is asked now and at every change of one of *operations*.

    Args:
        what: What is waited for, of the first operation: ``finished``.
        timeout: Seconds (>= 0); they are over at *end*, a time of the event loop, if that is given.
        check: Called before it waits; raises when no change can come.

    Raises:
        TimeoutError: *timeout* seconds have passed; the operations do not notice.
    """
    if timeout is not None:
        check_timeout("timeout", timeout)
    if ready():
        return
    check()
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()

    def look() -> None:
        if not waiter.done() and ready():
            waiter.set_result(None)

    for operation in operations:
        operation.watch(look)
    try:
        if timeout is None:
            await waiter
            return
        async with asyncio.timeout_at(loop.time() + timeout if end is None else end):
            await waiter
    except TimeoutError:
        raise timed_out(operations[0], what, timeout) from None
    finally:
        for operation in operations:
            operation.unwatch(look)


def timed_out(operation: Operation, what: str, timeout: float | None) -> TimeoutError:
    """Make the error of a wait for *operation* to be *what*."""
    name = f"{operation.kind} {operation.id if isinstance(operation, CallOperation) else operation.key}"
    last = operation.state or ("no event yet" if operation.stage != "not_sent" else "not sent yet")
    return TimeoutError(f"{name}: not {what} after {timeout:g} s; last: {last}")


class waiting:  # noqa: N801 - used like `suppress`
    """A block in which somebody waits for *operation*: its timeline shows it, *unless* there is nothing to wait for."""

    __slots__ = ("_journal", "_note")

    def __init__(self, operation: Operation, word: str, *, unless: bool) -> None:
        self._journal = None if unless else operation.journal
        if self._journal is not None:
            self._note = self._journal.wait(operation.kind, operation.key, word)

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._journal is None:
            return
        if exc is None:
            self._journal.waited(self._note, "result")
        elif isinstance(exc, TimeoutError):
            self._journal.waited(self._note, "timeout")
        else:
            self._journal.waited(self._note, "error" if isinstance(exc, Exception) else "cancelled")


async def events_of(operation: Operation, kind: type[E], check: Callable[[], object]) -> AsyncIterator[E]:
    """Yield every event of *operation*, from the first to the last, those that came before now too.

    *check* is called whenever there is none to yield; it raises when none can come.
    """
    position = 0

    def more() -> bool:
        return operation.over or operation.dropped + len(operation.history or ()) > position

    while True:
        if position < operation.dropped:
            lost = operation.dropped - position
            _log.warning(
                "%s %s: %d events were dropped unread", operation.kind, operation.key, lost, extra=about(operation)
            )
            position = operation.dropped
        history = operation.history or ()
        if position < operation.dropped + len(history):
            event = history[position - operation.dropped]
            position += 1
            yield cast(E, event)
        elif operation.over:
            return
        else:
            await until(more, "changed", None, operation, check=check)
