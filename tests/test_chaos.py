"""Every fault at once, under load: nobody hangs, nobody gets what is another's, and nothing is left.

The seed decides the faults and the flows; a failure shows it. ``SWCALLS_DEEP=10`` makes the test ten times as large.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from collections import Counter
from random import Random
from typing import Any

import pytest

from swcalls import (
    TTS,
    Action,
    ActionError,
    Call,
    CallEnded,
    Client,
    CommandError,
    CommandUnconfirmed,
    DetectDigit,
    DetectFax,
    DetectMachine,
    Digits,
    Limits,
    Outcome,
    Reconcile,
    Retry,
    RtpDevice,
    Silence,
    Speech,
    WsDevice,
)
from swcalls._core.operation import Operation
from swcalls.events import Event
from swcalls.testing import Callee, Faults, Simulator

log = logging.getLogger("tests.chaos")

SCALE = float(os.environ.get("SWCALLS_DEEP", "1"))
CALLS = int(20 * SCALE)
AT_ONCE = 100
ACTIONS = 20
SPEED = 40.0
PATIENCE = 60
"""Seconds in which everything must have ended. Nothing takes as long; a hang does."""


def faults(seed: int) -> Faults:
    return Faults(
        seed=seed,
        drop=0.08,
        duplicate=0.1,
        reorder=0.1,
        delay=(0, 3),
        early=0.1,
        forge=0.1,
        nulls=0.03,
        unknown=0.1,
        status={429: 0.05, 503: 0.05},
        retry_after=0.01,
        unanswered=0.02,
        reset_before=0.02,
        reset_after=0.02,
        slow=(0, 2),
        hangs_up=0.02,
    )


class Flow:
    """One call, on which a bit of everything is started, waited for, given up, stopped and cancelled."""

    def __init__(self, client: Client, number: int, seed: int, ledger: Counter[str]) -> None:
        self.client = client
        self.dice = Random(f"{seed}/{number}")
        self.to = f"+1555{number:07}"
        self.digits = f"{number:06}"
        self.ledger = ledger
        self.actions: list[Action[Any]] = []

    async def run(self) -> None:
        try:
            call = await self.client.dial(to=self.to, from_="+12069708643")
        except CommandUnconfirmed as lost:
            # It may be up, and nobody has its id yet: its webhooks tell, or nothing ever does.
            self.ledger["dial unconfirmed"] += 1
            if lost.call is None:
                return
            call = lost.call
        except CommandError as error:
            self.ledger[f"dial {type(error).__name__}"] += 1
            return
        try:
            await call.answered()
            async with asyncio.TaskGroup() as group:
                for _ in range(ACTIONS):
                    group.create_task(self.act(call))
        except CallEnded:
            self.ledger["ended unanswered"] += 1
        try:
            await call.end()
        except CommandError as error:
            self.ledger[f"end {type(error).__name__}"] += 1
        await call.ended()
        for action in self.actions:
            self.check(action, await action.outcome())
        # An end that was inferred leaves its own event a moment to come.
        async for event in call.events():
            assert event.call_id in (None, call.id)

    async def act(self, call: Call) -> None:
        start = self.dice.choice(self.starts(call))
        try:
            action = await start()
        except CommandUnconfirmed as lost:
            action = lost.action
            if action is None:
                return
        except (CommandError, ActionError) as error:
            self.ledger[f"start {type(error).__name__}"] += 1
            return
        self.actions.append(action)
        match self.dice.randrange(5):
            case 0:
                waiter = asyncio.create_task(action.finished())
                await asyncio.sleep(0)
                waiter.cancel()
                await asyncio.gather(waiter, return_exceptions=True)
            case 1:
                try:
                    await action.finished(timeout=self.dice.random() / 50)
                except (TimeoutError, ActionError) as error:
                    self.ledger[type(error).__name__] += 1
            case 2 if hasattr(action, "stop"):
                try:
                    await action.stop()
                except (CommandError, ActionError) as error:
                    self.ledger[f"stop {type(error).__name__}"] += 1
            case 3:
                async for event in action:
                    assert event.control_id in (None, action.control_id)

    def starts(self, call: Call) -> list[Any]:
        dice = self.dice
        return [
            lambda: call.play(TTS("Hello."), Silence(0.5)),
            lambda: call.play(Silence(dice.random() * 3)),
            lambda: call.say("Hello.", deadline=dice.random()),
            lambda: call.record(max_length=dice.randrange(1, 4)),
            call.record,
            lambda: call.collect(digits=Digits(max=6)),
            lambda: call.collect(digits=Digits(max=3), continuous=True),
            lambda: call.collect(speech=Speech(speech_timeout=2), partial_results=True),
            lambda: call.detect(dice.choice([DetectMachine(), DetectFax(), DetectDigit()]), timeout=3),
            lambda: call.tap(RtpDevice("8.8.4.4", 5000)),
            lambda: call.stream(f"wss://media.example/{self.digits}"),
            lambda: call.tap(WsDevice("wss://media.example/a")),
            call.transcribe,
            lambda: call.prompt(TTS("Your PIN."), digits=Digits(max=6), initial_timeout=3),
            lambda: call.live_transcribe("en-US", ["remote-caller"]),
            lambda: call.sidecar("en-US"),
        ]

    def check(self, action: Action[Any], outcome: Outcome[Any]) -> None:
        """Whatever it came to, it is its own."""
        self.ledger[f"{outcome.settled_by}"] += 1
        assert (outcome.result is None) != (outcome.error is None)
        for event in action._operation.history or ():
            assert event.control_id in (None, action.control_id)
            assert event.call_id in (None, action.call.id)
        digits = getattr(outcome.result, "digits", None)
        if digits is not None:
            assert self.digits.startswith(digits) or digits in self.digits, "the digits of another call"


def things() -> int:
    gc.collect()
    return sum(isinstance(thing, Operation | Event) for thing in gc.get_objects())


async def storm(seed: int, ledger: Counter[str]) -> None:
    """Run all flows, and look at what they leave behind while the client is still open."""
    limits = Limits(grace=0.5, long_grace=1, transcript_grace=1, margin=1, unconfirmed=4)
    reconcile = Reconcile(timeout=2, patience=5, sweep=0.5, longest_sweep=2)
    settings: dict[str, Any] = {"timeout": 5, "max_connections": 500, "limits": limits, "reconcile": reconcile}
    settings["retry"] = Retry(attempts=8, first_wait=0.01, budget=100_000)
    async with (
        Simulator(speed=SPEED, faults=faults(seed)) as space,
        Client("project", "token", space.url, **settings) as client,
        client.receiver.serve(),
    ):
        turns = asyncio.Semaphore(AT_ONCE)

        async def run(number: int) -> None:
            async with turns:
                flow = Flow(client, number, seed, ledger)
                # What nothing bounds ends when the far end has had enough.
                space.callees[flow.to] = Callee(presses=flow.digits, says="Hello there.", hangs_up_after=120)
                await flow.run()

        async with asyncio.TaskGroup() as group:
            for number in range(CALLS):
                group.create_task(run(number))

        assert not client.actions
        registry = client._engine.registry
        # A detector that answered after the end of its call is followed until its grace is over.
        while registry.settler.answered or registry.calls._held or len(client._engine.tasks):
            await asyncio.sleep(0)
        assert all(delivery.status in (403, None) for delivery in space.deliveries if delivery.is_forged)
        assert set(client.stats.settled) >= {"callback", "call_ended", "deadline"}
        # What it comes to depends on how much of the time the machine has for us.
        assert client.stats.log_questions
        # The receiver is about to close: no more webhooks.
        space._clock.close()
        await space.settled()
        log.info("seed %d: %d calls; %s; %s; faults %s", seed, CALLS, dict(ledger), client.stats, dict(space.faulted))


@pytest.mark.parametrize("seed", [1] if SCALE <= 1 else [1, 2, 3])
async def test_under_every_fault_at_once_nobody_hangs_and_nothing_is_left(
    seed: int, caplog: pytest.LogCaptureFixture, nothing_is_left_running: None
) -> None:
    for logger in ("swcalls", "asyncio"):
        # A record that is kept keeps what it is about.
        caplog.set_level(logging.CRITICAL, logger)
    ledger: Counter[str] = Counter()
    before = things()
    async with asyncio.timeout(PATIENCE * max(1.0, SCALE)):
        await storm(seed, ledger)
    await asyncio.sleep(0)
    assert things() <= before
