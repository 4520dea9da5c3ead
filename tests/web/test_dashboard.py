"""The page over a real socket: what its events say, and what it costs those who do not look."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from site_of_a_page import TOKEN, Site

import swcalls
from swcalls import Call, Client, Digits
from swcalls._core.operation import CallOperation
from swcalls.events import PlayEvent
from swcalls.timeline import Journal
from swcalls.web import board, viewers
from swcalls.web.board import Board, Seen
from swcalls.web.cards import MOST_MARKS, Card
from swcalls.web.sources import ClientSource

ServePage = Callable[..., Awaitable[Site]]
NASTY = '<img src=x onerror=alert(1)>"&\u202e</svg><script>'


def journal(call: Call) -> Journal:
    observer = call._operation.observer
    assert isinstance(observer, Journal)
    return observer


def note(call: Call, word: str = "playing", key: str = "noted") -> None:
    """Note an event on the timeline of *call*."""
    taken = journal(call)
    taken.event("play", key, PlayEvent(state=word, payload={}), "applied", taken.clock())


async def sleeping_viewer(site: Site) -> socket.socket:
    """Return the connection of a viewer that reads nothing; the system's buffers take little of what it is sent."""
    loop, asleep = asyncio.get_running_loop(), socket.socket()
    asleep.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    asleep.setblocking(False)
    await loop.sock_connect(asleep, ("127.0.0.1", site.port))
    head = f"GET {site.page.path}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    await loop.sock_sendall(asleep, head.encode())
    while not site.page.viewers:
        await asyncio.sleep(0.001)
    (viewer,) = site.page._viewers._viewers
    assert viewer.request.transport is not None
    viewer.request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return asleep


def test_the_name_at_the_top_is_the_function() -> None:
    assert callable(swcalls.dashboard)
    assert swcalls.dashboard.__module__ == "swcalls.web.mount"


async def test_a_call_and_its_timeline_grow_while_somebody_looks(
    space: Any, client: Client, serve_page: ServePage
) -> None:
    site = await serve_page(client)
    async with site.viewer() as viewer:
        await viewer.next()
        assert (viewer.up, viewer.shown) == (0, [])
        space.leg_status = "created"
        call = await client.dial(to="+15550198765", from_="+12069708643")
        await viewer.until(lambda: viewer.shown and viewer.call["state"] == "created")
        assert viewer.call["phase"] == "waiting"
        await space.tell_call("answered", direction="outbound")
        await viewer.until(lambda: viewer.call["state"] == "answered")
        assert (viewer.call["phase"], viewer.call["id"], viewer.up) == ("up", call.id, 1)
        assert (viewer.call["direction"], viewer.call["from"]) == ("outbound", "phone number")
        assert viewer.call["until"] is None

        play = await call.say("Hello.")
        await viewer.until(lambda: viewer.call["running"] == ["play: starting"])
        assert "playing" not in viewer.picture
        await space.tell("calling.play", state="playing")
        await viewer.until(lambda: viewer.call["running"] == ["play: playing"] and ">play</text>" in viewer.picture)
        assert "webhook: playing (applied)" in viewer.picture
        await space.tell("calling.play", state="finished")
        await play.finished(timeout=5)
        await viewer.until(lambda: viewer.call["running"] == [] and "webhook: finished" in viewer.picture)

        await space.tell_call("ended", end_reason="hangup")
        await viewer.until(lambda: viewer.call["state"] == "ended: hangup")
        assert (viewer.call["phase"], viewer.up) == ("ended", 0)
        assert viewer.call["until"] >= viewer.call["since"]
        assert viewer.counters["webhooks applied"] == client.stats.webhooks["applied"] == 4
        assert viewer.counters["settled by callback"] == 1
        ET.fromstring(viewer.picture)


async def test_the_picture_of_a_call_that_is_up_grows_without_news(
    call: Call, client: Client, serve_page: ServePage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "GROWTH", 0.01)
    site = await serve_page(client)
    note(call)
    async with site.viewer() as viewer:
        await viewer.until(lambda: viewer.picture)
        first = viewer.picture
        await viewer.until(lambda: viewer.picture != first)
        # What reaches to the present is no entry of its own.
        marks = [picture.count("data-mark=") for picture in (first, viewer.picture)]
    assert marks == [len(call.timeline)] * 2


