"""The tasks of one client, each with an owner that awaits it at the end. Knows nothing of calls."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_handled_by: contextvars.ContextVar[object] = contextvars.ContextVar("swcalls.handled_by", default=None)
"""Whose handler is running; what it starts inherits it."""


class Tasks:
    """Runs what is to be done beside the commands of a user, and what a user's own handlers do."""

    def __init__(self) -> None:
        self._own: set[asyncio.Task[None]] = set()
        self._handlers: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._own) + len(self._handlers)

    @property
    def is_handler(self) -> bool:
        """Whether who asks is one of the handlers, or was started by one."""
        return _handled_by.get() is self

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run *work* until it is done, or cancelled at the end."""
        self._run(work, self._own)

    def handle(self, work: Coroutine[Any, Any, None]) -> None:
        """Run *work*, a user's, which gets the time to finish at the end."""
        context = contextvars.copy_context()
        context.run(_handled_by.set, self)
        self._run(work, self._handlers, context)

    async def drain(self, timeout: float) -> None:
        """Wait *timeout* seconds for the handlers to finish, then cancel and await them."""
        # A handler that closes the client itself cannot wait for its own end.
        handlers = self._handlers - {asyncio.current_task()}
        if not handlers:
            return
        _, late = await asyncio.wait(handlers, timeout=timeout)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def cancel(self) -> None:
        """Cancel and await the rest."""
        for task in self._own:
            task.cancel()
        await asyncio.gather(*self._own, return_exceptions=True)

    def _run(
        self,
        work: Coroutine[Any, Any, None],
        owned: set[asyncio.Task[None]],
        context: contextvars.Context | None = None,
    ) -> None:
        task = asyncio.get_running_loop().create_task(work, context=context)
        owned.add(task)
        task.add_done_callback(owned.discard)


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Await *work*, which takes a bounded time, however often that is cancelled; then pass the cancellation on."""
    task = asyncio.get_running_loop().create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as cancellation:
            cancelled = cancellation
    if cancelled is not None:
        raise cancelled from None if task.cancelled() else task.exception()
    return task.result()
