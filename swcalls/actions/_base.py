"""The handle of a running action: what every kind of them can do, and what most can."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar, cast

from .._core.audio_listeners import AudioListeners
from .._core.limits import Limits
from .._core.operation import PLAIN, CallOperation, Operation, Options
from ..commands import Control, StartCommand
from ..errors import ActionError, ActionFailed, CallEnded, ClientClosed, SwcallsError
from ..events import Event
from ..legs import Leg
from ..logbook import about
from ..outcome import Outcome, Stage
from ..results import Result
from ..timeline import Journal
from ._waiting import events_of, until, waiting

R = TypeVar("R", bound=Result)
Op = TypeVar("Op", bound=Operation)

PAUSES = (0.5, 1.5, 3.0)
"""Seconds between attempts to stop an action whose command was cut off, and may arrive late."""

_log = logging.getLogger("swcalls.actions")


class Sender(Protocol):
    """Sends commands, and sees to it that what comes of them is delivered: the engine of a client."""

    @property
    def limits(self) -> Limits:
        """The limits of the client."""
        ...

    @property
    def listeners(self) -> AudioListeners:
        """The streams that are heard by the client itself."""
        ...

    async def start(self, action: Op, command: StartCommand, deadline: float | None) -> Op:
        """Expect *action*, send its *command*, and return it once that was accepted."""
        ...

    async def send(self, call: CallOperation, command: str, params: object) -> Leg:
        """Send one command to *call*."""
        ...

    async def stop(self, action: Operation, command: str, params: object) -> Leg | None:
        """Send the command that stops *action*; ``None``: the platform does not know it any more."""
        ...

    async def end(self, call: CallOperation, command: str, params: object, reason: str) -> Leg:
        """Send a command that ends *call*, with *reason*."""
        ...

    def finish(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run *work* in a task that may send commands while the client is being closed, and is awaited then."""
        ...

    def own(self, action: Operation) -> None:
        """Note that *action* runs for one who waits for its result, and has no handle: closing stops it."""
        ...

    def disown(self, action: Operation) -> None:
        """Note that nobody waits any more as `own` says."""
        ...

    def attach(self, action: Op) -> Op:
        """Expect *action*, which was started elsewhere."""
        ...

    def pause(self, action: Operation) -> None:
        """Note that a pause of *action* was accepted."""
        ...

    def count_down(self, action: Operation) -> None:
        """Start the time limit that the parameters of *action* give it."""
        ...

    def look_after(self, call: CallOperation) -> None:
        """Prepare for a wait for *call*, or for an action on it: the wait must end even if no webhook comes.

        Raises:
            RuntimeError: The client is not open yet, or was opened in another event loop.
            ClientClosed: It is closed.
        """
        ...

    def tell(self, action: Operation, event: Event) -> None:
        """Apply an event to *action* that came for another one, but is about both."""
        ...

    def fail(self, action: Operation, error: ActionError) -> None:
        """Settle *action*: something that it needs has failed."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run *work* in a task that is cancelled and awaited when the client is closed."""
        ...

    def journal(self) -> Journal | None:
        """Make the place where a new call writes down what happens on it; ``None``: it does not."""
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
        return events_of(self, Event, self._look_after)

    async def finished(self, timeout: float | None = None) -> R:
        """Wait for the end and return the result.

        Args:
            timeout: Seconds (>= 0). It bounds this wait only; the action lives on.

        Raises:
            TimeoutError: *timeout* passed first.
            ActionFailed: The platform reported an error.
            CallEnded: The call ended, and no result came within the grace.
            ActionExpired: The action's ``deadline`` passed.
            ClientClosed: The client was closed.
        """
        return await self._finished(timeout)

    async def outcome(self) -> Outcome[R]:
        """Wait for the end and say how it came about. Never raises what ``finished()`` would."""
        with waiting(self, "outcome", unless=self.done()):
            await until(self.done, "finished", None, self, check=self._look_after)
        return cast(Outcome[R], self.settled)

    async def reached(self, state: str, timeout: float | None = None) -> None:
        """Wait for *state* (``"playing"``, ``"READY"``, …), as the platform spells it; a state that was, counts.

        Raises:
            TimeoutError: *timeout* seconds passed first; the action lives on.
            ActionFailed: The action ended without *state*.
        """
        with waiting(self, f"reached {state}", unless=self.over or state in self.seen):
            await until(
                lambda: state in self.seen or self.over, f"in state {state!r}", timeout, self, check=self._look_after
            )
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

    async def _finished(self, timeout: float | None, end: float | None = None) -> R:
        """Wait for the result: *timeout* seconds, which are over at *end*, if that is given."""
        with waiting(self, "finished", unless=self.done()):
            await until(self.done, "finished", timeout, self, check=self._look_after, end=end)
            return self.result()

    def _look_after(self) -> None:
        assert self.call is not None
        self._sender.look_after(self.call)

    async def _control(self, verb: str, params: object = None) -> Leg:
        call: Any = self.call
        leg: Leg = await call.send(f"{self.family}.{verb}", params or Control(control_id=self.key))
        return leg

    @property
    def _sender(self) -> Sender:
        call: Any = self.call
        return cast(Sender, call._sender)


class Stoppable(Action[R], Generic[R]):
    """An action that can be stopped."""

    __slots__ = ()

    async def stop(self) -> Leg | None:
        """Ask for the end; it is over when its last event comes. An action that expired here is stopped, too.

        Returns:
            The call's leg; ``None`` when there is nothing to stop: the platform has ended it, or its call.

        Raises:
            CommandError: The command did not succeed.
            ClientClosed: The client is closed.
        """
        assert self.call is not None
        if self._is_gone() or self.call.is_known_to_have_ended:
            return None
        return await self._sender.stop(self, *self._stop_command())

    def _stop_command(self) -> tuple[str, object]:
        return f"{self.family}.stop", Control(control_id=self.key)

    def abandon(self) -> None:
        if not self._is_gone():
            self._sender.finish(self._stop_abandoned)

    async def _stop_abandoned(self) -> None:
        """Stop the action, again and again if its own command was cut off: that may arrive later than the stop."""
        for pause in (*PAUSES, None):
            stage = self.stage
            try:
                if await self.stop() is not None or stage == "accepted":
                    return
            except CallEnded:
                return
            except SwcallsError as error:
                _log.warning("%s %s: not stopped: %s", self.kind, self.key, error, extra=about(self))
            if pause is None or self._is_gone():
                return
            with suppress(TimeoutError):
                await until(partial(self._has_moved, stage), "stopped", pause, self, check=_nothing)

    def _has_moved(self, stage: Stage) -> bool:
        return self.over or self.stage != stage

    def _is_gone(self) -> bool:
        """Say whether the platform has ended it, or never started it: then there is nothing to stop."""
        outcome = self.settled
        if outcome is None or not self.over or outcome.settled_by == "deadline":
            return self.stage == "not_sent"
        return not isinstance(outcome.error, ClientClosed)


class Pausable(Stoppable[R], Generic[R]):
    """An action that can be stopped, and paused for a while."""

    __slots__ = ()

    async def resume(self) -> Leg:
        """Go on after a pause."""
        leg = await self._control("resume")
        self._sender.count_down(self)
        return leg

    async def _pause(self, params: object = None) -> Leg:
        leg = await self._control("pause", params)
        self._sender.pause(self)
        return leg


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


def _nothing() -> None:
    """Check nothing: the wait has a timeout, and may outlast the client."""
