"""What goes wrong on purpose: each fault does what it says, is counted, and stops at nothing else."""

from __future__ import annotations

import asyncio
from typing import Any, Self

import pytest

from swcalls import (
    TTS,
    Call,
    Client,
    CommandUnconfirmed,
    Digits,
    RateLimited,
    Reconcile,
    Retry,
    ServerFault,
    Silence,
)
from swcalls.testing import Callee, Faults, Simulator
from swcalls.testing.faults import Dice, altered, with_state
from swcalls.testing.received import ReceivedCommand

FROM, TO = "+12069708643", "+15550198765"
pytestmark = pytest.mark.usefixtures("nothing_is_left_running")


class Scene:
    """A call that is up on a simulated platform, before anything goes wrong."""

    def __init__(self, faults: Faults, **settings: Any) -> None:
        self.space = Simulator(speed=100, callee=Callee(presses="12", rings_for=0))
        self.faults = faults
        self.client: Client
        self.call: Call
        self.settings = {"retry": Retry(attempts=1), **settings}

    async def __aenter__(self) -> Self:
        await self.space.__aenter__()
        self.client = Client("project", "token", self.space.url, **self.settings)
        await self.client.open()
        self.server = self.client.receiver.serve()
        await self.server.__aenter__()
        self.call = await self.client.dial(to=TO, from_=FROM)
        await self.call.answered(timeout=5)
        await self.space.settled()
        self.space.faults = self.faults
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.space.faults = Faults()
        await self.server.__aexit__(*exc)
        await self.client.close()
        await self.space.__aexit__(*exc)


async def test_a_webhook_that_is_dropped_is_in_the_log_all_the_same() -> None:
    async with Scene(Faults(drop=1)) as scene:
        play = await scene.call.play(TTS("Hi"), deadline=1)
        assert (await play.outcome()).settled_by == "reconciled"
        assert scene.space.faulted["drop"] == 2
        assert not [d for d in scene.space.deliveries if "control_id" in d.payload["params"]]


async def test_a_webhook_may_come_twice() -> None:
    async with Scene(Faults(duplicate=1)) as scene:
        await scene.call.play(TTS("Hi")).finished(timeout=5)
        await scene.space.settled()
        webhooks = scene.client.stats.webhooks
        assert (webhooks["duplicate"], webhooks["late"]) == (1, 1)
        assert scene.space.faulted["duplicate"] == 2


async def test_webhooks_may_change_places() -> None:
    async with Scene(Faults(reorder=1)) as scene:
        play = await scene.call.play(TTS("Hi"))
        assert [event.state async for event in play] == ["finished"]
        await scene.space.settled()
        states = [d.payload["params"].get("state") for d in list(scene.space.deliveries)[-2:]]
        assert states == ["finished", "playing"]


async def test_a_webhook_with_nothing_to_change_places_with_comes_a_little_later() -> None:
    async with Scene(Faults(reorder=1)) as scene:
        await scene.call.end()
        assert await scene.call.ended(timeout=5) == "hangup"
        call = await scene.client.dial(to=TO, from_=FROM)
        await call.end()
        await call.ended(timeout=5)


async def test_a_webhook_that_is_late_is_overtaken() -> None:
    async with Scene(Faults(delay=(10_000, 10_000))) as scene:
        play = await scene.call.play(Silence(50))
        scene.space.faults = Faults()
        await play.finished(timeout=5)
        assert [event.state for event in play._operation.history] == ["finished"]
        assert scene.space.faulted["delay"] == 1


async def test_a_webhook_may_come_before_the_answer_to_its_command() -> None:
    async with Scene(Faults(early=1)) as scene:
        play = await scene.call.play(Silence(10_000))
        assert play.state == "playing"
        assert scene.space.faulted["early"] == 1


async def test_a_forged_webhook_gets_nowhere() -> None:
    async with Scene(Faults(forge=1)) as scene:
        play = await scene.call.play(TTS("Hi"))
        await play.finished(timeout=5)
        assert [event.state for event in play._operation.history] == ["playing", "finished"]
        await scene.space.settled()
        forged = [d for d in scene.space.deliveries if d.is_forged]
        assert [(d.status, d.attempts) for d in forged] == [(403, 1)] * 2
        assert scene.client.stats.webhooks["forged"] == 2


async def test_a_parameter_may_be_null_but_for_the_ids() -> None:
    async with Scene(Faults(nulls=1)) as scene:
        play = await scene.call.play(TTS("Hi"), deadline=1)
        await play.outcome()
        params = [d.payload["params"] for d in scene.space.deliveries if "control_id" in d.payload["params"]]
        assert params
        for one in params:
            assert list(one.values()).count(None) == 1
            assert one["control_id"] == play.control_id


async def test_a_state_that_nobody_knows_ends_nothing() -> None:
    async with Scene(Faults(unknown=1)) as scene:
        play = await scene.call.play(TTS("Hi"))
        await play.finished(timeout=5)
        assert [event.state for event in play._operation.history] == ["levitating", "playing", "levitating", "finished"]


