"""The awaitable that starts an action: nothing is sent before it is used."""

from __future__ import annotations

import logging
from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any, Generic, TypeVar

from ..errors import CommandRejected, SwcallsError
from ..logbook import about
from ..results import Result
from ._base import Action, Stoppable

A = TypeVar("A", bound=Action[Any])
R = TypeVar("R", bound=Result)

_log = logging.getLogger("swcalls.actions")


class ActionStart(Generic[A, R]):
    """An action that is about to be started: nothing is sent before one of these is used, once.

    - ``await start`` sends the command and returns the handle;
    - ``await start.finished()`` sends it and waits for the result;
    - ``async with start as action`` stops the action when the block ends, unless it has ended already.
    """

    __slots__ = ("_action", "_start")

    def __init__(self, start: Coroutine[Any, Any, A]) -> None:
        self._start = start
        self._action: A | None = None

    def __await__(self) -> Generator[Any, None, A]:
        return self._start.__await__()

    async def finished(self, timeout: float | None = None) -> R:
        """Start the action, wait for its end and return the result; see ``Action.finished``."""
        action = await self._start
        result: R = await action.finished(timeout)
        return result

    async def __aenter__(self) -> A:
        self._action = await self._start
        return self._action

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        action = self._action
        if not isinstance(action, Stoppable) or action.done():
            return
        try:
            await action.stop()
        except CommandRejected as refusal:
            # It ended, or its call did, while its last event was still on the way: there was nothing to stop.
            _log.info("%s %s: not stopped: %s", action.kind, action.key, refusal, extra=about(action))
        except SwcallsError as error:
            if exc is None:
                raise
            _log.warning("%s %s: not stopped: %s", action.kind, action.key, error, extra=about(action))
