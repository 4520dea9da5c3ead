"""What every backplane promises, tried on the one in memory and on Redis alike."""

from __future__ import annotations

import asyncio

import pytest
from projects import Collector, Project, connections

from swcalls.backplane import Backplane, BackplaneUnavailable, Delivery, Memo, OwnerTaken


def delivery(key: str, owner: str = "one") -> Delivery:
    return Delivery(owner=owner, kind="play", key=key, body=b"{}")


def memo(key: str) -> Memo:
    return Memo(kind="play", key=key, call_key="c", call_id="id")


async def opened(project: Project, owner: str) -> Backplane:
    backplane = project.member(owner)
    await Collector().open(backplane)
    return backplane


async def test_a_delivery_reaches_its_owner_and_is_kept_until_it_is_dealt_with(project: Project) -> None:
    one, front, collector = project.member("one"), project.member("front"), Collector()
    collector.is_done = False
    await front.publish("project", delivery("a"))
    await collector.open(one)
    await front.publish("project", delivery("b"))
    assert [(await collector.got.get()).key for _ in range(2)] == ["a", "b"]
    collector.is_done = True
    one.redeliver("one")
    assert [(await collector.got.get()).key for _ in range(2)] == ["a", "b"]
    while await project.deliveries("one"):
        await asyncio.sleep(0.005)


async def test_projects_do_not_see_each_other(project: Project) -> None:
    front, one = project.member("front"), await opened(project, "one")
    one.offer(takes_calls=True)
    await front.publish("another", delivery("a"))
    assert await project.deliveries("one") == []
    await front.announce_call("another", "in-1", 60)
    assert await front.take_call("project", "in-1", "one") is None
    assert await front.taker("another") is None


async def test_a_name_that_is_alive_cannot_be_claimed_and_one_claimer_wins(project: Project) -> None:
    one, two, three = [await opened(project, name) for name in ("one", "two", "three")]
    with pytest.raises(OwnerTaken):
        await two.claim("one")
    assert not two.holds("one")
    await project.crash(one)
    await project.bury(one)
    results = await asyncio.gather(two.claim("one"), three.claim("one"), return_exceptions=True)
    assert [type(result) for result in results if result is not None] == [OwnerTaken]
    assert [two.holds("one"), three.holds("one")].count(True) == 1


async def test_who_claims_a_name_twice_at_once_has_it(project: Project) -> None:
    one, two = await opened(project, "one"), await opened(project, "two")
    await project.crash(one)
    await project.bury(one)
    await asyncio.gather(two.claim("one"), two.claim("one"))
    assert two.holds("one")


async def test_a_claim_that_is_cancelled_at_any_step_leaves_the_name_to_others(project: Project) -> None:
    one, two, three = [await opened(project, name) for name in ("one", "two", "three")]
    await project.crash(one)
    await project.bury(one)
    for turns in range(12):
        claiming = asyncio.create_task(two.claim("one"))
        for _ in range(turns):
            await asyncio.sleep(0)
        claiming.cancel()
        (result,) = await asyncio.gather(claiming, return_exceptions=True)
        if result is not None:
            assert isinstance(result, asyncio.CancelledError)
            assert not two.holds("one")
        else:
            two.release("one")
        await project.settle(two)
        await three.claim("one")
        three.release("one")
        assert not three.holds("one")
        await project.settle(three)


async def test_what_is_remembered_outlives_its_process(project: Project) -> None:
    one, two = await opened(project, "one"), await opened(project, "two")
    for key in "abc":
        await one.remember(memo(key))
    one.forget("play", "b")
    assert {found.key for found in await one.remembered("one")} == {"a", "c"}
    await project.crash(one)
    await project.bury(one)
    assert "one" in await two.dead()
    await two.claim("one")
    assert {found.key for found in await two.remembered("one")} == {"a", "c"}
    two.forget("play", "a", owner="one")
    await two.remember(memo("d"), owner="one")
    assert await project.memos(two, "one") == {"play/c", "play/d"}


async def test_what_is_forgotten_right_after_it_was_remembered_is_gone(project: Project) -> None:
    one = await opened(project, "one")
    for turns in range(6):
        remembering = asyncio.create_task(one.remember(memo("a")))
        for _ in range(turns):
            await asyncio.sleep(0)
        remembering.cancel()
        await asyncio.gather(remembering, return_exceptions=True)
        one.forget("play", "a")
        assert await project.memos(one) == set()


async def test_many_who_remember_at_once_all_return_when_it_is_written(project: Project) -> None:
    one, two = await opened(project, "one"), await opened(project, "two")
    for key in range(5):
        one.forget("play", str(key))

    async def remember(key: str) -> None:
        await one.remember(memo(key))
        assert key in {found.key for found in await two.remembered("one")}

    await asyncio.gather(*(remember(str(key)) for key in range(5)))


async def test_a_name_can_be_taken_again_when_it_was_given_up(project: Project) -> None:
    one, again = await opened(project, "one"), project.member("one")
    await one.close()
    await one.close()
    assert not one.holds("one")
    await Collector().open(again)
    await again.close()
    await Collector().open(one)
    assert one.holds("one")


