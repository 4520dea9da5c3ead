"""The base classes of action handles: `Action`, and `Stoppable` and `Pausable` for kinds that can be stopped or paused.

A handle holds the operation, which the registry updates, and the call. Commands go through the call's engine.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

from .._core.operation import PLAIN, CallOperation, Operation, Options
from .._engine.call_logging import about
from ..call_leg import Leg
from ..commands import Control
from ..errors import ActionFailed, CallEnded, ClientClosed, CommandNotSent, SwcallsError
from ..events import Event
from ..outcome import Outcome, Stage
from ..results import Result
from .call_base import CallBase
from .waiting import events_of, until, waiting

R = TypeVar("R", bound=Result)

PAUSES = (0.5, 1.5, 3.0)
"""Seconds between attempts to stop an action whose start was cancelled: the start may reach the platform late."""

_log = logging.getLogger("swcalls.actions")


class Action(Generic[R]):
    """A running action of a call: await its result, iterate over its events, or read its state.

    It settles exactly once. ``await action`` is ``await action.finished()``. Any number of tasks may wait; each gets
    the same result, and cancelling one cancels only that one.

    ::

        action = await call.play(TTS("Welcome."))
        await action.reached("playing", timeout=10)
        async for event in action:
            print(event.state)
        print(action.result())
    """

    __slots__ = ("_operation", "call")

    family: ClassVar[str]
    """The wire command that starts the action. The commands that control the action begin with it."""
    _kind: ClassVar[str]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "family" in vars(cls):
            # One string for all actions of a kind, to save memory: there may be a million actions.
            cls._kind = sys.intern(cls.family.removeprefix("calling."))

    def __init__(self, call: CallBase, control_id: str, options: Options = PLAIN) -> None:
        self.call: CallBase = call
        """The call that the action runs on."""
        self._operation = operation = Operation(self._kind, control_id, call._operation, options)
        operation.handle = self

    @property
    def control_id(self) -> str:
        """The id of the action; unique among the running actions of a client."""
        return self._operation.key

    @property
    def kind(self) -> str:
        """The kind of the action, such as ``play``: its command without ``calling.``."""
        return self._operation.kind

    @property
    def state(self) -> str | None:
        """The latest state, as the platform spells it; ``None``: no event has come."""
        return self._operation.state

    @property
    def last_event(self) -> Event | None:
        """The latest event; ``None``: no event has come."""
        return self._operation.last_event

    @property
    def dropped(self) -> int:
        """How many old events were dropped: ``Limits.history`` is how many are kept."""
        return self._operation.dropped

    def __await__(self) -> Generator[Any, None, R]:
        return self.finished().__await__()

    def __aiter__(self) -> AsyncIterator[Event]:
        """Iterate over every event, from the first to the last, also those that came before the loop began.

        The latest ``Limits.history`` events are kept. If older ones were dropped before the loop got to them, the log
        says so, and ``dropped`` counts them.
        """
        return events_of(self._operation, Event, self._check_wait)

    async def finished(self, timeout: float | None = None) -> R:
        """Wait for the end and return the result.

        Args:
            timeout: Seconds (>= 0) of this wait; ``None``: no limit. The action goes on after a timeout.

        Raises:
            TimeoutError: *timeout* seconds passed first.
            ActionFailed: The platform reported an error.
            CallEnded: The call ended, and no result came within the grace period.
            ActionExpired: The action's ``deadline`` passed.
            ClientClosed: The client was closed.
        """
        operation = self._operation
        with waiting(operation, "finished", unless=operation.outcome is not None):
            await until(self.done, "finished", timeout, operation, check=self._check_wait)
            return self.result()

    async def outcome(self) -> Outcome[R]:
        """Wait for the end and return the outcome, which has the result or the error. Never raises that error."""
        operation = self._operation
        with waiting(operation, "outcome", unless=self.done()):
            await until(self.done, "finished", None, operation, check=self._check_wait)
        return cast(Outcome[R], operation.outcome)

    async def reached(self, state: str, timeout: float | None = None) -> None:
        """Wait for *state* (``"playing"``), as the platform spells it; return at once if it was reached before.

        Args:
            state: A state that the docstring of the handle names.
            timeout: Seconds (>= 0) of this wait; ``None``: no limit.

        Raises:
            TimeoutError: *timeout* seconds passed first; the action goes on.
            ActionFailed: The action ended without *state*.
        """
        operation = self._operation

        def is_decided() -> bool:
            return state in operation.states_reached or operation.closed

        with waiting(operation, f"reached {state}", unless=is_decided()):
            await until(is_decided, f"in state {state!r}", timeout, operation, check=self._check_wait)
            if state not in operation.states_reached:
                raise self._ended_without(state)

    def done(self) -> bool:
        """Return whether the action has settled."""
        return self._operation.outcome is not None

    def result(self) -> R:
        """Return the result, or raise the error of the action; ``asyncio.InvalidStateError`` while it is running."""
        outcome = self._outcome()
        if outcome.error is not None:
            # All waiters get the same error: without this, each raise would add to its traceback.
            raise outcome.error.with_traceback(None)
        return cast(R, outcome.result)

    def exception(self) -> Exception | None:
        """Return the error; ``None``: there is a result. Raise ``asyncio.InvalidStateError`` while it is running."""
        return self._outcome().error

    def add_done_callback(self, fn: Callable[[Self], object], *, context: contextvars.Context | None = None) -> None:
        """Call *fn* with this action soon after it has settled. Errors of *fn* go to the loop's exception handler."""
        loop = asyncio.get_running_loop()
        callback = _DoneCallback(self, fn, loop, context or contextvars.copy_context())
        if self.done():
            callback()
        else:
            self._operation.watch(callback)

    def remove_done_callback(self, fn: Callable[[Self], object]) -> int:
        """Remove *fn*, and return how often it had been added."""
        watchers = self._operation.watchers or ()
        mine = [w for w in watchers if isinstance(w, _DoneCallback) and w.fn == fn and w.action is self]
        for callback in mine:
            self._operation.unwatch(callback)
        return len(mine)

    def __repr__(self) -> str:
        operation = self._operation
        state = operation.state or ("not sent yet" if operation.stage == "not_sent" else "no event yet")
        settled = f", settled by {operation.outcome.settled_by}" if operation.outcome else ""
        return f"<{type(self).__name__} {operation.key} {state}{settled}>"

    def _accepted(self, answer: Mapping[str, Any]) -> None:
        """Take the platform's response to the command that started the action."""

    def _abandon(self) -> None:
        """Stop the action in the background, since no user has the handle. A kind without a stop runs on."""

    def _outcome(self) -> Outcome[Any]:
        if self._operation.outcome is None:
            raise asyncio.InvalidStateError(f"{self!r} is not done")
        return self._operation.outcome

    def _ended_without(self, state: str) -> SwcallsError:
        outcome = self._outcome()
        why = "" if outcome.error is None else f": {outcome.error}"
        error = ActionFailed(f"{self.kind} {self.control_id}: ended without reaching {state!r}{why}", action=self)
        error.outcome = outcome
        return error

    def _check_wait(self) -> None:
        self.call._engine.check_liveness(self.call._operation)

    async def _control(self, verb: str, params: object = None) -> Leg:
        """Send a command that controls the action.

        Raises:
            CommandNotSent: The action has ended. The platform would answer 404, as for a call that has ended.
        """
        operation, command = self._operation, f"{self.family}.{verb}"
        outcome = operation.outcome
        if operation.closed and outcome is not None and outcome.settled_by in ("callback", "reconciled"):
            self.call._engine.check_command(self.call._operation, command)
            message = f"{command}: not sent, since {operation.kind} {operation.key} has ended"
            raise CommandNotSent(message, command=command, call_id=self.call._operation.id)
        return await self.call._send(command, params or Control(control_id=operation.key))


