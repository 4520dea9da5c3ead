"""The handle of a running action: what every kind of them can do, and what most can."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar, cast

from .._core.operation import PLAIN, CallOperation, Operation, Options
from ..commands import Control
from ..errors import ActionFailed, CallNotFound, CommandNotSent, CommandRejected, SwcallsError
from ..events import Event
from ..legs import Leg
from ..outcome import Outcome
from ..results import Result
from ._waiting import events_of, until, waiting

R = TypeVar("R", bound=Result)


class Controllable(Protocol):
    """What an action needs of its call."""

    async def send(self, command: str, params: object) -> Leg:
        """Send one more command to the call."""
        ...

    def stopped(self, action: Operation) -> None:
        """Be told that *action* was told to stop, or was not there to be stopped."""
        ...

    def count_down(self, action: Operation) -> None:
        """Be told that its command was given that starts the time of *action*."""
        ...


class Action(Operation, Generic[R]):
    """A running action of a call: await it, iterate over its events, or ask how far it is.

    It settles exactly once. ``await action`` is ``await action.finished()``. Any number of tasks may wait; each gets
    the same result, and cancelling one cancels only that one.
    """

    __slots__ = ()

    family: ClassVar[str]
    """The wire command that starts it, and the beginning of those that control it."""

    def __init__(self, call: CallOperation, control_id: str, options: Options = PLAIN) -> None:
        # One string for all of a kind: there may be a million of them.
        super().__init__(sys.intern(self.family.removeprefix("calling.")), control_id, call, options)

    def __await__(self) -> Generator[Any, None, R]:
        return self.finished().__await__()

    def __aiter__(self) -> AsyncIterator[Event]:
        """Iterate over every event, from the first to the last, also those that came before the loop began.

        The latest ``Limits.history`` events are kept. When older ones were dropped before the loop got to them, the
        log says so, and ``dropped`` counts them.
        """
        return events_of(self, Event)

    async def finished(self, timeout: float | None = None) -> R:
        """Wait for the end and return the result.

        Args:
            timeout: Seconds. It bounds this wait only; the action lives on.

        Raises:
            TimeoutError: *timeout* passed first.
            ActionFailed: The platform reported an error.
            CallEnded: The call ended, and no result came within the grace.
            ActionExpired: The action's ``deadline`` passed.
            ClientClosed: The client was closed.
        """
        with waiting(self, "finished", unless=self.done()):
            await until(self.done, timeout, self)
            return self.result()

    async def outcome(self) -> Outcome[R]:
        """Wait for the end and say how it came about. Never raises what ``finished()`` would."""
        with waiting(self, "outcome", unless=self.done()):
            await until(self.done, None, self)
        return cast(Outcome[R], self.settled)

    async def reached(self, state: str, timeout: float | None = None) -> None:
        """Wait for *state* (``"playing"``, ``"READY"``, …), as the platform spells it; a state that was, counts.

        Raises:
            TimeoutError: *timeout* seconds passed first; the action lives on.
            ActionFailed: The action ended without *state*.
        """
        with waiting(self, f"reached {state}", unless=self.over or state in self.seen):
            await until(lambda: state in self.seen or self.over, timeout, self)
            if state not in self.seen:
                raise self._ended_without(state)

    def done(self) -> bool:
        """Say whether the action has settled."""
        return self.settled is not None

    def result(self) -> R:
        """Return the result, or raise what ended the action; ``asyncio.InvalidStateError`` while it is running."""
        outcome = self._outcome()
        if outcome.error is not None:
            # One error serves every waiter: without this each raise would add to the traceback of the one before.
            raise outcome.error.with_traceback(None)
        return cast(R, outcome.result)

    def exception(self) -> Exception | None:
        """Return what ended the action, if no result did; ``asyncio.InvalidStateError`` while it is running."""
        return self._outcome().error

    def add_done_callback(self, fn: Callable[[Self], object], *, context: contextvars.Context | None = None) -> None:
        """Call *fn* with this action soon after it has settled. Its errors go to the loop's exception handler."""
        loop = asyncio.get_running_loop()
        callback = _DoneCallback(self, fn, loop, context or contextvars.copy_context())
        if self.done():
            callback()
        else:
            self.watch(callback)

    def remove_done_callback(self, fn: Callable[[Self], object]) -> int:
        """Remove *fn*, and return how often it had been added."""
        mine = [w for w in self.watchers or () if isinstance(w, _DoneCallback) and w.fn == fn]
        for callback in mine:
            self.unwatch(callback)
        return len(mine)

    def __repr__(self) -> str:
        state = f"settled by {self.settled.settled_by}" if self.settled else self.state or "starting"
        return f"<{type(self).__name__} {self.key} {state}>"

    def _outcome(self) -> Outcome[Any]:
        if self.settled is None:
            raise asyncio.InvalidStateError(f"{self!r} is not done")
        return self.settled

    def _ended_without(self, state: str) -> SwcallsError:
        outcome = self._outcome()
        if outcome.error is not None:
            error = ActionFailed(
                f"{self.kind} {self.key}: ended without reaching {state!r}: {outcome.error}", action=self
            )
        else:
            error = ActionFailed(f"{self.kind} {self.key}: ended without reaching {state!r}", action=self)
        error.outcome = outcome
        return error

    async def _control(self, verb: str, params: object = None) -> Leg:
        return await self._line.send(f"{self.family}.{verb}", params or Control(control_id=self.key))

    @property
    def _line(self) -> Controllable:
        return cast(Controllable, self.call)


class Stoppable(Action[R], Generic[R]):
    """An action that can be stopped."""

    __slots__ = ()

    async def stop(self) -> Leg | None:
        """Ask for the end; it is over when its last event comes.

        Returns:
            The call's leg; ``None`` when there was nothing to stop: it is over, or its call is.

        Raises:
            CommandError: The command did not succeed.
        """
        if self.over or (self.call is not None and self.call.has_ended):
            return None
        # Set first: the event that the command causes may come before its response.
        self.stopping: bool = True
        try:
            leg = await self._send_stop()
        except CallNotFound:
            # It is not running there any more, nor perhaps is its call: its last event is on the way, or was lost.
            self._line.stopped(self)
            return None
        except (CommandRejected, CommandNotSent):
            self.stopping = False
            raise
        self._line.stopped(self)
        return leg

    async def _send_stop(self) -> Leg:
        return await self._control("stop")


class Pausable(Stoppable[R], Generic[R]):
    """An action that can be stopped, and paused for a while."""

    __slots__ = ()

    async def resume(self) -> Leg:
        """Go on after a pause."""
        return await self._control("resume")


class _DoneCallback:
    """A watcher that calls a user's function once, from the loop, so that its errors harm nobody else."""

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
            self.action.unwatch(self)
            self.loop.call_soon(self.fn, self.action, context=self.context)
