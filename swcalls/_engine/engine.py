"""Connects commands with what comes of them: expects, sends, confirms; and keeps the parts of one client.

command → `Registry.expect` → `Transport.post` → `Registry.confirm`. Webhooks come by `Ingress`, deadlines by `Timer`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from .._core.callback_urls import CallbackUrls
from .._core.command_target import can_only_miss_the_call
from .._core.decoding import read
from .._core.limits import Limits
from .._core.log_queries import Reconcile
from .._core.operation import CallOperation, Operation, call_of
from .._core.registry import Registry
from .._core.responses import read_leg
from .._core.signature import Verifier
from .._core.webhooks import WebhookReader
from ..backplane import Backplane
from ..backplane.handover import Handover
from ..backplane.member import Member
from ..call_leg import CallLeg, Leg
from ..commands import Request, StartCommand
from ..commands.calls import Dial
from ..config import Identity
from ..errors import (
    CallEnded,
    CallNotFound,
    ClientClosed,
    CommandNotSent,
    CommandRejected,
    CommandUnconfirmed,
)
from ..events import CallEvent, InboundCall
from ..timeline import Journal, Tell
from .command_trace import CommandTrace, check_call
from .decisions import Decision, Decisions
from .dials import Dials
from .documents import Documents
from .ids import new_id
from .inbound import InboundDispatcher
from .ingress import Ingress
from .lifetime import Lifetime
from .log_checker import LogChecker
from .tasks import Tasks
from .timer import Timer

if TYPE_CHECKING:
    from .transport import Transport

MakeCall = Callable[["Engine", CallOperation], Any]
"""Makes the user's handle of a call."""


