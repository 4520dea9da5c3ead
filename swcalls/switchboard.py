"""Connects commands with what comes of them: registers, sends, delivers, and wakes up when something is due.

command → registry → transport → registry;  webhook → registry → action;  overdue → voice log → registry → action.
One timer serves every deadline.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from ._core.audio_listeners import AudioListeners
from ._core.callbacks import CallbackUrls
from ._core.decoding import read
from ._core.inbox import Inbox
from ._core.limits import Limits
from ._core.operation import CallOperation, Operation
from ._core.reconcile import Reconcile
from ._core.registry import Registry
from ._core.responses import read_leg
from ._core.signature import Verifier
from ._core.subject import can_only_miss_the_call
from ._core.transitions import Delivered
from .admission import Admission
from .backplane import Backplane
from .commands import Request, StartCommand
from .commands.calls import Dial
from .config import Identity
from .dialling import Dials
from .errors import (
    ActionError,
    CallEnded,
    CallNotFound,
    ClientClosed,
    CommandNotSent,
    CommandRejected,
    CommandUnconfirmed,
)
from .events import CallEvent, Event
from .intake import Intake, log_receipt
from .keeper import Keeper
from .legs import CallLeg, Leg
from .lifetime import Lifetime
from .reconciler import Reconciler
from .tasks import Tasks
from .timekeeper import Timekeeper
from .timeline import Journal, Tell
from .underway import Underway, check_call

if TYPE_CHECKING:
    from .transport import Transport

Op = TypeVar("Op", bound=Operation)


class Switchboard:
    """The engine of one client."""

    def __init__(
        self,
        who: Identity,
        public_url: str | None,
        transport: Transport,
        limits: Limits,
        reconcile: Reconcile | None,
        backplane: Backplane | None = None,
        audio_url: str | None = None,
    ) -> None:
        self.registry: Registry = Registry(limits, reconcile)
        self.reconciler: Reconciler = Reconciler(self.registry, transport, reconcile or Reconcile())
        self.urls: CallbackUrls = CallbackUrls(who.project, who.token, who.path, public_url)
        self.listeners: AudioListeners = AudioListeners(self.urls, audio_url)
        verifier = Verifier(who.signing_keys, require=who.require_signature)
        self.inbox: Inbox = Inbox(self.urls, verifier, self.deliver, limit=limits.body)
        self.inbox.observers.append(log_receipt)
        self.admission: Admission = Admission(self.inbox, backplane)
        self.keeper: Keeper | None = None if backplane is None else Keeper(self, backplane, who.project)
        """Keeps what is running where another process finds it."""
        take = None if self.keeper is None else self.keeper.take
        self.intake: Intake = Intake(self.inbox, who.project, backplane, take)
        self.transport = transport
        self.observers: list[Tell] = []
        """Told of what happens on any call."""
        self.tasks: Tasks = Tasks()
        self.timekeeper: Timekeeper = Timekeeper(self.registry, self.reconciler, self.tasks)
        self.dials: Dials = Dials(self.tasks, self.send)
        self.lifetime: Lifetime = Lifetime(
            self.registry,
            self.timekeeper,
            self.tasks,
            self.dials,
            self.admission,
            self.keeper,
            transport,
            self.observers,
        )

    async def start(self, action: Op, command: StartCommand, deadline: float | None) -> Op:
        """Expect *action*, send its *command*, and return it once that was accepted.

        Whoever cancels this has no handle: what may be running then is stopped.
        """
        call = _call_of(action)
        self._check_call(call, command.command)
        if self.keeper is not None:
            self.keeper.check_name(command.command, call.id)
        if command.needs_url:
            command.report_to(self.urls.mint(action.kind, action.key))
        self.registry.expect(action, time.monotonic(), deadline)
        self.timekeeper.arm()
        self.lifetime.begins(action)
        try:
            if self.keeper is not None:
                await self.keeper.keep(action)
            answer = await self._send(call, command.command, command, action)
            if self.lifetime.is_too_late:
                action.stage = "accepted"
                action.abandon()
                raise ClientClosed(f"{command.command}: the client was closed meanwhile", action=action)
        except CommandUnconfirmed as error:
            error.action = action
            self.registry.doubt(action, time.monotonic())
            self.timekeeper.arm()
            raise
        except Exception as error:
            self.registry.withdraw(action, error)
            raise
        except BaseException:
            if action.stage == "not_sent":
                gone = CommandNotSent("cancelled before it was sent", command=command.command, call_id=call.id)
                self.registry.withdraw(action, gone)
            else:
                self.registry.doubt(action, time.monotonic())
                self.timekeeper.arm()
                action.abandon()
            raise
        finally:
            self.lifetime.has_begun(action)
        action.accepted(answer)
        self.registry.confirm(action, time.monotonic())
        self.timekeeper.arm()
        return action

    def attach(self, action: Op, deadline: float | None = None, *, is_kept: bool = False) -> Op:
        """Expect *action*, which was started elsewhere; events that came for it are applied at once.

        Args:
            is_kept: It is on the backplane already.
        """
        action.stage = "unconfirmed"
        if self.lifetime.is_closed:
            error = ClientClosed(f"{action.kind} {action.key}: the client is closed", action=action)
            self.registry.settle(action, "closed", error=error)
            return action
        self.registry.expect(action, time.monotonic(), deadline)
        self.registry.count_down(action, time.monotonic())
        if self.keeper is not None and not is_kept:
            self.keeper.keep_soon(action)
        self.timekeeper.arm()
        return action

    def resume_call(self, call: CallOperation, key: str) -> None:
        """Take on the state webhooks of a call that was dialled, or came in, before a restart."""
        call.key = key
        # Whose id was never known may never have been started.
        call.stage = "unconfirmed" if call.id is None else "accepted"
        self.registry.expect_call(call, time.monotonic())
        if call.id is not None:
            self.registry.calls[call.id] = call
        self.look_after(call)

    async def stop(self, action: Operation, command: str, params: object) -> Leg | None:
        """Send the command that stops *action*; ``None``: the platform does not know it any more."""

        def leaving() -> None:
            # The event that the command causes may come before its answer.
            action.stopping = True

        was_stopping = action.stopping
        try:
            leg = await self.send(_call_of(action), command, params, leaving)
        except CallEnded:
            # The action is not found, or its call ended meanwhile: its last event is on the way, or was lost.
            leg = None
        except (CommandRejected, CommandNotSent):
            action.stopping = was_stopping
            raise
        self.registry.stopped(action, time.monotonic())
        self.timekeeper.arm()
        return leg

    async def end(self, call: CallOperation, command: str, params: object, reason: str) -> Leg:
        """Send a command that ends *call*, with *reason*, which counts if the platform tells no other."""

        def leaving() -> None:
            call.asked_reason = reason

        asked_before = call.asked_reason
        try:
            return await self.send(call, command, params, leaving)
        except (CommandRejected, CommandNotSent) as error:
            if not isinstance(error, CallNotFound):
                call.asked_reason = asked_before
            raise

    def pause(self, action: Operation) -> None:
        """Note that a pause of *action* was accepted: the time limit that its parameters give it does not run."""
        self.registry.pause(action)

    def count_down(self, action: Operation) -> None:
        """Start the time limit that the parameters of *action* give it."""
        self.registry.count_down(action, time.monotonic())
        self.timekeeper.arm()

    def look_after(self, call: CallOperation) -> None:
        """Schedule a liveness check of *call*, since somebody is about to wait for it or for an action on it."""
        self.lifetime.check_wait()
        self.registry.look_after(call, time.monotonic())
        self.timekeeper.arm()

    @property
    def limits(self) -> Limits:
        """The limits of the client."""
        return self.registry.limits

    def own(self, action: Operation) -> None:
        """Note that *action* runs for one who waits for its result, and has no handle: closing stops it."""
        self.lifetime.own(action)

    def disown(self, action: Operation) -> None:
        """Note that nobody waits any more as `own` says."""
        self.lifetime.disown(action)

    def finish(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run *work* in a task that may send commands while the client is being closed, and is awaited then."""
        if not self.lifetime.is_closed and self.timekeeper.loop is not None:
            self.tasks.hang_up(work())

    def tell(self, action: Operation, event: Event) -> None:
        """Apply an event to *action* that came for another one, but is about both."""
        self.registry.tell(action, event, time.monotonic())

    def fail(self, action: Operation, error: ActionError) -> None:
        """Settle *action*: something that it needs has failed."""
        self.registry.settle(action, "callback", error=error)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run *work* in a task that is cancelled and awaited when the client is closed."""
        self.tasks.spawn(work)

    async def dial(self, call: CallOperation, command: Dial) -> Leg:
        """Expect *call*, and start it. When this is cancelled after the command has left, the call is hung up."""
        self.lifetime.check("dial")
        if self.keeper is not None:
            self.keeper.check_name("dial", None)
        is_told = command.status_url is None
        if is_told:
            command.status_url = self.urls.mint("call", call.key)
        return await self.dials.run(call, lambda: self._dial(call, command, is_told=is_told))

    async def _dial(self, call: CallOperation, command: Dial, *, is_told: bool) -> Leg:
        """Dial *call*; *is_told*: its state webhooks come here."""
        self.registry.expect_call(call, time.monotonic(), hold=is_told)
        # A call whose webhooks go elsewhere is of no use to a successor: its actions name it themselves.
        keeper = self.keeper if is_told else None
        try:
            if keeper is not None:
                await keeper.keep(call)
            request = Request("dial", params=command)
            with Underway(self.registry, request, call, call) as watch:
                leg = read_leg(await self.transport.post(request, call_id=None, watch=watch))
            if leg is None:
                unclear = CommandUnconfirmed("the answer names no call", command="dial")
                unclear.status = 200
                raise unclear
        except CommandUnconfirmed as error:
            error.call = call
            self.registry.look_after(call, time.monotonic())
            self.timekeeper.arm()
            raise
        except BaseException as error:
            if isinstance(error, Exception) or call.stage == "not_sent":
                self.registry.withdraw_call(call)
            else:
                # Given up without an answer: a webhook may still tell the id, and then it can be hung up.
                self.look_after(call)
            raise
        call.stage = "accepted"
        self.registry.identify(call, leg.id)
        if keeper is not None:
            await keeper.keep(call)
        self._report(call, leg.raw)
        self.look_after(call)
        return leg

    def adopt(self, call: CallOperation) -> None:
        """Take on a call that came in."""
        self.registry.adopt(call, time.monotonic())
        if self.keeper is not None:
            self.spawn(self.keeper.keep(call))
        self.timekeeper.arm()

    async def send(
        self, call: CallOperation, command: str, params: object, leaving: Callable[[], object] | None = None
    ) -> Leg:
        """Send *command* to *call*, and note what the answer tells about the call; *leaving* is called as it leaves."""
        self._check_call(call, command)
        answer = await self._send(call, command, params, leaving=leaving)
        return read_leg(answer) or CallLeg(id=call.id or "", raw=answer)

    async def _send(
        self,
        call: CallOperation,
        command: str,
        params: object,
        starting: Operation | None = None,
        leaving: Callable[[], object] | None = None,
    ) -> dict[str, Any]:
        # `update` is the one command that takes the call's id among its parameters.
        request = Request(command, None if command == "update" else call.id, params)
        try:
            with Underway(self.registry, request, call, starting, leaving) as watch:
                answer = await self.transport.post(request, call_id=call.id, watch=watch)
        except CallNotFound as error:
            # "Gone" is always the call.
            if error.status == 410 or can_only_miss_the_call(command, params):
                self.registry.lose(call, time.monotonic())
                self.timekeeper.arm()
            raise
        self._report(call, answer)
        return answer

    async def execute(self, command: str, call_id: str | None, params: dict[str, Any]) -> dict[str, Any]:
        """Send any command as it is, and return the answer as it came."""
        self.lifetime.check(command)
        request = Request(command, call_id, params)
        if call_id is None and isinstance(params.get("id"), str):
            call_id = params["id"]  # An update has it there, and nowhere else.
        with Underway(None, request, self.registry.calls.get(call_id or "")) as watch:
            return await self.transport.post(request, call_id=call_id, watch=watch)

    def deliver(self, kind: str, key: str, event: Event, size: int) -> Delivered:
        """Deliver a verified event, whose body had *size* bytes."""
        delivered = self.registry.deliver(kind, key, event, size, time.monotonic())
        if kind == "call" and self.keeper is not None:
            self.keeper.heard_of(key)
        self.timekeeper.arm()
        return delivered

    def journal(self) -> Journal | None:
        """Make the place where a new call notes what happens on it; ``None``: the limits say that none does."""
        limit = self.registry.limits.timeline
        clock = time.monotonic
        return Journal(limit, clock, time.time() - clock(), self.observers) if limit else None

    def _report(self, call: CallOperation, answer: dict[str, Any]) -> None:
        """Apply the state that an answer tells of *call*; as a rule it is the one that is known."""
        if answer.get("id") != call.id or answer.get("status") in (None, call.state):
            return
        event = read("call", answer)
        if isinstance(event, CallEvent):
            self.registry.report(call, event, time.monotonic())
            self.timekeeper.arm()

    def _check_call(self, call: CallOperation, command: str) -> None:
        self.lifetime.check(command)
        check_call(call, command)
        if call.id is None:
            raise CommandNotSent("the call has no id, since its dial was not answered", command=command)


def _call_of(action: Operation) -> CallOperation:
    assert action.call is not None
    return action.call
