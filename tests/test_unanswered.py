"""Calls that come in and are not answered at once: the handler answers or refuses them, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from swcalls import TTS, Call, CallEnded, Client, CommandNotSent, Limits, Retry
from swcalls._core.callback_urls import CallbackUrls
from swcalls._engine import decisions
from swcalls._engine.decisions import Decisions
from swcalls.testing import Callee, NotAnswered, Simulator

pytestmark = pytest.mark.usefixtures("nothing_is_left_running")


class Scene:
    def __init__(self, space: Simulator, client: Client) -> None:
        self.space = space
        self.client = client
        self.calls: asyncio.Queue[Call] = asyncio.Queue()

    def take(self, handler: Callable[[Call], Awaitable[object]], *, hang_up: bool = True) -> None:
        async def take(call: Call) -> None:
            self.calls.put_nowait(call)
            await handler(call)

        self.client.receiver.on_call(take, hang_up=hang_up, answer=False)

    async def ring(self, **more: Any) -> Any:
        url = self.client.receiver.inbound_url
        return await self.space.call(url=url, status_url=url, **more)


@asynccontextmanager
async def scene(**limits: Any) -> AsyncIterator[Scene]:
    async with (
        Simulator(speed=100, callee=Callee(rings_for=0)) as space,
        Client(
            "project", "token", space.url, retry=Retry(attempts=1), limits=Limits(**{"grace": 0.05, **limits})
        ) as client,
        client.receiver.serve(),
    ):
        yield Scene(space, client)


async def test_a_call_is_answered_when_the_handler_says_so() -> None:
    async with scene() as s:
        states: list[str | None] = []

        async def handler(call: Call) -> None:
            states.append(call.state)
            await call.answer()
            states.append(call.state)
            await call.play(TTS("Hello.")).finished(timeout=10)

        s.take(handler)
        simulated = await s.ring()
        assert simulated.state == "answered"
        call = await s.calls.get()
        assert await call.ended(timeout=10) == "hangup"
        assert states == ["ringing", "answered"]
        assert list(simulated.heard) == ["Hello."]


@pytest.mark.parametrize("reason", ["busy", "decline"])
async def test_a_call_is_refused_before_it_was_answered(reason: Any) -> None:
    async with scene() as s:

        async def handler(call: Call) -> None:
            await call.reject(reason)
            with pytest.raises(CallEnded):
                await call.answer()

        s.take(handler)
        with pytest.raises(NotAnswered, match=reason):
            await s.ring()
        call = await s.calls.get()
        assert await call.ended(timeout=10) == reason
        assert not [told for told in s.space.commands if told.command == "calling.end"]


@pytest.mark.parametrize("fails", [True, False])
async def test_a_handler_that_does_not_decide_refuses_the_call(fails: bool) -> None:
    async with scene() as s:

        async def handler(call: Call) -> None:
            if fails:
                raise LookupError("on purpose")

        s.take(handler)
        with pytest.raises(NotAnswered, match="busy" if fails else "decline"):
            await s.ring()


async def test_without_hanging_up_a_handler_that_does_not_decide_leaves_a_parked_call() -> None:
    async with scene() as s:

        async def handler(call: Call) -> None:
            pass

        s.take(handler, hang_up=False)
        assert (await s.ring()).state == "answered"
        call = await s.calls.get()
        await call.answered(timeout=10)
        await call.end()


async def test_an_answer_that_fails_after_the_handler_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "swcalls.inbound")

    async def fail(call: Call) -> None:
        raise CommandNotSent("no connection", command="calling.answer")

    monkeypatch.setattr(Call, "answer", fail)
    async with scene(hold=0.05) as s:

        async def handler(call: Call) -> None:
            pass

        s.take(handler, hang_up=False)
        await s.ring()
        call = await s.calls.get()
        await call.end()
    assert f"call {call.id}: not answered: calling.answer: no connection" in caplog.text


async def test_nobody_waits_longer_than_the_limit() -> None:
    async with scene(hold=0.05) as s:
        decided = asyncio.Event()

        async def handler(call: Call) -> None:
            await call.answered(timeout=10)
            await call.reject("busy")
            decided.set()

        s.take(handler)
        simulated = await s.ring()
        await decided.wait()
        call = await s.calls.get()
        await call.ended(timeout=10)
        assert simulated.end_reason == "busy"


async def test_a_caller_who_gives_up_is_no_error() -> None:
    async with scene() as s:

        async def handler(call: Call) -> None:
            s.space.calls[str(call.id)].hang_up("cancel")
            await call.ended(timeout=10)
            await call.answer()

        s.take(handler)
        with pytest.raises(NotAnswered, match="cancel"):
            await s.ring()
        assert await (await s.calls.get()).ended(timeout=10) == "cancel"


async def test_a_bridge_from_a_call_that_was_just_answered() -> None:
    async with scene() as s:
        result: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        async def handler(call: Call) -> None:
            start = asyncio.ensure_future(call.connect("+15550100001", max_duration=1))
            await call.answer()
            connect = await start
            result.set_result((await connect.finished(timeout=10)).answered)

        s.take(handler)
        await s.ring()
        assert await result


async def test_a_second_question_of_the_platform_gets_the_same_answer() -> None:
    async with scene() as s:
        bodies: list[bytes] = []

        async def handler(call: Call) -> None:
            urls = s.client._engine.urls
            path = urls.mint("hold", str(call.id)).removeprefix(str(urls.public_url))
            await call.reject("busy")
            bodies.append((await s.client.accept(path=path, headers={}, body=b"{}")).body)

        s.take(handler)
        with pytest.raises(NotAnswered):
            await s.ring()
        await (await s.calls.get()).ended(timeout=10)
        while not bodies:
            await asyncio.sleep(0)
        assert msgspec.json.decode(bodies[0]) == {"action": "busy"}


async def test_the_question_needs_no_signature_but_the_announcement_does() -> None:
    async with (
        Simulator(speed=100, callee=Callee(rings_for=0), signing_key="PSK-1") as space,
        Client("project", "token", space.url, signing_key="PSK-1", require_signature=True) as client,
        client.receiver.serve(),
    ):

        async def handler(call: Call) -> None:
            await call.reject("busy")

        client.receiver.on_call(handler, answer=False)
        with pytest.raises(NotAnswered, match="busy"):
            await space.call(url=client.receiver.inbound_url)


async def test_a_question_about_a_call_that_is_not_held_is_answered_with_answer() -> None:
    async with scene() as s:
        urls = s.client._engine.urls
        path = urls.mint("hold", "unknown").removeprefix(str(urls.public_url))
        reply = await s.client.accept(path=path, headers={}, body=b"{}")
        assert (reply.status, msgspec.json.decode(reply.body)) == (200, {"action": "answer"})
        forged = await s.client.accept(path=path[:-1] + "~", headers={}, body=b"{}")
        assert forged.status == 403


@pytest.fixture
def told() -> list[tuple[str, str]]:
    """What the platform was told, by call."""
    return []


@pytest.fixture
def undecided(told: list[tuple[str, str]]) -> Decisions:
    """A call that is held for no time at all."""
    urls = CallbackUrls("project", "token", "/swcalls", "http://127.0.0.1:9")
    undecided = Decisions(urls, 0, lambda call_id, decision: told.append((call_id, decision)))
    undecided.expect("c")
    return undecided


async def test_what_comes_after_the_limit_changes_nothing(undecided: Decisions, told) -> None:
    assert msgspec.json.decode((await undecided.reply("c", "")).body) == {"action": "answer"}
    assert await undecided.decide("c", "busy") == "answer"
    await undecided.until_told("c")
    assert told == [("c", "answer")]


async def test_a_platform_that_never_asks_has_answered_the_call(undecided: Decisions, told) -> None:
    await undecided.decide("c", "busy")
    for _ in range(2):
        await undecided.until_told("c")
    await undecided.reply("c", "")
    await undecided.until_told("unknown")
    assert told == [("c", "answer")]


async def test_of_too_many_calls_that_are_held_the_oldest_is_answered(
    undecided: Decisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "MOST_HELD", 2)
    undecided._seconds = 60
    oldest = asyncio.create_task(undecided.reply("c", ""))
    await asyncio.sleep(0)
    for call_id in ("d", "e"):
        undecided.expect(call_id)
    assert msgspec.json.decode((await oldest).body) == {"action": "answer"}
    assert [await undecided.decide(call_id, "busy") for call_id in ("c", "d", "e")] == [None, "busy", "busy"]


async def test_only_a_call_that_came_in_can_be_answered_and_any_can_be_refused() -> None:
    async with scene() as s:
        s.space.callees["+15550198765"] = Callee(rings_for=50)
        call = await s.client.dial(to="+15550198765", from_="+12069708643")
        with pytest.raises(CommandNotSent, match="must have come in"):
            await call.answer()
        with pytest.raises(ValueError, match="reject: reason='bored' must be"):
            await call.reject("bored")  # type: ignore[arg-type]
        await call.reject("busy")
        assert await call.ended(timeout=10) == "busy"
