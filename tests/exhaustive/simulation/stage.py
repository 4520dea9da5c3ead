"""One run of one flow: set the stage, let it play, cancel it or break something, and look at what is left.

A flow is what a user may write. It notes each call and each action that it gets into its hands with ``hold``: these may
go on at the platform when it is cancelled; nothing else may.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from unittest.mock import patch

import aiohttp

from swcalls import Action, Call, CallAudio, CallEnded, CallNotFound, Client, Limits, PromptAction, SwcallsError
from swcalls.actions import ConnectAction
from swcalls.testing.callee import Callee
from swcalls.testing.calls import Operation, SimulatedCall

from .hub import Hub
from .leftovers import held_by
from .loop import UPTIME, Run, Victim, VirtualLoop, When, describe, run, shown
from .space import ANSWER_LOST, LATENCIES, OURS, URL, Latency, Plan, Space

Handler = Callable[[Call], Awaitable[None]]
Held = TypeVar("Held", bound="Action[Any] | Call")

Mode = Literal["inside", "whole", "closed", "handler"]
"""What happens at the chosen step.

- ``inside``: the flow is cancelled, and the client that it has used goes on;
- ``whole``: the whole program is cancelled, which opens and closes its client itself;
- ``closed``: another task closes the client, while the flow goes on;
- ``handler``: the same, but the step is one of a handler of an inbound call.
"""

LONGEST = 3600.0
"""Virtual seconds that a flow may take, whatever happens to it."""
TIDYING = 40.0
"""Virtual seconds after which what nobody can reach must have been stopped; one request may time out in them."""
HANDLING = 700.0
"""The same, where a handler may still be at work."""
FORGETTING = 6 * 3600.0
"""Virtual seconds after which nothing may be left of calls that are over, even if no webhook told so."""
CLOSING = 120.0
"""Virtual seconds that closing may take."""


class Stage:
    """What a flow plays on."""

    def __init__(self, loop: VirtualLoop, flow: Flow, case: Case, plan: Plan) -> None:
        self.loop = loop
        self.flow = flow
        self.space = Space(plan, flow.callee, case.latency)
        self.hub = Hub(loop.wall, plan)
        self.held: list[Action[Any] | Call] = []
        self.client: Client
        self.call: Call
        """A call that is up, for flows that want one."""
        self.entered: list[Action[Any] | Call] = []
        """What the blocks that the flow is in will stop, or hang up, at their end."""
        self.clients: list[Client] = []
        self.trouble: list[str] = []
        self.victim: Victim | None = None
        self._logged = _Errors(is_broken=not case.is_clean)
        self._case = case
        self._closing: asyncio.Task[None] | None = None
        self._handlers: dict[Client, Handler] = {}

    def make_client(self, host: str = "ours.example", **settings: Any) -> Client:
        """Make a client that has its webhooks from the space at *host*."""
        settings = {"public_url": f"http://{host}", **self.flow.settings, **settings}
        if self._case.mode == "handler":
            settings["limits"] = Limits(drain=0)
        client = Client("project", "token", URL, **settings)
        self.clients.append(client)
        self.space.audio.listeners[host] = client._engine.listeners
        self.space.receivers[host] = lambda path, headers, body: client.accept(path=path, headers=headers, body=body)
        return client

    def take_calls(self, client: Client, handler: Handler, *, answer: bool = True) -> None:
        """Have *handler* take the calls that come to *client*, in place of one that took them when the flow ran before.

        If it is the handler that is struck, its steps are counted.
        """
        if client not in self._handlers:

            async def take(call: Call) -> None:
                await self._handlers[client](call)

            client.receiver.on_call(take, answer=answer)
        self._handlers[client] = self._counted(handler) if self._case.mode == "handler" else handler

    def _counted(self, handler: Handler) -> Handler:
        async def counted(call: Call) -> None:
            if self.victim is None:
                self.victim = Victim(_as_coroutine(handler(call)), dict(self._case.cancel), self.close_client)
                await self.victim
            else:
                await handler(call)

        return counted

    def close_client(self) -> None:
        """Have another task close the client."""
        self._closing = self._closing or self.loop.create_task(self._close_client(), name="who closes the client")

    async def _close_client(self) -> None:
        await self.client.close()

    async def closed(self) -> None:
        """Return once the client is closed, if somebody was to close it."""
        if self._closing is not None:
            await self.within(CLOSING, self._closing, "closing")

    async def within(self, seconds: float, work: Awaitable[None], what: str) -> None:
        """Await *work*, which must be done soon, and well."""
        task = asyncio.ensure_future(work)
        done, _ = await asyncio.wait([task], timeout=seconds)
        if not done:
            self.trouble.append(f"{what} takes more than {seconds} s: {describe(task)}")
            task.cancel()
            await asyncio.wait([task], timeout=seconds)
        elif not task.cancelled() and (error := task.exception()) is not None:
            self.trouble.append(f"{what} raised {shown(error)}")

    def hold(self, handle: Held) -> Held:
        """Note that the user has *handle*: what becomes of it at the platform is the user's affair."""
        self.held.append(handle)
        return handle

    def block(self, start: Any) -> Any:
        """Make ``async with start`` a block that is known: what runs in it is its to stop, as long as it can."""
        return _Block(self, start)

    def hold_of(self, error: BaseException) -> None:
        """Note that the user has what *error* names: a command may have arrived, and here is its handle."""
        for one in each_of(error):
            for handle in (getattr(one, "action", None), getattr(one, "call", None)):
                if isinstance(handle, Action | Call):
                    self.hold(handle)
            if one.__context__ is not None:
                self.hold_of(one.__context__)

    def hold_result(self, task: asyncio.Task[Any]) -> None:
        """Note that the user has what a task came to."""
        if not task.cancelled() and task.exception() is None:
            self.hold(task.result())

    def release(self, handle: Action[Any] | Call) -> None:
        """Note that the user has done what is to be done: *handle* must not be running any more."""
        self.held.remove(handle)

    def expect(self, *, is_so: bool, what: str) -> None:
        """Note what a flow found wrong."""
        if not is_so:
            self.trouble.append(what)

    async def dial(self, client: Client | None = None) -> Call:
        """Have a call that is up."""
        call = self.hold(await (client or self.client).dial(to="+15550198765", from_="+12069708643"))
        await call.answered(timeout=60)
        return call

    def unreachable(self) -> list[str]:
        """Say what runs at the platform, although nobody has a handle on it, and nobody has tried to stop it."""
        # A block whose client was closed by somebody else cannot do what it is there for.
        held = self.held + (self.entered if self._case.mode == "closed" else [])
        calls = {handle.id for handle in held if isinstance(handle, Call)}
        keys: set[str] = set()
        for handle in held:
            if isinstance(handle, Action):
                keys.add(handle.control_id)
                if isinstance(handle, PromptAction):
                    keys.add(handle.playback.control_id)
        # What is kept on the backplane is for the successor of a process that has left it.
        keys |= self.hub.kept()
        calls |= self.hub.kept()
        if self.flow.owns_client or self._case.mode == "whole":
            # The client was closed before it could get to know what call it had started.
            lost = [one for one in self.space.attempts if one.command == "dial" and one.fault in ANSWER_LOST]
            calls |= {attempt.call_id for attempt in lost}
        # A dial that was never answered: the user has its handle, though not even we know its id.
        nameless = sum(isinstance(handle, Call) and handle.id is None for handle in self.held)
        left = []
        for call in self.space.live():
            if nameless and call.id not in calls:
                nameless -= 1
                continue
            if self._is_held_by_connect(call):
                continue
            if call.id not in calls and not self._was_to_stop(call.id, "calling.end", "update"):
                left.append(f"a call ({call.direction}, {call.state})")
            left += [
                f"a {operation.kind}"
                for operation in call.operations.values()
                if operation.control_id not in keys and not self._is_held(call, operation)
            ]
        return left

    def _is_held_by_connect(self, leg: SimulatedCall) -> bool:
        """Say whether *leg* was dialled by a connect that the user has in hand, or whose stop was broken."""
        if leg.parent_id is None:
            return False
        return any(
            isinstance(handle, ConnectAction) and handle.call.id == leg.parent_id for handle in self.held + self.entered
        ) or any(
            attempt.call_id == leg.parent_id and attempt.fault is not None
            for attempt in self.space.attempts
            if attempt.command in ("update", "calling.transfer", "calling.disconnect")
        )

    def _is_held(self, call: SimulatedCall, operation: Operation) -> bool:
        """Say whether the user has *operation* in hand, or it was told to stop."""
        name = f"calling.{operation.kind}"
        if operation.kind not in _UNNAMED:
            return self._was_to_stop(operation.control_id, f"{name}.stop")
        # The platform knows it by no id of ours. A stop that came through would have ended it.
        return any(
            isinstance(handle, Action) and handle.kind == operation.kind and handle.call.id == call.id
            for handle in self.held + self.entered
        ) or any(
            attempt.command in (f"{name}.stop", name) and attempt.call_id == call.id and attempt.fault is not None
            for attempt in self.space.attempts
        )

    def _was_to_stop(self, name: str, *commands: str) -> bool:
        return any(
            attempt.command in commands and name in (attempt.control_id, attempt.call_id)
            for attempt in self.space.attempts
        )


