"""The coroutines that ``call.play(...)`` and ``client.dial(...)`` return. They send the command when they run."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Generic, TypeVar

from .._core.limits import check_timeout
from .._engine.call_logging import about
from ..errors import ActionExpired, CallEnded, Conflict, InvalidParams, SwcallsError
from ..results import Result
from .action import Action, Stoppable
from .waiting import timed_out, until, waiting

T = TypeVar("T")
A = TypeVar("A", bound=Action[Any])
R = TypeVar("R", bound=Result)

_log = logging.getLogger("swcalls.actions")


class Start(Coroutine[Any, Any, T]):
    """A coroutine that sends one command when it runs. Like any coroutine it can be awaited once.

    If it never is, a ``RuntimeWarning`` names the method. mypy finds it with ``enable_error_code = unused-awaitable``;
    by default, mypy and pyright flag only what is exactly a ``Coroutine``, and not its subclasses.

    Args:
        name: The method that made it, for warnings: ``Call.play``.
        run: Makes the coroutine that sends the command.
    """

    __slots__ = ("_coroutine", "_name", "_run")

    def __init__(self, name: str, run: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._coroutine: Coroutine[Any, Any, T] | None = None
        self._name = name
        self._run = run

    @property
    def __name__(self) -> str:
        """The name that asyncio shows for a task of this coroutine."""
        return self._name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name}>"

    def rename(self, name: str) -> None:
        """Set the method that warnings name."""
        self._name = name

    def __await__(self) -> Generator[Any, Any, T]:
        return self._begun().__await__()

    def send(self, value: Any, /) -> Any:
        """Run until the next await; called by the event loop."""
        return self._begun().send(value)

    def throw(self, *error: Any) -> Any:
        """Raise *error* inside the coroutine; called by the event loop to cancel."""
        return self._begun().throw(*error)

    def close(self) -> None:
        """Close the coroutine. One that was not started sends nothing, and does not warn that it was never awaited."""
        self._begun().close()

    def _begun(self) -> Coroutine[Any, Any, T]:
        # One coroutine for all uses, so that Python itself refuses a second use.
        if self._coroutine is None:
            self._coroutine = self._run()
        return self._coroutine

    def __del__(self) -> None:
        if self._coroutine is None:
            warnings.warn(f"coroutine '{self._name}' was never awaited", RuntimeWarning, stacklevel=2, source=self)


class ResultStart(Start[R], Generic[R]):
    """Several commands that are about to be sent: ``await`` it for what they come to, in one line.

    Nothing is sent before that. No handle of what runs in between is given out: if the wait is cancelled or times out,
    what runs is stopped in the background. `Client.close` waits for that.
    """

    __slots__ = ()

    async def finished(self, timeout: float | None = None) -> R:
        """Do as ``await`` does, within *timeout*.

        Args:
            timeout: Seconds (>= 0), sending included; ``None``: no limit. After a timeout, what runs is stopped.

        Raises:
            TimeoutError: *timeout* seconds passed first.
            CommandError: A command did not succeed.
            ActionError: What was started failed, or the call ended (``CallEnded``).
        """
        try:
            check_timeout("timeout", timeout)
        except (TypeError, ValueError):
            self.close()
            raise
        if timeout is None:
            return await self._begun()
        bound = asyncio.timeout(timeout)
        try:
            async with bound:
                return await self._begun()
        except TimeoutError:
            if not bound.expired():
                raise
            raise TimeoutError(f"{self.__name__}: no result after {timeout:g} s") from None


class ActionStart(Start[A], Generic[A, R]):
    """An action that is about to be started. Nothing is sent before it is used, once, in one of three ways.

    - ``await start`` sends the command and returns the handle;
    - ``await start.finished(timeout)`` sends the command and waits for the result;
    - ``async with start as action`` sends the command, and stops the action when the block ends, if it still runs.

    If one of these is cancelled or times out before you have the handle, the action is stopped in the background, since
    it may be running. `Client.close` waits for that.
    """

    __slots__ = ("_action", "_deadline")

    def __init__(
        self, name: str, action: A, run: Callable[[], Coroutine[Any, Any, A]], deadline: float | None = None
    ) -> None:
        super().__init__(name, run)
        self._action = action
        self._deadline = deadline

    async def finished(self, timeout: float | None = None) -> R:
        """Start the action, wait for its end and return the result; see ``Action.finished``.

        Args:
            timeout: Seconds (>= 0), sending included; ``None``: no limit. After a timeout the action is stopped.
        """
        try:
            check_timeout("timeout", timeout)
        except (TypeError, ValueError):
            self.close()
            raise
        action, end = self._action, None
        if timeout is None:
            await self._begun()
        else:
            end = asyncio.get_running_loop().time() + timeout
            try:
                async with asyncio.timeout_at(end):
                    await self._begun()
            except TimeoutError:
                raise timed_out(action._operation, "finished", timeout) from None
        action.call._engine.lifetime.own(action._operation, action)
        try:
            with waiting(action._operation, "finished", unless=action.done()):
                await until(action.done, "finished", timeout, action._operation, check=action._check_wait, end=end)
                result: R = action.result()
        except ActionExpired:
            # The user has no handle to stop the action. Without a `deadline`, its duration limit has ended it anyway.
            if self._deadline is not None:
                action._abandon()
            raise
        except (asyncio.CancelledError, TimeoutError):
            action._abandon()
            raise
        finally:
            action.call._engine.lifetime.disown(action._operation)
        return result

    async def __aenter__(self) -> A:
        return await self._begun()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        action = self._action
        outcome = action._operation.outcome
        if (outcome is not None and outcome.settled_by == "closed") or not isinstance(action, Stoppable):
            return
        try:
            await action.stop()
        except CallEnded:
            pass  # The call has ended, and the action with it; the webhook had not come yet.
        except (Conflict, InvalidParams) as refusal:
            # The command is valid, so the action's state forbids it: there is nothing to stop any more.
            _log.info("%s %s: not stopped: %s", action.kind, action.control_id, refusal, extra=about(action._operation))
        except SwcallsError as error:
            if exc is None:
                raise
            _log.warning(
                "%s %s: not stopped: %s", action.kind, action.control_id, error, extra=about(action._operation)
            )
        except asyncio.CancelledError:
            action._abandon()
            raise