async def test_nothing_is_installed_while_nobody_looks(call: Call, client: Client, serve_page: ServePage) -> None:
    observers, receipts = client._engine.observers, client._engine.ingress.observers
    before = list(observers), list(receipts)
    site = await serve_page(client)
    await site.sign_in()
    await site.get()
    assert (observers, receipts) == before
    async with site.viewer() as one, site.viewer() as other:
        await one.next()
        await other.next()
        assert len(observers) == len(before[0]) + 1
        assert site.page.viewers == 2
    await site.is_alone()
    assert (observers, receipts) == before
    assert not site.page._viewers._board._cards
    assert repr(site.page) == "<Dashboard /swcalls-dashboard, viewers: 0>"


async def test_looking_does_not_keep_calls_alive(call: Call, client: Client, serve_page: ServePage) -> None:
    site = await serve_page(client)
    async with site.viewer() as viewer:
        await viewer.until(lambda: viewer.shown)
        other = client.call("another-call")
        await viewer.until(lambda: viewer.up == 2)
        assert [facts["state"] for facts in viewer.shown] == ["answered", "no news yet"]
        del other
        gc.collect()
        assert client._engine.registry.calls.with_id("another-call") is None
        await viewer.until(lambda: viewer.up == 1 and viewer.shown[1]["state"] == "no longer followed")


async def test_private_content_is_shown_only_if_that_is_wanted(
    space: Any, call: Call, client: Client, serve_page: ServePage
) -> None:
    sites = await serve_page(client), await serve_page(client, show_private=True)
    collect = await call.collect(digits=Digits(max=4))
    await space.tell_call("answered", **{"from": "+12069708643", "to": "+15550198765"})
    result = {"type": "digit", "params": {"digits": "4711", "terminator": "#"}}
    await space.tell("calling.collect", result=result)
    assert (await collect.finished(timeout=5)).digits == "4711"
    call._operation.leg = None
    told = []
    for site in sites:
        async with site.viewer() as viewer:
            await viewer.until(lambda viewer=viewer: viewer.picture)
            told.append((json.dumps(viewer.messages), viewer.call["to"]))
            assert ("webhook: digit" if site is sites[0] else "webhook: 4711#") in viewer.picture
        _, text = await site.get(headers={"Authorization": f"Bearer {TOKEN}"})
        assert ("Phone numbers, and what parties press and say, are not shown" in text) is (site is sites[0])
    (public, sort), (private, number) = told
    assert (sort, number) == ("phone number", "+15550198765")
    assert not [secret for secret in ("4711", "5550198765", "2069708643") if secret in public]
    assert "4711#" in private


async def test_what_a_caller_calls_himself_is_escaped(client: Client, serve_page: ServePage) -> None:
    site = await serve_page(client, show_private=True)
    event = swcalls.InboundCall(
        call_id=NASTY, from_=f"sip:{NASTY}@example.com", to=NASTY, headers={NASTY: NASTY}, raw={}
    )
    call: Call = client._engine.adopt(event)
    note(call, NASTY, NASTY)
    async with site.viewer() as viewer:
        await viewer.until(lambda: viewer.picture)
    assert viewer.call["direction"] == "inbound"
    assert viewer.call["from"].startswith("sip:<img")
    # Other texts are data, which the page's script inserts as texts: see the test with a browser.
    assert "\u202e" not in json.dumps(viewer.messages, ensure_ascii=False)
    assert not [tag for tag in ("<img", "<script", "</svg><") if tag in viewer.picture]
    assert "&lt;img src=x" in viewer.picture


async def test_an_open_page_does_not_delay_the_end_of_the_application(
    client: Client, serve_page: ServePage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewers, "TICK", 3600)
    site = await serve_page(client)
    async with site.viewer() as viewer:
        await viewer.next()
        # The server would wait an hour for its handlers.
        await site.runner.cleanup()
        while await viewer.next() is not None:
            pass
    assert site.page.viewers == 0


async def test_the_page_closes_before_the_application_waits_for_its_calls(client: Client) -> None:
    app = web.Application()
    app.on_shutdown.append(lambda _: asyncio.sleep(0))
    page = swcalls.dashboard(app, client, token=TOKEN)
    assert app.on_shutdown[0] == page._shut_down


async def test_one_viewer_too_many_is_refused(
    client: Client, serve_page: ServePage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewers, "MOST_VIEWERS", 1)
    site = await serve_page(client)
    async with site.viewer() as viewer:
        await viewer.next()
        response, _ = await site.get("/events", headers={"Authorization": f"Bearer {TOKEN}"})
        assert (response.status, response.headers["Retry-After"]) == (503, "10")
        await viewer.until(lambda: viewer.counters["viewers refused"] == 1)


