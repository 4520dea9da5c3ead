"""Several clients of one project on one Redis: each gets its own, wherever the webhook lands, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from projects import connections
from redis.exceptions import RedisError

import swcalls.backplane._stored
from swcalls import TTS, ActionExpired, Call, Client, ClientClosed, ConfigurationError, Limits, Retry, WebhookReceiver
from swcalls.backplane import BackplaneUnavailable, Delivery, Memo, OwnerTaken, RedisBackplane, _readers
from swcalls.backplane._batch import Batch
from swcalls.backplane._calls import FIRST_PAUSE, LONGEST_PAUSE, Calls
from swcalls.backplane._keys import Keys
from swcalls.backplane._memos import Memos
from swcalls.backplane._readers import Readers

FROM, TO = "+12069708643", "+15550198765"
Worker = Callable[..., Awaitable[Client]]


@pytest.fixture
async def worker(space, server, prefix: str) -> AsyncIterator[Worker]:
    """Make clients of one project; all of them have the public URL of one receiver that is nobody's."""
    async with AsyncExitStack() as stack:
        front = RedisBackplane(server.url, owner="front", prefix=prefix)
        stack.push_async_callback(front.close)
        receiver = WebhookReceiver("project", "token", backplane=front)
        serving = await stack.enter_async_context(receiver.serve())

        async def make(owner: str | None = None, *, lifetime: float = 5.0, **settings: Any) -> Client:
            backplane = RedisBackplane(server.url, owner=owner, prefix=prefix, lifetime=lifetime)
            settings = {"limits": Limits(grace=0, long_grace=0), "retry": Retry(attempts=1), **settings}
            client = Client("project", "token", space.url, public_url=serving.url, backplane=backplane, **settings)
            client.front = receiver  # type: ignore[attr-defined]
            return await stack.enter_async_context(client)

        yield make


async def test_a_webhook_reaches_whoever_waits_wherever_it_lands(space, worker: Worker) -> None:
    one, other = await worker("one"), await worker("other")
    calls = [await client.dial(to=TO, from_=FROM) for client in (one, other)]
    plays = [await call.play(TTS("Hi"), control_id=f"play-{n}") for n, call in enumerate(calls)]
    for command in [c for c in space.commands if c["command"] == "calling.play"]:
        url = command["params"]["status_url"]
        assert await space.post(url, {"control_id": command["params"]["control_id"], "state": "finished"}) == 200
    for play in plays:
        await play.finished(timeout=5)
        assert (await play.outcome()).event.control_id == play.control_id
    assert one.front._ingress.verdicts == {"forwarded": 2}
    assert one.stats.webhooks["applied"] == other.stats.webhooks["applied"] == 1


async def test_the_state_of_a_call_reaches_its_owner(space, worker: Worker) -> None:
    client = await worker("one")
    call = await client.dial(to=TO, from_=FROM)
    assert await space.tell_call("ended", end_reason="hangup") == 200
    assert await call.ended(timeout=5) == "hangup"


async def test_what_is_ones_own_never_leaves_the_process(space, server, prefix: str, look) -> None:
    backplane = RedisBackplane(server.url, owner="one", prefix=prefix)
    async with Client("project", "token", space.url, backplane=backplane) as client, client.receiver.serve():
        call = await client.dial(to=TO, from_=FROM)
        play = await call.play(TTS("Hi"))
        assert await space.tell("calling.play", state="finished") == 200
        assert play.done()
    assert backplane.published == backplane.received == 0


async def test_the_owner_in_a_url_is_covered_by_its_mac(space, worker: Worker) -> None:
    client = await worker("one")
    call = await client.dial(to=TO, from_=FROM)
    play = await call.play(TTS("Hi"))
    url = space.last("calling.play")["status_url"]
    assert "/one/" in url
    for forged in (url.replace("/one/", "/two/"), url.replace("/one/", "/")):
        assert await space.post(forged, {"state": "finished"}) == 403
    assert not play.done()


async def test_what_is_running_is_remembered_until_it_is_over(space, worker: Worker, look, prefix: str) -> None:
    client = await worker("one")
    name = f"{prefix}:{{project:one}}:memos"
    call = await client.dial(to=TO, from_=FROM)
    play = await call.play(TTS("a secret text"), control_id="mine", deadline=100)
    kept = await look.hgetall(name)
    assert sorted(kept) == [f"call/{call._operation.key}".encode(), b"play/mine"]
    assert b"secret" not in b"".join(kept.values())
    await space.tell("calling.play", state="finished")
    await play
    await space.tell_call("ended")
    await call.ended()
    backplane = client._engine.member.backplane
    await backplane._sender.flush()
    assert await look.hgetall(name) == {}


