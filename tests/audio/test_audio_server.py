"""The WebSocket to which the platform brings a call's audio: who may connect, how often, and how it ends."""

from __future__ import annotations

import array
import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType
from audio_platform import BEARER, FRAME, ID, STOP, Platform, expected, frames_of, media, message, start, until
from hypothesis import given, settings
from hypothesis import strategies as st

from swcalls._core.audio_frame import AudioFrame
from swcalls._core.audio_listeners import AUDIO
from swcalls._core.callback_urls import CallbackUrls
from swcalls._engine import audio_server, audio_socket
from swcalls.actions import audio_feed
from swcalls.actions.audio_feed import AudioFeed


async def closed(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """Wait for the other side to close, and return its code."""
    received = await socket.receive()
    assert received.type in (WSMsgType.CLOSE, WSMsgType.CLOSED), received
    return socket.close_code


async def test_a_stream_is_read_to_its_stop_and_then_closed(platform: Platform, feed: AudioFeed) -> None:
    async with await platform.connect() as socket:
        for sent in ('{"event":"connected"}', start(), media(1), media(2), STOP):
            await socket.send_str(sent)
        frames = await frames_of(feed)
        assert await closed(socket) == 1000
    assert [frame.payload for frame in frames] == [FRAME, FRAME]
    assert feed.ended_by == "stop"
    await until(feed, lambda: not feed.is_connected)


async def test_binary_messages_are_read_like_text(platform: Platform, feed: AudioFeed) -> None:
    async with await platform.connect() as socket:
        for sent in (start(), media(1), STOP):
            await socket.send_bytes(sent.encode())
        assert len(await frames_of(feed)) == 1


@pytest.mark.parametrize("bearer", [None, "", "wrong", BEARER[:-1], BEARER + "x", "\u00e9"])
async def test_without_the_bearer_token_nobody_gets_in(
    platform: Platform, feed: AudioFeed, bearer: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    assert await platform.refused(bearer=bearer) == 403
    assert not feed.was_connected
    assert feed.refused == 1
    assert "the bearer token is absent or wrong" in caplog.text
    assert BEARER not in caplog.text
    async with await platform.connect() as socket:
        await socket.send_str(start())
        await until(feed, lambda: feed.messages.started)


async def test_a_token_of_another_scheme_or_two_of_them_are_no_token(platform: Platform, feed: AudioFeed) -> None:
    for headers in (
        [("Authorization", f"Basic {BEARER}")],
        [("Authorization", f"Bearer {BEARER}"), ("Authorization", f"Bearer {BEARER}")],
    ):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await platform.session.ws_connect(platform.url(), headers=headers)
        assert refusal.value.status == 403
    assert not feed.was_connected


async def test_an_address_that_was_not_handed_out_is_refused(platform: Platform, feed: AudioFeed) -> None:
    for url in (platform.url()[:-1] + "0", platform.url()[:-1], platform.urls.mint("play", ID), platform.url() + "/x"):
        if url != platform.url():
            assert await platform.refused(url) == 403
    assert not feed.was_connected


async def test_a_stream_that_nobody_listens_to_is_refused_and_the_log_says_why(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    assert await platform.refused() == 409
    assert "audio_url" in caplog.text
    assert platform.url() not in caplog.text


async def test_what_another_worker_listens_to_is_refused_and_the_log_says_why(
    platform: Platform, feed: AudioFeed, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = CallbackUrls("project", "token", "/swcalls", platform.urls.public_url, owner="worker-2")
    assert await platform.refused(theirs.mint(AUDIO, ID)) == 409
    assert "worker-2" in caplog.text
    assert "audio_url" in caplog.text


async def test_a_stream_has_one_connection(platform: Platform, feed: AudioFeed) -> None:
    async with await platform.connect() as socket:
        assert await platform.refused() == 409
        await socket.send_str(start())
        await socket.send_str(STOP)
        assert await frames_of(feed) == []
        assert await closed(socket) == 1000
    assert await platform.refused() == 409
    assert feed.refused == 2


async def test_who_does_not_ask_for_a_websocket_is_refused(platform: Platform, feed: AudioFeed) -> None:
    async with platform.session.get(platform.url(), headers={"Authorization": f"Bearer {BEARER}"}) as response:
        assert response.status == 400
    async with platform.session.get(platform.url()) as response:
        assert response.status == 403
    assert not feed.was_connected


async def test_a_message_that_is_too_large_ends_the_connection(
    platform: Platform, feed: AudioFeed, caplog: pytest.LogCaptureFixture
) -> None:
    async with await platform.connect() as socket:
        await socket.send_str(start())
        await socket.send_str(" " * 70_000)
        assert await frames_of(feed) == []
        assert await closed(socket) == 1009
    assert feed.ended_by == "closed"
    assert "the connection failed: WebSocketError" in caplog.text


async def test_compression_is_not_agreed_to(platform: Platform, feed: AudioFeed) -> None:
    async with await platform.connect(compress=15) as socket:
        assert socket.compress == 0


async def test_a_connection_that_is_lost_ends_the_stream(platform: Platform, feed: AudioFeed) -> None:
    socket = await platform.connect()
    await socket.send_str(start())
    await socket.send_str(media(1))
    await until(feed, lambda: feed.messages.started)
    assert socket._response.connection is not None
    socket._response.connection.transport.abort()
    assert len(await frames_of(feed)) == 1
    assert feed.ended_by == "closed"
    await socket.close()


async def test_a_connection_that_closes_before_the_start_is_noticed(platform: Platform, feed: AudioFeed) -> None:
    async with await platform.connect() as socket:
        await socket.send_str(media(1))
    await until(feed, lambda: feed.was_connected and not feed.is_connected)
    assert feed.ended_by is None
    assert feed.dropped == 1


async def test_our_own_end_closes_the_connection_and_drops_what_was_not_read(
    platform: Platform, feed: AudioFeed
) -> None:
    async with await platform.connect() as socket:
        await socket.send_str(start())
        await socket.send_str(media(1))
        await until(feed, lambda: feed.heard)
        feed.leave()
        assert await closed(socket) == 1000
    assert await frames_of(feed) == []
    assert feed.ended_by == "local"
    await until(feed, lambda: not feed.is_connected)


async def test_a_platform_that_does_not_answer_our_close_is_cut_off(
    platform: Platform, feed: AudioFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio_server, "CLOSED_WITHIN", 0.01)
    socket = await platform.connect(autoclose=False)
    await socket.send_str(start())
    await until(feed, lambda: feed.messages.started)
    feed.leave()
    await until(feed, lambda: not feed.is_connected)
    assert (await socket.receive()).type is WSMsgType.CLOSE
    await socket.close()


async def test_an_end_by_webhook_leaves_the_last_frames_time_to_come(
    platform: Platform, feed: AudioFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio_feed, "TAIL", 60)
    async with await platform.connect() as socket:
        await socket.send_str(start())
        await until(feed, lambda: feed.messages.started)
        feed.end_soon("call_ended")
        await socket.send_str(media(1))
        await socket.send_str(STOP)
        assert len(await frames_of(feed)) == 1
        assert feed.ended_by == "stop"
        assert await closed(socket) == 1000


async def test_an_end_by_webhook_ends_a_stream_that_never_stops(
    platform: Platform, feed: AudioFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio_feed, "TAIL", 0.0)
    async with await platform.connect() as socket:
        await socket.send_str(start())
        await until(feed, lambda: feed.messages.started)
        feed.end_soon("call_ended")
        assert await frames_of(feed) == []
        assert feed.ended_by == "call_ended"
        assert await closed(socket) == 1000


async def test_a_stream_whose_frames_come_now_and_then_is_not_idle(
    feed: AudioFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    later: list[Callable[[], object]] = []
    monkeypatch.setattr(AudioFeed, "_later", lambda _, seconds, then: later.append(then))
    feed.receive(start())
    feed._watch_idle(1, 0, 0)
    for chunk in range(1, 3 * audio_feed.IDLE_CHECKS):
        if chunk % (audio_feed.IDLE_CHECKS - 1) == 0:
            feed.receive(media(chunk))
        later.pop()()
    assert feed.ended_by is None
    while later:
        later.pop()()
    assert feed.ended_by == "idle"


def test_a_feed_shows_its_state() -> None:
    feed = AudioFeed("stream x", BEARER)
    assert repr(feed) == "<AudioFeed stream x waiting>"
    feed.receive(start())
    assert repr(feed) == "<AudioFeed stream x started>"
    feed.end("stop")
    assert repr(feed) == "<AudioFeed stream x stop>"


def test_a_connection_that_comes_when_nobody_listens_any_more_is_closed() -> None:
    feed, closed = AudioFeed("stream x", BEARER), list[str]()
    feed.leave()
    feed.connect(lambda: closed.append("closed"))
    assert closed == ["closed"]


def test_messages_that_cannot_be_read_are_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    feed = AudioFeed("stream x", BEARER)
    for _ in range(3):
        assert feed.receive("{")
    assert (feed.received, feed.messages.malformed) == (3, 3)
    assert caplog.text.count("stream x: a message could not be read") == 1


def test_the_levels_of_a_few_tracks_are_kept() -> None:
    feed = AudioFeed("stream x", BEARER, ended=lambda _: None)
    feed.receive(start())
    for number in range(audio_feed.TRACKS_KEPT + 2):
        feed.receive(media(1 + 1000 * number, track=f"track-{number}"))
    assert len(feed.levels) == audio_feed.TRACKS_KEPT


async def test_a_stream_without_frames_is_idle(platform: Platform) -> None:
    feed = expected(platform, idle_timeout=0.02)
    async with await platform.connect() as socket:
        await socket.send_str(start())
        await socket.send_str(media(1))
        assert len(await frames_of(feed)) == 1
        assert feed.ended_by == "idle"
        assert await closed(socket) == 1000


async def test_pings_of_the_platform_are_answered(platform: Platform, feed: AudioFeed) -> None:
    async with await platform.connect(autoping=False) as socket:
        await socket.ping(b"there?")
        answer = await socket.receive()
        assert (answer.type, bytes(answer.data)) == (WSMsgType.PONG, b"there?")


async def test_a_silent_connection_is_pinged_and_kept_while_it_answers(
    platform: Platform, feed: AudioFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio_server, "PING_EVERY", 0.01)
    async with await platform.connect(autoping=False) as socket:
        for _ in range(3):
            assert (await socket.receive()).type is WSMsgType.PING
            await socket.pong()
        await socket.send_str(start())
        await until(feed, lambda: feed.messages.started)
        assert feed.is_connected


async def test_a_connection_that_answers_no_ping_is_closed(
    platform: Platform, feed: AudioFeed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(audio_server, "PING_EVERY", 0.01)
    async with await platform.connect(autoping=False) as socket:
        await socket.send_str(start())
        assert await frames_of(feed) == []
        assert feed.ended_by == "closed"
        assert (await socket.receive()).type is WSMsgType.PING
        assert await closed(socket) == 1000
    assert "a ping was not answered" in caplog.text


async def test_a_slow_reader_loses_the_oldest_and_the_log_says_so_once(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    feed = expected(platform, max_lag=0.1)
    async with await platform.connect() as socket:
        await socket.send_str(start())
        for chunk in range(1, 101):
            await socket.send_str(media(chunk))
        await socket.send_str(STOP)
        assert await closed(socket) == 1000
    frames = await frames_of(feed)
    assert [frame.sequence for frame in frames] == [97, 98, 99, 100, 101]
    assert frames[0].dropped_before == 95
    assert feed.dropped == 95
    assert caplog.text.count("the reader is too slow") == 1


async def test_a_reader_that_waits_loses_nothing_of_a_burst(platform: Platform) -> None:
    feed = expected(platform, max_lag=0.1)
    async with asyncio.TaskGroup() as tasks, await platform.connect() as socket:
        reader = tasks.create_task(frames_of(feed))
        burst = [media(chunk) for chunk in range(1, 201)]
        for sent in (start(), *burst, STOP):
            await socket.send_str(sent)
        assert len(await reader) == 200
    assert feed.dropped == 0


@pytest.fixture(params=[AttributeError, TypeError, ImportError])
def other_aiohttp(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version of aiohttp whose inside is another one."""

    def fail(*_: object) -> None:
        raise request.param

    monkeypatch.setattr(audio_socket.DirectSocket, "_skip_queue", fail)


async def test_with_an_aiohttp_that_is_another_inside_nothing_is_lost_either(
    platform: Platform, other_aiohttp: None
) -> None:
    feed = expected(platform, max_lag=0.1)
    async with asyncio.TaskGroup() as tasks, await platform.connect() as socket:
        reader = tasks.create_task(frames_of(feed))
        for sent in (start(), *(media(chunk) for chunk in range(1, 201)), STOP):
            await socket.send_str(sent)
        assert [frame.sequence for frame in await reader] == list(range(2, 202))
        assert await closed(socket) == 1000
    assert feed.ended_by == "stop"


async def test_messages_are_taken_where_they_are_parsed(
    platform: Platform, feed: AudioFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets: list[audio_socket.DirectSocket] = []
    make = audio_socket.DirectSocket.__init__

    def note(self: audio_socket.DirectSocket, *args: Any, **options: Any) -> None:
        make(self, *args, **options)
        sockets.append(self)

    monkeypatch.setattr(audio_socket.DirectSocket, "__init__", note)
    async with await platform.connect() as socket:
        await socket.send_str(start())
        await until(feed, lambda: feed.messages.started)
    assert [one.is_direct for one in sockets] == [True]


@pytest.mark.parametrize("order", ["little", "big"])
async def test_samples_of_another_byte_order_than_was_said_are_noticed(
    platform: Platform, caplog: pytest.LogCaptureFixture, order: str
) -> None:
    feed = expected(platform, byte_order=order)
    tone = array.array("h", (round(8000 * math.sin(n / 8)) for n in range(320)))
    async with await platform.connect() as socket:
        await socket.send_str(start("audio/x-L16", 16000))
        for chunk in range(1, 11):
            await socket.send_str(media(chunk, tone.tobytes()))
        await socket.send_str(STOP)
        assert len(await frames_of(feed)) == 10
    assert ("byte_order='little'" in caplog.text) == (order == "big")


@pytest.mark.parametrize(
    ("orders", "is_noticed"),
    [("ssss", False), ("sssss", True), ("rsssss", False), ("rssssss", True), ("rrrrrssssssssssss", False)],
)
def test_the_byte_order_is_decided_by_five_frames_more(
    caplog: pytest.LogCaptureFixture, orders: str, is_noticed: bool
) -> None:
    tone = array.array("h", (round(8000 * math.sin(n / 8)) for n in range(320)))
    frames = {"r": tone.tobytes()}
    tone.byteswap()
    frames["s"] = tone.tobytes()
    feed = AudioFeed("stream x", BEARER)
    feed.receive(start("audio/x-L16", 16000))
    for chunk, order in enumerate(orders, 1):
        feed.receive(media(chunk, frames[order]))
    assert ("try byte_order='big'" in caplog.text) == is_noticed


async def test_digits_are_kept_and_not_logged(
    platform: Platform, feed: AudioFeed, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with await platform.connect() as socket:
        await socket.send_str(start())
        for _ in range(300):
            await socket.send_str(message("dtmf", digit="7"))
        await socket.send_str(STOP)
        await frames_of(feed)
    assert list(feed.digits) == ["7"] * 256
    assert "7" not in "".join(
        record.getMessage() for record in caplog.records if record.name == "swcalls.audio"
    ).replace(ID, "")


async def test_two_readers_at_a_time_are_refused(feed: AudioFeed) -> None:
    async with asyncio.TaskGroup() as tasks:
        reader = tasks.create_task(frames_of(feed))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one reader at a time"):
            await feed.next_frame()
        feed.end("local")
        assert await reader == []


async def test_a_reader_that_is_cancelled_loses_nothing(platform: Platform, feed: AudioFeed) -> None:
    async with await platform.connect() as socket:
        waiting = asyncio.create_task(feed.next_frame())
        await socket.send_str(start())
        await until(feed, lambda: feed.messages.started)
        waiting.cancel()
        assert (await asyncio.gather(waiting, return_exceptions=True))[0].__class__ is asyncio.CancelledError
        await socket.send_str(media(1))
        await socket.send_str(STOP)
        assert len(await frames_of(feed)) == 1


async def test_a_reader_that_is_cancelled_when_it_has_got_a_frame_loses_nothing(feed: AudioFeed) -> None:
    feed.receive(start())
    for before in range(3):
        waiting = asyncio.create_task(feed.next_frame())
        await asyncio.sleep(0)
        for chunk in (2 * before + 1, 2 * before + 2):
            feed.receive(media(chunk))
        waiting.cancel()
        (result,) = await asyncio.gather(waiting, return_exceptions=True)
        assert isinstance(result, asyncio.CancelledError)
        assert feed.frames.seconds("inbound") == pytest.approx(0.04)
        assert [(await feed.next_frame()).timestamp_ms for _ in range(2)] == [40 * before, 40 * before + 20]
    assert feed.frames.seconds("inbound") == 0
    feed.end("stop")
    assert await frames_of(feed) == []


async def test_a_reader_whose_wait_is_broken_off_leaves_the_next_frame_to_another(feed: AudioFeed) -> None:
    feed.receive(start())
    reading = feed.next_frame()
    reading.send(None)
    with pytest.raises(asyncio.CancelledError):
        reading.throw(asyncio.CancelledError())
    feed.receive(media(1))
    assert (await feed.next_frame()).timestamp_ms == 0


async def test_a_frame_that_a_reader_has_not_seen_at_our_own_end_is_dropped(feed: AudioFeed) -> None:
    feed.receive(start())
    reading = asyncio.create_task(frames_of(feed))
    await asyncio.sleep(0)
    feed.receive(media(1))
    feed.leave()
    assert await reading == []


async def test_a_frame_that_came_before_the_end_is_read(feed: AudioFeed) -> None:
    feed.receive(start())
    reading = asyncio.create_task(frames_of(feed))
    await asyncio.sleep(0)
    feed.receive(media(1))
    feed.receive(STOP)
    assert [frame.timestamp_ms for frame in await reading] == [0]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["frame", "read", "cancel", "turn"]), max_size=40))
def test_whenever_readers_are_cancelled_every_frame_is_read_once_and_in_order(steps: list[str]) -> None:
    async def read() -> tuple[list[int], int]:
        feed = AudioFeed(f"stream {ID}", BEARER, max_lag=60)
        feed.receive(start())
        come, read = 0, list[int]()
        reader: asyncio.Task[AudioFrame] | None = None
        for step in [*steps, "turn"]:
            if step == "frame":
                come += 1
                feed.receive(media(come))
            elif step == "read":
                reader = reader or asyncio.ensure_future(feed.next_frame())
            elif step == "cancel" and reader is not None:
                reader.cancel()
                await asyncio.wait([reader])
            else:
                await asyncio.sleep(0)
            if reader is not None and reader.done():
                if not reader.cancelled():
                    read.append(reader.result().timestamp_ms)
                reader = None
        feed.end("stop")
        last = [] if reader is None else await asyncio.gather(reader, return_exceptions=True)
        read += [frame.timestamp_ms for frame in last if isinstance(frame, AudioFrame)]
        return read + [frame.timestamp_ms for frame in await frames_of(feed)], come

    read_in_order, come = asyncio.run(read())
    assert read_in_order == [20 * number for number in range(come)]