class Engine:
    """The parts of one client, and the commands that it sends. *make_call* makes the handles of calls."""

    def __init__(
        self,
        who: Identity,
        public_url: str | None,
        transport: Transport,
        limits: Limits,
        reconcile: Reconcile | None,
        backplane: Backplane | None,
        make_call: MakeCall,
    ) -> None:
        self.limits = limits
        self.transport = transport
        self.observers: list[Tell] = []
        """Told of what happens on any call."""
        self.urls: CallbackUrls = CallbackUrls(
            who.project, who.token, who.path, public_url, owner="" if backplane is None else backplane.owner
        )
        self.tasks: Tasks = Tasks()
        self.registry: Registry = Registry(limits, reconcile, self)
        self.log_checker: LogChecker = LogChecker(self.registry, transport, reconcile or Reconcile())
        self.timer: Timer = Timer(self.registry, self.log_checker, self.tasks)
        self.inbound: InboundDispatcher
        handover = None
        if backplane is None:
            decisions = Decisions(self.urls, limits.hold, self._decided)
            self.inbound = InboundDispatcher(self.adopt, self.tasks, decisions=decisions)
        else:
            self.inbound = InboundDispatcher(
                self.adopt, self.tasks, lambda takes_calls: backplane.offer(takes_calls=takes_calls)
            )
            handover = Handover(backplane, who.project, self.inbound)
        reader = WebhookReader(self.urls, Verifier(who.signing_keys, require=who.require_signature), limits.body)
        self.ingress: Ingress = Ingress(reader, self.registry, self.inbound.dispatch, handover, self.inbound.decisions)
        self.member: Member | None = None
        """Connects the client to other processes; ``None``: there are no others."""
        if backplane is not None and handover is not None:
            self.member = Member(backplane, who.project, self.registry, self.ingress, handover)
        self.dials: Dials = Dials(self.tasks, self.send)
        self.lifetime: Lifetime = Lifetime(
            self.registry, self.timer, self.tasks, self.dials, self.inbound, self.member, transport, self.observers
        )
        self.documents: Documents = Documents(self, self._post, self.check_command)
        self._make_call = make_call

    # Actions

    async def start(
        self,
        action: Operation,
        command: StartCommand,
        deadline: float | None,
        post: Callable[[], Coroutine[Any, Any, dict[str, Any]]] | None = None,
    ) -> Any:
        """Follow *action*, send the *command* that starts it, and return the action's handle.

        When this is cancelled, nobody has the handle: what may be running then is stopped.

        Args:
            post: Sends the command, where that takes more than one request.
        """
        call, handle = call_of(action), action.handle
        assert handle is not None
        self.check_command(call, command.command)
        if self.member is not None:
            self.member.check_name(command.command, call.id)
        if command.needs_url:
            command.report_to(self.urls.mint(action.kind, action.key))
        self.registry.expect(action, time.monotonic(), deadline)
        self.lifetime.start_begins(action, handle)
        try:
            if self.member is not None:
                await self.member.keep(action)
            answer = await (self._post(call, command.command, command, action) if post is None else post())
            if self.lifetime.is_too_late:
                action.stage = "accepted"
                handle._abandon()
                raise ClientClosed(f"{command.command}: the client was closed meanwhile", action=handle)
        except CommandUnconfirmed as error:
            error.action = handle
            self.registry.time_limits.doubt(action, time.monotonic())
            raise
        except Exception as error:
            self.registry.withdraw(action, error)
            raise
        except BaseException:
            if action.stage == "not_sent":
                gone = CommandNotSent("cancelled before it was sent", command=command.command, call_id=call.id)
                self.registry.withdraw(action, gone)
            else:
                self.registry.time_limits.doubt(action, time.monotonic())
                handle._abandon()
            raise
        finally:
            self.lifetime.start_ends(action)
        handle._accepted(answer)
        self.registry.confirm(action, time.monotonic())
        return handle

    def attach(self, action: Operation, deadline: float | None = None, *, is_kept: bool = False) -> None:
        """Follow *action*, which was started elsewhere. Events that came before are applied at once.

        Args:
            is_kept: The backplane remembers the action already.
        """
        action.stage = "unconfirmed"
        if self.lifetime.is_closed:
            error = ClientClosed(f"{action.kind} {action.key}: the client is closed", action=action.handle)
            self.registry.settler.settle(action, "closed", error=error)
            return
        self.registry.expect(action, time.monotonic(), deadline)
        self.registry.time_limits.start_bound(action, time.monotonic())
        if self.member is not None and not is_kept:
            self.member.keep_soon(action)

    async def stop(self, action: Operation, command: str, params: object) -> Leg | None:
        """Send the command that stops *action*; return ``None`` if the platform does not know the action any more."""

        def leaving() -> None:
            # The event that the command causes may come before its answer.
            action.stopping = True

        was_stopping = action.stopping
        try:
            leg = await self.send(call_of(action), command, params, leaving)
        except CallEnded:
            # The action is not found, or its call ended meanwhile: its last event is on the way, or was lost.
            leg = None
        except (CommandRejected, CommandNotSent):
            action.stopping = was_stopping
            raise
        self.registry.stopped(action, time.monotonic())
        return leg

    # Calls

    def new_call(self, call_id: str | None = None, inbound: InboundCall | None = None) -> Any:
        """Make the handle of a call that is not followed yet."""
        limit, clock = self.limits.timeline, time.monotonic
        journal = Journal(limit, clock, time.time() - clock(), self.observers) if limit else None
        call = CallOperation(new_id(), call_id, journal)
        call.inbound = inbound
        return self._make_call(self, call)

    def handle_of(self, call: CallOperation) -> Any:
        """Return the user's handle of *call*; make one if there is none, or none any more."""
        handle = None if call.call_handle is None else call.call_handle()
        return self._make_call(self, call) if handle is None else handle

    async def dial(self, call: CallOperation, command: Dial) -> None:
        """Follow *call*, and start it. When this is cancelled after the command has left, the call is hung up."""
        self.lifetime.check("dial")
        if self.member is not None:
            self.member.check_name("dial", None)
        is_ours = command.status_url is None
        if is_ours:
            command.status_url = self.urls.mint("call", call.key)
        await self.dials.run(call, lambda: self._dial(call, command, is_ours=is_ours))

    async def _dial(self, call: CallOperation, command: Dial, *, is_ours: bool) -> None:
        """Dial *call*; *is_ours*: its state webhooks come to this client."""
        self.registry.expect_call(call, time.monotonic(), hold=is_ours)
        # A successor has no use for a call whose webhooks go elsewhere: the call's actions name it themselves.
        member = self.member if is_ours else None
        try:
            if member is not None:
                await member.keep(call)
            request = Request("dial", params=command)
            with CommandTrace(self.registry, request, call, call) as trace:
                leg = read_leg(await self.transport.post(request, call_id=None, watch=trace))
            if leg is None:
                unclear = CommandUnconfirmed("the answer names no call", command="dial")
                unclear.status = 200
                raise unclear
        except CommandUnconfirmed as error:
            error.call = self.handle_of(call)
            self.registry.check_liveness(call, time.monotonic())
            raise
        except BaseException as error:
            if isinstance(error, Exception) or call.stage == "not_sent":
                self.registry.withdraw_call(call)
            else:
                # Cancelled without an answer: a webhook may still tell the id, and then the call can be hung up.
                self.registry.check_liveness(call, time.monotonic())
            raise
        call.stage = "accepted"
        call.leg = leg
        self.registry.identify(call, leg.id)
        if member is not None:
            await member.keep(call)
        self._report(call, leg.raw)
        self.check_liveness(call)

    def adopt(self, inbound: InboundCall, answered: bool = True) -> Any:
        """Follow a call that came in, and return its handle."""
        handle = self.new_call(inbound.call_id, inbound)
        call: CallOperation = handle._operation
        if call.observer is not None:
            call.observer.event("call", call.key, inbound, "applied", time.monotonic())
        self.follow(call, state="answered" if answered else "ringing")
        return handle

    def follow(self, call: CallOperation, *, state: str = "answered") -> None:
        """Follow a call that was not dialled here; its id is the key of its callback URL."""
        self.registry.adopt(call, time.monotonic(), state=state)
        if self.member is not None:
            self.tasks.spawn(self.member.keep(call))

    def resume_call(self, call: CallOperation, key: str) -> None:
        """Follow a call that was dialled, or came in, before a restart; *key* is that of its callback URL."""
        call.key = key
        # A call whose id was never known may never have been started.
        call.stage = "unconfirmed" if call.id is None else "accepted"
        self.registry.expect_call(call, time.monotonic())
        if call.id is not None:
            self.registry.calls.add(call)
        self.check_liveness(call)

    async def end(self, call: CallOperation, command: str, params: object, reason: str) -> Leg:
        """Send a command that ends *call*; *reason* counts if the platform tells no other."""

        def leaving() -> None:
            call.asked_reason = reason

        asked_before = call.asked_reason
        try:
            return await self.send(call, command, params, leaving)
        except (CommandRejected, CommandNotSent) as error:
            if not isinstance(error, CallNotFound):
                call.asked_reason = asked_before
            raise

    def check_liveness(self, call: CallOperation) -> None:
        """Schedule a liveness check of *call*, since somebody is about to wait for it or for one of its actions.

        Raises:
            RuntimeError: The client is not open yet, or was opened in another event loop.
            ClientClosed: The client is closed.
        """
        self.lifetime.check_wait()
        self.registry.check_liveness(call, time.monotonic())

    # Commands

    async def send(
        self, call: CallOperation, command: str, params: object, leaving: Callable[[], object] | None = None
    ) -> Leg:
        """Send *command* to *call*, and note what the response tells of the call.

        Args:
            leaving: Called just before the request is written.
        """
        self.check_command(call, command)
        answer = await self._post(call, command, params, leaving=leaving)
        call.leg = leg = read_leg(answer) or CallLeg(id=call.id or "", raw=answer)
        return leg

    async def execute(self, command: str, call_id: str | None, params: dict[str, Any]) -> dict[str, Any]:
        """Send any command as it is, and return the response as it came."""
        self.lifetime.check(command)
        request = Request(command, call_id, params)
        if call_id is None and isinstance(params.get("id"), str):
            call_id = params["id"]  # An update has it there, and nowhere else.
        with CommandTrace(None, request, self.registry.calls.with_id(call_id or "")) as trace:
            return await self.transport.post(request, call_id=call_id, watch=trace)

    def run_until_done(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run *work* in a task that may send commands while the client is closing; closing waits for it."""
        if not self.lifetime.is_closed and self.timer.loop is not None:
            self.tasks.hang_up(work())

    async def _post(
        self,
        call: CallOperation,
        command: str,
        params: object,
        starts: Operation | None = None,
        leaving: Callable[[], object] | None = None,
    ) -> dict[str, Any]:
        # `update` is the one command that takes the call's id among its parameters.
        request = Request(command, None if command == "update" else call.id, params)
        try:
            with CommandTrace(self.registry, request, call, starts, leaving) as trace:
                answer = await self.transport.post(request, call_id=call.id, watch=trace)
        except CallNotFound as error:
            # "Gone" is always about the call.
            if error.status == 410 or can_only_miss_the_call(command, params):
                self.registry.lose(call, time.monotonic())
            raise
        self._report(call, answer)
        return answer

    def _decided(self, call_id: str, decision: Decision) -> None:
        """Note that the platform was told to answer a call that came in, or to refuse it."""
        call = self.registry.calls.with_id(call_id)
        if call is not None:
            answers = decision == "answer"
            state, reason = ("answered", None) if answers else ("ended", decision)
            event = CallEvent(state=state, call_id=call_id, end_reason=reason, payload={})
            self.registry.report(call, event, time.monotonic())

    def _report(self, call: CallOperation, answer: dict[str, Any]) -> None:
        """Apply the state of *call* in a command's response; usually it is the state that is known."""
        if answer.get("id") != call.id or answer.get("status") in (None, call.state):
            return
        event = read("call", answer)
        if isinstance(event, CallEvent):
            self.registry.report(call, event, time.monotonic())

    def check_command(self, call: CallOperation, command: str) -> None:
        self.lifetime.check(command)
        check_call(call, command)
        if call.id is None:
            raise CommandNotSent("the call has no id, since its dial was not answered", command=command)

    # What the registry tells (`Listener`)

    def operation_over(self, operation: Operation) -> None:
        """Have the backplane forget *operation*."""
        if self.member is not None:
            self.member.forget(operation)

    def call_identified(self, call: CallOperation) -> None:
        """Have the backplane remember the id of *call*."""
        if self.member is not None:
            self.member.call_identified(call)

    def deadline_moved(self, due: float) -> None:
        """Set the timer."""
        self.timer.set(due)