async def test_closing_twice_at_once_gives_the_name_up(project: Project) -> None:
    one, other = await opened(project, "one"), await opened(project, "other")
    await asyncio.gather(one.close(), one.close())
    await other.claim("one")


async def test_closing_that_is_cancelled_at_any_step_gives_the_name_up_or_fails_nobody(project: Project) -> None:
    for turns in range(8):
        one = await opened(project, f"one-{turns}")
        closing = asyncio.create_task(one.close())
        for _ in range(turns):
            await asyncio.sleep(0)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        await one.close()
        assert not one.holds(f"one-{turns}")
        await Collector().open(project.member(f"one-{turns}"))


async def test_opening_that_is_cancelled_at_any_step_leaves_the_name_to_others(project: Project) -> None:
    for turns in range(12):
        one, collector = project.member(f"one-{turns}"), Collector()
        opening = asyncio.create_task(collector.open(one))
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        if opening.cancelled():
            assert not one.holds(one.owner)
            other = project.member(one.owner)
            await Collector().open(other)
            await other.close()
            await collector.open(one)


async def test_a_process_takes_calls_from_its_opening_to_its_closing(project: Project) -> None:
    one, front = project.member("one"), project.member("front")
    one.offer(takes_calls=True)
    assert await front.taker("project") is None
    await Collector().open(one)
    while await front.taker("project") != "one":
        await asyncio.sleep(0)
    assert await front.taker("project", besides=["one"]) is None
    one.offer(takes_calls=False)
    while await front.taker("project") is not None:
        await asyncio.sleep(0)
    one.offer(takes_calls=True)
    await one.close()
    assert await front.taker("project") is None


def test_where_no_loop_runs_it_can_be_offered_all_the_same() -> None:
    from memory import MemoryHub

    from swcalls.backplane import RedisBackplane

    for backplane in (MemoryHub(lambda: 0.0).member("one"), RedisBackplane("redis://127.0.0.1", owner="one")):
        backplane.offer(takes_calls=True)
        backplane.offer(takes_calls=False)


async def test_of_many_who_ask_for_a_call_one_gets_it(project: Project) -> None:
    members = [await opened(project, f"worker-{n}") for n in range(4)]
    front = project.member("front")
    assert await front.take_call("project", "in-1", "worker-0") is None, "it was not announced"
    assert await front.find_call("project", "in-1") is None
    assert await front.announce_call("project", "in-1", 60) is None
    assert await front.find_call("project", "in-1") is None
    taken = await asyncio.gather(*(member.take_call("project", "in-1", member.owner) for member in members))
    assert len(set(taken)) == 1
    assert set(await asyncio.gather(*(m.take_call("project", "in-1", m.owner) for m in members))) == set(taken)
    assert await front.find_call("project", "in-1") == taken[0]
    assert await front.announce_call("project", "in-1", 60) == taken[0], "it is repeated, and changes nothing"


async def test_a_call_that_nobody_took_in_time_is_nobodys(project: Project) -> None:
    one = await opened(project, "one")
    assert await one.announce_call("project", "in-1", 0.01) is None
    assert await one.find_call("project", "in-1", wait=60) is None, "it was waited for as long as it was announced"
    assert await one.take_call("project", "in-1", "one") is None
    assert await one.announce_call("project", "in-1", 60) is None
    assert await one.take_call("project", "in-1", "one") == "one"


async def test_who_waits_for_the_owner_of_a_call_is_told(project: Project) -> None:
    one, front = await opened(project, "one"), project.member("front")
    await front.announce_call("project", "in-1", 60)
    waiting = asyncio.create_task(front.find_call("project", "in-1", wait=60))
    await asyncio.sleep(0)
    assert await one.take_call("project", "in-1", "one") == "one"
    assert await waiting == "one"


async def test_the_call_of_an_owner_that_died_is_announced_anew(project: Project) -> None:
    one, two = await opened(project, "one"), await opened(project, "two")
    await two.announce_call("project", "in-1", 60)
    assert await one.take_call("project", "in-1", "one") == "one"
    await project.crash(one)
    assert await two.announce_call("project", "in-1", 60) == "one", "it still seems alive"
    await project.bury(one)
    assert await two.find_call("project", "in-1") == "one", "what is left of it is for whoever claims it"
    assert await two.announce_call("project", "in-1", 60) is None
    assert await two.take_call("project", "in-1", "two") == "two"


async def test_who_loses_its_name_is_told(project: Project) -> None:
    one, collector = project.member("one", lifetime=0.2), Collector()
    await collector.open(one)
    await project.take_away(one)
    assert collector.lost == ["one"]
    assert not one.holds("one")


async def test_a_backplane_that_is_closed_publishes_nothing(server, prefix: str, nothing_is_left_running: None) -> None:
    from swcalls.backplane import RedisBackplane

    front = RedisBackplane(server.url, prefix=prefix)
    await front.publish("project", delivery("a"))
    await front.close()
    with pytest.raises(BackplaneUnavailable, match="closed"):
        await front.publish("project", delivery("b"))
    with pytest.raises(BackplaneUnavailable, match="closed"):
        await front.taker("project")
    assert not connections(front)
