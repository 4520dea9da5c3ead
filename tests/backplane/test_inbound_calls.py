"""Calls that come in to several processes: each is handled by exactly one of them, or the platform is told to try again."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from memory import Fault, MemoryHub
from projects import Process, Project, fails

from swcalls._core.webhooks import INBOUND
from swcalls.backplane import handover
from swcalls.backplane.protocol import Delivery


@pytest.fixture
def briefly(monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[None]]:
    """Announce calls in a block for a moment only: there is nobody to take them."""

    @contextmanager
    def briefly() -> Iterator[None]:
        with monkeypatch.context() as patched:
            patched.setattr(handover, "ANNOUNCED", 0.05)
            yield

    return briefly


@pytest.fixture
def quick_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell the next one of a call soon."""
    monkeypatch.setattr(handover, "TURN", 0.05)


async def worker(project: Project, owner: str) -> Process:
    process = await Process(project.member(owner)).open()
    await project.settle(process.backplane)  # until everybody can see that it takes calls
    return process


def front(project: Project) -> Process:
    return Process(project.member("front"), takes_calls=False)


async def handled(*processes: Process) -> list[str]:
    """Return who handles which call, once there is nothing left to be done."""
    for process in processes:
        await process.member.refuse_calls()
    return [f"{process.backplane.owner} {call_id}" for process in processes for call_id in process.rung]


async def test_one_that_takes_calls_takes_its_own(project: Project) -> None:
    one, two = await worker(project, "one"), await worker(project, "two")
    assert (await one.announce("in-1")).status == 200
    assert (await two.announce("in-2")).status == 200
    assert await handled(one, two) == ["one in-1", "two in-2"]


async def test_a_receiver_answers_once_somebody_has_the_call(project: Project) -> None:
    one, receiver = await worker(project, "one"), front(project)
    reply = await receiver.announce()
    assert await handled(one) == ["one in-1"]
    assert (reply.status, reply.verdict) == (200, "inbound")
    assert receiver.ingress.verdicts == one.ingress.verdicts == {"inbound": 1}


async def test_with_nobody_who_takes_calls_it_is_refused(project: Project) -> None:
    one = await Process(project.member("one"), takes_calls=False).open()
    assert (await one.announce()).status == 503
    assert (await front(project).announce()).status == 503


async def test_one_that_is_not_open_takes_no_calls(project: Project) -> None:
    one = Process(project.member("one"))
    assert (await one.announce()).status == 503
    await one.open()
    assert (await one.announce()).status == 200
    await one.member.close()
    assert (await one.announce("in-2")).status == 503
    assert one.rung == ["in-1"]


async def test_one_whose_name_another_process_has_takes_no_calls(project: Project, briefly) -> None:
    one = await Process(project.member("one", lifetime=0.2)).open()
    await project.take_away(one.backplane)
    with briefly():
        assert (await one.announce()).status == 503
    assert one.rung == []


