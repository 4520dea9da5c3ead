"""What the REST commands lack, by SWML documents: bridges, conferences, digits to send, and documents of the user's.

The platform takes a document for a live call (``update``, or else ``calling.transfer``). Each document that is sent
here ends with a request to the receiver, which tells how its steps ended, and then parks the call. Not confirmed on a
live account.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Self, TypeVar, cast

from msgspec.structs import replace

from .._core.limits import check_seconds
from .._core.operation import PLAIN, Options, bounded
from .._core.swml_lifecycles import bridged_with
from ..call_leg import Leg
from ..commands import Bare, listed, mapped, refuse_none
from ..commands.swml import (
    AnyStep,
    Connect,
    JoinConference,
    SendDigits,
    step_objects,
)
from ..errors import ActionFailed, CommandNotSent, shown
from ..events import ConnectEvent
from ..results import ConferenceResult, ConnectResult, SendDigitsResult, SwmlResult
from ..words import ConnectState
from .action import Action, Stoppable
from .call_base import CallBase
from .start import ActionStart
from .verb_base import VerbBase, given
from .waiting import until, waiting

if TYPE_CHECKING:
    from .._engine.documents import Build, CallbackAddresses

A = TypeVar("A", bound=Action[Any])
C = TypeVar("C", bound=CallBase)


class SwmlAction(Action[SwmlResult]):
    """A SWML document that runs on a call. State: ``finished``."""

    __slots__ = ()
    family: ClassVar[str] = "calling.swml"

    @property
    def variables(self) -> Mapping[str, str]:
        """The values of the variables that its steps set; empty before the end."""
        outcome = self._operation.outcome
        return {} if outcome is None or outcome.result is None else cast(SwmlResult, outcome.result).variables


class ConnectAction(Stoppable[ConnectResult], Generic[C]):
    """A bridge with another call. States: ``connecting``, ``connected``, ``disconnected``, ``failed``.

    ``finished()`` waits for the end of the bridge; a connect that nobody answered is a result as well. Its events are
    ``ConnectEvent`` and, for the legs that are dialled, ``CallEvent``.
    """

    __slots__ = ()
    family: ClassVar[str] = "calling.connect"

    if TYPE_CHECKING:

        @property
        def state(self) -> ConnectState | None: ...

    async def connected(self, timeout: float | None = None) -> C:
        """Wait until somebody has answered, and return the call at the other end, which can be driven like any other.

        The bridge ends when either call does. The other call ends on its own: ``peer.ended()``.

        Args:
            timeout: Seconds (>= 0). It bounds this wait only.

        Raises:
            TimeoutError: *timeout* seconds passed first.
            ActionFailed: Nobody was connected; or the platform did not tell which call answered.
            CallEnded: Our own call ended first.
        """
        operation = self._operation

        def is_decided() -> bool:
            return operation.outcome is not None or self._peer_id() is not None

        with waiting(operation, "connected", unless=is_decided()):
            await until(is_decided, "connected", timeout, operation, check=self._check_wait)
            peer_id = self._peer_id()
            if peer_id is None:
                raise self._not_connected()
        told = [event for event in operation.history or () if isinstance(event, ConnectEvent) and event.to]
        from_, to = (told[-1].from_, told[-1].to) if told else (None, None)
        peer: C = self.call._engine.documents.peer(operation, peer_id, from_, to)
        return peer

    async def stop(self) -> Leg | None:
        """End the bridge; our call stays up, and is parked.

        If ``connected()`` has returned the other call, that call stays up too (``calling.disconnect``); otherwise it is
        hung up, since nobody could reach it any more. Legs that still ring are cancelled, by a document that replaces
        this one.
        """
        documents = self.call._engine.documents
        async with documents.turn(self._call_operation):
            if _is_past(self):
                return None
            peer_id = self._peer_id()
            if peer_id is None:
                return await _stop_by_document(self)
            if self._operation.options.peer is not None:
                return await self.call._engine.stop(self._operation, "calling.disconnect", Bare())
            return await documents.end_peer(self._operation, peer_id)

    def _peer_id(self) -> str | None:
        outcome = self._operation.outcome
        if outcome is None:
            return bridged_with(self._operation)
        return None if outcome.result is None else cast(ConnectResult, outcome.result).peer_id

    def _not_connected(self) -> Exception:
        outcome = self._operation.outcome
        assert outcome is not None
        if outcome.result is None:
            assert outcome.error is not None
            return outcome.error.with_traceback(None)
        result = cast(ConnectResult, outcome.result)
        why = "the platform did not tell which call answered" if result.answered else result.reason or "no reason given"
        error = ActionFailed(f"{self.kind} {self.control_id}: not connected: {why}", action=self)
        error.outcome = outcome
        return error


class SendDigitsAction(Action[SendDigitsResult]):
    """Digits that are being sent. States: ``finished``, ``failed``."""

    __slots__ = ()
    family: ClassVar[str] = "calling.digits"


class ConferenceAction(Stoppable[ConferenceResult]):
    """A conference that a call takes part in. States: ``joined``, ``left``, ``ended``, ``failed``.

    Its events are also about other members: there ``state`` is the platform's word, and ``call_id`` is theirs.
    """

    __slots__ = ()
    family: ClassVar[str] = "calling.conference"

    async def stop(self) -> Leg | None:
        """Leave the conference; the call stays up, and is parked."""
        async with self.call._engine.documents.turn(self._call_operation):
            return None if _is_past(self) else await _stop_by_document(self)


def _is_past(action: Stoppable[Any]) -> bool:
    """Return whether the document of *action* does not run any more, so that there is nothing to stop."""
    if action._is_gone() or action._call_operation.is_known_to_have_ended:
        return True
    return action.call._engine.documents.is_replaced(action._operation)


async def _stop_by_document(action: Stoppable[Any]) -> Leg | None:
    """Replace the document of *action* by one that only tells the end of the action, and parks the call."""
    engine, operation = action.call._engine, action._operation
    command = engine.documents.update_of(operation, ())
    return await engine.stop(operation, command.command, command)


class _Dialled(Connect, frozen=True, kw_only=True):
    """A connect whose parties were given as ``to``."""

    called: ClassVar[Mapping[str, str]] = {"serial": "to", "parallel": "to"}


class SwmlVerbs(VerbBase):
    """Does what needs a SWML document."""

    __slots__ = ()

    def run_swml(
        self, steps: Iterable[AnyStep], *, control_id: str | None = None, deadline: float | None = None
    ) -> ActionStart[SwmlAction, SwmlResult]:
        """Run *steps* on the call, typed ones (``swcalls.swml``), plain dicts, or both. Wire: ``update``.

        It replaces what was run on the call before: that action fails with ``Replaced``. The call is parked after the
        last step. Not confirmed on a live account.
        """
        made = step_objects(steps)
        if not made:
            raise ValueError("run_swml: steps=[] must be a list of at least one step")
        return self._run(SwmlAction, lambda _: made, control_id, deadline, name="run_swml")

    def connect(
        self,
        to: str | Sequence[str],
        *,
        caller_id: str | None = None,
        timeout: int = 30,
        max_duration: int | None = None,
        ringback: str | Sequence[str] | None = None,
        parallel: bool = False,
        confirm: str | Sequence[AnyStep] | None = None,
        headers: Mapping[str, str] | None = None,
        control_id: str | None = None,
        deadline: float | None = None,
    ) -> ActionStart[ConnectAction[Self], ConnectResult]:
        """Dial somebody and bridge both calls. Wire: ``update`` with the SWML step ``connect``.

        It replaces what was run on the call before: that action fails with ``Replaced``. Nobody answering is a result,
        ``answered=False``, not an error. Not confirmed on a live account.

        ::

            connect = await call.connect("+15550198766", timeout=20)
            try:
                peer = await connect.connected()  # the call at the other end
            except ActionFailed as nobody:
                print(nobody)
            else:
                await peer.ended()

        Args:
            to: A number or an address, or several, which are tried one after the other.
            caller_id: What the called party sees; without it, the number of the calling party.
            timeout: Seconds to ring.
            max_duration: Seconds after which the bridge ends (the platform's default: 14400).
            ringback: What the caller hears meanwhile, such as ``ring:us`` or the URL of a file; or several.
            parallel: All of *to* ring at the same time; the first to answer is bridged.
            confirm: Steps that run on the called leg before it is bridged, or the URL of a SWML document.
            headers: SIP headers.
        """
        if not isinstance(parallel, bool):
            raise TypeError(f"connect: parallel={shown(parallel)} must be True or False")
        refuse_none("connect", timeout=timeout)
        parties = [to] if isinstance(to, str) else listed(to)
        sounds = [ringback] if isinstance(ringback, str) else listed(ringback)
        step = _Dialled(
            serial=None if parallel else parties,
            parallel=parties if parallel else None,
            caller_id=caller_id,
            timeout=timeout,
            max_duration=max_duration,
            ringback=sounds,
            confirm=listed(confirm),
            headers=mapped(headers),
        )

        def build(urls: CallbackAddresses) -> Iterable[AnyStep]:
            return [step.reporting_to(urls.status, urls.leg)]

        return self._run(ConnectAction, build, control_id, deadline, Options(at_once=confirm is None))

    def send_digits(
        self, digits: str, *, control_id: str | None = None, deadline: float | None = None
    ) -> ActionStart[SendDigitsAction, SendDigitsResult]:
        """Send DTMF digits to the far end. Wire: ``update`` with the SWML step ``send_digits``.

        It replaces what was run on the call before: that action fails with ``Replaced``. It is refused while the call
        is bridged, since it would end the bridge. Not confirmed on a live account.

        ::

            await call.send_digits("1w204#").finished()

        Args:
            digits: Made of ``0-9 A-D * #``, and of ``w`` and ``W``, which are pauses.
        """
        step = SendDigits(digits)

        def build(_: object) -> Iterable[AnyStep]:
            bridge = self._engine.documents.bridge_of(self._operation)
            if bridge is not None:
                message = f"send_digits: not sent, since connect {bridge.key} has bridged the call, and would end"
                raise CommandNotSent(message, command="update", call_id=self._operation.id)
            return [step]

        return self._run(SendDigitsAction, build, control_id, deadline, bounded(step.seconds), name="send_digits")

    def conference(
        self,
        name: str,
        *,
        muted: bool | None = None,
        beep: bool | Literal["onEnter", "onExit"] | None = None,
        start_on_enter: bool | None = None,
        end_on_exit: bool | None = None,
        record: bool | None = None,
        control_id: str | None = None,
        deadline: float | None = None,
    ) -> ActionStart[ConferenceAction, ConferenceResult]:
        """Join the conference *name*, which its first member creates. Wire: ``update`` with ``join_conference``.

        It replaces what was run on the call before: that action fails with ``Replaced``. Not confirmed on a live
        account.

        ::

            async with call.conference("room") as conference:  # left when the block ends
                await conference.reached("joined", timeout=30)

        Args:
            muted: Join without being heard.
            beep: Whether a beep is heard when somebody joins or leaves (the platform's default), or at one of them.
            start_on_enter: ``False``: wait until another member starts the conference; until then there is silence.
            end_on_exit: End the conference for all when this member leaves.
            record: Record the conference from its start.
        """
        step = JoinConference(
            name=name,
            muted=muted,
            beep=cast(Any, str(beep).lower() if isinstance(beep, bool) else beep),
            start_on_enter=start_on_enter,
            end_on_exit=end_on_exit,
            record=cast(Any, _RECORD[record] if isinstance(record, bool) else record),
        )

        def build(urls: CallbackAddresses) -> Iterable[AnyStep]:
            return [step.reporting_to(urls.status)]

        return self._run(ConferenceAction, build, control_id, deadline)

    def _run(
        self,
        handle: type[A],
        build: Build,
        control_id: str | None,
        deadline: float | None,
        options: Options = PLAIN,
        *,
        name: str | None = None,
    ) -> ActionStart[A, Any]:
        check_seconds("deadline", deadline)
        if deadline is not None:
            options = replace(options, bound=None)
        action = handle(self, given(control_id), options)
        run = partial(self._engine.documents.start, action._operation, build, deadline)
        return ActionStart(f"Call.{name or action.kind}", action, run, deadline)


_RECORD = {True: "record-from-start", False: "do-not-record"}
