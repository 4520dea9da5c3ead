"""One method in one state: what came of it, how long it took, and what was sent."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from swcalls import Action, Call, Client, Limits, SwcallsError
from swcalls.actions import HANDLES
from swcalls.testing.callee import Callee

from .loop import run, shown
from .space import Plan
from .stage import Case, Flow, Stage, own_sessions

BOUND = 1500.0
"""Virtual seconds after which a method counts as one that waits: the longest grace is 600."""
WHEREVER = "sip:somebody@example.com"
"""A SIP address: the only sort that can be referred."""


@dataclass
class Outcome:
    """What came of calling one method."""

    value: Any = None
    error: BaseException | None = None
    """Without its traceback, which would keep alive what was never awaited."""
    raised: str = ""
    waits: bool = False
    took: float = 0.0
    sent: int = 0
    trouble: str = ""
    """What went wrong beside it."""

    @property
    def at_once(self) -> bool:
        return self.took < 1e-3

    def __str__(self) -> str:
        if self.error is not None:
            what = f"raised {self.raised}"
        elif self.waits:
            what = "waits"
        else:
            what = f"returned {self.value!r}"
        return f"{what} after {self.took:.3f} s, {self.sent} sent{self.trouble}"


Expected = Callable[[Outcome], bool]


def refused(*errors: type[BaseException]) -> Expected:
    """Expect one of *errors* at once, with nothing sent."""
    return lambda outcome: isinstance(outcome.error, errors) and outcome.at_once and not outcome.sent


def raises(*errors: type[BaseException]) -> Expected:
    """Expect one of *errors*, sooner or later."""
    return lambda outcome: isinstance(outcome.error, errors)


def silent(*values: object) -> Expected:
    """Expect a return at once, with nothing sent; of one of *values*, if there are any."""
    return lambda outcome: (
        outcome.error is None
        and not outcome.waits
        and outcome.at_once
        and not outcome.sent
        and (not values or outcome.value in values)
    )


def returns(outcome: Outcome) -> bool:
    """Expect a return, sooner or later."""
    return outcome.error is None and not outcome.waits


def sends(outcome: Outcome) -> bool:
    """Expect a return, with something sent."""
    return returns(outcome) and outcome.sent > 0


def waits(outcome: Outcome) -> bool:
    """Expect that it goes on waiting."""
    return outcome.waits


def times_out(outcome: Outcome) -> bool:
    """Expect a ``TimeoutError`` that says what was waited for."""
    return type(outcome.error) is TimeoutError and len(str(outcome.error)) > 20


def either(*expected: Expected) -> Expected:
    """Expect one of several things."""
    return lambda outcome: any(one(outcome) for one in expected)


Act = Callable[[Any], Any]
"""Calls a method of its argument. What it returns is awaited, if it can be."""
Prepare = Callable[[Stage], Awaitable[Any]]
"""Makes the thing whose method is called; ``None``: it has no such state."""


def try_out(prepare: Prepare, act: Act, **settings: Any) -> Outcome | None:
    """Call a method of what *prepare* makes; ``None`` if it makes nothing."""
    outcome = Outcome()
    parts: list[Any] = []

    async def main(stage: Stage) -> bool:
        target = await prepare(stage)
        try:
            if target is not None:
                await _measure(stage, outcome, lambda: act(target))
            # What follows on it would otherwise count as left behind.
            await asyncio.sleep(1)
        finally:
            for client in stage.clients:
                with suppress(SwcallsError):
                    await client.close()
            await stage.space.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        outcome.trouble += f"; tasks are left: {left}" if left else ""
        return target is not None

    def make(loop: Any) -> Any:
        flow = Flow("cell", None, callee=Callee(rings_for=20), settings=settings)  # type: ignore[arg-type]
        stage = Stage(loop, flow, Case("cell"), Plan())
        parts[:] = [stage]
        return main(stage)

    with own_sessions(parts):
        report = run(make, longest=100 * BOUND)
    if report.error is not None:
        raise report.error
    outcome.trouble += f"; stuck: {report.stuck}" if report.stuck else ""
    outcome.trouble += "".join(f"; {trouble}" for trouble in report.trouble)
    return outcome if report.result or report.stuck else None


async def _measure(stage: Stage, outcome: Outcome, act: Callable[[], Any]) -> None:
    begun, sent = stage.loop.now, len(stage.space.attempts)

    async def whole() -> Any:
        value = act()
        return await value if inspect.isawaitable(value) else value

    task = asyncio.ensure_future(whole())
    done, _ = await asyncio.wait([task], timeout=BOUND)
    outcome.took, outcome.sent = stage.loop.now - begun, len(stage.space.attempts) - sent
    if not done:
        outcome.waits = True
        task.cancel()
        await asyncio.wait([task])
    elif task.cancelled():
        outcome.error = asyncio.CancelledError()
    else:
        error = task.exception()
        if error is None:
            outcome.value = task.result()
        else:
            outcome.raised, outcome.error = shown(error), error.with_traceback(None)


async def unopened(stage: Stage) -> Client:
    """Make a client that nobody has opened."""
    return stage.make_client()


async def opened(stage: Stage) -> Client:
    """Make a client that is open."""
    stage.client = stage.make_client()
    await stage.client.open()
    return stage.client


async def closing(stage: Stage) -> Client:
    """Make a client that waits for a handler to finish, and closes then."""
    client = await opened(stage)
    entered = asyncio.Event()

    async def handler(call: Call) -> None:
        entered.set()
        await asyncio.sleep(30)

    client.receiver.on_call(handler)
    stage.space.ring(client.receiver.inbound_url)
    await entered.wait()
    stage.close_client()
    await asyncio.sleep(0.001)
    return client


async def closed(stage: Stage) -> Client:
    """Make a client that is closed."""
    client = await opened(stage)
    await client.close()
    return client


CLIENTS: dict[str, Prepare] = {"unopened": unopened, "open": opened, "closing": closing, "closed": closed}


async def dialled(stage: Stage) -> Call:
    """Make a call that rings."""
    client = await opened(stage)
    return stage.hold(await client.dial(to=WHEREVER, from_="+12069708643"))


async def up(stage: Stage) -> Call:
    """Make a call that is up."""
    call = await dialled(stage)
    await call.answered()
    return call


async def ended(stage: Stage) -> Call:
    """Make a call that was up, and is known to be over."""
    call = await up(stage)
    stage.space.calls[call.id or ""].hang_up()
    await call.ended()
    await asyncio.sleep(1)
    return call


async def lost(stage: Stage) -> Call:
    """Make a call of which a 404 has told that it is over."""
    call = await up(stage)
    stage.space.plan = Plan({("request", 1): "404"})
    with suppress(SwcallsError):
        await call.user_event({})
    return call


async def unconfirmed(stage: Stage) -> Call:
    """Make the call of a dial that was not answered, and has not arrived."""
    stage.space.plan = Plan({("request", 1): "reset"})
    client = await opened(stage)
    try:
        await client.dial(to=WHEREVER, from_="+12069708643")
    except SwcallsError as error:
        call = error.call  # type: ignore[attr-defined]
    assert call.id is None
    return stage.hold(call)


async def unknown(stage: Stage) -> Call:
    """Make a handle on a call that there is not."""
    return (await opened(stage)).call("0ad38f4c-8f8d-4c05-b0bb-3ae8cd36ca4e")


async def _of_unopened(stage: Stage) -> Call:
    return (await unopened(stage)).call("0ad38f4c-8f8d-4c05-b0bb-3ae8cd36ca4e")


async def _of_closing(stage: Stage) -> Call:
    stage.client = await opened(stage)
    call = await stage.dial()
    entered = asyncio.Event()

    async def handler(_: Call) -> None:
        entered.set()
        await asyncio.sleep(30)

    stage.client.receiver.on_call(handler)
    stage.space.ring(stage.client.receiver.inbound_url)
    await entered.wait()
    stage.close_client()
    await asyncio.sleep(0.001)
    return call


async def _of_closed(stage: Stage) -> Call:
    call = await up(stage)
    await stage.client.close()
    return call


CALLS: dict[str, Prepare] = {
    "client unopened": _of_unopened,
    "client closing": _of_closing,
    "client closed": _of_closed,
    "unknown": unknown,
    "dialled": dialled,
    "up": up,
    "ended": ended,
    "lost": lost,
    "unconfirmed": unconfirmed,
}

SILENT_LOG = {("log", number): "404" for number in range(1, 20)}

Start = Callable[[Call, dict[str, Any]], Any]
"""Makes what starts an action, with further parameters."""


def actions(kind: str, start: Start | None) -> dict[str, Prepare]:
    """Return the states that an action of *kind* can be in; *start* is ``None`` for what no command starts."""

    async def pending(stage: Stage) -> Action[Any]:
        call = await up(stage)
        return stage.hold(call.action(kind, "fax") if start is None else await start(call, {}))

    async def stopping(stage: Stage) -> Action[Any] | None:
        action = await pending(stage)
        if not hasattr(action, "stop"):
            return None
        stage.space.plan = Plan(deaf=True)
        await action.stop()
        # Where no event tells the end, there is none to wait for.
        return None if action.done() else action

    async def expired(stage: Stage) -> Action[Any] | None:
        if start is None:
            return None
        call = await up(stage)
        stage.space.plan = Plan(SILENT_LOG, deaf=True)
        action: Action[Any] = stage.hold(await start(call, {"deadline": 2}))
        await action.outcome()
        # What it tidies up has been sent.
        await asyncio.sleep(1)
        return action

    async def settled(stage: Stage) -> Action[Any] | None:
        action = await pending(stage)
        if start is None:
            return None
        if hasattr(action, "stop"):
            await action.stop()
        await action.outcome()
        await asyncio.sleep(60)
        return action

    async def withdrawn(stage: Stage) -> Action[Any] | None:
        if start is None:
            return None
        call = await up(stage)
        stage.space.plan = Plan({("request", 1): "422", ("request", 2): "422"})
        starting = asyncio.ensure_future(start(call, {}))
        while not stage.client.actions:
            await asyncio.sleep(0.001)
        (action,) = stage.client.actions.values()
        await asyncio.wait([starting])
        assert starting.exception() is not None
        return action

    async def unconfirmed(stage: Stage) -> Action[Any] | None:
        if start is None:
            return None
        call = await up(stage)
        stage.space.plan = Plan({("request", 1): "reset"})
        try:
            await start(call, {})
        except SwcallsError as error:
            return error.action  # type: ignore[attr-defined,no-any-return]
        raise AssertionError("it was confirmed")

    async def call_ended(stage: Stage) -> Action[Any] | None:
        action = await pending(stage)
        if await _is_soon_done(action):
            return None
        stage.space.plan = Plan(SILENT_LOG, deaf=True)
        stage.space.calls[action.call.id].hang_up()
        await action.outcome()
        return action

    async def client_closed(stage: Stage) -> Action[Any] | None:
        action = await pending(stage)
        if await _is_soon_done(action):
            return None
        await stage.client.close()
        return action

    async def client_closing(stage: Stage) -> Action[Any] | None:
        action = await pending(stage)
        if await _is_soon_done(action):
            return None
        entered = asyncio.Event()

        async def handler(_: Call) -> None:
            entered.set()
            await asyncio.sleep(30)

        stage.client.receiver.on_call(handler)
        stage.space.ring(stage.client.receiver.inbound_url)
        await entered.wait()
        stage.close_client()
        await asyncio.sleep(0.001)
        return action

    async def client_unopened(stage: Stage) -> Action[Any] | None:
        if kind not in HANDLES:
            return None
        return (await _of_unopened(stage)).action(kind, "theirs")

    return {
        "pending": pending,
        "stopping": stopping,
        "expired": expired,
        "settled": settled,
        "withdrawn": withdrawn,
        "unconfirmed": unconfirmed,
        "call ended": call_ended,
        "client closed": client_closed,
        "client closing": client_closing,
        "client unopened": client_unopened,
    }


async def _is_soon_done(action: Action[Any]) -> bool:
    await asyncio.sleep(5)
    return action.done()


LONG_DRAIN = Limits(drain=20)

__all__ = ["CALLS", "CLIENTS", "LONG_DRAIN", "actions", "try_out"]