async def test_a_successor_takes_up_what_was_left_and_gets_what_came_in_between(space, worker: Worker) -> None:
    first = await worker("one", lifetime=0.5)
    call = await first.dial(to=TO, from_=FROM)
    await call.play(TTS("Hi"), control_id="a", deadline=100)
    await call.detect(control_id="b")
    await first.close()
    detect = space.last("calling.detect")["status_url"]
    payload = {"control_id": "b", "detect": {"type": "machine", "params": {"event": "MACHINE"}}}
    assert await space.post(detect, payload) == 200
    second = await worker("one", lifetime=0.5)
    found = {action.control_id: action async for action in second.recover()}
    assert sorted(found) == ["a", "b"]
    assert found["a"].call is found["b"].call
    assert found["a"].call.id == call.id
    assert found["a"]._operation.due is not None
    # With detect_message_end, MACHINE is not the answer yet: what was asked for is remembered.
    await found["b"].reached("MACHINE", timeout=5)
    assert not found["b"].done()
    payload["detect"]["params"]["event"] = "READY"
    assert await space.post(detect, payload) == 200
    assert (await found["b"].finished(timeout=5)).event == "MACHINE"
    await space.tell("calling.play", state="finished")
    await found["a"].finished(timeout=5)
    await space.tell_call("ended", end_reason="hangup")
    assert await found["a"].call.ended(timeout=5) == "hangup"
    assert [action async for action in second.recover()] == []


async def test_a_claimer_takes_over_who_is_dead_and_nobody_who_is_alive(space, worker: Worker) -> None:
    dead, alive, claimer = await worker("dead", lifetime=0.5), await worker("alive"), await worker("claimer")
    call = await dead.dial(to=TO, from_=FROM)
    await call.play(TTS("Hi"), control_id="a")
    await dead.close()
    with pytest.raises(OwnerTaken):
        await _recovered(claimer, "alive")
    assert "dead" in await claimer._engine.member.backplane.dead()
    rivals = await asyncio.gather(_recovered(claimer, "dead"), _recovered(alive, "dead"), return_exceptions=True)
    winners = [result for result in rivals if not isinstance(result, Exception)]
    losers = [result for result in rivals if isinstance(result, Exception)]
    assert [len(winner) for winner in winners] == [1]
    assert [type(loser) for loser in losers] == [OwnerTaken]
    assert await space.tell("calling.play", state="finished") == 200
    await winners[0][0].finished(timeout=5)


async def _recovered(client: Client, owner: str | None = None) -> list[Any]:
    return [action async for action in client.recover(owner)]


async def test_a_name_that_is_in_use_is_refused(space, server, prefix: str, worker: Worker) -> None:
    await worker("one")
    backplane = RedisBackplane(server.url, owner="one", prefix=prefix, lifetime=0.2)
    client = Client("project", "token", space.url, backplane=backplane)
    with pytest.raises(OwnerTaken, match="'one'"):
        await client.open()
    await client.close()


async def test_a_name_that_was_in_use_may_be_tried_again_and_whoever_has_it_is_left_alone(
    space, server, prefix: str, worker: Worker, look
) -> None:
    other = await worker("one")

    @other.receiver.on_call
    async def handler(call: Call) -> None: ...

    await other._engine.member.backplane._sender.flush()
    backplane = RedisBackplane(server.url, owner="one", prefix=prefix, lifetime=0.2)
    client = Client("project", "token", space.url, backplane=backplane, public_url="http://127.0.0.1:9")
    with pytest.raises(OwnerTaken):
        await client.open()
    assert not connections(backplane)
    assert client._engine.transport._session is None
    assert await look.zrange(f"{prefix}:{{project}}:takers", 0, -1) == [b"one"]
    assert await look.get(f"{prefix}:{{project:one}}:alive")
    await other.close()
    async with client:
        call = await client.dial(to=TO, from_=FROM)
        assert await look.hkeys(f"{prefix}:{{project:one}}:memos") == [f"call/{call._operation.key}".encode()]