class Stoppable(Action[R], Generic[R]):
    """An action that can be stopped."""

    __slots__ = ()

    async def stop(self) -> Leg | None:
        """Ask the platform to stop the action, which ends when its last event comes. Works for an expired action, too.

        Returns:
            The call's leg; ``None`` when there is nothing to stop: the action or its call has ended.

        Raises:
            CommandError: The command did not succeed.
            ClientClosed: The client is closed.
        """
        if self._is_gone() or self._call_operation.is_known_to_have_ended:
            return None
        return await self.call._engine.stop(self._operation, *self._stop_command())

    @property
    def _call_operation(self) -> CallOperation:
        return self.call._operation

    def _stop_command(self) -> tuple[str, object]:
        return f"{self.family}.stop", Control(control_id=self._operation.key)

    def _abandon(self) -> None:
        if not self._is_gone():
            self.call._engine.run_until_done(self._stop_abandoned)

    async def _stop_abandoned(self) -> None:
        """Stop the action; several times if its start was cancelled, since the start may arrive after the stop."""
        operation = self._operation
        for pause in (*PAUSES, None):
            stage = operation.stage
            try:
                if await self.stop() is not None or stage == "accepted":
                    return
            except CallEnded:
                return
            except SwcallsError as error:
                _log.warning("%s %s: not stopped: %s", operation.kind, operation.key, error, extra=about(operation))
            if pause is None or self._is_gone():
                return
            with suppress(TimeoutError):
                await until(partial(self._has_moved, stage), "stopped", pause, operation, check=_no_check)

    def _has_moved(self, stage: Stage) -> bool:
        return self._operation.closed or self._operation.stage != stage

    def _is_gone(self) -> bool:
        """Return whether the platform has ended the action, or never started it: then there is nothing to stop."""
        operation = self._operation
        outcome = operation.outcome
        if outcome is None or not operation.closed or outcome.settled_by == "deadline":
            return operation.stage == "not_sent"
        return not isinstance(outcome.error, ClientClosed)

    def _start_bound(self) -> None:
        """Start the duration limit that the command's parameters set."""
        self.call._engine.registry.time_limits.start_bound(self._operation, time.monotonic())


class Pausable(Stoppable[R], Generic[R]):
    """An action that can be stopped, and paused for a while."""

    __slots__ = ()

    async def resume(self) -> Leg:
        """Continue after a pause."""
        leg = await self._control("resume")
        self._start_bound()
        return leg

    async def _pause(self, params: object = None) -> Leg:
        leg = await self._control("pause", params)
        self.call._engine.registry.time_limits.pause_bound(self._operation)
        return leg


class _DoneCallback:
    """A watcher that calls a user's function once, from the event loop, so that its errors stop no other watcher."""

    __slots__ = ("action", "context", "fn", "loop")

    def __init__(
        self,
        action: Action[Any],
        fn: Callable[[Any], object],
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context,
    ) -> None:
        self.action = action
        self.fn = fn
        self.loop = loop
        self.context = context

    def __call__(self) -> None:
        if self.action.done():
            self.action._operation.unwatch(self)
            self.loop.call_soon(self.fn, self.action, context=self.context)


def _no_check() -> None:
    """Do nothing: this wait has a timeout, and is allowed after the client is closed."""
