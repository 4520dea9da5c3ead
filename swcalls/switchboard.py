"""Connects commands with what comes of them: registers, sends, delivers, and wakes up when something is due.

command → registry → transport → registry;  webhook → registry → action;  overdue → voice log → registry → action.
One timer serves every deadline.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

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
from .backplane import Backplane
from .commands import Request, StartCommand
from .commands.calls import Dial, End
from .config import Identity
from .errors import ActionError, CallNotFound, CommandError, CommandNotSent, CommandUnconfirmed
from .events import CallEvent, Event
from .intake import Intake, log_receipt
from .keeper import Keeper
from .legs import CallLeg, Leg
from .logbook import about, log, log_mark
from .reconciler import Reconciler
from .tasks import Tasks
from .timeline import Journal, Tell
from .underway import Underway

if TYPE_CHECKING:
    from .transport import Transport

Op = TypeVar("Op", bound=Operation)


_log = logging.getLogger("swcalls.switchboard")


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
    ) -> None:
        self.registry: Registry = Registry(limits, reconcile)
        self.reconciler: Reconciler = Reconciler(self.registry, transport, reconcile or Reconcile())
        self.urls: CallbackUrls = CallbackUrls(who.project, who.token, who.path, public_url)
        verifier = Verifier(who.signing_keys, require=who.require_signature)
        self.inbox: Inbox = Inbox(self.urls, verifier, self.deliver, limit=limits.body)
        self.inbox.observers.append(log_receipt)
        self.keeper: Keeper | None = None if backplane is None else Keeper(self, backplane, who.project)
        """Keeps what is running where another process finds it."""
        take = None if self.keeper is None else self.keeper.take
        self.intake: Intake = Intake(self.inbox, who.project, backplane, take)
        self.transport = transport
        self.observers: list[Tell] = []
        """Told of what happens on any call."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = 0.0
        self._closing = False
        self._closed = False
        self.tasks: Tasks = Tasks()

    async def open(self) -> None:
        """Start to send and to keep time. A second call does nothing."""
        if self._closing:
            raise RuntimeError("the client is closed, and cannot be opened again")
        self._loop = asyncio.get_running_loop()
        if log.isEnabledFor(logging.INFO) and log_mark not in self.observers:
            self.observers.append(log_mark)
        await self.transport.open()
        if self.keeper is not None:
            await self.keeper.open()
        self._arm()

    async def close(self) -> None:
        """Let handlers finish, settle whatever is running, and let go of timer and sockets. A second call does nothing.

        From now on only handlers may send commands, those that they need to finish; the limit over, they are cancelled.
        """
        self._closing = True
        self.inbox.ring = None
        if self.keeper is not None:
            await self.keeper.refuse_calls()
        await self.tasks.drain(self.registry.limits.drain)
        self._closed = True
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.keeper is not None:
            await self.keeper.close()
        self.registry.close()
        await self.tasks.cancel()
        await self.transport.close()
        # Done callbacks of what was settled just now are due, and still belong to us.
        await asyncio.sleep(0)

    async def start(self, action: Op, command: StartCommand, deadline: float | None) -> Op:
        """Expect *action*, send its *command*, and return it once that was accepted."""
        call = _call_of(action)
        self._check_open(command.command, call.id)
        if self.keeper is not None:
            self.keeper.check_name(command.command, call.id)
        if command.needs_url:
            command.report_to(self.urls.mint(action.kind, action.key))
        self.registry.expect(action, time.monotonic(), deadline)
        self._arm()
        try:
            if self.keeper is not None:
                await self.keeper.keep(action)
            answer = await self._send(call, command.command, command, action)
        except CommandUnconfirmed as error:
            if error.status is not None:
                self.registry.withdraw(action, error)
            else:
                error.action = action
                self.registry.count_down(action, time.monotonic())
                self._arm()
            raise
        except Exception as error:
            self.registry.withdraw(action, error)
            raise
        except BaseException:
            # Cancelled on the way: nobody has the handle, and what comes is kept for whoever attaches to it.
            gone = CommandUnconfirmed("cancelled while it was being sent", command=command.command, call_id=call.id)
            self.registry.withdraw(action, gone)
            raise
        action.accepted(answer)
        self.registry.confirm(action, time.monotonic())
        self._arm()
        return action

    def attach(self, action: Op, deadline: float | None = None, *, is_kept: bool = False) -> Op:
        """Expect *action*, which was started elsewhere; events that came for it are applied at once.

        Args:
            is_kept: It is on the backplane already.
        """
        action.stage = "unconfirmed"
        self.registry.expect(action, time.monotonic(), deadline)
        self.registry.count_down(action, time.monotonic())
        if self.keeper is not None and not is_kept:
            self.keeper.keep_soon(action)
        self._arm()
        return action

    def resume_call(self, call: CallOperation, key: str) -> None:
        """Take on the state webhooks of a call that was dialled, or came in, before a restart."""
        call.key = key
        # Whose id was never known may never have been started.
        call.stage = "unconfirmed" if call.id is None else "accepted"
        call.heard = time.monotonic()
        self.registry.expect_call(call)
        if call.id is not None:
            self.registry.calls[call.id] = call
        self.look_after(call)

    def stopped(self, action: Operation) -> None:
        """Note that a stop of *action* was accepted."""
        self.registry.stopped(action, time.monotonic())
        self._arm()

    def count_down(self, action: Operation) -> None:
        """Let the time run that the parameters of *action* give it."""
        self.registry.count_down(action, time.monotonic())
        self._arm()

    def look_after(self, call: CallOperation) -> None:
        """See to it that whoever is about to wait for *call* does not wait for ever."""
        if self._loop is not None:
            self.registry.look_after(call, time.monotonic())
            self._arm()

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
        self._check_open("dial", None)
        if self.keeper is not None:
            self.keeper.check_name("dial", None)
        if command.status_url is None:
            command.status_url = self.urls.mint("call", call.key)
        dialling = asyncio.get_running_loop().create_task(self._dial(call, command))
        try:
            return await asyncio.shield(dialling)
        except asyncio.CancelledError:
            if call.stage == "not_sent":
                dialling.cancel()
            self.tasks.handle(self._abandon(dialling, call))
            raise

    async def _dial(self, call: CallOperation, command: Dial) -> Leg:
        self.registry.expect_call(call)
        try:
            if self.keeper is not None:
                await self.keeper.keep(call)
            request = Request("dial", params=command)
            with Underway(request, call, call) as watch:
                leg = read_leg(await self.transport.post(request, call_id=None, watch=watch))
            if leg is None:
                unclear = CommandUnconfirmed("the answer names no call", command="dial")
                unclear.status = 200
                raise unclear
        except CommandUnconfirmed as error:
            if error.status is None:
                error.call = call
                self.registry.look_after(call, time.monotonic())
                self._arm()
            else:
                self.registry.withdraw_call(call)
            raise
        except BaseException:
            self.registry.withdraw_call(call)
            raise
        call.stage = "accepted"
        self.registry.identify(call, leg.id)
        if self.keeper is not None:
            await self.keeper.keep(call)
        self._report(call, leg.raw)
        self.look_after(call)
        return leg

    async def _abandon(self, dialling: asyncio.Task[Leg], call: CallOperation) -> None:
        """Hang up a call that nobody waits for any more: otherwise a phone would ring for nobody."""
        await asyncio.wait([dialling])
        if dialling.cancelled():
            return
        if dialling.exception() is not None:
            _log.info("a dial that was cancelled came to: %s", dialling.exception(), extra=about(call))
            return
        _log.info("call %s: hung up, since its dial was cancelled", call.id, extra=about(call))
        try:
            await self.send(call, End.command, End())
        except CommandError as error:
            _log.warning("call %s: not hung up: %s", call.id, error, extra=about(call))

    def adopt(self, call: CallOperation) -> None:
        """Take on a call that came in."""
        self.registry.adopt(call, time.monotonic())
        if self.keeper is not None:
            self.spawn(self.keeper.keep(call))
        self._arm()

    async def send(self, call: CallOperation, command: str, params: object) -> Leg:
        """Send *command* to *call*, and note what the answer tells about the call."""
        answer = await self._send(call, command, params)
        return read_leg(answer) or CallLeg(id=call.id or "", raw=answer)

    async def _send(
        self, call: CallOperation, command: str, params: object, starting: Operation | None = None
    ) -> dict[str, Any]:
        self._check_open(command, call.id)
        # `update` is the one command that takes the call's id among its parameters.
        request = Request(command, None if command == "update" else call.id, params)
        try:
            with Underway(request, call, starting) as watch:
                answer = await self.transport.post(request, call_id=call.id, watch=watch)
        except CallNotFound as error:
            # "Gone" is always the call.
            if error.status == 410 or can_only_miss_the_call(command, params):
                self.registry.lose(call, time.monotonic())
                self._arm()
            raise
        self._report(call, answer)
        return answer

    async def execute(self, command: str, call_id: str | None, params: dict[str, Any]) -> dict[str, Any]:
        """Send any command as it is, and return the answer as it came."""
        self._check_open(command, call_id)
        call_id = call_id or params.get("id")
        request = Request(command, call_id, params)
        with Underway(request, self.registry.calls.get(call_id or "")) as watch:
            return await self.transport.post(request, call_id=call_id, watch=watch)

    def deliver(self, kind: str, key: str, event: Event, size: int) -> Delivered:
        """Deliver a verified event, whose body had *size* bytes."""
        delivered = self.registry.deliver(kind, key, event, size, time.monotonic())
        if kind == "call":
            if self.keeper is not None:
                self.keeper.heard_of(key)
            self._arm()
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
            self._arm()

    def _check_open(self, command: str, call_id: str | None) -> None:
        if self._closed:
            raise CommandNotSent("the client is closed", command=command, call_id=call_id)
        if self._loop is None:
            message = "the client is not open: use it in `async with`, or `await client.open()`"
            raise CommandNotSent(message, command=command, call_id=call_id)
        if self._closing and not self.tasks.is_handler:
            raise CommandNotSent("the client is being closed", command=command, call_id=call_id)

    def _arm(self) -> None:
        """Set the timer to the next deadline, if it is not set to that or earlier."""
        due = self.registry.deadlines.next
        if due is None or self._loop is None:
            return
        if self._timer is not None:
            if self._wakes_at <= due:
                return
            self._timer.cancel()
        self._wakes_at = due
        self._timer = self._loop.call_later(due - time.monotonic(), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.registry.expire(time.monotonic())
        self._inquire()

    def _inquire(self) -> None:
        """Have asked what the registry wants to know, and set the timer to what is due then."""
        for call in self.registry.inquiries.take():
            self.spawn(self._ask(call))
        self._arm()

    async def _ask(self, call: CallOperation) -> None:
        await self.reconciler.ask(call)
        self._inquire()


def _call_of(action: Operation) -> CallOperation:
    assert action.call is not None
    return action.call
