"""The life of a client: what is opened and closed with it, in which order, and what may be asked of it when."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from .._core.operation import Handle, Operation
from .._core.registry import Registry
from ..backplane.member import Member
from ..errors import ClientClosed
from ..timeline import Tell
from .call_logging import log, log_mark
from .dials import Dials
from .inbound import InboundDispatcher
from .tasks import Tasks, each_of, to_the_end
from .timer import Timer

if TYPE_CHECKING:
    from .transport import Transport


class Lifetime:
    """Opens, drains and closes the parts of a client. *observers* are told of what happens on any call."""

    def __init__(
        self,
        registry: Registry,
        timer: Timer,
        tasks: Tasks,
        dials: Dials,
        inbound: InboundDispatcher,
        member: Member | None,
        transport: Transport,
        observers: list[Tell],
    ) -> None:
        self._registry = registry
        self._timer = timer
        self._tasks = tasks
        self._dials = dials
        self._inbound = inbound
        self._member = member
        self._transport = transport
        self._observers = observers
        self._opening = asyncio.Lock()
        self._is_closing = False
        self._has_closed = asyncio.Event()
        self._starts: dict[Operation, Handle] = {}
        """Actions whose command is being sent, but not by a handler of an inbound call."""
        self._starts_are_over = asyncio.Event()
        self._owned: dict[Operation, Handle] = {}
        """Actions that run for ``start.finished()``: nobody has the handle. Those of handlers are not in here."""
        self.is_closed: bool = False
        """Nobody may send any more, not even a handler."""

    async def open(self) -> None:
        """Start to send and to keep time. A second call does nothing; one that fails leaves nothing."""
        async with self._opening:
            self._check_not_closed()
            if self._timer.loop is not None:
                return
            self._timer.open()
            if log.isEnabledFor(logging.INFO) and log_mark not in self._observers:
                self._observers.append(log_mark)
            # First, since what was left for this process may be handed over at once.
            self._inbound.open()
            try:
                await self._transport.open()
                if self._member is not None:
                    await self._member.open()
                    self._inbound.tell_others()
                self._check_not_closed()
            except BaseException as fault:
                self._inbound.close()
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
        self._inbound.refuse()
        if self._member is not None:
            await self._member.refuse_calls()
        await self._tasks.drain(self._registry.limits.drain)

    def resume(self) -> None:
        """Take calls again: what was to be left after `drain` has been left."""
        self._inbound.resume()

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
        self._timer.check_open()
        if self.is_too_late:
            raise ClientClosed(f"{command}: not sent, since the client is being closed")

    def check_wait(self) -> None:
        """Raise if waiting for something is in vain; the errors are those of `check`."""
        if self._registry.is_closed:
            raise ClientClosed("the client is closed")
        if not self.is_closed:
            self._timer.check_open()

    @property
    def is_too_late(self) -> bool:
        """Whether the client is being closed, and the caller is no handler."""
        return self._is_closing and not self._tasks.is_handler

    def start_begins(self, action: Operation, handle: Handle) -> None:
        """Note that the command of *action* is about to be sent."""
        if not self._tasks.is_handler:
            self._starts[action] = handle

    def start_ends(self, action: Operation) -> None:
        """Note that the command of *action* was answered, or never will be."""
        self._starts.pop(action, None)
        if self._is_closing and not self._starts:
            self._starts_are_over.set()

    def own(self, action: Operation, handle: Handle) -> None:
        """Note that *action* runs for one who waits for its result without a handle: closing the client stops it."""
        if not self._tasks.is_handler:
            self._owned[action] = handle

    def disown(self, action: Operation) -> None:
        """Note that nobody waits for *action* without a handle any more."""
        self._owned.pop(action, None)

    async def _finish(self) -> None:
        self._inbound.refuse()
        self._tasks.leave()
        self._dials.close()
        for action in [action for action in self._starts if action.stage == "not_sent"]:
            # Its command still waits for its turn, and will not leave.
            self._close_out(action)
            del self._starts[action]
        if self._starts:
            self._tasks.dial(self._wait_for_starts())
        for action, handle in list(self._owned.items()):
            handle._abandon()
            self._close_out(action)
        if self._member is not None:
            await self._member.refuse_calls()
        await self._tasks.finish(self._registry.limits.drain)

    async def _wait_for_starts(self) -> None:
        """Wait for the answers to the commands of actions: what they start is stopped by whoever sent them.

        Those that are not answered in time are stopped nevertheless.
        """
        try:
            await self._starts_are_over.wait()
        finally:
            for action, handle in self._starts.items():
                if action.stage != "not_sent":
                    handle._abandon()

    def _close_out(self, action: Operation) -> None:
        error = ClientClosed(f"{action.kind} {action.key}: the client was closed", action=action.handle)
        self._registry.settler.settle(action, "closed", error=error)

    async def _stop(self) -> None:
        """Keep time no more, and let go of the backplane."""
        self.is_closed = self._is_closing
        self._timer.close()
        self._inbound.close()
        if self._member is not None:
            await self._member.close()

    async def _settle(self) -> None:
        self._registry.close()

    async def _disconnect(self) -> None:
        await to_the_end(self._transport.close())

    def _check_not_closed(self) -> None:
        if self._is_closing:
            raise RuntimeError("the client is closed, and cannot be opened again")
