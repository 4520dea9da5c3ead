"""How a wait ends: at once where nothing can come, and with words when time runs out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from swcalls import TTS, Call, Client, ClientClosed, Digits, Reconcile

CALL_ID = "2e1e66e5-5d07-413d-9668-55542992eec0"


async def events(call: Call) -> list[Any]:
    return [event async for event in call.events()]


class Clock:
    """Notes which timers are set in a loop, and whether they are still to fire."""

    def __init__(self) -> None:
        self.timers: list[Clock.Handle] = []

    class Handle:
        is_set = True

        def cancel(self) -> None:
            self.is_set = False

    def call_later(self, delay: float, callback: Callable[[], object]) -> Handle:
        self.timers.append(self.Handle())
        return self.timers[-1]


def test_one_timer_is_set_to_the_earliest_time(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client("project", "token", "space")
    timer, clock = client._engine.timer, Clock()
    timer.set(1)
    monkeypatch.setattr(timer, "loop", clock)
    for due in (10, 20, 10, 5, 5):
        timer.set(due)
    assert [handle.is_set for handle in clock.timers] == [False, True]
    timer.close()
    assert [handle.is_set for handle in clock.timers] == [False, False]


async def events_of_an_action(call: Call) -> list[Any]:
    return [event async for event in call.action("play", "mine")]


WAITS: list[Callable[[Call], Coroutine[Any, Any, Any]]] = [
    lambda call: call.answered(),
    lambda call: call.answered(timeout=1),
    lambda call: call.ended(),
    events,
    lambda call: call.action("play", "mine").finished(),
    lambda call: call.action("play", "mine").reached("playing"),
    lambda call: call.action("collect", "mine").outcome(),
    events_of_an_action,
]
COMMANDS: list[Callable[[Call], Coroutine[Any, Any, Any]]] = [
    lambda call: call.play(TTS("Hi")),
    lambda call: call.play(TTS("Hi")).finished(timeout=1),
    lambda call: call.prompt(TTS("Hi"), digits=Digits(1)),
    lambda call: call.end(),
    lambda call: call.cancel(),
    lambda call: call.transfer("sip:a@example.com"),
]


@pytest.mark.parametrize("use", WAITS + COMMANDS)
async def test_before_the_client_is_open_everything_raises_at_once(use) -> None:
    client = Client("project", "token", "space", public_url="https://example.com")
    with pytest.raises(RuntimeError, match="not open"):
        await use(client.call(CALL_ID))
    with pytest.raises(RuntimeError, match="not open"):
        await client.dial(to="+15550198765", from_="+12069708643")
    with pytest.raises(RuntimeError, match="not open"):
        await client.execute("calling.end", call_id=CALL_ID)
    await client.close()


@pytest.mark.parametrize("use", COMMANDS)
async def test_after_the_client_is_closed_every_command_raises_at_once(space, use) -> None:
    async with Client("project", "token", space.url, public_url="https://example.com") as client:
        before = client.call(CALL_ID)
    for call in (before, client.call(CALL_ID)):
        with pytest.raises(ClientClosed):
            await use(call)
    with pytest.raises(ClientClosed):
        await client.dial(to="+15550198765", from_="+12069708643")
    with pytest.raises(ClientClosed):
        await client.execute("calling.end", call_id=CALL_ID)
    assert not space.commands


async def test_after_the_client_is_closed_every_wait_ends_at_once(space) -> None:
    async with Client("project", "token", space.url, public_url="https://example.com") as client:
        before = client.call(CALL_ID)
    for call in (before, client.call("another")):
        for wait in (call.answered(), call.ended(), call.action("play", "mine").finished()):
            with pytest.raises(ClientClosed):
                await wait
        assert (await call.action("play", "mine").outcome()).settled_by == "closed"
    with pytest.raises(ClientClosed):
        await events(client.call("a third one"))
    assert not client.actions


async def test_an_action_that_was_attached_before_the_client_is_open_gets_its_events(space) -> None:
    client = Client("project", "token", space.url, public_url="https://example.com")
    play = client.call(CALL_ID).action("play", "mine")
    async with client:
        path = client._engine.urls.mint("play", "mine").removeprefix("https://example.com")
        await client.accept(path=path, headers={}, body=b'{"control_id": "mine", "state": "finished"}')
        await play.finished(timeout=1)


async def test_a_client_is_for_one_event_loop_and_says_so(client: Client, call: Call) -> None:
    play = await call.play(TTS("Hi"))
    errors: list[BaseException] = []

    async def elsewhere() -> None:
        uses: list[Callable[[], Coroutine[Any, Any, Any]]] = [
            lambda: call.play(TTS("Hi")),
            call.ended,
            play.finished,
            lambda: client.dial(to="+15550198765", from_="+12069708643"),
        ]
        for use in uses:
            try:
                await use()
            except RuntimeError as error:
                errors.append(error)

    thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
    thread.start()
    await asyncio.to_thread(thread.join)
    assert ["another event loop" in str(error) for error in errors] == [True] * 4


async def test_a_timeout_says_what_was_waited_for_how_long_and_the_last_state(space, client: Client) -> None:
    space.leg_status = "queued"
    call = await client.dial(to="+15550198765", from_="+12069708643")
    with pytest.raises(TimeoutError, match=rf"^call {CALL_ID}: not answered after 0\.01 s; last: queued$"):
        await call.answered(timeout=0.01)
    await space.tell_call("answered")
    with pytest.raises(TimeoutError, match=rf"^call {CALL_ID}: not ended after 0\.01 s; last: answered$"):
        await call.ended(timeout=0.01)
    play = await call.play(TTS("Hi"), control_id="mine")
    with pytest.raises(TimeoutError, match=r"^play mine: not finished after 0 s; last: no event yet$"):
        await play.finished(timeout=0)
    await space.tell("calling.play", state="playing")
    with pytest.raises(TimeoutError, match=r"^play mine: not finished after 0\.01 s; last: playing$"):
        await play.finished(timeout=0.01)
    with pytest.raises(TimeoutError, match=r"^play mine: not in state 'paused' after 0\.01 s; last: playing$"):
        await play.reached("paused", timeout=0.01)


@pytest.mark.parametrize("timeout", [-1, float("nan"), "5", True])
async def test_a_timeout_is_a_number_of_seconds(call: Call, timeout: Any) -> None:
    play = await call.play(TTS("Hi"))
    for wait in (
        lambda: call.answered(timeout),
        lambda: call.ended(timeout),
        lambda: play.finished(timeout),
        lambda: play.reached("playing", timeout),
        lambda: call.record().finished(timeout),
    ):
        with pytest.raises((TypeError, ValueError), match="timeout="):
            await wait()


async def test_a_pause_stops_the_time_of_a_bounded_action_and_a_resume_starts_it(space, connect) -> None:
    """The timer follows: without it, the deadline would pass unnoticed until something else is due."""
    client = await connect(reconcile=None)
    call = await client.dial(to="+15550198765", from_="+12069708643")
    record = await call.record(max_length=20)
    assert record._operation.due is not None
    await space.tell("calling.record", state="paused")
    assert record._operation.due is None
    assert client._engine.registry.deadlines.next is not None, "the call's own check"
    await space.tell("calling.record", state="recording")
    assert record._operation.due is not None
    assert client._engine.timer._due < record._operation.due + 1
    await record.pause()
    assert record._operation.due is None
    await record.resume()
    assert record._operation.due is not None


async def test_a_sidecar_that_nobody_waits_for_has_no_log_asked(space, connect) -> None:
    client = await connect(reconcile=Reconcile(sweep=0.01))
    call = await client.dial(to="+15550198765", from_="+12069708643")
    await call.sidecar("en-US")
    assert not call._operation.is_watched
