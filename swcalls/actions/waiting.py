"""Waits for an operation to change.

Each waiter has a future of its own. So cancelling one waiter leaves the others and the operation alone, and an error
that nobody waits for is not logged as an exception that was never retrieved.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import TypeVar, cast

from .._core.limits import check_timeout
from .._core.operation import CallOperation, Operation
from .._engine.call_logging import about
from ..events import Event

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
    """Return when *ready* is true. It is called now, and at every change of one of *operations*.

    Args:
        what: What the first operation should become, for the message of the `TimeoutError`: ``finished``.
        timeout: Seconds (>= 0); ``None``: no limit.
        check: Called before the wait; raises if no change can come.
        end: The time of the event loop at which *timeout* is over; ``None``: *timeout* seconds from now.

    Raises:
        TimeoutError: *timeout* seconds have passed. The operations go on.
    """
    if timeout is not None:
        check_timeout("timeout", timeout)
    if ready():
        return
    check()
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()
    wake = _Wake(waiter, ready)
    for operation in operations:
        operation.watch(wake)
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
            operation.unwatch(wake)


class _Wake:
    """A watcher that ends the wait of one task once *ready* is true. A closure would be four objects, not one."""

    __slots__ = ("_ready", "_waiter")

    def __init__(self, waiter: asyncio.Future[None], ready: Callable[[], bool]) -> None:
        self._waiter = waiter
        self._ready = ready

    def __call__(self) -> None:
        if not self._waiter.done() and self._ready():
            self._waiter.set_result(None)


def timed_out(operation: Operation, what: str, timeout: float | None) -> TimeoutError:
    """Return the error of a wait for *operation* that took longer than *timeout* seconds."""
    name = f"{operation.kind} {operation.id if isinstance(operation, CallOperation) else operation.key}"
    last = operation.state or ("no event yet" if operation.stage != "not_sent" else "not sent yet")
    return TimeoutError(f"{name}: not {what} after {timeout:g} s; last: {last}")


class waiting:  # noqa: N801 - used like `suppress`
    """A block in which a task waits for *operation*, noted in the timeline, *unless* there is nothing to wait for."""

    __slots__ = ("_note", "_observer")

    def __init__(self, operation: Operation, word: str, *, unless: bool) -> None:
        self._observer = None if unless else operation.observer
        if self._observer is not None:
            self._note = self._observer.wait(operation.kind, operation.key, word)

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._observer is None:
            return
        if exc is None:
            self._observer.waited(self._note, "result")
        elif isinstance(exc, TimeoutError):
            self._observer.waited(self._note, "timeout")
        else:
            self._observer.waited(self._note, "error" if isinstance(exc, Exception) else "cancelled")


async def events_of(operation: Operation, kind: type[E], check: Callable[[], object]) -> AsyncIterator[E]:
    """Yield every event of *operation*, from the first to the last, also those that came before.

    *check* is called before each wait for an event; it raises if no event can come.
    """
    position = 0

    def more() -> bool:
        return operation.closed or operation.dropped + len(operation.history or ()) > position

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
        elif operation.closed:
            return
        else:
            await until(more, "changed", None, operation, check=check)
