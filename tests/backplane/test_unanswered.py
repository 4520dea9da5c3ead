"""Calls that are held before they are answered, where the platform's question and the handler are in different processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import pytest
from memory import Fault, MemoryHub
from projects import URL, Process, Project, fails
from test_inbound_calls import VirtualLoop

from swcalls import Call, CallEnded, Client, Limits, Retry, WebhookReceiver
from swcalls._core.webhooks import Reply
from swcalls.backplane import held_calls
from swcalls.testing import Callee, NotAnswered, Simulator

HOLD = 30.0


async def worker(project: Project, owner: str = "one", hold: float = HOLD) -> Process:
    process = await Process(project.member(owner), hold=hold).open()
    await project.settle(process.backplane)  # until everybody can see that it takes calls
    return process


def front(project: Project, hold: float = HOLD, owner: str = "front") -> Process:
    return Process(project.member(owner), takes_calls=False, hold=hold)


def question_in(reply: Reply) -> str | None:
    """Return the path at which the first document of a call asks what to do; ``None``: it does not ask."""
    steps = msgspec.json.decode(reply.body)["sections"]["main"]
    return None if "request" not in steps[0] else str(steps[0]["request"]["url"]).removeprefix(URL)


async def question(process: Process, call_id: str = "in-1") -> str:
    path = question_in(await process.announce(call_id))
    assert path is not None
    return path


async def ask(process: Process, path: str) -> str:
    reply = await process.ingress.accept(path, {}, b'{"call_id": "in-1"}')
    assert reply.status == 200
    return str(msgspec.json.decode(reply.body)["action"])


async def told(process: Process) -> list[tuple[str, str]]:
    while not process.told:
        await asyncio.sleep(0.005)
    return process.told


@pytest.mark.parametrize("decision", ["answer", "busy", "decline"])
async def test_a_decision_reaches_the_process_that_is_asked(project: Project, decision: Any) -> None:
    one, receiver = await worker(project), front(project)
    asking = asyncio.create_task(ask(receiver, await question(receiver)))
    await project.settle(one.backplane)
    assert await one.decisions.decide("in-1", decision) == decision
    assert await asking == decision
    assert await told(one) == [("in-1", decision)]
    await one.decisions.until_told("in-1")


async def test_a_decision_may_come_before_the_question(project: Project) -> None:
    one, receiver = await worker(project), front(project)
    path = await question(receiver)
    assert await one.decisions.decide("in-1", "busy") == "busy"
    assert await ask(receiver, path) == "busy"
    assert await told(one) == [("in-1", "busy")]


async def test_a_question_asked_twice_anywhere_gets_one_answer(project: Project) -> None:
    one, two, receiver = await worker(project), await worker(project, "two"), front(project)
    path = question_in(await one.announce())
    assert path is not None
    asking = [asyncio.create_task(ask(process, path)) for process in (one, two, receiver, receiver)]
    await project.settle(one.backplane)
    assert await one.decisions.decide("in-1", "decline") == "decline"
    assert await asyncio.gather(*asking) == ["decline"] * 4
    assert await one.decisions.decide("in-1", "answer") == "decline"
    assert await ask(two, path) == "decline"
    assert one.told == [("in-1", "decline")]


async def test_only_the_call_of_a_process_that_holds_is_held(project: Project) -> None:
    answering = await Process(project.member("one")).open()
    receiver = front(project)
    assert question_in(await receiver.announce("in-1")) is None
    assert question_in(await answering.announce("in-2")) is None
    answering.refuse()
    await project.settle(answering.backplane)
    one = await worker(project, "two")
    await project.settle(one.backplane)
    assert question_in(await answering.announce("in-3")) is not None
    assert [answering.rung, one.rung] == [["in-1", "in-2"], ["in-3"]]


async def test_a_call_that_is_announced_again_is_asked_about_again(project: Project) -> None:
    one, receiver = await worker(project), front(project)
    first, again, at_owner = [question_in(await process.announce()) for process in (receiver, receiver, one)]
    assert first == again == at_owner
    assert first is not None
    assert await one.decisions.decide("in-1", "busy") == "busy"
    assert question_in(await receiver.announce()) == first
    assert await ask(receiver, first) == "busy"


async def test_when_nobody_decides_in_time_the_call_is_answered(project: Project) -> None:
    one, receiver = await worker(project), front(project, hold=0.05)
    assert await ask(receiver, await question(receiver)) == "answer"
    assert await one.decisions.decide("in-1", "busy") == "answer"
    assert await told(one) == [("in-1", "answer")]


async def test_when_the_process_that_holds_has_died_the_call_is_answered(project: Project) -> None:
    one, receiver = await worker(project), front(project, hold=0.2)
    asking = asyncio.create_task(ask(receiver, await question(receiver)))
    await project.crash(one.backplane)
    await project.bury(one.backplane)
    assert await asking == "answer"
    # The call of a dead process is announced again, and another one decides.
    two = await worker(project, "two")
    path = await question(receiver)
    assert await two.decisions.decide("in-1", "busy") == "busy"
    assert await ask(receiver, path) == "busy"


async def test_a_successor_that_gets_the_call_again_goes_on_with_the_same_question(project: Project) -> None:
    one, receiver = await worker(project), front(project)
    path = await question(receiver)
    asking = asyncio.create_task(ask(receiver, path))
    await project.crash(one.backplane)
    await project.bury(one.backplane)
    successor = await worker(project)
    assert await question(receiver) == path
    while not successor.rung:
        await asyncio.sleep(0.005)
    assert await successor.decisions.decide("in-1", "decline") == "decline"
    assert await asking == "decline"


async def test_a_question_that_is_cancelled_at_any_step_can_be_asked_again(project: Project) -> None:
    one, receiver = await worker(project), front(project)
    path = await question(receiver)
    assert await one.decisions.decide("in-1", "busy") == "busy"
    for turns in range(8):
        asking = asyncio.create_task(ask(receiver, path))
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert await ask(receiver, path) == "busy"


async def test_a_decision_that_is_cancelled_at_any_step_is_made_by_the_next_one(project: Project) -> None:
    one, receiver = await worker(project), front(project)
    for turns in range(8):
        path = await question(receiver, f"in-{turns}")
        deciding = asyncio.create_task(one.decisions.decide(f"in-{turns}", "busy"))
        for _ in range(turns):
            await asyncio.sleep(0)
        deciding.cancel()
        await asyncio.gather(deciding, return_exceptions=True)
        decision = await one.decisions.decide(f"in-{turns}", "answer")
        assert decision in ("busy", "answer")
        assert await ask(receiver, path) == decision


async def test_a_receiver_without_a_public_url_lets_the_call_be_answered(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    one, receiver = await worker(project), front(project)
    path = receiver.urls.mint("inbound", "calls", shared=True).removeprefix(URL)
    receiver.urls.public_url = None
    reply = await receiver.ingress.accept(path, {}, b'{"call": {"call_id": "in-1", "direction": "inbound"}}')
    assert question_in(reply) is None
    assert one.rung == ["in-1"]
    assert "call in-1: answered before its handler decides, since this receiver has no public_url" in caplog.text


async def hold_with_a_fault(fault: Fault, number: int, *, is_late: bool) -> int:
    """Refuse a call while one operation of the backplane goes wrong; return how many operations there were."""
    hub = MemoryHub(asyncio.get_running_loop().time)
    workers = {name: await Process(hub.member(name), hold=20).open() for name in ("one", "two")}
    receiver = Process(hub.member("front"), takes_calls=False, hold=20)
    hub.operations.clear()
    hub.faults[number] = fault
    path = None
    while path is None:
        # The platform announces a call again if it gets no answer within 5 seconds.
        announcing = asyncio.create_task(receiver.announce())
        await asyncio.wait([announcing], timeout=5)
        announcing.cancel()
        await asyncio.wait([announcing])
        if not announcing.cancelled() and announcing.result().status == 200:
            path = question_in(announcing.result())
            assert path is not None, "the call is answered, and nobody has decided"
    asking = asyncio.create_task(ask(receiver, path))
    owner = workers[path.split("/")[-2]]
    while not owner.rung:
        await asyncio.sleep(0.1)
    if is_late:
        await asyncio.sleep(10)
    assert await owner.decisions.decide("in-1", "busy") == "busy"
    answer = await asking
    await owner.decisions.until_told("in-1")
    broken = dict(enumerate(hub.operations)).get(number, ("", ""))
    assert answer == "busy"
    # What the platform was told may get lost on its way to the owner, which then assumes that the call is answered.
    assert owner.told == [("in-1", answer)] or (broken[1] in ("publish", "deliver") and len(owner.told) == 1)
    caused = len(hub.operations)
    for process in workers.values():
        await process.member.close()
    return caused


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize("fault", Fault)
def test_whatever_operation_goes_wrong_a_call_is_refused(fault: Fault, is_late: bool) -> None:
    number, caused = 0, 1
    while number < caused:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            caused = runner.run(hold_with_a_fault(fault, number, is_late=is_late))
        number += 1
    assert number > 10


class Scene:
    """A space whose webhooks all come to a process that has no calls."""

    def __init__(self, space: Simulator, project: Project, receiver: WebhookReceiver, url: str) -> None:
        self.space = space
        self.receiver = receiver
        self.url = url
        self._project = project

    def worker(self, owner: str, handler: Callable[[Call], Awaitable[object]]) -> Client:
        client = Client(
            "project",
            "token",
            self.space.url,
            public_url=self.url,
            backplane=self._project.member(owner),
            retry=Retry(attempts=1),
            limits=Limits(grace=0.05),
        )

        async def take(call: Call) -> None:
            await handler(call)

        client.receiver.on_call(take, answer=False)
        return client

    async def ring(self) -> Any:
        url = self.receiver.inbound_url
        return await self.space.call(url=url, status_url=url)


@asynccontextmanager
async def scene(project: Project, **limits: Any) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        space = await stack.enter_async_context(Simulator(speed=100, callee=Callee(rings_for=0)))
        receiver = WebhookReceiver("project", "token", backplane=project.member("front"), limits=Limits(**limits))
        server = await stack.enter_async_context(receiver.serve())
        yield Scene(space, project, receiver, server.url)


async def test_a_handler_refuses_and_answers_calls_that_come_to_another_process(project: Project) -> None:
    async with scene(project) as s:
        calls: list[Call] = []

        async def handler(call: Call) -> None:
            calls.append(call)
            if len(calls) == 1:
                await call.reject("busy")
                with pytest.raises(CallEnded):
                    await call.answer()
            else:
                await call.answer()
                await call.say("Hello.").finished(timeout=30)

        async with s.worker("one", handler):
            with pytest.raises(NotAnswered, match="busy"):
                await s.ring()
            assert await calls[0].ended(timeout=30) == "busy"
            simulated = await s.ring()
            assert await calls[1].ended(timeout=30) == "hangup"
            assert list(simulated.heard) == ["Hello."]


async def test_a_handler_that_takes_too_long_finds_the_call_answered(project: Project) -> None:
    async with scene(project, hold=0.05) as s:

        async def handler(call: Call) -> None:
            await call.answered(timeout=30)
            await call.reject("busy")

        async with s.worker("one", handler):
            simulated = await s.ring()
            while simulated.state != "ended":
                await asyncio.sleep(0.005)
            assert simulated.end_reason == "busy"


async def test_while_the_backplane_cannot_be_reached_the_call_is_answered(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one, receiver = await worker(project, hold=0.05), front(project, hold=0.05)
    path = await question(receiver)
    monkeypatch.setattr(held_calls, "STORED", 0.05)
    for process in (one, receiver):
        for method in ("find_call", "take_call", "publish"):
            broken = fails(getattr(process.backplane, method), times=1000)
            monkeypatch.setattr(process.backplane, method, broken)
    assert await ask(receiver, path) == "answer"
    assert "process one is not told what the platform was told" in caplog.text
    assert await one.decisions.decide("in-1", "busy") == "busy"
    assert "perhaps answered, since the decision 'busy' cannot be stored" in caplog.text
    # Nobody tells the owner: it assumes that the document has answered the call, so that the handler can hang up.
    await one.decisions.until_told("in-1")
    assert one.told == [("in-1", "answer")]