@pytest.mark.parametrize("step", range(1, 7))
async def test_an_opening_that_is_cancelled_gives_its_name_up(
    space, server, prefix: str, look, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    backplane = RedisBackplane(server.url, owner="one", prefix=prefix)
    client = Client("project", "token", space.url, backplane=backplane)
    replies = asyncio.Semaphore(0)
    send = Batch._send_batch

    async def count(self: Batch, batch: Any) -> None:
        replies.release()
        await send(self, batch)
        replies.release()

    monkeypatch.setattr(Batch, "_send_batch", count)
    opening = asyncio.create_task(client.open())
    for _ in range(step):
        if opening.done():
            break
        await asyncio.wait(
            [opening, counted := asyncio.ensure_future(replies.acquire())], return_when=asyncio.FIRST_COMPLETED
        )
        counted.cancel()
    opening.cancel()
    await asyncio.wait([opening])
    if opening.cancelled():
        assert not connections(backplane)
        assert await look.get(f"{prefix}:{{project:one}}:alive") is None
    async with client:
        assert await look.get(f"{prefix}:{{project:one}}:alive") == backplane._names._token.encode()


async def test_a_closing_that_is_cancelled_leaves_no_connection(
    space, fragile, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    backplane = RedisBackplane(fragile.url, owner="one", prefix=prefix, patience=0.5)
    client = Client("project", "token", space.url, backplane=backplane, public_url="http://127.0.0.1:9")
    await client.open()
    play = await (await client.dial(to=TO, from_=FROM)).play(TTS("Hi"))
    fragile.pause()
    closing = asyncio.create_task(client.close())
    while backplane._readers.owners or backplane._heart:
        await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert not connections(backplane)
    assert "owner one: closing was not complete" in caplog.text
    assert (await play.outcome()).settled_by == "closed"


async def test_while_redis_is_away_a_client_does_not_open_and_leaves_nothing(space, fragile, prefix: str) -> None:
    fragile.kill()
    backplane = RedisBackplane(fragile.url, owner="one", prefix=prefix, patience=0.3)
    client = Client("project", "token", space.url, backplane=backplane, public_url="http://127.0.0.1:9")
    with pytest.raises(BackplaneUnavailable):
        await client.open()
    assert client._engine.transport._session is None
    fragile.start()
    async with client:
        await client.dial(to=TO, from_=FROM)
    assert not connections(backplane)


async def test_an_inbound_call_is_handled_by_exactly_one_worker(space, worker: Worker) -> None:
    rung: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    clients = [await worker(name) for name in ("one", "other", "third")]
    for client in clients[:2]:

        async def handler(call: Call, client: Client = client) -> None:
            rung.put_nowait((client._engine.member.backplane.owner, call.id or ""))
            await call.ended()

        client.receiver.on_call(handler)
        await client._engine.member.backplane._sender.flush()
    front = clients[0].front
    for n in range(10):
        announcement = {"call": {"call_id": f"in-{n}", "call_state": "created", "direction": "inbound"}}
        for _ in range(2):
            assert await space.post(front.inbound_url, announcement) == 200
    rang = [await rung.get() for _ in range(10)]
    assert {call_id for _, call_id in rang} == {f"in-{n}" for n in range(10)}
    assert {owner for owner, _ in rang} <= {"one", "other"}
    for n in range(10):
        assert await space.post(front.inbound_url, {"call_id": f"in-{n}", "call_state": "ended"}) == 200
    assert rung.empty()


async def test_with_nobody_who_takes_calls_it_is_busy(space, worker: Worker) -> None:
    client = await worker("one")
    announcement = {"call": {"call_id": "in-1", "call_state": "created", "direction": "inbound"}}
    assert await space.post(client.front.inbound_url, announcement) == 503


async def test_a_full_stream_refuses_and_loses_nothing(space, server, prefix: str, look) -> None:
    backplane = RedisBackplane(server.url, owner="front", prefix=prefix, capacity=3)
    for n in range(3):
        await backplane.publish("project", Delivery(owner="gone", kind="play", key=str(n), body=b"{}"))
    with pytest.raises(BackplaneUnavailable, match="full"):
        await backplane.publish("project", Delivery(owner="gone", kind="play", key="3", body=b"{}"))
    entries = await look.xrange(f"{prefix}:{{project:gone}}:deliveries")
    assert [fields[b"key"] for _, fields in entries] == [b"0", b"1", b"2"]
    assert (backplane.published, backplane.refused) == (3, 1)
    await backplane.close()


async def test_while_redis_is_away_a_webhook_is_refused_and_commands_go_on(space, fragile, prefix: str) -> None:
    async with AsyncExitStack() as stack:
        front = RedisBackplane(fragile.url, owner="front", prefix=prefix, patience=0.3)
        stack.push_async_callback(front.close)
        receiver = WebhookReceiver("project", "token", backplane=front)
        serving = await stack.enter_async_context(receiver.serve())
        backplane = RedisBackplane(fragile.url, owner="one", prefix=prefix, lifetime=2, patience=0.3)
        client = Client("project", "token", space.url, public_url=serving.url, backplane=backplane)
        await stack.enter_async_context(client)
        call = await client.dial(to=TO, from_=FROM)
        fragile.pause()
        play = await call.play(TTS("Hi"))
        again = await call.play(TTS("Hi"), deadline=0.5)
        assert await space.tell("calling.play", state="finished") == 503
        with pytest.raises(ActionExpired):
            await again
        fragile.go_on()
        first = next(c["params"] for c in space.commands if c["command"] == "calling.play")
        while await space.post(first["status_url"], {"state": "finished"}) != 200:
            pass
        await play.finished(timeout=10)


async def test_redis_may_die_and_come_back(space, fragile, prefix: str, caplog: pytest.LogCaptureFixture) -> None:
    backplane = RedisBackplane(fragile.url, owner="one", prefix=prefix, lifetime=1, patience=0.5)
    front = RedisBackplane(fragile.url, owner="front", prefix=prefix, patience=0.5)
    async with Client("project", "token", space.url, public_url="http://127.0.0.1:9", backplane=backplane) as client:
        call = await client.dial(to=TO, from_=FROM)
        play = await call.play(TTS("Hi"))
        fragile.kill()
        with pytest.raises(BackplaneUnavailable):
            await front.publish("project", Delivery(owner="one", kind="play", key=play.control_id, body=b"{}"))
        while "owner one: the heartbeat failed" not in caplog.text:
            await asyncio.sleep(0.01)
        late = await call.play(TTS("Hi"), control_id="late")
        fragile.start()
        body = b'{"state":"finished"}'
        for key in (play.control_id, "late"):
            delivery = Delivery(owner="one", kind="play", key=key, body=body)
            while True:
                try:
                    await front.publish("project", delivery)
                    break
                except BackplaneUnavailable:
                    pass
        await play.finished(timeout=10)
        await late.finished(timeout=10)
    await front.close()


async def test_a_process_that_seemed_dead_settles_what_was_taken_over(space, worker: Worker, look, prefix: str) -> None:
    client = await worker("one", lifetime=0.4)
    call = await client.dial(to=TO, from_=FROM)
    play = await call.play(TTS("Hi"), control_id="mine")
    await look.set(f"{prefix}:{{project:one}}:alive", "another process")
    with pytest.raises(ClientClosed, match="taken over"):
        await play.finished(timeout=5)
    await client._engine.member.backplane._sender.flush()
    assert await look.hexists(f"{prefix}:{{project:one}}:memos", "play/mine"), "it is the other's now"


async def test_memos_and_deliveries_that_make_no_sense_harm_nobody(
    space, worker: Worker, look, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = await worker("one")
    await look.hset(
        f"{prefix}:{{project:one}}:memos",
        mapping={"play/x": "junk", "no/y": b'{"kind":"no","key":"y","call_key":"k","call_id":"c"}'},
    )
    stream = f"{prefix}:{{project:one}}:deliveries"
    for fields in (
        {"a": "b"},
        {"kind": "play", "key": "x", "body": b"\xff"},
        {"kind": "play", "key": "x", "body": b'{"a": {}'},
        {"kind": "nobody", "key": "x", "body": b"{}"},
    ):
        await look.xadd(stream, fields)
    assert await _recovered(client) == []
    while client.stats.webhooks.get("malformed", 0) < 2:
        await asyncio.sleep(0.005)
    assert client.stats.set_aside == 2
    call = await client.dial(to=TO, from_=FROM)
    play = await call.play(TTS("Hi"))
    await space.tell("calling.play", state="finished")
    await play.finished(timeout=5)
    await client._engine.member.backplane._sender.flush()
    assert not await look.hexists(f"{prefix}:{{project:one}}:memos", "play/x")
    assert not await look.xlen(stream)
    for message in (
        "owner one: a memo cannot be decoded, and is deleted",
        "owner one: entries of the stream are moved to the stream 'rejected': the field kind is missing",
        "a delivery of the backplane for nobody/x cannot be read, and is dropped",
    ):
        assert message in caplog.text


async def test_publishing_is_tried_again_after_longer_and_longer_waits(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "swcalls.backplane")
    backplane, waits = RedisBackplane("redis://127.0.0.1:1", owner="one"), list[float]()
    answers: list[Any] = [RedisError("away")] * 6 + [b"1-0"]

    async def run(command: object, key: str, *, durable: bool) -> Any:
        assert durable
        if isinstance(answer := answers.pop(0), Exception):
            raise answer
        return answer

    monkeypatch.setattr(backplane._sender, "run", run)
    monkeypatch.setattr(swcalls.backplane._stored, "with_jitter", lambda wait: waits.append(wait) or 0)
    await backplane.publish("project", Delivery(owner="two", kind="play", key="p", body=b"{}"))
    assert waits == pytest.approx([0.02, 0.04, 0.08, 0.16, 0.32, 0.5])
    assert caplog.text.count("publishing a delivery for owner two is retried: away") == 6
    assert (backplane.published, backplane.refused) == (1, 0)


async def test_reading_is_tried_again_after_longer_waits_and_begins_anew_when_it_has_worked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waits, read_all = list[float](), asyncio.Event()
    answers: list[Any] = [*[RedisError("away")] * 4, {}, RedisError("away again")]

    class Source:
        async def read(self, stream: str, last: bytes, block: int) -> Any:
            if not answers:
                read_all.set()
                await asyncio.Event().wait()
            if isinstance(answer := answers.pop(0), Exception):
                raise answer
            return answer

    monkeypatch.setattr(_readers, "with_jitter", lambda wait: waits.append(wait) or 0)
    readers = Readers(Source(), "{}:{}".format, patience=0.3, keep=60)  # type: ignore[arg-type]
    readers.start("one")
    await read_all.wait()
    assert readers.stop("one")
    await readers.wait()
    assert waits == pytest.approx([0.05, 0.1, 0.2, 0.3, 0.05])
    assert "owner one: deliveries cannot be read; next attempt in 0.20 s: away" in caplog.text


# The heartbeat


async def alive(server, prefix: str, lost: Callable[[str], object] = lambda _: None, **settings: Any) -> RedisBackplane:
    """An open backplane whose heart beats every 10 ms."""
    backplane = RedisBackplane(server.url, owner="one", prefix=prefix, lifetime=5, **settings)

    async def keep_it(delivery: Delivery) -> bool:
        return False

    await backplane.open("project", keep_it, lost)
    backplane._lifetime = 0.04
    return backplane


async def test_the_memos_of_who_is_alive_are_kept_and_old_deliveries_are_deleted(server, prefix: str, look) -> None:
    memos, stream = f"{prefix}:{{project:one}}:memos", f"{prefix}:{{project:one}}:deliveries"
    await look.hset(memos, "play/p", b"{}")
    async with look.pipeline(transaction=False) as pipeline:
        for number in range(1, 151):  # Redis deletes a hundred at a time.
            pipeline.xadd(stream, {"kind": "play", "key": "p", "body": b"{}"}, id=f"{number}-0")
        *_, new = await pipeline.xadd(stream, {"kind": "play", "key": "q", "body": b"{}"}).execute()
    await look.zadd(f"{prefix}:{{project}}:owners", {"old": 1.0})
    backplane = await alive(server, prefix, keep=1000)
    while await look.pttl(memos) < 0:
        pass
    while "old" in await backplane.dead():
        pass
    assert 900_000 < await look.pttl(memos) <= 1_000_000
    left = [entry for entry, _ in await look.xrange(stream)]
    assert len(left) <= 100
    assert left[-1] == new
    await backplane.close()


async def test_a_memo_that_could_not_be_written_is_written_with_the_next_heartbeat(
    server, prefix: str, look, monkeypatch: pytest.MonkeyPatch
) -> None:
    backplane = await alive(server, prefix)
    write = backplane._memos._write_to_store

    def fail(owner: str, field: str, value: bytes | None, done: Callable[[object], object]) -> None:
        monkeypatch.setattr(backplane._memos, "_write_to_store", write)
        done(RedisError("away"))

    monkeypatch.setattr(backplane._memos, "_write_to_store", fail)
    await backplane.remember(Memo(kind="play", key="p", call_key="c", call_id="call-1"))
    while not await look.hexists(f"{prefix}:{{project:one}}:memos", "play/p"):
        pass
    await backplane.close()


def test_the_memos_of_one_name_are_given_up_without_those_of_another() -> None:
    posted: list[Callable[[object], object]] = []

    memos = Memos(lambda owner, field, value, done: posted.append(done), 1)
    for owner in ("one", "two", "three"):
        memos.drop(owner, "play/p")
        posted.pop()(RedisError("away"))
    memos.abandon("two")
    memos.catch_up()
    assert len(posted) == 2


async def test_each_heartbeat_asks_for_the_time_of_redis(server, prefix: str) -> None:
    backplane = await alive(server, prefix)
    right, backplane._offset = backplane._offset, 0.0
    while not backplane._offset:
        await asyncio.sleep(0)
    assert backplane._offset == pytest.approx(right, abs=100)
    await backplane.close()


async def test_the_owner_of_an_announced_call_is_asked_for_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    answers, pauses = [b""] * 9 + [b"one"], list[float]()

    async def ask(command: object, key: str) -> bytes:
        return answers.pop(0)

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    assert await Calls(ask, Keys("x"), 60).find("project", "in-1", 60) == "one"
    assert pauses[:2] == [FIRST_PAUSE, 2 * FIRST_PAUSE]
    assert pauses == [min(FIRST_PAUSE * 2**n, LONGEST_PAUSE) for n in range(9)]


async def test_who_takes_calls_says_so_with_each_heartbeat(server, prefix: str, look) -> None:
    takers = f"{prefix}:{{project}}:takers"
    backplane = await alive(server, prefix)
    backplane.offer(takes_calls=True)
    await backplane._sender.flush()
    first = await look.zscore(takers, "one")
    while await look.zscore(takers, "one") == first:
        pass
    backplane.offer(takes_calls=False)
    await backplane._sender.flush()
    assert await look.zscore(takers, "one") is None
    await backplane.close()


async def test_a_name_that_is_released_while_the_heart_beats_is_not_taken_again(
    server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[str] = []
    backplane = await alive(server, prefix, lost=lost.append)
    await backplane.claim("two")
    taken: list[str] = []
    beaten = asyncio.Event()

    async def take(owner: str, now: float) -> bool:
        taken.append(owner)
        if len(taken) == 1:
            backplane.release("two")
        elif owner == "one":
            beaten.set()
        return True

    monkeypatch.setattr(backplane._names, "take", take)
    await beaten.wait()
    assert set(taken) == {"one"}
    assert not lost
    await backplane.close()


async def test_who_has_lost_a_name_goes_on_with_the_others(
    server, prefix: str, look, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lost: asyncio.Queue[str] = asyncio.Queue()

    def lose(owner: str) -> None:
        lost.put_nowait(owner)
        raise LookupError("on purpose")

    backplane = await alive(server, prefix, lost=lose)
    given_up: list[str] = []
    monkeypatch.setattr(backplane._memos, "abandon", given_up.append)
    backplane.offer(takes_calls=True)
    await backplane.claim("two")
    for owner, takes_calls in (("two", True), ("one", False)):
        await look.set(f"{prefix}:{{project:{owner}}}:alive", "another process")
        assert await lost.get() == owner
        assert not backplane.holds(owner)
        assert given_up.pop() == owner
        assert f"owner {owner}: another process has taken over this name" in caplog.text
        assert f"owner {owner}: the callback for a lost name failed" in caplog.text
        assert backplane._takes_calls is takes_calls, "only who holds its own name is offered calls"
    await backplane.close()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"owner": "a/b"}, "owner"),
        ({"prefix": ""}, "prefix"),
        ({"lifetime": 0}, "lifetime"),
        ({"capacity": -1}, "capacity"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        RedisBackplane("redis://127.0.0.1", **settings)


async def test_recovering_needs_a_backplane(space) -> None:
    async with Client("project", "token", space.url) as client:
        with pytest.raises(ConfigurationError, match="backplane"):
            await _recovered(client)


def test_no_password_is_shown() -> None:
    backplane = RedisBackplane("redis://user:a-password@127.0.0.1", owner="one")
    assert "a-password" not in repr(backplane)
    assert "secret" not in repr(Memo(kind="play", key="k", call_key="c", call_id=None))
