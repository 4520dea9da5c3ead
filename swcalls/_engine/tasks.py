"""Runs the background tasks of one client, and awaits or cancels them when the client closes. Knows no calls."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")

_log = logging.getLogger("swcalls.tasks")

HANG_UP_WITHIN = 5.0
"""Seconds that the last hang-ups may take, after all handlers have finished."""


class _Handler:
    """A user's handler while it runs, or a hang-up. Tasks that it starts inherit this by their context."""

    __slots__ = ("leave", "owner", "task")

    def __init__(self, owner: Tasks, leave: Callable[[], object] | None = None) -> None:
        self.owner = owner
        self.leave = leave
        self.task: asyncio.Task[Any] | None = None


_running: contextvars.ContextVar[_Handler | None] = contextvars.ContextVar("swcalls.running", default=None)


class Tasks:
    """The tasks of one client: internal work, handlers of inbound calls, dials and hang-ups."""

    def __init__(self) -> None:
        self._own: set[asyncio.Task[Any]] = set()
        self._handlers: set[asyncio.Task[Any]] = set()
        self._dials: set[asyncio.Task[Any]] = set()
        """Dials, and other commands whose response must be awaited even when the client closes."""
        self._hang_ups: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._own) + len(self._handlers) + len(self._dials) + len(self._hang_ups)

    @property
    def is_handler(self) -> bool:
        """Whether the caller is one of the handlers, or was started by one."""
        return self._handler() is not None

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run *work*, which `cancel` cancels."""
        self._run(work, self._own)

    def handle(self, work: Coroutine[Any, Any, None], leave: Callable[[], object]) -> None:
        """Run *work*, a user's handler. `drain` and `finish` give it time to finish.

        Args:
            leave: Called when *work* is done, with or without an error; or earlier, by `Tasks.leave`, when the handler
                itself closes the client.
        """
        handler = _Handler(self, leave)
        handler.task = self._run(work, self._handlers, handler)
        # Not in a `finally` of *work*: a task that is cancelled before its first step never runs the `finally`.
        handler.task.add_done_callback(lambda _: leave())

    def dial(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run *work*, which dials, in a task that goes on when its caller is cancelled; return the task."""
        return self._run(work, self._dials)

    def hang_up(self, work: Coroutine[Any, Any, None]) -> None:
        """Run *work*, which ends a call or stops an action. It may send commands while the client is closing."""
        self._run(work, self._hang_ups, _Handler(self))

    def leave(self) -> None:
        """If the caller is a handler, call its ``leave`` now: after closing, its call could not be ended any more."""
        handler = self._handler()
        if handler is not None and handler.leave is not None:
            handler.leave()

    async def drain(self, timeout: float) -> None:
        """Wait *timeout* seconds for the handlers to finish, cancel the others, and wait until their calls are ended.

        A handler that calls this does not wait for itself. A cancellation cuts the time short; it is passed on when
        nothing is left to wait for.
        """
        await self._finish_tasks(self._handlers, timeout, lambda: self._hang_ups)

    async def finish(self, timeout: float) -> None:
        """Do as `drain` does, and wait *timeout* seconds for dials, too."""
        await self._finish_tasks(self._handlers | self._dials, timeout, lambda: self._hang_ups | self._dials)

    async def cancel(self) -> None:
        """Cancel and await every task except handlers."""
        patience = _Patience()
        while left := self._own | self._dials | self._hang_ups:
            _cancel(left)
            await patience.wait(left)
        patience.done()

    async def _finish_tasks(
        self, tasks: set[asyncio.Task[Any]], timeout: float, rest: Callable[[], set[asyncio.Task[Any]]]
    ) -> None:
        handler = self._handler()
        tasks = {task for task in tasks if handler is None or task is not handler.task}
        patience = _Patience()
        await patience.wait(tasks, timeout)
        # A task that was cancelled before is cleaning up: a second cancellation would interrupt that.
        _cancel(task for task in tasks if not task.cancelling())
        while not await patience.wait(tasks):
            _cancel(tasks)
        clock = asyncio.get_running_loop().time
        end = clock() + HANG_UP_WITHIN
        while (tasks := rest()) and (left := end - clock()) > 0:
            await patience.wait(tasks, left)
        patience.done()

    def _handler(self) -> _Handler | None:
        handler = _running.get()
        return handler if handler is not None and handler.owner is self else None

    def _run(
        self, work: Coroutine[Any, Any, T], owned: set[asyncio.Task[Any]], handler: _Handler | None = None
    ) -> asyncio.Task[T]:
        context = contextvars.copy_context()
        if handler is not None:
            context.run(_running.set, handler)
        task = asyncio.get_running_loop().create_task(work, context=context)
        owned.add(task)
        task.add_done_callback(owned.discard)
        return task


class _Patience:
    """Waits for tasks, and defers a cancellation of the waiting task until `done` is called."""

    def __init__(self) -> None:
        self._cancelled: asyncio.CancelledError | None = None

    async def wait(self, tasks: Iterable[asyncio.Task[Any]], timeout: float | None = None) -> bool:
        """Wait for *tasks*; return ``False`` if a cancellation interrupted the wait."""
        tasks = set(tasks)
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=timeout)
        except asyncio.CancelledError as cancelled:
            self._cancelled = cancelled
            return False
        return True

    def done(self, fault: BaseException | None = None) -> None:
        """Raise the cancellation that was deferred, if any; *fault* becomes its cause."""
        if self._cancelled is not None:
            raise self._cancelled from fault


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Await *work* to its end, even if the caller is cancelled; then raise the cancellation. *work* must end."""
    task = asyncio.get_running_loop().create_task(work)
    patience = _Patience()
    while not await patience.wait([task]):
        pass
    patience.done(None if task.cancelled() else task.exception())
    return task.result()


async def each_of(*steps: Callable[[], Awaitable[object]]) -> None:
    """Await each of *steps* in turn, even if one fails; then raise the cancellation, or else the first error."""
    faults: list[BaseException] = []
    for step in steps:
        try:
            await step()
        except (Exception, asyncio.CancelledError) as fault:  # noqa: BLE001 - raised below
            faults.append(fault)
    faults.sort(key=lambda fault: not isinstance(fault, asyncio.CancelledError))
    for further in faults[1:]:
        _log.warning("a further error while closing: %r", further)
    if faults:
        raise faults[0]


def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
