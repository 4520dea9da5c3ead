"""The life of a client: what is opened and closed with it, in which order, and what may be asked of it when."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from ._core.operation import Operation
from ._core.registry import Registry
from .admission import Admission
from .dialling import Dials
from .errors import ClientClosed
from .keeper import Keeper
from .logbook import log, log_mark
from .tasks import Tasks, each_of, to_the_end
from .timekeeper import Timekeeper
from .timeline import Tell

if TYPE_CHECKING:
    from .transport import Transport


class Lifetime:
    """Opens, drains and closes the parts of a client. *observers* are told of what happens on any call."""

    def __init__(
        self,
        registry: Registry,
        timekeeper: Timekeeper,
        tasks: Tasks,
        dials: Dials,
        admission: Admission,
        keeper: Keeper | None,
        transport: Transport,
        observers: list[Tell],
    ) -> None:
        self._registry = registry
        self._timekeeper = timekeeper
        self._tasks = tasks
        self._dials = dials
        self._admission = admission
        self._keeper = keeper
        self._transport = transport
        self._observers = observers
        self._opening = asyncio.Lock()
        self._is_closing = False
        self._has_closed = asyncio.Event()
        self._starts: set[Operation] = set()
        """Actions whose command is under way for somebody who is no handler."""
        self._starts_are_over = asyncio.Event()
        self._owned: set[Operation] = set()
        """Running actions whose result somebody waits for who has no handle, and is no handler."""
        self.is_closed: bool = False
        """Nobody may send any more, not even a handler."""

    async def open(self) -> None:
        """Start to send and to keep time. A second call does nothing; one that fails leaves nothing."""
        async with self._opening:
            self._check_not_closed()
            if self._timekeeper.loop is not None:
                return
            self._timekeeper.open()
            if log.isEnabledFor(logging.INFO) and log_mark not in self._observers:
                self._observers.append(log_mark)
            # First, since what was left for this process may be handed over at once.
            self._admission.open()
            try:
                await self._transport.open()
                if self._keeper is not None:
                    await self._keeper.open()
                self._check_not_closed()
            except BaseException as fault:
                self._admission.close()
                try:
                    await each_of(lambda: self._tasks.finish(0), self._stop, self._tasks.cancel, self._disconnect)
                except Exception as further:  # noqa: BLE001 - a backplane may raise anything
                    fault.add_note(f"closing what had been opened failed too: {further!r}")
                raise

    @property
    def is_busy(self) -> bool:
        """Whether webhooks are still to be expected."""
        return bool(self._registry.actions or self._registry.calls or len(self._tasks))

    async def drain(self) -> None:
        """Refuse calls that come in, until `resume` is called, and let the handlers of the others finish.

        When ``Limits.drain`` seconds are over, they are cancelled, and their calls ended.
        """
        self._admission.refuse()
        if self._keeper is not None:
            await self._keeper.refuse_calls()
        await self._tasks.drain(self._registry.limits.drain)

    def resume(self) -> None:
        """Take calls again: what was to be left after `drain` has been left."""
        self._admission.resume()

    async def close(self) -> None:
        """Let handlers finish, settle whatever is running, and let go of timer and sockets.

        From now on only handlers may send commands, those that they need to finish; after ``Limits.drain`` seconds they
        are cancelled. A call that is being dialled is hung up, an action that is being started is stopped. All of it is
        done, whatever fails or is cancelled on the way. A second call returns when the first does.
        """
        if self._is_closing:
            # The first may be waiting for the handler that calls this.
            if not self._tasks.is_handler:
                await self._has_closed.wait()
                await self._tasks.drain(self._registry.limits.drain)
            return
        self._is_closing = True
        try:
            await each_of(self._finish, self._stop, self._settle, self._tasks.cancel, self._disconnect)
        finally:
            self._has_closed.set()

    def check(self, command: str) -> None:
        """Raise if *command* may not be sent now.

        Raises:
            RuntimeError: The client is not open yet, or was opened in another event loop.
            ClientClosed: It is closed; or it is being closed, and this is no handler.
        """
        if self.is_closed:
            raise ClientClosed(f"{command}: not sent, since the client is closed")
        self._timekeeper.check()
        if self.is_too_late:
            raise ClientClosed(f"{command}: not sent, since the client is being closed")

    def check_wait(self) -> None:
        """Raise if waiting for something is in vain; the errors are those of `check`."""
        if self._registry.is_closed:
            raise ClientClosed("the client is closed")
        if not self.is_closed:
            self._timekeeper.check()

    @property
    def is_too_late(self) -> bool:
        """Whether the client is being closed, and the caller is no handler."""
        return self._is_closing and not self._tasks.is_handler

    def begins(self, action: Operation) -> None:
        """Note that the command of *action* is about to be sent."""
        if not self._tasks.is_handler:
            self._starts.add(action)

    def has_begun(self, action: Operation) -> None:
        """Note that the command of *action* was answered, or never will be."""
        self._starts.discard(action)
        if self._is_closing and not self._starts:
            self._starts_are_over.set()

    def own(self, action: Operation) -> None:
        """Note that *action* runs for one who waits for its result, and has no handle: closing stops it."""
        if not self._tasks.is_handler:
            self._owned.add(action)

    def disown(self, action: Operation) -> None:
        """Note that nobody waits any more as `own` says."""
        self._owned.discard(action)

    async def _finish(self) -> None:
        self._admission.refuse()
        self._tasks.leave()
        self._dials.close()
        for action in [action for action in self._starts if action.stage == "not_sent"]:
            # Its command still waits for its turn, and will not leave.
            self._close_out(action)
            self._starts.discard(action)
        if self._starts:
            self._tasks.dial(self._wait_for_starts())
        for action in list(self._owned):
            action.abandon()
            self._close_out(action)
        if self._keeper is not None:
            await self._keeper.refuse_calls()
        await self._tasks.finish(self._registry.limits.drain)

    async def _wait_for_starts(self) -> None:
        """Wait for the answers to the commands of actions: what they start is stopped by whoever sent them.

        Those that are not answered in time are stopped nevertheless.
        """
        try:
            await self._starts_are_over.wait()
        finally:
            for action in self._starts:
                if action.stage != "not_sent":
                    action.abandon()

    def _close_out(self, action: Operation) -> None:
        error = ClientClosed(f"{action.kind} {action.key}: the client was closed", action=action)
        self._registry.settle(action, "closed", error=error)

    async def _stop(self) -> None:
        """Keep time no more, and let go of the backplane."""
        self.is_closed = self._is_closing
        self._timekeeper.close()
        self._admission.close()
        if self._keeper is not None:
            await self._keeper.close()

    async def _settle(self) -> None:
        self._registry.close()

    async def _disconnect(self) -> None:
        await to_the_end(self._transport.close())

    def _check_not_closed(self) -> None:
        if self._is_closing:
            raise RuntimeError("the client is closed, and cannot be opened again")