async def test_when_it_cannot_be_published_the_repetition_is_handled(
    project: Project, briefly, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, receiver = await worker(project, "one"), front(project)
    monkeypatch.setattr(receiver.backplane, "publish", fails(receiver.backplane.publish))
    with briefly():
        assert (await receiver.announce()).status == 503
    assert await handled(one) == []
    two = await worker(project, "two")
    assert (await two.announce()).status == 200
    assert await handled(one, two) == ["two in-1"]


async def test_when_one_cannot_be_told_another_one_is(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one, two, receiver = await worker(project, "one"), await worker(project, "two"), front(project)
    monkeypatch.setattr(receiver.backplane, "publish", fails(receiver.backplane.publish))
    assert (await receiver.announce()).status == 200
    assert len(await handled(one, two)) == 1
    assert "call in-1: cannot be offered to process" in caplog.text


async def test_one_that_has_just_died_is_passed_over(project: Project, quick_turns: None) -> None:
    dead, alive, receiver = await worker(project, "dead"), await worker(project, "alive"), front(project)
    await project.crash(dead.backplane)
    calls = [f"in-{n}" for n in range(4)]
    replies = await asyncio.gather(*(receiver.announce(call_id) for call_id in calls))
    assert [reply.status for reply in replies] == [200] * 4
    assert sorted(await handled(dead, alive)) == [f"alive {call_id}" for call_id in calls]


async def test_only_one_that_has_a_handler_for_the_number_gets_the_call(
    project: Project, quick_turns: None, briefly
) -> None:
    sales = await Process(project.member("sales"), number="+15550100001").open()
    support = await Process(project.member("support"), number="+15550100002").open()
    receiver = front(project)
    assert (await receiver.announce("in-1", "+15550100001")).status == 200
    assert (await receiver.announce("in-2", "+15550100002")).status == 200
    assert (await sales.announce("in-3", "+15550100002")).status == 200
    with briefly():
        assert (await sales.announce("in-4", "+15550100003")).status == 503
    assert sorted(await handled(sales, support)) == ["sales in-1", "support in-2", "support in-3"]


class Offers:
    """A backplane on which each process takes, at once, the calls to its number; a process without one is dead."""

    owner = "front"

    def __init__(self, **numbers: str) -> None:
        self.numbers = numbers
        self.offered: list[str] = []

    def holds(self, owner: str) -> bool:
        return owner == self.owner

    async def announce_call(self, project: str, call_id: str, seconds: float) -> None:
        self.offered.clear()

    async def taker(self, project: str, *, besides: Iterable[str] = ()) -> str | None:
        return next((owner for owner in self.numbers if owner not in besides), None)

    async def publish(self, project: str, delivery: Delivery) -> None:
        self.offered.append(delivery.owner)

    async def find_call(self, project: str, call_id: str, *, wait: float = 0.0) -> str | None:
        return next((owner for owner in self.offered if self.numbers[owner] == call_id), None)


async def test_one_that_has_passed_is_asked_last_the_next_time() -> None:
    plane = Offers(one="+1", two="+1", three="+2", four="")
    process = Process(plane, takes_calls=False)  # type: ignore[arg-type]
    asked = []
    for number in ("+2", "+2", "+1", "+2", "+3", "+3"):
        # The id of the call is the number that is called, so that the backplane knows it.
        reply = await process.announce(number, number)
        asked.append((reply.status, plane.offered.copy()))
    assert asked == [
        (200, ["one", "two", "three"]),
        (200, ["three"]),
        (200, ["one"]),
        (200, ["three"]),
        (503, ["one", "two", "three", "four"]),
        (503, ["one", "two", "three", "four"]),
    ]
    # Who has a handler by now is found all the same, when the others do not take the call.
    plane.numbers |= {"one": "+2", "three": "+3"}
    assert (await process.announce("+2", "+2")).status == 200
    assert plane.offered == ["three", "four", "one"]
    await process.announce("+2", "+2")
    assert plane.offered == ["one"]


def test_no_more_is_remembered_of_who_has_passed_than_there_is_room_for() -> None:
    passed = handover._Passed()
    for number in range(3 * handover.MOST_ADDRESSES):
        for owner in range(2 * handover.MOST_PASSED if number == 0 else 1):
            passed.note(f"+1{number}", str(owner), has_passed=True)
            assert len(passed.owners(f"+1{number}")) <= handover.MOST_PASSED
    assert len(passed._owners) == handover.MOST_ADDRESSES
    passed.note(f"+1{number}", "0", has_passed=False)
    assert passed.owners(f"+1{number}") == []
    assert len(passed._owners) == handover.MOST_ADDRESSES - 1


async def test_what_was_refused_is_not_handled_afterwards(project: Project, quick_turns: None, briefly) -> None:
    dead, receiver = await worker(project, "dead"), front(project)
    await project.crash(dead.backplane)
    with briefly():
        assert (await receiver.announce()).status == 503
    await project.bury(dead.backplane)
    assert await project.deliveries("dead") == ["in-1"]
    successor = await worker(project, "dead")
    while await project.deliveries("dead"):
        await asyncio.sleep(0.005)
    await successor.member.refuse_calls()
    assert successor.rung == []
    successor.backplane.offer(takes_calls=True)
    assert (await receiver.announce()).status == 200
    assert await handled(successor) == ["dead in-1"]


async def test_the_repetition_for_one_that_died_is_taken_by_another(project: Project) -> None:
    one, two, receiver = await worker(project, "one"), await worker(project, "two"), front(project)
    assert (await one.announce()).status == 200
    await project.crash(one.backplane)
    await project.bury(one.backplane)
    assert (await receiver.announce()).status == 200
    assert await handled(two) == ["two in-1"]


async def test_the_repetition_reaches_a_successor_that_knows_nothing_of_the_call(project: Project) -> None:
    _, one, receiver = await worker(project, "another"), await worker(project, "one"), front(project)
    assert (await one.announce()).status == 200
    await project.crash(one.backplane)
    await project.bury(one.backplane)
    successor = await worker(project, "one")
    assert (await receiver.announce()).status == 200
    while successor.rung != ["in-1"]:
        await asyncio.sleep(0.005)


async def test_repeated_everywhere_at_once_it_is_handled_once(project: Project) -> None:
    one, two, receiver = await worker(project, "one"), await worker(project, "two"), front(project)
    calls = [f"in-{n}" for n in range(5)]
    replies = await asyncio.gather(
        *(process.announce(call_id) for call_id in calls for process in (receiver, one, two, receiver))
    )
    assert {reply.status for reply in replies} == {200}
    assert sorted(entry.split()[1] for entry in await handled(one, two)) == calls


async def test_when_the_answer_of_the_taking_is_lost_it_is_handled_all_the_same(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "swcalls.handover")
    one, receiver = await worker(project, "one"), front(project)
    monkeypatch.setattr(one.backplane, "take_call", fails(one.backplane.take_call, done=True))
    assert (await receiver.announce("in-1")).status == 200
    monkeypatch.setattr(one.backplane, "take_call", fails(one.backplane.take_call, done=True))
    assert (await one.announce("in-2")).status == 200
    while len(one.rung) < 2:
        await asyncio.sleep(0.005)
    assert await handled(one) == ["one in-1", "one in-2"]
    for call_id in ("in-1", "in-2"):
        assert f"call {call_id}: asking the backplane again who owns it" in caplog.text


async def test_while_it_cannot_be_said_whose_a_call_is_it_is_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await worker(project, "one"), await worker(project, "two")
    monkeypatch.setattr(handover, "ANNOUNCED", 0.05)
    monkeypatch.setattr(one.backplane, "take_call", fails(one.backplane.take_call, times=1000))
    assert (await one.announce()).verdict == "unavailable"
    assert (await two.announce()).status == 200
    await one.member.close()
    assert [one.rung, two.rung] == [[], ["in-1"]]


async def test_an_announcement_that_is_cancelled_at_any_step_can_be_repeated(project: Project) -> None:
    one, two, receiver = await worker(project, "one"), await worker(project, "two"), front(project)
    processes = (one, two, receiver)
    calls = []
    for turns, process in itertools.product(range(15), processes):
        calls.append(f"in-{turns}-{process.backplane.owner}")
        announcing = asyncio.create_task(process.announce(calls[-1]))
        for _ in range(turns):
            await asyncio.sleep(0)
        announcing.cancel()
        await asyncio.gather(announcing, return_exceptions=True)
        replies = await asyncio.gather(*(each.announce(calls[-1]) for each in processes))
        assert {reply.status for reply in replies} == {200}
    assert sorted(entry.split()[1] for entry in await handled(one, two)) == sorted(calls)


async def test_a_call_that_was_being_taken_is_handled_though_its_process_is_closing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, receiver = await worker(project, "one"), front(project)
    entered, proceed, take = asyncio.Event(), asyncio.Event(), one.backplane.take_call

    async def slow(*arguments: str) -> str | None:
        entered.set()
        await proceed.wait()
        return await take(*arguments)

    monkeypatch.setattr(one.backplane, "take_call", slow)
    announcing = asyncio.create_task(receiver.announce())
    await entered.wait()
    one.refuse()
    refusing = asyncio.create_task(one.member.refuse_calls())
    await asyncio.sleep(0)
    assert not refusing.done()
    proceed.set()
    await refusing
    assert one.rung == ["in-1"]
    assert (await announcing).status == 200
    assert (await receiver.announce("in-2")).status == 503


async def test_a_fault_while_a_call_is_taken_is_logged(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = await worker(project, "one")

    async def fail(*arguments: str) -> str | None:
        raise LookupError("on purpose")

    monkeypatch.setattr(one.backplane, "take_call", fail)
    body = b'{"call": {"call_id": "in-1"}}'
    assert await one.member.receive(Delivery(owner="one", kind=INBOUND, key="in-1", body=body))
    (taking,) = one.member._handover._takes
    await asyncio.wait([taking])
    await asyncio.sleep(0)
    assert "taking an inbound call failed" in caplog.text
    assert "on purpose" in caplog.text


async def test_one_that_is_told_and_takes_no_calls_any_more_leaves_it_to_another(
    project: Project, quick_turns: None
) -> None:
    closing, two, receiver = await worker(project, "closing"), await worker(project, "two"), front(project)
    closing.takes_calls = False
    for n in range(4):
        assert (await receiver.announce(f"in-{n}")).status == 200
    assert await handled(closing, two) == [f"two in-{n}" for n in range(4)]


async def test_the_end_of_a_call_that_is_being_announced_reaches_who_takes_it(project: Project) -> None:
    one, receiver = await worker(project, "one"), front(project)
    await receiver.backplane.announce_call("project", "in-1", 60)
    url = receiver.urls.mint("inbound", "calls", shared=True).removeprefix("http://hooks.example")
    state = b'{"call_id": "in-1", "call_state": "ended", "end_reason": "hangup"}'
    telling = asyncio.create_task(receiver.ingress.accept(url, {}, state))
    await asyncio.sleep(0)
    assert await one.backplane.take_call("project", "in-1", "one") == "one"
    assert (await telling).verdict == "forwarded"
    assert await project.deliveries("one") == ["in-1"]


async def test_while_the_backplane_hangs_webhooks_are_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def hang(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(handover, "ANSWERED", 0.01)
    receiver = front(project)
    for method in ("publish", "announce_call"):
        monkeypatch.setattr(receiver.backplane, method, hang)
    assert (await receiver.tell("play", "a", "one", '{"state": "finished"}')).verdict == "unavailable"
    assert (await receiver.announce()).verdict == "unavailable"
    assert caplog.text.count("a webhook is refused with 503") == 2


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes only when there is nothing to do."""

    def __init__(self) -> None:
        self.virtual = 0.0
        super().__init__()
        really = self._selector.select

        def select(timeout: float | None = None) -> Any:
            assert timeout is not None, "nothing is ready, and no timer is set"
            self.virtual += timeout
            return really(0)

        self._selector.select = select

    def time(self) -> float:
        return self.virtual


PLACES = {"at the one that takes it": 0, "at another one that takes calls": 1, "at one that only receives": 2}


class Platform:
    """Two processes that take calls and one that only receives; and the platform, which repeats what is not answered."""

    def __init__(self, hub: MemoryHub) -> None:
        self.hub = hub
        self.processes: list[Process] = []
        self.statuses: list[int] = []

    async def open(self) -> None:
        self.processes = [await Process(self.hub.member(name)).open() for name in ("one", "two")]
        self.processes.append(Process(self.hub.member("front"), takes_calls=False))
        self.hub.operations.clear()

    async def announce(self, places: Iterable[int]) -> int:
        """Announce a call here, then there, until it is taken; return how many operations the first time caused."""
        caused = 0
        for place in places:
            announcing = asyncio.create_task(self.processes[place].announce())
            # The platform itself does not wait for longer.
            await asyncio.wait([announcing], timeout=5)
            announcing.cancel()
            await asyncio.wait([announcing])
            self.statuses.append(0 if announcing.cancelled() else announcing.result().status)
            caused = caused or len(self.hub.operations)
            if self.statuses[-1] == 200:
                break
            assert len(self.statuses) < 8, "it is never taken"
        await asyncio.sleep(60)
        return caused

    async def close(self) -> list[str]:
        """Close what is alive; return which process handles the call."""
        for process in self.processes[:2]:
            await process.member.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return [process.backplane.owner for process in self.processes for _ in process.rung]


async def handle_with_a_fault(first: int, fault: Fault, number: int) -> int:
    hub = MemoryHub(asyncio.get_running_loop().time)
    platform = Platform(hub)
    await platform.open()
    hub.faults[number] = fault
    caused = await platform.announce(itertools.chain([first], itertools.cycle(range(3))))
    assert len(await platform.close()) == 1, platform.statuses
    return caused


async def handle_with_a_death(first: int, number: int) -> int:
    """Let the first process die when an operation begins; the others see it ten seconds later."""

    def die(begun: int) -> None:
        nonlocal had_it
        if begun == number:
            record = hub.calls.get(("project", "in-1"))
            had_it = record is not None and record.owner == "one"
            hub.crash("one")
            asyncio.get_running_loop().call_later(10, hub.bury, "one")

    had_it = False
    hub = MemoryHub(asyncio.get_running_loop().time)
    platform = Platform(hub)
    await platform.open()
    hub.on_operation = die
    caused = await platform.announce(itertools.chain([first], itertools.cycle([1, 2])))
    by = await platform.close()
    # Two have it only where the first one died with it, and the platform was never told that it had it.
    # Nobody has it only where the first one died when it owned the call, and before it began to handle it.
    assert by in (["one"], ["two"], ["one", "two"]) or (had_it and not by), platform.statuses
    assert by != ["one", "two"] or platform.statuses[0] != 200
    return caused


@pytest.mark.parametrize("first", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)
def test_whichever_operation_goes_wrong_it_is_handled_once(first: int, fault: Fault) -> None:
    for number in itertools.count():
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            if number >= runner.run(handle_with_a_fault(first, fault, number)):
                break
    assert number >= 2


@pytest.mark.parametrize("first", PLACES.values(), ids=PLACES)
def test_whenever_a_process_dies_its_call_is_handled_by_another(first: int) -> None:
    for number in itertools.count():
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            if number >= runner.run(handle_with_a_death(first, number)):
                break
    assert number >= 2


def test_one_that_is_slow_to_take_a_call_is_waited_for() -> None:
    async def main() -> None:
        hub = MemoryHub(asyncio.get_running_loop().time)
        one, receiver = await Process(hub.member("one")).open(), Process(hub.member("front"), takes_calls=False)
        take = one.backplane.take_call

        async def slow(*arguments: str) -> str | None:
            await asyncio.sleep(2)
            return await take(*arguments)

        one.backplane.take_call = slow  # type: ignore[method-assign]
        assert (await receiver.announce()).status == 200
        assert await handled(one) == ["one in-1"]
        await one.member.close()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


def test_each_is_told_once_until_nobody_can_take_the_call_any_more() -> None:
    async def main() -> None:
        hub = MemoryHub(asyncio.get_running_loop().time)
        receiver = Process(hub.member("front"), takes_calls=False)
        for n in range(9):
            await Process(hub.member(f"dead-{n}")).open()
            hub.crash(f"dead-{n}")
        hub.operations.clear()
        assert (await receiver.announce()).status == 503
        assert hub.operations.count(("front", "publish")) == 6, "it is announced for 3 s, and each has half a second"
        hub.bury("dead-8")
        for n in range(6):
            hub.bury(f"dead-{n}")
        alive = await Process(hub.member("alive")).open()
        assert (await receiver.announce()).status == 200
        assert await handled(alive) == ["alive in-1"], "though two that are dead were told first"
        await alive.member.close()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


async def test_while_the_backplane_fails_calls_are_refused(
    project: Project, quick_turns: None, briefly, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, receiver = await worker(project, "one"), front(project)
    for method in ("announce_call", "publish", "find_call", "taker"):
        with monkeypatch.context() as patched, briefly():
            patched.setattr(receiver.backplane, method, fails(getattr(receiver.backplane, method), times=1000))
            assert (await receiver.announce(method)).status == 503
    await one.member.refuse_calls()
    assert set(one.rung) <= {"find_call"}, "it was told of that one, and nobody could be asked whether it has it"
