"""A month of calls of every sort, on a platform that loses, repeats and delays: what a client holds must not grow."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from swcalls import TTS, Call, Client, Digits, Limits, Silence, SwcallsError
from swcalls.testing.callee import Callee

from .flows import FROM, MUSIC
from .leftovers import census, held_by, sizes
from .loop import VirtualLoop, run
from .space import Plan
from .stage import Case, Flow, Stage, own_sessions

DAY = 86_400.0
DAYS = 30
SETTLING = 2 * DAY
"""After the last call: whatever is still looked after by then will be for ever."""

LIMITS = Limits(history=16, early_events=32, settled=64, running=8, timeline=32)
"""What is bounded is bounded closely, so that it is full long before the end."""
BOUNDED = 200
"""No container may have more entries than this, with these limits and no call left."""


class Weather(Plan):
    """Something goes wrong now and then."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self._dice = dice

    def next(self, channel: str) -> str | None:
        super().next(channel)
        faults = {
            "webhook": (("lost", 0.15), ("twice", 0.08), ("late", 0.05), ("very late", 0.03), ("given up", 0.03)),
            "request": (
                ("reset after", 0.02), ("reset", 0.02), ("hangs after", 0.01), ("429", 0.02), ("500", 0.02),
                ("504 after", 0.01), ("nonsense", 0.01), ("overtaken", 0.03), ("refused", 0.01),
            ),
            "log": (("500", 0.1), ("hangs", 0.05), ("404", 0.05)),
            "backplane": (("slow", 0.05),),
        }  # fmt: skip
        point = self._dice.random()
        for fault, chance in faults[channel]:
            if point < chance:
                return fault
            point -= chance
        return None


@dataclass
class Month:
    """What a month came to."""

    trouble: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)


Habit = Callable[[Stage, Client, random.Random], Awaitable[None]]
HABITS: list[Habit] = []


def habit(one: Habit) -> Habit:
    """Add something that users do."""
    HABITS.append(one)
    return one


def number(stage: Stage, dice: random.Random, **how: Any) -> str:
    """Make a number, and say how whoever has it behaves; most of them hang up some day."""
    to = f"+1555{dice.randrange(10**7):07}"
    how.setdefault("hangs_up_after", dice.choice((5, 60, 600, 4 * 3600)))
    stage.space.exchange.callees[to] = Callee(**how)
    return to


@habit
async def forget_everything(stage: Stage, client: Client, dice: random.Random) -> None:
    """Dial, play, and look at neither again."""
    call = await client.dial(to=number(stage, dice), from_=FROM)
    await call.play(Silence(3))
    await call.record(max_length=30)


@habit
async def own_status_url(stage: Stage, client: Client, dice: random.Random) -> None:
    """Have the states sent elsewhere."""
    call = await client.dial(to=number(stage, dice), from_=FROM, status_url="https://elsewhere.example/")
    with suppress(TimeoutError):
        await call.answered(timeout=30)
    await call.play(MUSIC, loop=0)


@habit
async def no_end_wanted(stage: Stage, client: Client, dice: random.Random) -> None:
    """Ask for some states, but not for the end."""
    call = await client.dial(to=number(stage, dice), from_=FROM, status_events=["answered"])
    await call.answered(timeout=60)
    await call.say("Hello.").finished(timeout=60)


@habit
async def sidecar(stage: Stage, client: Client, dice: random.Random) -> None:
    """Have a sidecar listen, and never stop it."""
    call = await client.dial(to=number(stage, dice), from_=FROM)
    await call.answered(timeout=60)
    helper = await call.sidecar("en-US")
    await helper.ask("Who is it?")


@habit
async def live(stage: Stage, client: Client, dice: random.Random) -> None:
    """Transcribe, and translate, and leave."""
    call = await client.dial(to=number(stage, dice), from_=FROM)
    await call.answered(timeout=60)
    await call.live_transcribe("en-US", ["remote-caller"])
    await call.transcribe()
    await call.detect()


@habit
async def by_the_book(stage: Stage, client: Client, dice: random.Random) -> None:
    """Do everything as the documentation does."""
    async with client.dial(to=number(stage, dice, presses="12"), from_=FROM) as call:
        await call.answered(timeout=60)
        await call.prompt(TTS("Press."), digits=Digits(max=2)).finished(timeout=60)
        async with call.record() as recording:
            await call.say("Speak.").finished(timeout=60)
        await recording.finished(timeout=60)


@habit
async def give_up(stage: Stage, client: Client, dice: random.Random) -> None:
    """Cancel a dial, a start and a wait."""
    with suppress(TimeoutError):
        async with asyncio.timeout(dice.choice((0.005, 0.012, 0.5))):
            await client.dial(to=number(stage, dice), from_=FROM)
    call = await client.dial(to=number(stage, dice), from_=FROM)
    with suppress(TimeoutError):
        async with asyncio.timeout(dice.choice((0.005, 0.012, 0.02, 3))):
            await call.play(MUSIC, loop=0).finished()


