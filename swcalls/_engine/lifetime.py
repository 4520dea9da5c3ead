"""Opens and closes the parts of a client, in order, and checks whether a command may be sent in the current state."""

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
    """Opens, drains and closes the parts of a client. *observers* get the timeline entries of all calls."""

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
        """Actions that run for ``start.finished()``, so that no user has the handle; without those of handlers."""
        self.is_closed: bool = False
        """No command may be sent any more, not even by a handler."""

    async def open(self) -> None:
        """Open transport, timer and backplane. A second call does nothing; a failed call closes what it opened."""
        async with self._opening:
            self._check_not_closed()
            if self._timer.loop is not None:
                return
            self._timer.open()
            if log.isEnabledFor(logging.INFO) and log_mark not in self._observers:
                self._observers.append(log_mark)
            # First, since the backplane may deliver inbound calls as soon as it is open.
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
                    fault.add_note(f"closing the parts that were open failed too: {further!r}")
                raise

    @property
    def is_busy(self) -> bool:
        """Whether any action, call or task is left, so that webhooks may still come."""
        return bool(self._registry.actions or self._registry.calls or len(self._tasks))

    async def drain(self) -> None:
        """Refuse inbound calls until `resume` is called, and wait for the running handlers.

        After ``Limits.drain`` seconds the handlers are cancelled, and their calls are ended.
        """
        self._inbound.refuse()
        if self._member is not None:
            await self._member.refuse_calls()
        await self._tasks.drain(self._registry.limits.drain)

    def resume(self) -> None:
        """Accept inbound calls again, after `drain`."""
        self._inbound.resume()

    async def close(self) -> None:
        """Wait for the handlers, settle every operation, and close timer, backplane and sockets.

        From now on only handlers may send commands, to finish; after ``Limits.drain`` seconds they are cancelled. A
        call that is being dialled is hung up, an action that is being started is stopped. Every step is done, even if
        another one fails or is cancelled. A second call returns when the first one does.
        """
        if self._is_closing:
            # A handler must not wait here: the first `close` may be waiting for that handler.
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
            ClientClosed: The client is closed; or it is being closed, and the caller is no handler.
        """
        if self.is_closed:
            raise ClientClosed(f"{command}: not sent, since the client is closed")
        self._timer.check_open()
        if self.is_too_late:
            raise ClientClosed(f"{command}: not sent, since the client is being closed")

    def check_wait(self) -> None:
        """Raise if no event can come any more; the errors are those of `check`."""
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
        """Note that the command of *action* was answered, or has failed."""
        self._starts.pop(action, None)
        if self._is_closing and not self._starts:
            self._starts_are_over.set()

    def own(self, action: Operation, handle: Handle) -> None:
        """Note that *action* runs for ``start.finished()``, whose caller has no handle: closing the client stops it."""
        if not self._tasks.is_handler:
            self._owned[action] = handle

    def disown(self, action: Operation) -> None:
        """Undo `own`: ``start.finished()`` has returned."""
        self._owned.pop(action, None)

    async def _finish(self) -> None:
        self._inbound.refuse()
        self._tasks.leave()
        self._dials.close()
        for action in [action for action in self._starts if action.stage == "not_sent"]:
            # Its command waits for a rate limit or a free connection, and will not be sent.
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
        """Wait for the responses to the commands that start actions; `Engine.start` stops each action then.

        Actions without a response in time are stopped here.
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
        """Stop the timer, refuse inbound calls, and close the backplane."""
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
            raise RuntimeError("the client is closed and cannot be opened again: make a new Client")
