"""The handle of a call: its state, its events, its actions, and how to end it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Literal, Self, cast

from ._core.lifecycle import LIVE_WORDS
from ._engine.call_logging import about
from .actions import HANDLES, Action, Start, Verbs, check_text
from .actions.waiting import events_of, until, waiting
from .call_leg import Leg
from .commands import End, EndReason, Update
from .errors import CallEnded, CallNotFound, CommandNotSent, SwcallsError, shown
from .events import CallEvent, InboundCall
from .timeline import Journal, Timeline
from .words import CallState, EndedBy

_log = logging.getLogger("swcalls.call")


class Call(Verbs):
    """A call.

    ::

        async with client.dial(to="+15550198765", from_="+12069708643") as call:  # hangs up when the block ends
            await call.answered(timeout=30)
            await call.say("Welcome.").finished()

    The methods that start an action return an ``ActionStart``: ``await`` it for the handle, call ``.finished()`` for
    the result, or use ``async with`` to stop the action when the block ends. All of them also take what follows, except
    ``ask`` and ``wait_for_beep``, which take several steps, and have a result instead of a handle:

    - *control_id*: the id of the action (default: a new UUID); unique among the client's running actions;
    - *status_url*: where the webhooks of the action go (default: the client's own receiver);
    - *deadline*: seconds (> 0) after which the action expires (``ActionExpired``); ``None``: no deadline.

    A parameter that is not given is not sent, except a default that the signature shows. A bad argument raises
    ``ValueError`` or ``TypeError`` before anything is sent; a command that fails raises a ``CommandError``.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        reason = self.end_reason
        return f"<Call {self.id} {self.state or 'of unknown state'}{(reason and f': {reason}') or ''}>"

    @property
    def id(self) -> str | None:
        """The platform's id of the call; ``None``: the dial got no response, and no webhook has brought the id."""
        return self._operation.id

    @property
    def state(self) -> CallState | None:
        """The latest state, as the platform spells it; ``None``: no state is known."""
        return cast(CallState | None, self._operation.state)

    @property
    def leg(self) -> Leg | None:
        """The last response to a command; ``None`` before the first."""
        return self._operation.leg

    @property
    def inbound(self) -> InboundCall | None:
        """The announcement of an inbound call; ``None`` for every other call."""
        return self._operation.inbound

    @property
    def has_ended(self) -> bool:
        """Whether the call has ended, as far as is known."""
        return self._operation.has_ended

    @property
    def end_reason(self) -> EndedBy | None:
        """Why the call has ended; ``None``: it has not ended, or the platform gave no reason."""
        return cast(EndedBy | None, self._operation.end_reason)

    @property
    def from_(self) -> str | None:
        """The caller's address; ``None``: not known."""
        source = self.inbound or self.leg
        return None if source is None else source.from_

    @property
    def to(self) -> str | None:
        """The called address; ``None``: not known."""
        source = self.inbound or self.leg
        return None if source is None else source.to

    @property
    def headers(self) -> Mapping[str, str]:
        """The SIP headers of an inbound call."""
        return {} if self.inbound is None else self.inbound.headers

    @property
    def variables(self) -> Mapping[str, Any]:
        """The variables of an inbound call."""
        return {} if self.inbound is None else self.inbound.variables

    @property
    def timeline(self) -> Timeline:
        """The latest ``Limits.timeline`` commands, events, waits and outcomes of the call."""
        return Timeline.of(cast(Journal | None, self._operation.observer))

    async def answered(self, timeout: float | None = None) -> None:
        """Wait until the call is answered; return at once if it was answered before.

        Raises:
            TimeoutError: *timeout* seconds passed first.
            CallEnded: The call ended without being answered; ``reason`` says why.
            ClientClosed: The client was closed.
        """
        operation = self._operation

        def is_decided() -> bool:
            return operation.has_ended or not LIVE_WORDS.isdisjoint(operation.states_reached)

        with waiting(operation, "answered", unless=is_decided()):
            await until(is_decided, "answered", timeout, operation, check=self._check_wait)
            if LIVE_WORDS.isdisjoint(operation.states_reached):
                self._raise_if_closed()
                reason = operation.end_reason
                raise CallEnded(
                    f"call {self.id}: ended ({reason or 'no reason given'}) before it was answered", reason=reason
                )

    async def ended(self, timeout: float | None = None) -> EndedBy | None:
        """Wait for the end of the call and return its reason; ``None`` when the platform gave none.

        Reasons: hangup, cancel, busy, noAnswer, decline, error, abandoned, max_duration, not_found, or an
        unknown one, as the platform spells it.

        Raises:
            TimeoutError: *timeout* seconds passed first.
            ClientClosed: The client was closed.
        """
        operation = self._operation
        with waiting(operation, "ended", unless=operation.has_ended):
            await until(lambda: operation.has_ended, "ended", timeout, operation, check=self._check_wait)
            self._raise_if_closed()
        return self.end_reason

    def events(self) -> AsyncIterator[CallEvent]:
        """Iterate over the state events of the call, from the first to the last, also those that came before.

        ::

            async for event in call.events():
                print(event.state, event.end_reason)

        Raises:
            RuntimeError: The client is not open.
            ClientClosed: The client was closed.
        """
        return events_of(self._operation, CallEvent, self._check_wait)

    def action(self, kind: str, control_id: str) -> Action[Any]:
        """Attach to an action of this call that was started elsewhere; no request is sent.

        Args:
            kind: The kind of the action: ``"play"``, ``"record"``, ….

        Raises:
            ValueError: The kind is not known, or an action of another kind or call runs under this id.
        """
        check_text("kind", kind)
        check_text("control_id", control_id)
        if kind not in HANDLES:
            raise ValueError(f"kind={shown(kind)} must be one of {', '.join(sorted(HANDLES))}")
        handle = HANDLES[kind]
        running = self._operation.actions.get(control_id)
        if running is not None and isinstance(running.handle, handle):
            return running.handle
        action = handle(self, control_id)
        self._engine.attach(action._operation)
        return action

    async def answer(self) -> None:
        """Answer a call that was taken with ``on_call(handler, answer=False)``; do nothing if it is answered.

        It returns when the platform has been told. Not confirmed on a live account.

        Raises:
            CallEnded: The caller has hung up, or the call was refused.
            CommandNotSent: The call did not come in: only the callee can answer it.
        """
        decision = await self._decide("answer")
        if decision is None:
            if LIVE_WORDS.isdisjoint(self._operation.states_reached):
                raise CommandNotSent(
                    f"answer: call {self.id} must have come in, and must be taken with on_call(handler, answer=False)",
                    command="answer",
                    call_id=self.id,
                )
            return
        await self._engine.inbound.told(self._operation)
        self._engine.check_command(self._operation, "answer")

    async def reject(self, reason: Literal["busy", "decline"] = "decline") -> None:
        """Refuse a call that was taken with ``on_call(handler, answer=False)``; hang up if it is answered.

        What the caller hears depends on the caller's carrier. Not confirmed on a live account.

        Raises:
            CallEnded: The caller has hung up.
        """
        if reason not in ("busy", "decline"):
            raise ValueError(f"reject: reason={shown(reason)} must be 'busy' or 'decline'")
        decision = await self._decide(reason)
        if decision in ("busy", "decline"):
            self._operation.handed_on = True
            await self._engine.inbound.told(self._operation)
        if not self._operation.has_ended:
            await self.end(reason)

    async def _decide(self, decision: Literal["answer", "busy", "decline"]) -> str | None:
        """Decide on a call that is held; return what was decided; ``None``: the call is not held."""
        self._engine.check_command(self._operation, decision)
        return await self._engine.inbound.decide(self._operation, decision)

    async def end(self, reason: EndReason | None = None) -> Leg | None:
        """Hang up. The call has ended when ``ended()`` returns. Wire: ``calling.end``.

        Args:
            reason: hangup (the platform's default), cancel, busy, noAnswer, decline or error.

        Returns:
            The call's leg; ``None`` when nothing was sent, since the call is known to have ended.
        """
        command = End(reason=reason)
        if self._operation.is_known_to_have_ended:
            return None
        try:
            leg = await self._engine.end(self._operation, End.command, command, reason or "hangup")
        except CallNotFound:
            raise
        except CallEnded:
            return None  # The call ended while the command waited to be sent.
        self._operation.handed_on = True
        return leg

    async def update(
        self,
        *,
        status: Literal["canceled", "completed"] | None = None,
        url: str | None = None,
        swml: dict[str, Any] | None = None,
        fallback_url: str | None = None,
        status_url: str | None = None,
    ) -> Leg:
        """Change the call: end it, or give it another dialplan. Wire: ``update``.

        Args:
            status: ``canceled`` while the call is queued or ringing, ``completed`` while it is up.
            url: The URL of a SWML document, for a call that is up; or *swml*, the document itself. Not both.
            fallback_url: The URL of a SWML document, for when the one at *url* cannot be had.
            status_url: Where the states of the call are to be posted; whether this client still gets them is not
                documented.

        Raises:
            CallEnded: The call has ended.
            InvalidParams: The state of the call does not allow it.
        """
        command = Update(
            # Without an id, `send` raises `CommandNotSent`, as for every command.
            id=self.id or self._operation.key,
            status=status,
            url=url,
            swml=swml,
            fallback_url=fallback_url,
            status_url=status_url,
        )
        if status is not None:
            reason = "cancel" if status == "canceled" else "hangup"
            leg = await self._engine.end(self._operation, Update.command, command, reason)
        elif url is not None or swml is not None:
            leg = await self._engine.documents.replace(self._operation, Update.command, command)
        else:
            return await self._send(Update.command, command)
        self._operation.handed_on = True
        return leg

    async def cancel(self) -> Leg:
        """Cancel a call that is queued or ringing: ``update(status="canceled")``. ``end()`` ends any call."""
        return await self.update(status="canceled")

    async def complete(self) -> Leg:
        """Complete a call that is up: ``update(status="completed")``. ``end()`` ends any call."""
        return await self.update(status="completed")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Hang up, unless the call has ended or the client is closed."""
        outcome = self._operation.outcome
        if outcome is not None and outcome.settled_by == "closed":
            return
        try:
            await self.end()
        except CallEnded:
            pass  # The call had ended, but its webhook had not come yet.
        except SwcallsError as error:
            # The error of the block must not be hidden by the error of the hang-up.
            if exc is None:
                raise
            _log.warning("call %s: not hung up: %s", self.id, error, extra=about(self._operation))
        except asyncio.CancelledError:
            self._engine.run_until_done(self._hang_up)
            raise

    async def _hang_up(self) -> None:
        try:
            await self.end()
        except SwcallsError as error:
            _log.warning("call %s: not hung up: %s", self.id, error, extra=about(self._operation))

    def _check_wait(self) -> None:
        self._engine.check_liveness(self._operation)

    def _raise_if_closed(self) -> None:
        outcome = self._operation.outcome
        if outcome is not None and outcome.error is not None:
            raise outcome.error.with_traceback(None)


class CallStart(Start[Call]):
    """A call that is about to be dialled: ``await`` it for the ``Call``, or use ``async with`` to hang up at the end.

    Nothing is sent before that. If it is cancelled after the dial was sent, the call is hung up in the background.
    """

    __slots__ = ("_call",)

    def __init__(self, run: Callable[[], Coroutine[Any, Any, Call]]) -> None:
        super().__init__("Client.dial", run)
        self._call: Call | None = None

    async def __aenter__(self) -> Call:
        self._call = await self._begun()
        return self._call

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._call is not None:
            await self._call.__aexit__(exc_type, exc, traceback)
