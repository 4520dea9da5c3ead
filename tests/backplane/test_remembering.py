"""What is running is remembered, from its start to its end, and taken up by whoever comes after."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest
from aiohttp import web
from memory import Fault
from projects import URL, MemoryProject, Process, Project, fails

from swcalls import (
    TTS,
    Action,
    Call,
    CallEnded,
    Client,
    ClientClosed,
    CommandNotSent,
    InvalidParams,
    Limits,
    Reconcile,
    Retry,
)
from swcalls.backplane import Backplane, BackplaneUnavailable, Memo, OwnerTaken

FROM, TO = "+12069708643", "+15550198765"
CALL_ID = "2e1e66e5-5d07-413d-9668-55542992eec0"


class Worker:
    """A client, and its place on the backplane."""

    def __init__(self, client: Client, backplane: Backplane, space: Any) -> None:
        self.client = client
        self.backplane = backplane
        self._space = space

    async def dial(self) -> Call:
        return await self.client.dial(to=TO, from_=FROM)

    async def tell(self, command: str, **params: Any) -> None:
        """Take in a webhook for the last *command*."""
        sent = self._space.last(command)
        ids = {"control_id": sent["control_id"]} if "control_id" in sent else {}
        await self.post(sent["status_url"], {"call_id": CALL_ID, **ids, **params})

    async def post(self, url: str, payload: dict[str, Any]) -> None:
        body = msgspec.json.encode(payload)
        reply = await self.client.accept(path=url.removeprefix(URL), headers={}, body=body)
        assert reply.status == 200

    async def recover(self, owner: str | None = None) -> list[Action[Any]]:
        return [action async for action in self.client.recover(owner)]


Hire = Callable[..., Awaitable[Worker]]


@pytest.fixture
async def hire(space, project: Project) -> AsyncIterator[Hire]:
    """Open clients of one project."""
    async with AsyncExitStack() as stack:

        async def hire(owner: str, *, lifetime: float = 60.0, **settings: Any) -> Worker:
            backplane = project.member(owner, lifetime=lifetime)
            settings = {"limits": Limits(grace=0, long_grace=0), "retry": Retry(attempts=1), **settings}
            client = Client("project", "token", space.url, public_url=URL, backplane=backplane, **settings)
            return Worker(await stack.enter_async_context(client), backplane, space)

        yield hire


@pytest.fixture
async def die(project: Project) -> Callable[[Worker], Awaitable[None]]:
    async def die(worker: Worker) -> None:
        await project.crash(worker.backplane)
        await project.bury(worker.backplane)

    return die


async def test_an_action_that_is_attached_to_is_remembered_until_it_is_over(project: Project, hire: Hire) -> None:
    one = await hire("one")
    play = one.client.call(CALL_ID).action("play", "mine")
    assert await project.memos(one.backplane) == {"play/mine"}
    urls = one.client._engine.urls
    await one.post(urls.mint("play", "mine"), {"control_id": "mine", "state": "finished"})
    await play
    assert await project.memos(one.backplane) == set()


async def test_an_action_that_is_attached_to_is_taken_up_by_the_next(project: Project, hire: Hire, die) -> None:
    one = await hire("one")
    one.client.call(CALL_ID).action("play", "mine")
    assert await project.memos(one.backplane) == {"play/mine"}
    await die(one)
    two = await hire("two")
    (play,) = await two.recover("one")
    assert (play.kind, play.control_id, play.call.id) == ("play", "mine", CALL_ID)


async def test_an_action_that_was_attached_to_before_the_opening_is_remembered(space, project: Project) -> None:
    backplane = project.member("one")
    client = Client("project", "token", space.url, public_url=URL, backplane=backplane)
    client.call(CALL_ID).action("play", "mine")
    async with client:
        assert await project.memos(backplane) == {"play/mine"}


async def test_the_states_of_a_call_arrive_though_only_its_action_was_remembered(project: Project, hire: Hire) -> None:
    one = await hire("one")
    await one.backplane.remember(Memo(kind="play", key="mine", call_key="the-call", call_id=CALL_ID))
    (play,) = await one.recover()
    url = one.client._engine.urls.mint("call", "the-call")
    await one.post(url, {"call_id": CALL_ID, "call_state": "ended", "end_reason": "busy"})
    assert await play.call.ended(timeout=5) == "busy"
    with pytest.raises(CallEnded):
        await play.finished(timeout=5)
    assert await project.memos(one.backplane) == set()


async def test_two_actions_of_one_call_are_taken_up_on_one_call(hire: Hire) -> None:
    one = await hire("one")
    for key in ("a", "b"):
        await one.backplane.remember(Memo(kind="play", key=key, call_key="the-call", call_id=CALL_ID))
    a, b = await one.recover()
    assert a.call is b.call
    assert a.call._operation.key == "the-call"


async def test_the_states_of_a_call_arrive_though_somebody_had_a_handle_on_it_before(hire: Hire) -> None:
    one = await hire("one")
    handle = one.client.call(CALL_ID)
    await one.backplane.remember(Memo(kind="call", key="the-call", call_key="the-call", call_id=CALL_ID))
    assert await one.recover() == []
    url = one.client._engine.urls.mint("call", "the-call")
    await one.post(url, {"call_id": CALL_ID, "call_state": "ended", "end_reason": "busy"})
    assert await handle.ended(timeout=5) == "busy"


async def test_an_action_that_settles_before_its_command_is_answered_is_forgotten(
    space, project: Project, hire: Hire
) -> None:
    one = await hire("one")
    call = await one.dial()
    release = asyncio.Event()
    space.answers.append(space.held(release))
    starting = asyncio.create_task(call.play(TTS("Hi"), control_id="mine"))
    while (await space.arrived.get())["command"] != "calling.play":
        pass
    await one.tell("calling.play", state="finished")
    release.set()
    await (await starting)
    assert await project.memos(one.backplane) == {f"call/{call._operation.key}"}


async def test_an_action_that_settles_before_its_command_is_sent_is_forgotten(project: Project, hire: Hire) -> None:
    one = await hire("one")
    call = await one.dial()
    url = one.client._engine.urls.mint("play", "mine")
    await one.post(url, {"control_id": "mine", "state": "finished"})
    await (await call.play(TTS("Hi"), control_id="mine"))
    assert await project.memos(one.backplane) == {f"call/{call._operation.key}"}


async def test_a_call_that_ends_before_its_dial_is_answered_is_forgotten(space, project: Project, hire: Hire) -> None:
    one = await hire("one")
    release = asyncio.Event()
    space.answers.append(space.held(release))
    dialling = asyncio.create_task(one.dial())
    await space.arrived.get()
    await one.tell("dial", call_state="ended", end_reason="busy")
    release.set()
    assert await (await dialling).ended() == "busy"
    assert await project.memos(one.backplane) == set()


async def test_what_has_settled_is_no_successors_though_more_may_be_told_of_it(
    space, project: Project, hire: Hire
) -> None:
    one = await hire("one", limits=Limits(grace=60))
    call = await one.dial()
    detect = await call.detect()
    await one.tell("calling.detect", detect={"type": "machine", "params": {"event": "HUMAN"}})
    assert detect.done()
    assert not detect._operation.closed
    assert await project.memos(one.backplane) == {f"call/{call._operation.key}"}
    space.leg_status = "ended"
    await call.end()
    assert call.has_ended
    assert not call._operation.closed
    assert await project.memos(one.backplane) == set()


async def test_a_call_that_is_known_to_have_ended_before_its_dial_is_answered_is_forgotten(
    space, project: Project, hire: Hire
) -> None:
    one = await hire("one", limits=Limits(grace=60))
    release = asyncio.Event()
    space.answers.append(space.held(release))
    dialling = asyncio.create_task(one.client.dial(to=TO, from_=FROM))
    await space.arrived.get()
    await one.tell("dial", call_state="created")
    handle = one.client.call(CALL_ID)
    space.leg_status = "ended"
    await handle.end()
    assert handle.has_ended
    release.set()
    assert await dialling is handle
    assert await project.memos(one.backplane) == set()


async def test_an_action_that_settles_while_it_is_being_remembered_is_forgotten(
    space, project: Project, hire: Hire, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await hire("one")
    call = await one.dial()
    entered, proceed, remember = asyncio.Event(), asyncio.Event(), one.backplane.remember

    async def slow(memo: Memo, **named: Any) -> None:
        entered.set()
        await proceed.wait()
        await remember(memo, **named)

    monkeypatch.setattr(one.backplane, "remember", slow)
    starting = asyncio.create_task(call.play(TTS("Hi"), control_id="mine"))
    await entered.wait()
    url = one.client._engine.urls.mint("play", "mine")
    await one.post(url, {"control_id": "mine", "state": "finished"})
    proceed.set()
    await asyncio.gather(starting, return_exceptions=True)
    assert await project.memos(one.backplane) == {f"call/{call._operation.key}"}


async def test_the_end_of_one_action_does_not_forget_the_next_of_its_name(
    space, project: Project, hire: Hire, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await hire("one")
    call = await one.dial()
    remember, proceed, written = one.backplane.remember, asyncio.Event(), asyncio.Event()

    async def answered_late(memo: Memo, **named: Any) -> None:
        await remember(memo, **named)
        written.set()
        await proceed.wait()

    monkeypatch.setattr(one.backplane, "remember", answered_late)
    first = asyncio.create_task(call.play(TTS("Hi"), control_id="mine"))
    await written.wait()
    url = one.client._engine.urls.mint("play", "mine")
    await one.post(url, {"control_id": "mine", "state": "finished"})
    monkeypatch.setattr(one.backplane, "remember", remember)
    await call.play(TTS("Hi"), control_id="mine")
    proceed.set()
    await asyncio.gather(first, return_exceptions=True)
    assert await project.memos(one.backplane) == {f"call/{call._operation.key}", "play/mine"}


async def test_a_late_refusal_of_one_action_does_not_forget_the_next_of_its_name(
    space, project: Project, hire: Hire
) -> None:
    one = await hire("one")
    call = await one.dial()
    release = asyncio.Event()
    space.answers.append(space.held(release, web.json_response({}, status=422)))
    first = asyncio.create_task(call.play(TTS("Hi"), control_id="mine", deadline=60))
    while (await space.arrived.get())["command"] != "calling.play":
        pass
    # Its deadline passes now, and not before it was sent, however slow the backplane is.
    one.client._engine.registry.deadlines.set(one.client.actions["mine"]._operation, time.monotonic())
    while one.client.actions:
        await asyncio.sleep(0.005)
    await call.play(TTS("Hi"), control_id="mine")
    release.set()
    with pytest.raises(InvalidParams):
        await first
    assert await project.memos(one.backplane) == {f"call/{call._operation.key}", "play/mine"}


async def test_a_name_of_an_action_that_was_taken_up_can_be_used_anew(project: Project, hire: Hire, die) -> None:
    one, two = await hire("one"), await hire("two")
    call = await one.dial()
    await call.play(TTS("Hi"), control_id="mine")
    await die(one)
    (play,) = await two.recover("one")
    await two.tell("calling.play", state="finished")
    await play
    await play.call.play(TTS("Hi"), control_id="mine")
    assert await project.memos(two.backplane) == {"play/mine"}
    assert await project.memos(two.backplane, "one") == {f"call/{call._operation.key}"}


async def test_a_start_that_is_cancelled_at_any_step_is_forgotten(space, project: Project, hire: Hire) -> None:
    one = await hire("one", limits=Limits(grace=0, long_grace=0, margin=0.1))
    call = await one.dial()
    for turns in range(8):
        space.answers.append(space.hang)
        starting = asyncio.create_task(call.play(TTS("Hi"), control_id=f"play-{turns}"))
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        space.answers.clear()
    space.leaves.set()
    while one.client.actions:
        await asyncio.sleep(0)
    assert await project.memos(one.backplane) == {f"call/{call._operation.key}"}


@pytest.mark.parametrize("reconcile", [None, Reconcile(sweep=0.05)], ids=["without the log", "with the log"])
async def test_a_dial_that_never_got_an_id_ends_in_its_time(
    project: Project, hire: Hire, reconcile: Reconcile | None
) -> None:
    one = await hire("one", limits=Limits(grace=0, unconfirmed=0.2), reconcile=reconcile)
    await one.backplane.remember(Memo(kind="call", key="the-call", call_key="the-call", call_id=None))
    await one.recover()
    found = one.client._engine.registry.calls.with_key("the-call")
    assert found is not None
    call = one.client._engine.handle_of(found)
    assert isinstance(call, Call)
    assert await call.ended(timeout=10) is None
    while await project.memos(one.backplane):
        await asyncio.sleep(0.005)


async def test_the_id_that_a_webhook_tells_is_remembered(space, project: Project, hire: Hire) -> None:
    one = await hire("one")
    release = asyncio.Event()
    space.answers.append(space.held(release))
    dialling = asyncio.create_task(one.dial())
    await space.arrived.get()
    assert [memo.call_id for memo in await one.backplane.remembered("one")] == [None]
    await one.tell("dial", call_state="answered")
    while [memo.call_id for memo in await one.backplane.remembered("one")] != [CALL_ID]:
        await asyncio.sleep(0)
    release.set()
    await dialling


async def test_the_id_that_a_webhook_tells_of_a_recovered_dial_is_remembered(project: Project, hire: Hire) -> None:
    one = await hire("one")
    await one.backplane.remember(Memo(kind="call", key="the-call", call_key="the-call", call_id=None))
    await one.recover()
    url = one.client._engine.urls.mint("call", "the-call")
    await one.post(url, {"call_id": CALL_ID, "call_state": "answered"})
    while [memo.call_id for memo in await one.backplane.remembered("one")] != [CALL_ID]:
        await asyncio.sleep(0)


async def test_commands_go_on_though_nothing_can_be_remembered(
    project: Project, hire: Hire, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = await hire("one")
    monkeypatch.setattr(one.backplane, "remember", fails(one.backplane.remember, times=1000))
    call = await one.dial()
    play = await call.play(TTS("Hi"))
    call.action("record", "elsewhere")
    await one.tell("calling.play", state="finished")
    await play
    assert f"play {play.control_id}: perhaps not stored on the backplane" in caplog.text


async def test_who_waits_for_a_call_stops_when_another_process_has_taken_it_over(
    space, project: Project, hire: Hire
) -> None:
    space.leg_status = "ringing"
    one = await hire("one", lifetime=0.2)
    call = await one.dial()
    detect = await call.detect()
    await one.tell("calling.detect", detect={"type": "machine", "params": {"event": "HUMAN"}})

    async def events(of: Any) -> list[Any]:
        return [event async for event in of]

    waiters = [
        asyncio.create_task(waiter)
        for waiter in (call.ended(), call.answered(), events(call.events()), events(detect), detect.reached("finished"))
    ]
    await asyncio.sleep(0)
    await project.take_away(one.backplane)
    async with asyncio.timeout(5):
        ended, answered, *_ = await asyncio.gather(*waiters, return_exceptions=True)
    assert isinstance(ended, ClientClosed)
    assert "taken over" in str(ended)
    assert isinstance(answered, ClientClosed)
    assert await project.memos(one.backplane) >= {f"call/{call._operation.key}"}, "they are the other's now"


async def test_what_is_lost_while_it_is_being_remembered_is_left_to_the_other(
    project: Project, hire: Hire, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await hire("one", lifetime=0.2)
    call, remember = await one.dial(), one.backplane.remember

    async def until_it_is_lost(memo: Memo, **named: Any) -> None:
        await remember(memo, **named)
        await project.take_away(one.backplane)

    monkeypatch.setattr(one.backplane, "remember", until_it_is_lost)
    with pytest.raises(ClientClosed):
        await (await call.play(TTS("Hi"), control_id="mine"))
    assert await project.memos(one.backplane) == {f"call/{call._operation.key}", "play/mine"}


async def test_nothing_is_started_under_a_name_that_another_process_has(project: Project, hire: Hire) -> None:
    one = await hire("one", lifetime=0.2)
    other = one.client.call("another-call")
    await project.take_away(one.backplane)
    before = await project.memos(one.backplane)
    with pytest.raises(CommandNotSent, match="'one'"):
        await one.dial()
    with pytest.raises(CommandNotSent, match="'one'"):
        await other.play(TTS("Hi"))
    assert not one.client.actions
    assert await project.memos(one.backplane) == before
    await other.end()


async def test_what_was_taken_over_is_settled_when_it_is_lost_again(space, project: Project, hire: Hire, die) -> None:
    one, two = await hire("one"), await hire("two", lifetime=0.2)
    call = await one.dial()
    await call.play(TTS("Hi"), control_id="mine")
    await die(one)
    (play,) = await two.recover("one")
    own = await (await two.dial()).play(TTS("Hi"))
    member = two.client._engine.member
    assert member is not None
    member._lose("one")
    with pytest.raises(ClientClosed):
        await play.finished(timeout=5)
    with pytest.raises(ClientClosed):
        await play.call.ended(timeout=5)
    assert not own.done()
    assert await project.memos(two.backplane, "one") == {f"call/{call._operation.key}", "play/mine"}


async def test_what_was_lost_can_be_taken_up_again(project: Project, hire: Hire, die) -> None:
    one, two = await hire("one"), await hire("two")
    call = await one.dial()
    await call.play(TTS("Hi"), control_id="mine")
    await die(one)
    (lost,) = await two.recover("one")
    member = two.client._engine.member
    assert member is not None
    member._lose("one")
    (play,) = await two.recover("one")
    assert play.call is not lost.call
    assert not play.call.has_ended
    await two.tell("calling.play", state="finished")
    await play.finished(timeout=5)
    assert await project.memos(two.backplane, "one") == {f"call/{call._operation.key}"}


async def test_an_action_of_a_call_that_has_ended_here_has_its_grace(hire: Hire) -> None:
    one = await hire("one", limits=Limits(grace=0.01))
    call = await one.dial()
    await one.tell("dial", call_state="ended", end_reason="busy")
    await one.backplane.remember(Memo(kind="play", key="mine", call_key="another", call_id=CALL_ID))
    (play,) = await one.recover()
    assert play.call is call
    with pytest.raises(CallEnded):
        await play.finished(timeout=5)


async def test_recovering_twice_at_once_takes_up_everything_once(project: Project, hire: Hire, die) -> None:
    one, two = await hire("one"), await hire("two")
    call = await one.dial()
    for key in "abc":
        await call.play(TTS("Hi"), control_id=key)
    await die(one)
    found = await asyncio.gather(*(two.recover("one") for _ in range(3)))
    assert sorted(action.control_id for actions in found for action in actions) == ["a", "b", "c"]
    assert len({id(action.call) for actions in found for action in actions}) == 1
    await two.tell("dial", call_state="ended")
    for actions in found:
        for action in actions:
            assert await action.call.ended(timeout=5) is None


async def test_recovering_that_is_cancelled_at_any_step_is_complete_or_leaves_the_name_to_others(
    project: Project, hire: Hire, die
) -> None:
    one, two, three = await hire("one"), await hire("two"), await hire("three")
    call = await one.dial()
    await call.play(TTS("Hi"), control_id="mine")
    await die(one)
    for turns in range(20):
        recovering = asyncio.create_task(two.recover("one"))
        for _ in range(turns):
            await asyncio.sleep(0)
        recovering.cancel()
        await asyncio.gather(recovering, return_exceptions=True)
        if two.client.actions:
            assert two.backplane.holds("one")
            break
        assert not two.backplane.holds("one")
        await project.settle(two.backplane)
        await three.backplane.claim("one")
        three.backplane.release("one")
        await project.settle(three.backplane)
    else:
        await two.recover("one")
    (play,) = two.client.actions.values()
    await two.tell("calling.play", state="finished")
    await play.finished(timeout=5)
    assert await project.memos(two.backplane, "one") == {f"call/{call._operation.key}"}


async def test_recovering_that_is_cancelled_takes_nothing_from_another_that_is_under_way(
    project: Project, hire: Hire, die
) -> None:
    one, two = await hire("one"), await hire("two")
    call = await one.dial()
    await call.play(TTS("Hi"), control_id="mine")
    await die(one)
    for turns in range(20):
        cancelled, kept = (asyncio.create_task(two.recover("one")) for _ in range(2))
        for _ in range(turns):
            await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait([cancelled, kept])
        await project.settle(two.backplane)
        assert two.backplane.holds("one")
        assert list(two.client.actions) == ["mine"]
        assert len(kept.result()) == (0 if not cancelled.cancelled() and cancelled.result() else 1)
        member = two.client._engine.member
        assert member is not None
        member._lose("one")
        two.backplane.release("one")
        await project.settle(two.backplane)


async def test_recovering_that_fails_gives_the_name_up(
    project: Project, hire: Hire, die, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, three = await hire("one"), await hire("two"), await hire("three")
    call = await one.dial()
    await call.play(TTS("Hi"), control_id="mine")
    await die(one)
    monkeypatch.setattr(two.backplane, "remembered", fails(two.backplane.remembered))
    with pytest.raises(BackplaneUnavailable):
        await two.recover("one")
    await project.settle(two.backplane)
    (play,) = await three.recover("one")
    with pytest.raises(OwnerTaken):
        await two.recover("one")
    await three.tell("calling.play", state="finished")
    await play.finished(timeout=5)
    assert await project.memos(three.backplane, "one") == {f"call/{call._operation.key}"}


async def test_recovering_that_fails_half_way_settles_what_was_taken_up(
    project: Project, hire: Hire, die, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(owner: str) -> None:
        raise OSError("on purpose")

    one, two, three = await hire("one"), await hire("two"), await hire("three")
    call = await one.dial()
    await call.play(TTS("Hi"), control_id="mine")
    await die(one)
    monkeypatch.setattr(two.backplane, "redeliver", fail)
    with pytest.raises(OSError, match="purpose"):
        await two.recover("one")
    assert not two.client.actions
    await project.settle(two.backplane)
    assert [action.control_id for action in await three.recover("one")] == ["mine"]


async def test_what_ends_while_it_is_being_recovered_is_not_taken_up(
    project: Project, hire: Hire, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await hire("one")
    call = await one.dial()
    await call.play(TTS("Hi"), control_id="mine")
    remembered = one.backplane.remembered

    async def read_late(owner: str) -> Any:
        memos = await remembered(owner)
        await one.tell("calling.play", state="finished")
        return memos

    monkeypatch.setattr(one.backplane, "remembered", read_late)
    assert await one.recover() == []
    assert not one.client.actions


async def test_recovering_leaves_a_dial_alone_that_is_under_way(space, hire: Hire) -> None:
    one = await hire("one")
    release = asyncio.Event()
    space.answers.append(space.held(release))
    dialling = asyncio.create_task(one.dial())
    await space.arrived.get()
    assert await one.recover() == []
    release.set()
    call = await dialling
    await one.tell("dial", call_state="ended", end_reason="hangup")
    assert await call.ended(timeout=5) == "hangup"


async def test_a_memo_whose_options_make_no_sense_is_forgotten(
    project: Project, hire: Hire, caplog: pytest.LogCaptureFixture
) -> None:
    one = await hire("one")
    wrong = Memo(kind="play", key="a", call_key="c", call_id=CALL_ID, options={"bound": "soon"})
    await one.backplane.remember(wrong)
    await one.backplane.remember(Memo(kind="play", key="b", call_key="c", call_id=CALL_ID))
    assert [action.control_id for action in await one.recover()] == ["b"]
    assert await project.memos(one.backplane) == {"play/b"}
    assert "owner one: play a cannot be re-attached, and is forgotten" in caplog.text


async def test_the_time_that_bounds_an_action_runs_for_its_successor_too(hire: Hire) -> None:
    one = await hire("one")
    bounded = Memo(kind="record", key="a", call_key="c", call_id=CALL_ID, options={"bound": 30.0})
    await one.backplane.remember(bounded)
    (record,) = await one.recover()
    assert record._operation.due is not None


async def test_a_client_that_is_not_open_recovers_nothing(space, project: Project) -> None:
    client = Client("project", "token", space.url, public_url=URL, backplane=project.member("one"))
    with pytest.raises(RuntimeError, match="open"):
        await anext(client.recover())
    async with client:
        pass
    with pytest.raises(ClientClosed):
        await anext(client.recover())


def test_a_handler_can_be_given_where_no_loop_runs() -> None:
    from memory import MemoryHub

    from swcalls.backplane import RedisBackplane

    async def handler(call: Call) -> None:
        await call.ended()

    for backplane in (MemoryHub(lambda: 0.0).member("one"), RedisBackplane("redis://127.0.0.1", owner="one")):
        client = Client("project", "token", "example", backplane=backplane)
        client.receiver.on_call(handler)


async def test_a_client_is_offered_calls_from_its_opening_until_it_begins_to_close(space, project: Project) -> None:
    async def handler(call: Call) -> None:
        entered.set()
        await proceed.wait()

    entered, proceed = asyncio.Event(), asyncio.Event()
    backplane = project.member("one")
    front = Process(project.member("front"), takes_calls=False)
    limits = Limits(drain=30)
    client = Client("project", "token", space.url, public_url=URL, backplane=backplane, limits=limits)
    client.receiver.on_call(handler)
    assert (await front.announce("in-0")).status == 503
    await client.open()
    await project.settle(backplane)
    assert (await front.announce("in-1")).status == 200
    await entered.wait()
    closing = asyncio.create_task(client.close())
    while await front.backplane.taker("project") is not None:
        await asyncio.sleep(0)
    assert (await front.announce("in-2")).status == 503
    assert not closing.done()
    proceed.set()
    await closing


async def test_a_handler_that_is_given_to_an_open_client_is_offered_calls(project: Project, hire: Hire) -> None:
    async def handler(call: Call) -> None:
        rung.put_nowait(call.id)

    rung: asyncio.Queue[str | None] = asyncio.Queue()
    one, front = await hire("one"), Process(project.member("front"), takes_calls=False)
    one.client.receiver.on_call(handler)
    await project.settle(one.backplane)
    assert (await front.announce()).status == 200
    assert await rung.get() == "in-1"


@pytest.mark.parametrize("fault", [Fault.FAIL, Fault.LOSE_ANSWER, Fault.HANG, Fault.HANG_AFTER], ids=lambda f: f.name)
async def test_a_backplane_that_does_not_close_keeps_nobody_waiting(
    space, fault: Fault, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("swcalls.backplane.member.CLOSING", 0.05)
    project = MemoryProject()
    client = Client("project", "token", space.url, public_url=URL, backplane=project.member("one"))
    await client.open()
    call = await client.dial(to=TO, from_=FROM)
    waiting = asyncio.create_task(call.ended())
    await asyncio.sleep(0)
    project.hub.faults[len(project.hub.operations)] = fault
    await client.close()
    with pytest.raises(ClientClosed):
        await waiting
    assert client._engine.transport._session is None
    assert project.hub.operations[-1] == ("one", "close")
    hangs = fault in (Fault.HANG, Fault.HANG_AFTER)
    assert ("did not close within 0.05 s" if hangs else "the backplane failed to close") in caplog.text


async def test_a_backplane_that_raises_anything_keeps_nobody_waiting(space, monkeypatch: pytest.MonkeyPatch) -> None:
    async def close() -> None:
        raise OSError("on purpose")

    backplane = MemoryProject().member("one")
    client = Client("project", "token", space.url, public_url=URL, backplane=backplane)
    await client.open()
    call = await client.dial(to=TO, from_=FROM)
    await backplane.close()
    monkeypatch.setattr(backplane, "close", close)
    await client.close()
    with pytest.raises(ClientClosed):
        await call.ended()
    assert client._engine.transport._session is None


async def test_an_opening_that_fails_can_be_repeated(space, monkeypatch: pytest.MonkeyPatch) -> None:
    project = MemoryProject()
    backplane = project.member("one")
    process = Process(backplane)
    project.hub.faults[0] = Fault.LOSE_ANSWER
    with pytest.raises(BackplaneUnavailable):
        await process.open()
    assert not project.hub.holders
    assert not project.hub.takers
    await process.open()
    assert backplane.holds("one")
    await process.member.close()


@pytest.mark.parametrize("leave", ["drain", "close"])
async def test_who_leaves_waits_for_the_calls_that_are_being_taken(
    hire: Hire, monkeypatch: pytest.MonkeyPatch, leave: str
) -> None:
    one = await hire("one")
    entered, proceed, take = asyncio.Event(), asyncio.Event(), one.backplane.take_call
    taken: list[str | None] = []

    @one.client.receiver.on_call(hang_up=False)
    async def handler(call: Call) -> None:
        taken.append(call.id)

    async def slow(*arguments: str) -> str | None:
        entered.set()
        await proceed.wait()
        return await take(*arguments)

    monkeypatch.setattr(one.backplane, "take_call", slow)
    announced = {"call": {"call_id": "in-1", "call_state": "created", "direction": "inbound"}}
    announcing = asyncio.create_task(one.post(one.client.receiver.inbound_url, announced))
    await entered.wait()
    leaving = asyncio.create_task(getattr(one.client._engine.lifetime, leave)())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not leaving.done()
    proceed.set()
    await leaving
    assert taken == ["in-1"]
    await announcing


async def test_a_write_that_takes_its_time_is_waited_for_when_the_client_closes(
    space, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, proceed, said = asyncio.Event(), asyncio.Event(), list[str]()

    async def slow(memo: Memo, *, owner: str | None = None) -> None:
        begun.set()
        await proceed.wait()
        said.append("written")

    backplane = MemoryProject().member("one")
    client = Client("project", "token", space.url, public_url=URL, backplane=backplane)
    await client.open()
    monkeypatch.setattr(backplane, "remember", slow)
    close = backplane.close

    async def note() -> None:
        said.append("closed")
        await close()

    monkeypatch.setattr(backplane, "close", note)
    client.call(CALL_ID).action("play", "mine")
    await begun.wait()
    closing = asyncio.create_task(client.close())
    for _ in range(20):
        await asyncio.sleep(0)
    proceed.set()
    await closing
    assert said == ["written", "closed"]


async def test_a_write_that_hangs_is_given_up_when_the_client_closes(space, monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled = asyncio.Event()

    async def hang(memo: Memo, *, owner: str | None = None) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    monkeypatch.setattr("swcalls.backplane.member.CLOSING", 0.05)
    backplane = MemoryProject().member("one")
    client = Client("project", "token", space.url, public_url=URL, backplane=backplane)
    await client.open()
    monkeypatch.setattr(backplane, "remember", hang)
    client.call(CALL_ID).action("play", "mine")
    await asyncio.sleep(0)
    await client.close()
    assert cancelled.is_set()
    await backplane.close()
