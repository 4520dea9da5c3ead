"""Runs the user's handler for each inbound call, once, in a task that the client owns."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any, Literal, NamedTuple, Protocol

from .._core.early_events import RecentKeys
from .._core.operation import CallOperation
from .._core.webhooks import Decision
from ..call_leg import Leg
from ..commands import EndReason
from ..errors import CallEnded, SwcallsError
from ..events import InboundCall
from .call_logging import about
from .decisions import Decisions
from .tasks import Tasks

Handler = Callable[[Any], Awaitable[object]]
"""A coroutine function that takes a ``Call``."""

_log = logging.getLogger("swcalls.inbound")


class InboundHandle(Protocol):
    """The part of a ``Call`` that the dispatcher uses."""

    _operation: CallOperation

    async def end(self, reason: EndReason | None = None) -> Leg | None:
        """End the call."""
        ...

    async def answer(self) -> None:
        """Answer the call, if it is held."""
        ...

    async def reject(self, reason: Literal["busy", "decline"] = "decline") -> None:
        """Refuse the call, if it is held; else hang up."""
        ...


class Handling(NamedTuple):
    """A handler, and what is done with a call before and after it."""

    handler: Handler
    hang_up: bool
    answer: bool


class InboundDispatcher:
    """Runs a handler for each inbound call, while the client is open and `refuse` is not in force.

    Args:
        adopt: Registers an inbound call, which is answered or not, and returns its handle.
        tasks: Run the handlers.
        most_remembered: How many calls are remembered, so that a call that is announced again is not handled twice.
        decisions: Decides on calls that are not answered yet.
        offer: Advertises to other processes whether this one accepts inbound calls; ``None``: there are no others.
    """

    def __init__(
        self,
        adopt: Callable[[InboundCall, bool], InboundHandle],
        tasks: Tasks,
        most_remembered: int,
        decisions: Decisions,
        offer: Callable[[bool], object] | None = None,
    ) -> None:
        self._adopt = adopt
        self._tasks = tasks
        self._offer = offer
        self._decisions = decisions
        self._handlings: dict[str | None, Handling] = {}
        """By the called address, as `same_address` spells it; ``None``: for every other address."""
        self._is_open = False
        self._refusals = 0
        self._offered = False
        self._announced = RecentKeys(most_remembered)

    @property
    def takes_calls(self) -> bool:
        """Whether inbound calls are accepted now, at least to some address."""
        return bool(self._handlings) and self._is_open and not self._refusals

    def takes(self, inbound: InboundCall) -> bool:
        """Return whether this call is accepted now: whether there is a handler for the address that was called."""
        return self.takes_calls and self._handling(inbound) is not None

    def handler_for(self, to: str | None) -> Handler | None:
        """Return the handler that was set for *to*; ``None`` for *to*: the one for every other address."""
        handling = self._handlings.get(None if to is None else same_address(to))
        return None if handling is None else handling.handler

    def handle_with(self, handler: Handler, *, hang_up: bool, answer: bool, to: str | None = None) -> None:
        """Run *handler* for inbound calls.

        Args:
            hang_up: End a call when its handler returns or raises.
            answer: Answer a call before its handler runs.
            to: The called address; ``None``: every address without a handler of its own.
        """
        key = None if to is None else same_address(to)
        self._handlings[key] = Handling(handler, hang_up, answer)
        self.tell_others()

    def open(self) -> None:
        """Accept inbound calls from now on. `tell_others` must be called to advertise that to other processes."""
        self._is_open = True

    def close(self) -> None:
        """Accept no calls any more. Other processes notice when the backplane is closed."""
        self._is_open = False
        self._offered = False

    def refuse(self) -> None:
        """Accept no calls until `resume` has been called as often as `refuse`."""
        self._refusals += 1
        self.tell_others()

    def resume(self) -> None:
        """Undo one `refuse`."""
        self._refusals -= 1
        self.tell_others()

    def holds(self, inbound: InboundCall) -> bool:
        """Return whether a call is held until its handler decides on it, if this process gets the call."""
        handling = self._handling(inbound)
        return handling is not None and not handling.answer

    def dispatch(self, inbound: InboundCall, *, promised: bool = False) -> bool:
        """Run the handler for a call, unless the call was dispatched before; return whether the call is accepted.

        Args:
            promised: This process has claimed the call, and accepts it even if it refuses calls by now.
        """
        handling = self._handling(inbound)
        if handling is None or not (promised or self.takes_calls):
            return False
        if inbound.call_id in self._announced:
            return True
        self._announced.add(inbound.call_id)
        if not handling.answer:
            self._decisions.expect(inbound.call_id)
        run = _HandlerRun(self._adopt(inbound, handling.answer), self._tasks, hang_up=handling.hang_up)
        self._tasks.handle(run.run(handling.handler), run.leave)
        return True

    async def decide(self, call: CallOperation, decision: Decision) -> Decision | None:
        """Decide on a call that is held, unless that is done; return what was decided; ``None``: it is not held."""
        return None if call.id is None else await self._decisions.decide(call.id, decision)

    async def told(self, call: CallOperation) -> None:
        """Return when the platform has been told what was decided on *call*, which is held."""
        await self._decisions.until_told(call.id or "")

    def tell_others(self) -> None:
        """Advertise to other processes whether this process accepts inbound calls, if that has changed."""
        if self._offer is not None and self._offered != self.takes_calls:
            self._offered = self.takes_calls
            self._offer(self._offered)

    def _handling(self, inbound: InboundCall) -> Handling | None:
        own = None if inbound.to is None else self._handlings.get(same_address(inbound.to))
        return own or self._handlings.get(None)


class _HandlerRun:
    """One run of the handler for one inbound call, up to the hang-up."""

    def __init__(self, handle: InboundHandle, tasks: Tasks, *, hang_up: bool) -> None:
        self._handle = handle
        self._call = handle._operation
        self._tasks = tasks
        self._hang_up = hang_up
        self._reason: EndReason | None = None
        self._has_left = False

    async def run(self, handler: Handler) -> None:
        call = self._call
        try:
            await handler(self._handle)
        except Exception as error:  # noqa: BLE001 - it is logged below
            end = _end_in(error)
            if end is not None:
                _log.info("call %s: the handler stopped, since the call has ended: %s", call.id, end, extra=about(call))
            else:
                _log.exception("call %s: the handler failed, and the call is ended", call.id, extra=about(call))
                self._reason = "error"

    def leave(self) -> None:
        """End the call, unless it has ended, is ending or was transferred. A second `leave` does nothing."""
        if self._has_left:
            return
        self._has_left = True
        if self._call.handed_on or self._call.has_ended:
            return
        if self._hang_up:
            self._tasks.hang_up(self._end())
        elif self._call.state == "ringing":
            self._tasks.hang_up(self._answer())

    async def _answer(self) -> None:
        """Answer a call on which its handler has not decided."""
        try:
            await self._handle.answer()
        except SwcallsError as error:
            _log.info("call %s: not answered: %s", self._call.id, error, extra=about(self._call))

    async def _end(self) -> None:
        call = self._call
        try:
            if self._call.state == "ringing":
                await self._handle.reject("busy" if self._reason else "decline")
            else:
                await self._handle.end(self._reason)
        except CallEnded:
            pass  # The call had ended, but its webhook had not come yet.
        except SwcallsError as error:
            _log.warning("call %s: not ended: %s", call.id, error, extra=about(call))


def _end_in(error: Exception) -> Exception | None:
    """Return the ``CallEnded`` that *error* is, or that a group consists of; ``None`` if there is any other error."""
    if not isinstance(error, ExceptionGroup):
        return error if isinstance(error, CallEnded) else None
    ends = [_end_in(inner) for inner in error.exceptions]
    return None if None in ends else ends[0]


def same_address(address: str) -> str:
    """Return *address* in a spelling that two addresses have in common if they name the same callee.

    Case does not count, and neither do the parameters of a SIP address.
    """
    address = address.strip().casefold()
    return re.split("[;?]", address, maxsplit=1)[0] if address.startswith(("sip:", "sips:")) else address