_UNNAMED = ("ai_sidecar", "live_transcribe", "live_translate", "transcribe")


Play = Callable[[Stage], Awaitable[None]]


@dataclass
class Flow:
    """A user's program, and on what it plays."""

    name: str
    play: Play
    callee: Callee = field(default_factory=Callee)
    settings: dict[str, Any] = field(default_factory=dict)
    wants_call: bool = False
    owns_client: bool = False
    """It opens clients itself."""
    takes_calls: bool = False
    """It has a handler of inbound calls, and a client that is not its own."""
    may_refuse: bool = False
    """Even with nothing wrong, one of its commands is refused."""


FLOWS: dict[str, Flow] = {}


def flow(**how: Any) -> Callable[[Play], Play]:
    """Add a flow."""

    def add(play: Play) -> Play:
        FLOWS[play.__name__] = Flow(play.__name__, play, **how)
        return play

    return add


@dataclass(frozen=True)
class Case:
    """One run: which flow, how it is cancelled, and what goes wrong. Its text names it, and can be read back."""

    flow: str
    mode: Mode = "inside"
    cancel: tuple[tuple[int, When], ...] = ()
    faults: tuple[tuple[str, int, str], ...] = ()
    deaf: bool = False

    def __str__(self) -> str:
        parts = [self.flow, self.mode]
        parts += [f"cancel={step}={when}" for step, when in self.cancel]
        parts += [f"{channel}={number}={fault}" for channel, number, fault in self.faults]
        return "/".join(parts + ["deaf"] * self.deaf)

    @property
    def is_clean(self) -> bool:
        """Whether nothing goes wrong."""
        return not (self.cancel or self.faults or self.deaf)

    @property
    def uptime(self) -> float:
        """How long the machine has been up: a moment, or some days. Nothing may depend on it."""
        return (5.0, UPTIME)[self._hash % 2]

    @property
    def latency(self) -> Latency:
        """How fast the network is: as usual when nothing happens, else whatever the case's name comes to."""
        return LATENCIES[0 if self.is_clean else self._hash // 2 % len(LATENCIES)]

    @property
    def _hash(self) -> int:
        return zlib.crc32(str(self).encode())

    @classmethod
    def read(cls, text: str) -> Case:
        """Read what ``str`` has written."""
        name, mode, *rest = text.split("/")
        cancel, faults = [], []
        for part in rest:
            if part != "deaf":
                channel, number, what = part.split("=", 2)
                if channel == "cancel":
                    cancel.append((int(number), what))
                else:
                    faults.append((channel, int(number), what))
        return cls(name, mode, tuple(cancel), tuple(faults), "deaf" in rest)  # type: ignore[arg-type]


@dataclass
class Report:
    """What came of one case."""

    case: Case
    trouble: list[str]
    steps: int
    counts: Mapping[str, int]
    where: list[str]
    """Where it was cancelled."""
    log: list[str]
    """Its requests."""


def perform(case: Case, *, debug: bool = False) -> Report:
    """Run *case*, and say what was wrong."""
    flow = FLOWS[case.flow]
    plan = Plan({(channel, number): fault for channel, number, fault in case.faults}, deaf=case.deaf)
    parts: list[Any] = []

    def make(loop: VirtualLoop) -> Any:
        stage = Stage(loop, flow, case, plan)
        parts[:] = [stage]
        return _Scene(stage, case).run()

    with own_sessions(parts):
        came_to = run(make, longest=3 * LONGEST + 2 * FORGETTING + CLOSING + 1000, uptime=case.uptime, debug=debug)
    stage: Stage = parts[0]
    trouble = _trouble(came_to, stage)
    victim = stage.victim or Victim(None, {})
    return Report(
        case, trouble, victim.steps, dict(plan.counts), victim.struck_at, [str(one) for one in stage.space.attempts]
    )


@contextmanager
def own_sessions(parts: list[Any]) -> Any:
    """Have the sessions that a client makes for itself reach the space."""

    def make(**options: object) -> Any:
        return parts[0].space.session()

    with patch.object(aiohttp, "ClientSession", make), patch.object(aiohttp, "TCPConnector", lambda **_: None):
        yield


def _trouble(came_to: Run, stage: Stage) -> list[str]:
    trouble = list(stage.trouble)
    if came_to.stuck is not None:
        trouble.append(f"stuck: {came_to.stuck}")
    if came_to.error is not None:
        trouble.append(f"the stage failed: {shown(came_to.error)}")
    return trouble + came_to.trouble + stage._logged.lines


class _Block:
    """A block that a flow is in."""

    def __init__(self, stage: Stage, start: Any) -> None:
        self._stage = stage
        self._start = start
        self._handle: Any = None

    async def __aenter__(self) -> Any:
        handle = await self._start.__aenter__()
        # What runs at the platform is the stream under the audio.
        self._handle = handle.action if isinstance(handle, CallAudio) else handle
        self._stage.entered.append(self._handle)
        return handle

    async def __aexit__(self, *exc: object) -> Any:
        result = await self._start.__aexit__(*exc)
        if self._stage._closing is None:
            self._stage.entered.remove(self._handle)
        return result


class _Scene:
    """The steps of one run."""

    def __init__(self, stage: Stage, case: Case) -> None:
        self._stage = stage
        self._case = case

    async def run(self) -> None:
        stage = self._stage
        logger = logging.getLogger("swcalls")
        logger.addHandler(stage._logged)
        before = asyncio.all_tasks()
        try:
            if self._case.mode == "whole":
                await self._play_whole()
            else:
                await self._play_inside()
            self._look("when all is closed")
            for session in stage.space.sessions:
                stage.expect(is_so=session.closed, what="a session is left open")
            for session in stage.space.lent:
                stage.expect(is_so=not session.closed, what="a session that was borrowed was closed")
            if not any(channel == "backplane" for channel, _, _ in self._case.faults):
                stage.expect(is_so=not stage.hub.holders, what="the backplane is left open")
        finally:
            logger.removeHandler(stage._logged)
            await stage.space.close()
        left = asyncio.all_tasks() - before
        stage.expect(is_so=not left, what=f"tasks are left: {'; '.join(sorted(describe(task) for task in left))}")
        timers = stage.loop.timers()
        stage.expect(is_so=not timers, what=f"timers are left: {timers}")
        if self._case.is_clean and not stage.flow.may_refuse:
            refused = [str(one) for one in stage.space.attempts if one.status != 200]
            stage.expect(is_so=not refused, what=f"commands were refused on a healthy call: {refused}")

    async def _play_inside(self) -> None:
        stage = self._stage
        if stage.flow.owns_client:
            await self._play(stage.flow.play(stage))
        else:
            stage.client = stage.make_client(session=stage.space.lend())
            await stage.client.open()
            if stage.flow.wants_call:
                # Nothing goes wrong before the flow begins.
                plan, stage.space.plan = stage.space.plan, Plan()
                stage.call = await stage.dial()
                stage.space.plan = plan
            await self._play(stage.flow.play(stage))
        await stage.closed()
        await asyncio.sleep(HANDLING if stage.flow.takes_calls else TIDYING)
        self._look_at_platform("although nobody can reach it any more")
        self._hang_up()
        await self._forgotten()
        if not stage.flow.owns_client:
            if not self._case.is_clean and stage._closing is None:
                await self._play_again()
            await stage.within(CLOSING, stage.client.close(), "closing")

    async def _play_again(self) -> None:
        """Whatever has happened, the same client does the same flow again, and well."""
        stage = self._stage
        stage.space.plan = Plan()
        try:
            if stage.flow.wants_call:
                stage.call = await stage.dial()
            async with asyncio.timeout(LONGEST):
                await stage.flow.play(stage)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is trouble
            stage.trouble.append(f"afterwards: it raised {shown(error)}")
        self._hang_up()
        await self._forgotten()

    def _hang_up(self) -> None:
        for call in self._stage.space.live():
            call.hang_up()

    async def _play_whole(self) -> None:
        stage = self._stage

        async def program() -> None:
            if stage.flow.owns_client:
                await stage.flow.play(stage)
                return
            async with stage.make_client() as stage.client:
                if stage.flow.wants_call:
                    stage.call = await stage.dial()
                await stage.flow.play(stage)

        await self._play(program())
        timers = [timer for timer in stage.loop.timers() if _is_ours(timer)]
        stage.expect(is_so=not timers, what=f"timers are left when the program has ended: {timers}")
        # What is on its way arrives.
        await asyncio.sleep(1)
        if len(self._case.cancel) < 2:
            # Who is so impatient as to cancel what tidies up, too, has it so.
            self._look_at_platform("when the program has ended")

    async def _play(self, program: Any) -> None:
        """Let *program* run to its end, or to where something happens to it."""
        stage, mode = self._stage, self._case.mode
        if mode != "handler":
            strike = stage.close_client if mode == "closed" else None
            program = stage.victim = Victim(program, dict(self._case.cancel), strike)
        task = stage.loop.create_task(program, name="the flow")
        done, _ = await asyncio.wait([task], timeout=LONGEST)
        if not done:
            stage.trouble.append(f"it hangs: {describe(task)}")
            task.cancel()
            await asyncio.wait([task], timeout=LONGEST)
            return
        if task.cancelled():
            stage.expect(is_so=bool(self._case.cancel), what="it was cancelled, although nobody did that")
            try:
                task.result()
            except asyncio.CancelledError as error:
                stage.hold_of(error)
            return
        error = task.exception()
        for one in [] if error is None else each_of(error):
            stage.hold_of(one)
            if isinstance(one, asyncio.CancelledError) and self._case.cancel:
                continue
            is_fair = isinstance(one, SwcallsError | TimeoutError) and not self._case.is_clean
            stage.expect(is_so=is_fair, what=f"it raised {shown(one)}")

    def _look_at_platform(self, when: str) -> None:
        stage = self._stage
        # A close that is cancelled ends the calls that nobody has, and does not wait for what else is being stopped.
        is_hurried = stage.victim is not None and any(" close > " in place for place in stage.victim.struck_at)
        for left in stage.unreachable():
            if not is_hurried or left.startswith("a call"):
                stage.trouble.append(f"{left} goes on {when}")

    async def _forgotten(self) -> None:
        """Wait until nothing is left of calls that are over."""
        stage = self._stage
        until = stage.loop.now + FORGETTING
        pause = 10.0
        while stage.loop.now < until:
            await asyncio.sleep(pause)
            pause = min(2 * pause, 600.0)
            if not any(self._held_by(client) for client in stage.clients):
                break
        self._look("long after the calls have ended")
        memos = [memo for memos in stage.hub.memos.values() for memo in memos]
        # Of what was going on when a process was closed, they are left on purpose.
        stage.expect(is_so=not memos or not self._case.is_clean, what=f"memos are left: {memos}")

    def _look(self, when: str) -> None:
        stage = self._stage
        for client in stage.clients:
            kinds = sorted({one.split()[0].strip("<") for one in self._held_by(client)})
            stage.expect(is_so=not kinds, what=f"the client still holds {', '.join(kinds)} {when}")
            stage.expect(is_so=not client.actions, what=f"client.actions is not empty {when}")

    def _held_by(self, client: Client) -> list[str]:
        stage = self._stage
        return held_by(client, leave_out=[stage, stage.space, stage.hub])


async def _as_coroutine(work: Awaitable[None]) -> None:
    await work


def each_of(error: BaseException) -> list[BaseException]:
    """Take groups of errors apart."""
    if isinstance(error, BaseExceptionGroup):
        return [one for part in error.exceptions for one in each_of(part)]
    return [error]


def _is_ours(timer: asyncio.TimerHandle) -> bool:
    owner = getattr(timer._callback, "__self__", timer._callback)
    module = getattr(owner, "__module__", None) or type(owner).__module__
    return module.startswith("swcalls.") and not module.startswith("swcalls.testing")


def _is_end(fault: BaseException) -> bool:
    """Say whether *fault* only tells that the call is over, which is nothing to complain of."""
    return isinstance(fault, CallEnded | CallNotFound)


class _Errors(logging.Handler):
    """Notes what is logged as an error, but for what a handler may well raise when something *is_broken*."""

    def __init__(self, *, is_broken: bool) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []
        self._is_broken = is_broken

    def emit(self, record: logging.LogRecord) -> None:
        fault = record.exc_info[1] if record.exc_info else None
        if self._is_broken and isinstance(fault, SwcallsError | TimeoutError) and not _is_end(fault):
            return
        if self._is_broken and record.name == "swcalls.member":
            # What is wrong with the backplane was planned.
            return
        self.lines.append(f"logged: {record.getMessage()}" + (f": {shown(fault)}" if fault else ""))


__all__ = ["FLOWS", "OURS", "Case", "Flow", "Report", "Stage", "flow", "perform"]