@habit
async def nobody_answers(stage: Stage, client: Client, dice: random.Random) -> None:
    """Dial who does not answer, or is busy."""
    call = await client.dial(to=number(stage, dice, answers=dice.choice((False, "busy"))), from_=FROM)
    with suppress(TimeoutError):
        async with asyncio.timeout(10):
            async for _ in call.events():
                pass


@habit
async def attach(stage: Stage, client: Client, dice: random.Random) -> None:
    """Attach to what was started elsewhere, or never was."""
    call = client.call(f"there-is-no-such-call-{dice.random()}")
    call.action("play", f"nor-such-an-action-{dice.random()}")
    known = await client.dial(to=number(stage, dice), from_=FROM)
    known.action("record", f"no-such-action-{dice.random()}")


@habit
async def many_events(stage: Stage, client: Client, dice: random.Random) -> None:
    """Collect for as long as the call lasts, with an iterator that is left behind."""
    call = await client.dial(to=number(stage, dice, presses=["1"] * 40), from_=FROM)
    await call.answered(timeout=60)
    collect = await call.collect(digits=Digits(max=1), continuous=True)
    with suppress(TimeoutError):
        async with asyncio.timeout(20):
            async for _ in collect:
                pass


@habit
async def callers(stage: Stage, client: Client, dice: random.Random) -> None:
    """Be called."""
    stage.space.ring(client.receiver.inbound_url, Callee(hangs_up_after=dice.choice((1, 30, 300))))


async def take(call: Call) -> None:
    """Handle a call that comes in."""
    await call.say("Hello.").finished(timeout=60)


def live_through(calls: int, seed: int, *, shared: bool = False, reconcile: bool = True) -> Month:
    """Live through a month with *calls* calls."""
    month = Month()
    parts: list[Any] = []
    settings: dict[str, Any] = {"limits": LIMITS} | ({} if reconcile else {"reconcile": None})

    def make(loop: VirtualLoop) -> Any:
        stage = Stage(loop, Flow("month", None, settings=settings), Case("month"), Plan())  # type: ignore[arg-type]
        parts[:] = [stage]
        return _live(stage, month, calls, random.Random(seed), shared=shared)

    with own_sessions(parts):
        came_to = run(make, longest=2 * DAYS * DAY, seed=seed, turns=10_000 * (200 + calls))
    if came_to.error is not None:
        raise came_to.error
    month.trouble += ([came_to.stuck] if came_to.stuck else []) + came_to.trouble
    return month


async def _live(stage: Stage, month: Month, calls: int, dice: random.Random, *, shared: bool) -> None:
    client = stage.make_client(**({"backplane": stage.hub.member("worker")} if shared else {}))
    async with client:
        client.receiver.on_call(take)
        for one in HABITS:
            await _try(one, stage, client, dice)
        await _quiet(stage)
        before, empty = census(), sizes(client)
        stage.space.plan = Weather(dice)
        running: set[asyncio.Task[None]] = set()
        for _ in range(calls):
            await asyncio.sleep(dice.uniform(0, 2) * DAYS * DAY / calls)
            one = dice.choice(HABITS)
            month.kinds[one.__name__] += 1
            task = asyncio.create_task(_try(one, stage, client, dice))
            running.add(task)
            task.add_done_callback(running.discard)
        if running:
            await asyncio.wait(running)
        # Webhooks still come, or are lost, but nobody calls any more.
        await _quiet(stage)
        stage.space.calls.clear()
        month.trouble += _grown(before, empty, client, stage)
    await stage.space.close()


async def _try(one: Habit, stage: Stage, client: Client, dice: random.Random) -> None:
    with suppress(SwcallsError, TimeoutError):
        await one(stage, client, dice)


async def _quiet(stage: Stage) -> None:
    """Wait until every call is over, and what is kept of it had time to be forgotten."""
    while stage.space.live():
        await asyncio.sleep(3600)
        for call in stage.space.live():
            if call.callee.hangs_up_after is None:
                call.hang_up()
    await asyncio.sleep(SETTLING)
    stage.space.calls.clear()
    stage.space.attempts.clear()
    stage.space.exchange.callees.clear()


def _grown(before: Counter[str], empty: dict[str, int], client: Client, stage: Stage) -> list[str]:
    """Say what there is more of than before."""
    # It drops what is too old, and would otherwise do so with the next webhook.
    assert client.stats.pending >= 0
    trouble = [f"still held: {one}" for one in held_by(client, leave_out=[stage, stage.space, stage.hub])[:10]]
    grown = census() - before
    trouble += [f"{count} more {kind}" for kind, count in sorted(grown.items())]
    trouble += [
        f"{name} has {size} entries, {empty.get(name, 0)} before"
        for name, size in sizes(client).items()
        if size > BOUNDED
    ]
    memos = [memo for memos in stage.hub.memos.values() for memo in memos]
    trouble += [f"{len(memos)} memos are left: {memos[:5]}"] if memos else []
    if client.actions:
        trouble.append(f"{len(client.actions)} actions are pending")
    return trouble
