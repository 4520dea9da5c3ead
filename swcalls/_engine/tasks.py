"""The tasks of one client, each with an owner that awaits it at the end. Knows nothing of calls."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")

_log = logging.getLogger("swcalls.tasks")

HANG_UP_WITHIN = 5.0
"""Seconds that hanging up the calls nobody looks after any more may take, once there is nothing else to wait for."""


class _Handler:
    """One of the user's handlers while it runs, or a hang-up; what it starts inherits it."""

    __slots__ = ("leave", "owner", "task")

    def __init__(self, owner: Tasks, leave: Callable[[], object] | None = None) -> None:
        self.owner = owner
        self.leave = leave
        self.task: asyncio.Task[Any] | None = None


_running: contextvars.ContextVar[_Handler | None] = contextvars.ContextVar("swcalls.running", default=None)


class Tasks:
    """Runs what is to be done beside the commands of a user, and what a user's own handlers do."""

    def __init__(self) -> None:
        self._own: set[asyncio.Task[Any]] = set()
        self._handlers: set[asyncio.Task[Any]] = set()
        self._dials: set[asyncio.Task[Any]] = set()
        """Waiting for an answer that says whether a phone rings now."""
        self._hang_ups: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._own) + len(self._handlers) + len(self._dials) + len(self._hang_ups)

    @property
    def is_handler(self) -> bool:
        """Whether the caller is one of the handlers, or was started by one."""
        return self._handler() is not None

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run *work* until it is done, or cancelled at the end."""
        self._run(work, self._own)

    def handle(self, work: Coroutine[Any, Any, None], leave: Callable[[], object]) -> None:
        """Run *work*, a user's handler, which gets the time to finish at the end.

        Args:
            leave: Called when it is done, however it came to that; earlier, when it is the handler itself that closes
                the client.
        """
        handler = _Handler(self, leave)
        handler.task = self._run(work, self._handlers, handler)
        # Not in a `finally` of the work: a task that is cancelled before its first step never gets to one.
        handler.task.add_done_callback(lambda _: leave())

    def dial(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run *work*, which dials, in a task that lives on when whoever waits for it is cancelled."""
        return self._run(work, self._dials)

    def hang_up(self, work: Coroutine[Any, Any, None]) -> None:
        """Run *work*, which ends a call that nobody looks after any more. It may send commands until the end."""
        self._run(work, self._hang_ups, _Handler(self))

    def leave(self) -> None:
        """Let go of the call of the handler that calls this, if one does: after the end, nobody else could."""
        handler = self._handler()
        if handler is not None and handler.leave is not None:
            handler.leave()

    async def drain(self, timeout: float) -> None:
        """Wait *timeout* seconds for the handlers to finish, cancel the others, and wait until their calls are ended.

        A handler that calls this does not wait for itself. A cancellation cuts the time short; it is passed on when
        nothing is left to wait for.
        """
        await self._see_off(self._handlers, timeout, lambda: self._hang_ups)

    async def finish(self, timeout: float) -> None:
        """Do as `drain` does, and wait for the answers of dials as long."""
        await self._see_off(self._handlers | self._dials, timeout, lambda: self._hang_ups | self._dials)

    async def cancel(self) -> None:
        """Cancel and await the rest, but for a handler that asks for it."""
        patience = _Patience()
        while left := self._own | self._dials | self._hang_ups:
            _cancel(left)
            await patience.wait(left)
        patience.done()

    async def _see_off(
        self, tasks: set[asyncio.Task[Any]], timeout: float, rest: Callable[[], set[asyncio.Task[Any]]]
    ) -> None:
        handler = self._handler()
        tasks = {task for task in tasks if handler is None or task is not handler.task}
        patience = _Patience()
        await patience.wait(tasks, timeout)
        # Somebody may have cancelled them already: what they do about it is not to be disturbed.
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
    """Waits for tasks, and keeps a cancellation that comes meanwhile until all that must be done is done."""

    def __init__(self) -> None:
        self._cancelled: asyncio.CancelledError | None = None

    async def wait(self, tasks: Iterable[asyncio.Task[Any]], timeout: float | None = None) -> bool:
        """Wait for *tasks*; say whether that was not cut short by a cancellation."""
        tasks = set(tasks)
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=timeout)
        except asyncio.CancelledError as cancelled:
            self._cancelled = cancelled
            return False
        return True

    def done(self, fault: BaseException | None = None) -> None:
        """Pass the cancellation on, if one came; *fault* is what went wrong as well."""
        if self._cancelled is not None:
            raise self._cancelled from fault


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Await *work*, which takes a bounded time, however often that is cancelled; then pass the cancellation on."""
    task = asyncio.get_running_loop().create_task(work)
    patience = _Patience()
    while not await patience.wait([task]):
        pass
    patience.done(None if task.cancelled() else task.exception())
    return task.result()


async def each_of(*steps: Callable[[], Awaitable[object]]) -> None:
    """Take all of *steps*, whatever becomes of any; then raise a cancellation that came, or what first went wrong."""
    faults: list[BaseException] = []
    for step in steps:
        try:
            await step()
        except (Exception, asyncio.CancelledError) as fault:  # noqa: BLE001 - raised below
            faults.append(fault)
    faults.sort(key=lambda fault: not isinstance(fault, asyncio.CancelledError))
    for further in faults[1:]:
        _log.warning("something else went wrong at the end: %r", further)
    if faults:
        raise faults[0]


def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
