"""The engine of a client: builds its parts, sends its commands, and registers what the commands start.

A command takes `Registry.expect` → `Transport.post` → `Registry.confirm`. Webhooks come through `Ingress`, deadlines
through `Timer`. Verbs and handles (``swcalls.actions``, ``Call``) call the engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from .._core.audio_listeners import AudioListeners
from .._core.callback_urls import CallbackUrls
from .._core.limits import Limits
from .._core.log_queries import Reconcile
from .._core.operation import CallOperation, Operation, call_of
from .._core.registry import Registry
from .._core.responses import read_leg
from .._core.signature import Verifier
from .._core.webhooks import Decision, WebhookReader
from ..backplane import Backplane
from ..backplane.handover import Handover
from ..backplane.held_calls import HeldCalls
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
from .command_trace import CommandTrace, check_call, report
from .decisions import Decisions
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
"""Makes the user's handle (``Call``) of a call."""


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
        audio_url: str | None = None,
    ) -> None:
        self.limits = limits
        self.transport = transport
        self.observers: list[Tell] = []
        """Called with every timeline entry of every call."""
        owner = "" if backplane is None else backplane.owner
        self.urls: CallbackUrls = CallbackUrls(who.project, who.token, who.path, public_url, owner=owner)
        self.listeners: AudioListeners = AudioListeners(self.urls, audio_url, owner)
        self.tasks: Tasks = Tasks()
        self.registry: Registry = Registry(limits, reconcile, self)
        self.log_checker: LogChecker = LogChecker(self.registry, transport, reconcile or Reconcile())
        self.timer: Timer = Timer(self.registry, self.log_checker, self.tasks)
        held_calls = None if backplane is None else HeldCalls(backplane, who.project, limits.hold)
        decisions = Decisions(self.urls, limits.hold, self._decided, owner, held_calls)
        offer = None if backplane is None else lambda takes_calls: backplane.offer(takes_calls=takes_calls)
        self.inbound: InboundDispatcher = InboundDispatcher(self.adopt, self.tasks, limits.settled, decisions, offer)
        handover = None if backplane is None else Handover(backplane, who.project, self.inbound, held_calls)
        reader = WebhookReader(self.urls, Verifier(who.signing_keys, require=who.require_signature), limits.body)
        self.ingress: Ingress = Ingress(reader, self.registry, self.inbound.dispatch, handover, decisions)
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
        """Register *action*, send the *command* that starts it, and return the action's handle.

        If this is cancelled, no user has the handle, and the action is stopped in the background if it may be running.

        Args:
            post: Sends the command, if that takes more than one request.
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
            self.registry.time_limits.expect_unconfirmed(action, time.monotonic())
            raise
        except Exception as error:
            self.registry.withdraw(action, error)
            raise
        except BaseException:
            if action.stage == "not_sent":
                gone = CommandNotSent("cancelled before it was sent", command=command.command, call_id=call.id)
                self.registry.withdraw(action, gone)
            else:
                self.registry.time_limits.expect_unconfirmed(action, time.monotonic())
                handle._abandon()
            raise
        finally:
            self.lifetime.start_ends(action)
        handle._accepted(answer)
        self.registry.confirm(action, time.monotonic())
        return handle

    def attach(self, action: Operation, deadline: float | None = None, *, is_kept: bool = False) -> None:
        """Register *action*, which was started elsewhere. Events that came before are applied at once.

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
            # The event that the command causes may come before the response.
            action.stopping = True

        was_stopping = action.stopping
        try:
            leg = await self.send(call_of(action), command, params, leaving)
        except CallEnded:
            # The action or its call has ended: the last event of the action is on the way, or was lost.
            leg = None
        except (CommandRejected, CommandNotSent):
            action.stopping = was_stopping
            raise
        self.registry.stopped(action, time.monotonic())
        return leg

    # Calls

    def new_call(self, call_id: str | None = None, inbound: InboundCall | None = None) -> Any:
        """Return a handle of a new call, which is not registered yet."""
        limit, clock = self.limits.timeline, time.monotonic
        journal = Journal(limit, clock, time.time() - clock(), self.observers) if limit else None
        call = CallOperation(new_id(), call_id, journal)
        call.inbound = inbound
        return self._make_call(self, call)

    def handle_of(self, call: CallOperation) -> Any:
        """Return the user's handle of *call*; make a new one if the user has dropped it."""
        handle = None if call.call_handle is None else call.call_handle()
        return self._make_call(self, call) if handle is None else handle

    async def dial(self, call: CallOperation, command: Dial, max_calls: int | None = None) -> None:
        """Register *call*, and dial it. If this is cancelled after the request was written, the call is hung up.

        Args:
            max_calls: Wait first until fewer dialled calls than that are up.
        """
        self.lifetime.check("dial")
        is_ours = command.status_url is None
        if is_ours:
            command.status_url = self.urls.mint("call", call.key)
        counted = is_ours and "ended" in (command.status_events or ())
        await self.dials.run(call, lambda: self._dial(call, command, is_ours=is_ours), max_calls, counted=counted)

    async def _dial(self, call: CallOperation, command: Dial, *, is_ours: bool) -> None:
        """Dial *call*; *is_ours*: its state webhooks come to this client."""
        if self.member is not None:
            self.member.check_name("dial", None)
        self.registry.expect_call(call, time.monotonic(), hold=is_ours)
        # No process can recover a call whose webhooks go elsewhere. Its actions are kept with the call's id.
        member = self.member if is_ours else None
        try:
            if member is not None:
                await member.keep(call)
            request = Request("dial", params=command)
            trace = CommandTrace(self.registry, request, call, call)
            leg = read_leg(await self.transport.post(request, call_id=None, watch=trace))
            if leg is None:
                unclear = CommandUnconfirmed("the response has no call id", command="dial")
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
                # Cancelled without a response: a webhook may still bring the id, and then the call can be hung up.
                self.registry.check_liveness(call, time.monotonic())
            raise
        call.stage = "accepted"
        call.leg = leg
        self.registry.identify(call, leg.id)
        if member is not None:
            await member.keep(call)
        report(self.registry, call, leg.raw)
        self.check_liveness(call)

    def adopt(self, inbound: InboundCall, answered: bool = True) -> Any:
        """Register an inbound call, and return its handle."""
        handle = self.new_call(inbound.call_id, inbound)
        call: CallOperation = handle._operation
        if call.observer is not None:
            call.observer.event("call", call.key, inbound, "applied", time.monotonic())
        self.follow(call, state="answered" if answered else "ringing")
        return handle

    def follow(self, call: CallOperation, *, state: str = "answered") -> None:
        """Follow a call that was not dialled here; its id is the key of its callback URL."""
        self.registry.adopt(call, time.monotonic(), state=state)
        self.keep(call)

    def keep(self, operation: Operation) -> None:
        """Store *operation* on the backplane, if there is one."""
        if self.member is not None:
            self.tasks.spawn(self.member.keep(operation))

    def resume_call(self, call: CallOperation, key: str) -> None:
        """Register a call that was dialled, or came in, before a restart; *key* is the key in its callback URL."""
        call.key = key
        # A call whose id is not known may never have been started.
        call.stage = "unconfirmed" if call.id is None else "accepted"
        self.registry.expect_call(call, time.monotonic())
        if call.id is not None:
            self.registry.calls.add(call)
        self.check_liveness(call)

    async def end(self, call: CallOperation, command: str, params: object, reason: str) -> Leg:
        """Send a command that ends *call*; *reason* is the end reason if the platform gives none."""

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
        """Schedule a liveness check of *call*, since a task is about to wait for the call or for one of its actions.

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
        """Send *command* to *call*, apply the state in the response, and return the call's leg.

        Args:
            leaving: Called just before the request is written.
        """
        self.check_command(call, command)
        answer = await self._post(call, command, params, leaving=leaving)
        call.leg = leg = read_leg(answer) or CallLeg(id=call.id or "", raw=answer)
        return leg

    async def execute(self, command: str, call_id: str | None, params: dict[str, Any]) -> dict[str, Any]:
        """Send any command without checks, and return the JSON object of the response."""
        self.lifetime.check(command)
        request = Request(command, call_id, params)
        if call_id is None and isinstance(params.get("id"), str):
            call_id = params["id"]  # The command `update` has the call's id in its parameters.
        trace = CommandTrace(None, request, self.registry.calls.with_id(call_id or ""))
        return await self.transport.post(request, call_id=call_id, watch=trace)

    def run_until_done(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run *work* in a task that may send commands while the client is closing; closing waits for it."""
        if not self.lifetime.is_closed and self.timer.loop is not None:
            self.tasks.hang_up(work())

    def _post(
        self,
        call: CallOperation,
        command: str,
        params: object,
        starts: Operation | None = None,
        leaving: Callable[[], object] | None = None,
    ) -> Coroutine[Any, Any, dict[str, Any]]:
        """Return the coroutine that posts *command*; *starts* is the action that the command starts."""
        # Only `update` has the call's id in its parameters.
        request = Request(command, None if command == "update" else call.id, params)
        trace = CommandTrace(self.registry, request, call, starts, leaving)
        return self.transport.post(request, call_id=call.id, watch=trace)

    def _decided(self, call_id: str, decision: Decision) -> None:
        """Apply what the platform was told to do with an inbound call: to answer or to refuse it."""
        call = self.registry.calls.with_id(call_id)
        if call is not None:
            event = CallEvent(state="answered", call_id=call_id, payload={})
            if decision != "answer":
                event = CallEvent(state="ended", call_id=call_id, end_reason=decision, payload={})
            self.registry.report(call, event, time.monotonic())

    def check_command(self, call: CallOperation, command: str) -> None:
        self.lifetime.check(command)
        check_call(call, command)
        if call.id is None:
            raise CommandNotSent("the call has no id, since its dial got no response", command=command)

    # Called by the registry (`Listener`)

    def operation_over(self, operation: Operation) -> None:
        """Remove *operation* from the backplane; a call is not counted any more."""
        if self.member is not None:
            self.member.forget(operation)
        if isinstance(operation, CallOperation):
            self.dials.calls_up.leave(operation)

    def call_disowned(self, call: CallOperation) -> None:
        """Do not count *call* any more."""
        self.dials.calls_up.leave(call)

    def call_identified(self, call: CallOperation) -> None:
        """Store the id of *call* on the backplane."""
        if self.member is not None:
            self.member.call_identified(call)

    def peer_identified(self, connect: Operation) -> None:
        """Store on the backplane which call is at the other end of *connect*."""
        if self.member is not None:
            self.member.keep_soon(connect)

    def deadline_moved(self, due: float) -> None:
        """Set the timer to *due*."""
        self.timer.set(due)
