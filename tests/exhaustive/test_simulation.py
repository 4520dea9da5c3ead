"""The machine itself: it sees what it is there to see."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from simulation.flows import MUSIC
from simulation.loop import Victim, VirtualLoop, When, run
from simulation.stage import FLOWS, Case, Flow, Stage, perform


@pytest.fixture
def troubles_of() -> Iterator[Callable[..., str]]:
    """Perform a flow that is in no list, and return its troubles in one text."""

    def perform_it(play: Callable[[Stage], Awaitable[None]], mode: str = "inside", **how: Any) -> str:
        FLOWS["a test"] = Flow("a test", play, wants_call=True, **how)
        return "\n".join(perform(Case("a test", mode)).trouble)  # type: ignore[arg-type]

    yield perform_it
    FLOWS.pop("a test", None)


def test_an_hour_takes_no_time() -> None:
    async def main() -> float:
        begun = time.monotonic()
        await asyncio.sleep(3600)
        return time.monotonic() - begun

    before = time.monotonic()
    report = run(lambda loop: main())
    assert 3600 <= report.result < 3600.1
    assert report.lasted == pytest.approx(3600)
    assert time.monotonic() - before < 60


def test_a_run_that_cannot_go_on_says_what_is_pending() -> None:
    async def waits_for_nothing() -> None:
        await asyncio.Event().wait()

    report = run(lambda loop: waits_for_nothing())
    assert report.stuck is not None
    assert "nothing is ready and no timer is set" in report.stuck
    assert "waits_for_nothing" in report.stuck


def test_a_run_that_takes_too_long_is_stuck() -> None:
    async def ticks() -> None:
        while True:
            await asyncio.sleep(1)

    report = run(lambda loop: ticks(), longest=100)
    assert report.stuck is not None
    assert "too long" in report.stuck


def test_what_nobody_awaits_or_retrieves_is_trouble() -> None:
    async def fails() -> None:
        raise KeyError("nobody looks")

    async def main() -> None:
        fails()
        task = asyncio.ensure_future(fails())
        await asyncio.wait([task])

    trouble = "\n".join(run(lambda loop: main()).trouble)
    assert "'fails' was never awaited" in trouble or ".fails' was never awaited" in trouble
    assert "never retrieved: KeyError" in trouble


@pytest.mark.parametrize(("when", "has_come"), [("at once", False), ("too late", True)])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_victim_is_cancelled_at_its_step(step: int, when: When, has_come: bool) -> None:
    passed: list[int] = []
    came: list[int] = []

    async def flow(loop: VirtualLoop) -> None:
        for number in (1, 2, 3):
            wait = loop.create_future()
            loop.call_later(1, lambda n=number, w=wait: (came.append(n), w.done() or w.set_result(None)))
            await wait
            passed.append(number)

    async def main(loop: VirtualLoop) -> None:
        task = loop.create_task(Victim(flow(loop), {step: when}))
        await asyncio.wait([task])
        assert task.cancelled()

    run(main)
    assert passed == list(range(1, step))
    assert (step in came) is has_come


@pytest.mark.parametrize("mode", ["inside", "whole"])
def test_what_nobody_has_in_hand_is_seen(mode: str, troubles_of: Callable[..., str]) -> None:
    async def drops_a_handle(stage: Stage) -> None:
        await stage.call.play(MUSIC, loop=0)

    async def holds_it(stage: Stage) -> None:
        stage.hold(await stage.call.play(MUSIC, loop=0))

    async def drops_a_call(stage: Stage) -> None:
        await stage.client.dial(to="+15550198765", from_="+12069708643")

    assert "a play goes on" in troubles_of(drops_a_handle, mode)
    assert "a call (outbound" in troubles_of(drops_a_call, mode)
    assert not troubles_of(holds_it, mode)


def test_what_hangs_is_seen(troubles_of: Callable[..., str]) -> None:
    async def waits_for_ever(stage: Stage) -> None:
        await stage.call.ended()

    assert "it hangs: the flow" in troubles_of(waits_for_ever)


def test_what_is_left_running_is_seen(troubles_of: Callable[..., str]) -> None:
    kept = []

    async def leaves_a_task(stage: Stage) -> None:
        kept.append(asyncio.ensure_future(asyncio.sleep(1e6)))

    assert "tasks are left" in troubles_of(leaves_a_task)


def test_what_the_client_keeps_is_seen(troubles_of: Callable[..., str]) -> None:
    async def has_it_kept(stage: Stage) -> None:
        call = stage.call
        stage.client.kept = lambda: call  # type: ignore[attr-defined]

    assert "the client still holds Call" in troubles_of(has_it_kept)


def test_errors_that_are_not_ours_are_seen(troubles_of: Callable[..., str]) -> None:
    async def raises(stage: Stage) -> None:
        raise KeyError("a bug")

    async def is_refused(stage: Stage) -> None:
        await stage.call.send_fax_stop("no such fax")

    assert "it raised KeyError" in troubles_of(raises)
    assert "refused on a healthy call" in troubles_of(is_refused)


def test_a_case_can_be_named_and_read_back() -> None:
    case = Case("say", "inside", ((3, "at once"), (4, "too late")), (("request", 2, "503 later"),), deaf=True)
    assert Case.read(str(case)) == case


def test_the_same_case_is_the_same_run() -> None:
    case = Case("prompt_barge_in", "inside", ((4, "too late"),), (("webhook", 2, "twice"),))
    first, second = perform(case), perform(case)
    assert [line.split()[:2] for line in first.log] == [line.split()[:2] for line in second.log]
    assert first.steps == second.steps