@pytest.mark.parametrize(("status", "error"), [(429, RateLimited), (503, ServerFault)])
@pytest.mark.parametrize("wait", [None, 0.5, 30])
async def test_a_refusal_is_not_processed(status: int, error: type[ServerFault], wait: float | None) -> None:
    async with Scene(Faults(status=status, retry_after=wait)) as scene:
        for _ in range(6):
            with pytest.raises(error) as caught:
                await scene.call.end()
            waits = caught.value.retry_after
            assert waits is None if wait is None else waits == pytest.approx(wait, abs=2)
        assert scene.space.calls[scene.call.id].state == "answered"
        assert [c.status for c in scene.space.commands if c.command == "calling.end"] == [status] * 6


async def test_refusals_by_chance_are_sent_again() -> None:
    faults = Faults(status={429: 0.4, 503: 0.4}, retry_after=0, seed=1)
    async with Scene(faults, retry=Retry(attempts=50, first_wait=0.001)) as scene:
        for _ in range(10):
            await scene.call.denoise()
        assert scene.client.stats.retried == scene.space.faulted["status"] > 10


async def test_an_answer_may_hide_what_was_done() -> None:
    async with Scene(Faults(unanswered=1)) as scene:
        with pytest.raises(CommandUnconfirmed) as caught:
            await scene.call.end()
        assert caught.value.status in (502, 504)
        await scene.call.ended(timeout=5)


@pytest.mark.parametrize("when", ["reset_before", "reset_after"])
async def test_a_connection_may_be_reset(when: str) -> None:
    async with Scene(Faults(**{when: 1})) as scene:
        with pytest.raises(CommandUnconfirmed) as caught:
            await scene.call.play(TTS("Hi"), deadline=1)
        action = caught.value.action
        scene.space.faults = Faults()
        outcome = await action.outcome()
        assert outcome.settled_by == ("deadline" if when == "reset_before" else "callback")


async def test_an_answer_may_take_its_time() -> None:
    async with Scene(Faults(slow=(1, 2))) as scene:
        await scene.call.denoise()
        assert scene.space.faulted["slow"] == 1


async def test_the_far_end_may_hang_up_at_any_moment() -> None:
    async with Scene(Faults(hangs_up=1)) as scene:
        await scene.call.record()
        assert await scene.call.ended(timeout=5) == "hangup"


async def test_the_log_may_be_out_of_order() -> None:
    async with Scene(Faults(drop=1, log_status=500), reconcile=Reconcile(timeout=1)) as scene:
        collect = await scene.call.collect(digits=Digits(max=2), deadline=0.5)
        assert (await collect.outcome()).settled_by == "deadline"
        assert scene.space.faulted["log_status"] == 2


async def test_observers_are_told_of_commands_and_webhooks() -> None:
    async with Scene(Faults()) as scene:
        told: list[object] = []
        scene.space.observers.append(told.append)
        await scene.call.play(TTS("Hi")).finished(timeout=5)
        await scene.space.settled()
        assert [isinstance(what, ReceivedCommand) for what in told] == [True, False, False]


# The dice


def test_the_same_seed_makes_the_same_faults() -> None:
    faults = Faults(drop=0.5, delay=(1, 2), status={429: 0.3, 503: 0.3}, seed=7)

    def throws() -> list[object]:
        dice = Dice(faults)
        return [(dice.happens("drop"), dice.seconds("delay"), dice.refusal()) for _ in range(100)]

    assert throws() == throws()
    assert {refusal for _, _, refusal in throws()} == {None, 429, 503}


async def test_a_seed_is_chosen_and_shown_when_something_fails() -> None:
    assert Simulator(faults=Faults(seed=3)).seed == 3

    async def fail() -> None:
        async with Simulator(faults=Faults(drop=0.1)) as space:
            raise RuntimeError(str(space.seed))

    with pytest.raises(RuntimeError) as caught:
        await asyncio.create_task(fail())
    assert f"seed={caught.value}" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"drop": 1.5}, "drop=1.5"),
        ({"forge": -0.1}, "forge=-0.1"),
        ({"early": True}, "early=True"),
        ({"delay": -1}, "delay=-1"),
        ({"delay": (2, 1)}, "delay="),
        ({"slow": "1"}, "slow='1'"),
        ({"status": 200}, "status=200"),
        ({"status": {429: 0.6, 503: 0.6}}, "status="),
        ({"status": {200: 0.1}}, "status="),
        ({"retry_after": -1}, "retry_after=-1"),
        ({"log_status": 99}, "log_status=99"),
        ({"seed": 1.5}, "seed=1.5"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match="Faults: ") as caught:
        Faults(**settings)
    assert named in str(caught.value)


def test_a_forged_url_differs_in_one_character() -> None:
    for url in ("http://h/swcalls/play/x/AAAA", "http://h/swcalls/play/x/AAAB"):
        forged = altered(url)
        assert forged != url
        assert forged[:-1] == url[:-1]


@pytest.mark.parametrize("payload", [{"state": "playing"}, {"event_type": "e", "params": {"state": "playing"}}])
def test_another_state_is_put_where_the_state_is(payload: dict[str, Any]) -> None:
    changed = with_state(payload, "levitating")
    assert "levitating" in str(changed)
    assert "playing" in str(payload)
    assert "playing" not in str(changed)
