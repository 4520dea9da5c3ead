"""Documents on live calls where webhooks and tails come to another process, and where a process dies while they run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from memory import MemoryHub

from swcalls import TTS, Call, Client, CommandNotSent, ConnectAction, Limits, Retry, WebhookReceiver
from swcalls.backplane import member
from swcalls.testing import Callee, Simulator

FROM, TO, BOB = "+12069708643", "+15550198765", "+15550100001"


class Scene:
    """A space whose webhooks all come to a process that has no calls."""

    def __init__(self, space: Simulator, hub: MemoryHub, public_url: str) -> None:
        self.space = space
        self.hub = hub
        self.public_url = public_url

    def worker(self, owner: str) -> Client:
        return Client(
            "project",
            "token",
            self.space.url,
            public_url=self.public_url,
            backplane=self.hub.member(owner),
            retry=Retry(attempts=1),
            limits=Limits(grace=0.05),
        )

    async def dial(self, client: Client) -> Call:
        call = await client.dial(to=TO, from_=FROM)
        await call.answered(timeout=10)
        return call


@pytest.fixture
def dead_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for the backplane of a dead process to close."""
    monkeypatch.setattr(member, "CLOSING", 0.01)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    hub = MemoryHub(lambda: asyncio.get_running_loop().time())
    front = hub.member("front")
    receiver = WebhookReceiver("project", "token", backplane=front)
    await front.open("project", _nothing, lambda owner: None)
    try:
        async with Simulator(speed=100, callee=Callee(rings_for=0)) as space, receiver.serve() as server:
            yield Scene(space, hub, server.url)
    finally:
        await front.close()


async def _nothing(delivery: object) -> bool:
    return True


@asynccontextmanager
async def bridged(scene: Scene, client: Client) -> AsyncIterator[tuple[Call, ConnectAction[Call], Call]]:
    call = await scene.dial(client)
    connect = await call.connect(BOB)
    yield call, connect, await connect.connected(timeout=10)


async def test_everything_works_when_another_process_gets_the_webhooks(scene: Scene) -> None:
    async with scene.worker("one") as client:
        async with bridged(scene, client) as (call, connect, peer):
            assert peer.to == BOB
            scene.space.calls[str(peer.id)].hang_up()
            assert await peer.ended(timeout=10) == "hangup"
            assert (await connect.finished(timeout=10)).answered
        await call.send_digits("12").finished(timeout=10)
        conference = await call.conference("room")
        await conference.reached("joined", timeout=10)
        await conference.stop()
        await conference.finished(timeout=10)
        result = await call.run_swml([{"set": {"mood": "good"}}]).finished(timeout=10)
        assert result.variables == {"mood": "good"}
        await call.end()


async def test_a_bridge_that_stands_is_taken_up_by_another_process(scene: Scene, dead_soon: None) -> None:
    first = scene.worker("one")
    await first.open()
    async with bridged(scene, first) as (call, connect, peer):
        peer_id, control_id = str(peer.id), connect.control_id
        scene.hub.crash("one")
        scene.hub.bury("one")
        async with scene.worker("two") as second:
            found = {action.control_id: action async for action in second.recover("one")}
            taken_up = found[control_id]
            assert isinstance(taken_up, ConnectAction)
            assert taken_up.call.id == call.id
            again = await taken_up.connected(timeout=10)
            assert again.id == peer_id
            with pytest.raises(CommandNotSent, match="has bridged"):
                await again.send_digits("1")
            await again.play(TTS("Sorry for that.")).finished(timeout=10)
            scene.space.calls[peer_id].hang_up()
            assert await again.ended(timeout=10) == "hangup"
            result = await taken_up.finished(timeout=10)
            assert (result.answered, result.peer_id) == (True, peer_id)
            await second.call(str(call.id)).end()
        await first.close()


@pytest.mark.parametrize("stops", [False, True])
async def test_a_bridge_whose_other_end_nobody_asked_for_is_taken_up_with_it(
    scene: Scene, dead_soon: None, stops: bool
) -> None:
    first = scene.worker("one")
    await first.open()
    call = await scene.dial(first)
    connect = await call.connect(BOB)
    await connect.reached("connected", timeout=10)
    told = scene.hub.memos["project", "one"]
    while "answered_by" not in told["connect", connect.control_id].options:
        await asyncio.sleep(0)
    peer_id = told["connect", connect.control_id].options["answered_by"]
    scene.hub.kill("one")
    async with scene.worker("two") as second:
        (taken_up,) = [action async for action in second.recover("one")]
        assert isinstance(taken_up, ConnectAction)
        with pytest.raises(CommandNotSent, match="has bridged"):
            await taken_up.call.send_digits("1")
        if stops:
            # Nobody could reach the call at the other end any more.
            await taken_up.stop()
            assert (await taken_up.finished(timeout=10)).answered
            assert scene.space.calls[peer_id].state == "ended"
        else:
            peer = await taken_up.connected(timeout=10)
            await peer.play(TTS("Sorry for that.")).finished(timeout=10)
            await peer.end()
            result = await taken_up.finished(timeout=10)
            assert (result.answered, result.peer_id, peer.id) == (True, peer_id, peer_id)
        await second.call(str(call.id)).end()
    await first.close()