async def test_a_viewer_that_reads_nothing_is_dropped_and_holds_nobody_up(
    call: Call,
    client: Client,
    serve_page: ServePage,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(viewers, "PATIENCE", 0.05)
    site = await serve_page(client, show_private=True)
    for number in range(MOST_MARKS):
        note(call, f"word{number}")
    asleep = await sleeping_viewer(site)
    with caplog.at_level(logging.INFO, "swcalls.dashboard"):
        async with site.viewer() as awake:
            number = 0
            while not site.page.dropped:
                note(call, f"more{number}")
                await awake.until(lambda: f"more{number}" in awake.picture)  # noqa: B023 - read before the next turn
                number += 1
            await awake.until(lambda: awake.counters["viewers dropped"] == 1)
            assert site.page.viewers == 1
    assert "a viewer was disconnected" in caplog.text
    asleep.close()


async def test_a_viewer_that_reads_nothing_does_not_delay_the_end(
    call: Call, client: Client, serve_page: ServePage
) -> None:
    site = await serve_page(client, show_private=True)
    asleep = await sleeping_viewer(site)
    while not any(viewer.is_sending for viewer in site.page._viewers._viewers):
        for number in range(MOST_MARKS):
            note(call, f"word{number}")
        await asyncio.sleep(0.001)
    await site.runner.cleanup()
    assert (site.page.viewers, site.page.dropped) == (0, 0)
    asleep.close()


async def test_a_viewer_that_takes_a_part_does_not_delay_the_end(
    call: Call, client: Client, serve_page: ServePage
) -> None:
    site = await serve_page(client)
    asleep = await sleeping_viewer(site)
    (viewer,) = site.page._viewers._viewers
    transport = viewer.request.transport
    assert transport is not None
    transport.set_write_buffer_limits(high=1)
    while viewer.is_sending or not transport.get_write_buffer_size():
        for number in range(20):
            note(call, f"word{number}")
        await asyncio.sleep(0.001)
    await site.runner.cleanup()
    asleep.close()


async def test_many_events_are_one_message(
    call: Call, client: Client, serve_page: ServePage, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[float] = []
    draw = Card.draw
    monkeypatch.setattr(Card, "draw", lambda card, now: (drawn.append(now), draw(card, now)))
    monkeypatch.setattr(board, "GROWTH", 1e9)
    site = await serve_page(client, show_private=True)
    async with site.viewer() as viewer:
        await viewer.until(lambda: viewer.picture)
        drawn.clear()
        for number in range(1000):
            note(call, f"word{number}")
        await viewer.until(lambda: "word999" in viewer.picture or "word999" in str(viewer.messages[-1]))
        assert len(drawn) == 1
        await viewer.until(lambda: viewer.call["earlier"])
    assert viewer.call["earlier"] + MOST_MARKS >= 1000


class Calls:
    """A source of calls that a test makes."""

    def __init__(self, number: int) -> None:
        self.observers: list[Any] = []
        self.now = 0.0
        self.all = [self.make(f"call-{at}") for at in range(number)]

    def make(self, name: str) -> CallOperation:
        made = CallOperation(name, name, Journal(512, lambda: self.now, 0.0, self.observers))
        made.observer.command("call", name, "dial")
        self.now += 1
        return made

    def calls(self) -> list[CallOperation]:
        return self.all

    def counters(self) -> list[Any]:
        return []


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of the board, which stands still while it draws."""
    now = [1000.0]
    monkeypatch.setattr(board.time, "monotonic", lambda: now[0])
    return now


def refreshed(shown: Board, seen: Seen, clock: list[float], seconds: float = 1.0) -> dict[str, Any]:
    clock[0] += seconds
    shown.refresh()
    message = shown.message(seen)
    return {} if message is None else json.loads(message)


def end(call: CallOperation) -> None:
    call.outcome = swcalls.Outcome(settled_by="callback")


def test_of_many_calls_some_are_shown_and_all_are_counted(clock: list[float]) -> None:
    source = Calls(board.MOST_CALLS + 5)
    shown, seen = Board(source, private=False, more_counters=list), Seen()
    shown.add_viewer(list)
    message = refreshed(shown, seen, clock)
    assert message["up"] == board.MOST_CALLS + 5
    assert message["order"] == list(range(board.MOST_CALLS, 0, -1)), "the newest first"
    for call in source.all[:20]:
        end(call)
    order, up = (), 0
    for _ in range(3):
        message = refreshed(shown, seen, clock)
        order, up = message.get("order", order), message.get("up", up)
    assert up == board.MOST_CALLS - 15
    assert len(order) == up + board.MOST_ENDED
    message = refreshed(shown, seen, clock, board.LINGER)
    assert len(message["order"]) == up
    assert refreshed(shown, seen, clock, 0.0) == {}


def test_drawing_takes_only_a_part_of_the_time(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "RATE", 4)
    monkeypatch.setattr(board, "SHARE", 0.1)
    draw = Card.draw

    def slowly(card: Card, now: float) -> None:
        clock[0] += 0.015
        draw(card, now)

    monkeypatch.setattr(Card, "draw", slowly)
    source = Calls(5)
    shown, seen = Board(source, private=False, more_counters=list), Seen()
    shown.add_viewer(list)
    # Two pictures in 0.03 s, and no more before 0.3 s have passed.
    drawn = [len(refreshed(shown, seen, clock, seconds).get("pictures", {})) for seconds in (1, 0.29, 0.02, 0.31)]
    assert drawn == [2, 0, 2, 1]
    assert not shown.has_news


def test_what_happens_between_two_refreshes_is_not_forgotten(clock: list[float]) -> None:
    source = Calls(1)
    shown, one, other = Board(source, private=False, more_counters=list), Seen(), Seen()
    shown.add_viewer(list)
    refreshed(shown, one, clock)
    assert not shown.has_news
    source.all[0].observer.event("play", "k", PlayEvent(state="playing", payload={}), "applied", 5.0)
    assert refreshed(shown, other, clock, 0.0)["order"] == [1], "of the refresh before"
    assert shown.has_news
    assert "playing" in refreshed(shown, other, clock)["pictures"]["1"]
    shown.remove_viewer(list)
    assert not source.observers


STEPS = st.sampled_from(["call", "mark", "end", "lose", "look", "look twice", "long time"])


@settings(max_examples=settings.get_profile("tests").max_examples // 2)
@given(st.lists(st.tuples(STEPS, st.integers(0, 5)), max_size=30))
def test_what_a_viewer_puts_together_is_what_a_new_viewer_gets(steps: list[tuple[str, int]]) -> None:
    source, clock = Calls(2), [1000.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(board.time, "monotonic", lambda: clock[0])
        shown, seen, together = Board(source, private=True, more_counters=list), Seen(), ViewerState()
        shown.add_viewer(list)
        for step, at in steps:
            some = source.all[at % len(source.all)] if source.all else source.make("none")
            match step:
                case "call":
                    source.all.append(source.make(f"new-{clock[0]}"))
                case "mark":
                    some.observer.event("play", f"k{at}", PlayEvent(state="playing", payload={}), "applied", clock[0])
                case "end":
                    end(some)
                case "lose":
                    source.all = [call for call in source.all if call is not some]
                case "long time":
                    clock[0] += board.LINGER
                case _:
                    together.take(refreshed(shown, seen, clock, at / 8))
                    if step == "look twice":
                        together.take(refreshed(shown, seen, clock, 0.0))
            del some
        together.take(refreshed(shown, seen, clock))
        fresh = ViewerState()
        fresh.take(refreshed(shown, Seen(), clock, 0.0))
    assert together.page() == fresh.page()


class ViewerState:
    """What a viewer makes of messages."""

    def __init__(self) -> None:
        self.order: list[int] = []
        self.up = 0
        self.facts: dict[int, Any] = {}
        self.pictures: dict[str, str] = {}

    def take(self, message: dict[str, Any]) -> None:
        self.order, self.up = message.get("order", self.order), message.get("up", self.up)
        self.facts |= {facts["number"]: facts for facts in message.get("calls", [])}
        self.pictures |= message.get("pictures", {})

    def page(self) -> Any:
        return self.up, [(number, self.facts[number], self.pictures.get(str(number))) for number in self.order]


def test_a_long_call_began_when_the_platform_says(clock: list[float]) -> None:
    source = Calls(1)
    (call,) = source.all
    shown, seen = Board(source, private=False, more_counters=list), Seen()
    for number in range(1000):
        source.now = 100.0 + number
        call.observer.event("play", "k", PlayEvent(state="playing", payload={}), "applied", source.now)
    call.history = [swcalls.CallEvent(state="answered", start_time=3.0, payload={})]
    shown.add_viewer(list)
    (facts,) = refreshed(shown, seen, clock)["calls"]
    assert facts["since"] == 3.0


def test_the_counters_are_those_of_the_client() -> None:
    client = Client("project", "token", "space")
    names = [counter.name for counter in ClientSource(client).counters()]
    assert names[:3] == ["pending actions", "requests sent", "requests sent again"]
    client._engine.ingress.refuse("forged")
    (forged,) = [counter for counter in ClientSource(client).counters() if counter.name == "webhooks forged"]
    assert (forged.number, forged.is_trouble) == (1, True)
