"""A call is heard: ``call.listen`` against the simulator, from the command to the last frame, and all ways to end."""

from __future__ import annotations

import array
import asyncio
import logging
import math
import wave
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

import swcalls
from swcalls import (
    ActionFailed,
    AudioFrame,
    AudioNotStarted,
    Call,
    CallAudio,
    CallEnded,
    Client,
    CommandRejected,
    ConfigurationError,
    Limits,
)
from swcalls.actions import audio_feed
from swcalls.testing import AudioFaults, Callee, Faults, Simulator

TONE = 8000 / math.sqrt(2)
"""The level of the simulator's tone."""
FROM, TO = "+12069708643", "+15550198765"


@pytest.fixture
async def space(nothing_is_left_running: None) -> AsyncIterator[Simulator]:
    async with Simulator(speed=20, callee=Callee(sound="tone", rings_for=0.0, presses="12")) as space:
        yield space


@pytest.fixture
async def client(space: Simulator) -> AsyncIterator[Client]:
    limits = Limits(grace=0, long_grace=0)
    async with Client("project", "token", space.url, limits=limits) as client, client.receiver.serve():
        yield client
        assert len(client._engine.listeners) == 0


@pytest.fixture
async def call(client: Client) -> Call:
    call = await client.dial(from_=FROM, to=TO)
    await call.answered(timeout=10)
    return call


async def some(audio: CallAudio, count: int) -> list[AudioFrame]:
    return [await anext(audio) for _ in range(count)]


async def rest(audio: CallAudio) -> list[AudioFrame]:
    return [frame async for frame in audio]


def files_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


def sent(space: Simulator, command: str) -> list[dict[str, Any]]:
    return [each.params for each in space.commands if each.command == command]


async def test_what_the_far_end_sounds_like_is_heard(space: Simulator, call: Call) -> None:
    async with call.listen() as audio:
        frames = await some(audio, 10)
        assert audio.ended_by is None
        assert (audio.format.encoding, audio.format.sample_rate, audio.tracks) == ("audio/x-mulaw", 8000, ("inbound",))
        assert audio.stream_id == audio.action.control_id
        assert audio.action.call is call
    assert {frame.track for frame in frames} == {"inbound"}
    assert [frame.timestamp_ms for frame in frames] == list(range(0, 200, 20))
    assert [frame.gap_ms for frame in frames] == [0] * 10
    assert all(frame.rms() == pytest.approx(TONE, rel=0.02) for frame in frames)
    assert (audio.missing_frames, audio.dropped_frames) == (0, 0)


async def test_leaving_the_block_stops_the_stream_and_closes_the_connection(space: Simulator, call: Call) -> None:
    async with call.listen() as audio:
        await some(audio, 2)
    assert audio.ended_by == "local"
    assert not audio._feed.is_connected
    assert await rest(audio) == []
    assert [params["control_id"] for params in sent(space, "calling.stream.stop")] == [audio.action.control_id]
    assert (await audio.action.finished(timeout=10)).url is not None


async def test_the_command_has_a_bearer_token_of_its_own_and_an_address_that_nobody_guesses(
    space: Simulator, call: Call
) -> None:
    async with call.listen(track="both", codec="L16@16000h", custom_parameters={"k": 5}), call.listen():
        first, second = sent(space, "calling.stream")
    assert first["track"] == "both_tracks"
    assert first["codec"] == "L16@16000h"
    assert first["custom_parameters"] == {"k": "5"}
    assert second["track"] == "inbound_track"
    assert "codec" not in second
    assert first["url"].startswith("ws://127.0.0.1:")
    assert len({params["authorization_bearer_token"] for params in (first, second)}) == 2
    assert len(first["authorization_bearer_token"]) >= 32


async def test_what_is_played_is_heard_outbound(call: Call) -> None:
    async with call.listen(track="both") as audio:
        before = await some(audio, 4)
        await call.say("one two three four five six seven eight nine ten").finished(timeout=10)
        await call.play(swcalls.Audio("https://example.com/a.mp3"), loop=0)
        levels = {"inbound": 0.0, "outbound": 0.0}
        async for frame in audio:
            levels[frame.track] = max(levels[frame.track], frame.rms())
            if frame.track == "outbound" and frame.rms() == pytest.approx(TONE, rel=0.05):
                break
        assert all(frame.rms() < 50 for frame in before if frame.track == "outbound")
        assert levels["inbound"] == pytest.approx(TONE, rel=0.02)
    assert audio.tracks == ("inbound", "outbound")


async def test_what_the_far_end_says_and_presses_is_heard_inbound(space: Simulator, client: Client) -> None:
    space.callees[TO] = Callee(rings_for=0.0)
    call = await client.dial(from_=FROM, to=TO)
    await call.answered(timeout=10)
    async with call.listen() as audio:
        assert all(frame.rms() < 50 for frame in await some(audio, 3))
        space.calls[call.id or ""].say("Good morning to you")
        async for frame in audio:
            if frame.rms() > 1000:
                break
        space.calls[call.id or ""].press("5#")
        digits = audio.digits()
        assert [await anext(digits), await anext(digits)] == ["5", "#"]
        await digits.aclose()


async def test_digits_that_a_collect_gets_are_heard_too_and_end_with_the_stream(call: Call) -> None:
    async with call.listen() as audio:
        collected = await call.collect(digits=swcalls.Digits(max=2)).finished(timeout=10)
        assert collected.digits == "12"
        await audio.action.stop()
        assert [digit async for digit in audio.digits()] == ["1", "2"]


@pytest.mark.parametrize(
    ("codec", "encoding", "rate", "size"),
    [
        (None, "audio/x-mulaw", 8000, 160),
        ("PCMU@8000h", "audio/x-mulaw", 8000, 160),
        ("PCMA", "audio/x-alaw", 8000, 160),
        ("L16@16000h", "audio/x-L16", 16000, 640),
        ("L16@24000h", "audio/x-L16", 24000, 960),
        ("PCMU@40i", "audio/x-mulaw", 8000, 320),
    ],
)
async def test_codecs(call: Call, codec: str | None, encoding: str, rate: int, size: int) -> None:
    async with call.listen(codec=codec) as audio:
        frame = (await some(audio, 2))[1]
        assert (audio.format.encoding, frame.sample_rate, len(frame.payload)) == (encoding, rate, size)
        samples = array.array("h", frame.pcm)
        assert len(samples) == rate * frame.duration
        assert frame.rms() == pytest.approx(TONE, rel=0.02)


async def test_what_comes_is_decoded_and_not_what_was_asked_for(space: Simulator, call: Call) -> None:
    space.audio.faults = AudioFaults(codec="PCMA", frame_ms=40)
    async with call.listen(codec="PCMU@8000h") as audio:
        frame = await anext(audio)
        assert audio.format.encoding == "audio/x-alaw"
        assert frame.duration == 0.04
        assert frame.rms() == pytest.approx(TONE, rel=0.02)


async def test_l16_in_the_other_byte_order_can_be_heard_too(
    space: Simulator, call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    space.audio.faults = AudioFaults(big_endian=True)
    async with call.listen(codec="L16@16000h", byte_order="big") as audio:
        assert all(frame.rms() == pytest.approx(TONE, rel=0.02) for frame in await some(audio, 10))
    assert "byte_order" not in caplog.text
    async with call.listen(codec="L16@16000h") as audio:
        await some(audio, 10)
    assert "try byte_order='big'" in caplog.text


async def test_a_codec_that_the_platform_does_not_have_starts_nothing(call: Call) -> None:
    with pytest.raises(AudioNotStarted, match="ended the stream before its start"):
        async with call.listen(codec="OPUS"):
            pytest.fail("it began")


async def test_the_stop_of_the_platform_ends_the_iteration(call: Call) -> None:
    async with call.listen() as audio:
        await some(audio, 1)
        await audio.action.stop()
        await rest(audio)
        assert audio.ended_by == "stop"


async def test_a_caller_who_hangs_up_ends_the_iteration(space: Simulator, call: Call) -> None:
    async with call.listen() as audio:
        await some(audio, 1)
        space.calls[call.id or ""].hang_up()
        await rest(audio)
        assert audio.ended_by == "stop"
    with pytest.raises(CallEnded):
        await call.play(swcalls.TTS("Hello?"))


async def test_the_end_of_the_call_ends_a_stream_that_nothing_else_ends(
    space: Simulator, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio_feed, "TAIL", 0.01)
    space.audio.faults = AudioFaults(no_stop=True)
    async with call.listen() as audio:
        await some(audio, 1)
        space.calls[call.id or ""].hang_up()
        await rest(audio)
        assert audio.ended_by == "call_ended"


async def test_a_connection_that_is_reset_ends_the_iteration(space: Simulator, call: Call) -> None:
    space.audio.faults = AudioFaults(drops_after=0.5)
    async with call.listen() as audio:
        await rest(audio)
        assert audio.ended_by == "closed"


async def test_silence_that_is_no_frames_is_idle_only_if_that_was_asked_for(space: Simulator, client: Client) -> None:
    space.callees[TO] = Callee(rings_for=0.0)
    space.audio.faults = AudioFaults(silence_is_no_frames=True)
    call = await client.dial(from_=FROM, to=TO)
    await call.answered(timeout=10)
    async with call.listen(idle_timeout=0.05) as audio, call.listen() as patient:
        assert await rest(audio) == []
        assert audio.ended_by == "idle"
        space.calls[call.id or ""].say("Are you there")
        assert (await anext(patient)).timestamp_ms > 0
        assert patient.ended_by is None


@pytest.mark.parametrize(
    ("faults", "why"),
    [
        ({"no_start": True}, r"no start message came within start_timeout=0.1 s; a connection came, and brought"),
        ({"no_connection": True}, "no connection came: the platform must reach public_url"),
        ({"wrong_bearer": True}, "1 connections were refused; the log of swcalls.audio says why"),
        ({"drops_after": 0.1, "no_start": True}, "the connection was closed before the start message"),
    ],
)
async def test_a_stream_that_does_not_start_is_an_error_that_says_how_far_it_came(
    space: Simulator, call: Call, faults: dict[str, Any], why: str
) -> None:
    space.audio.faults = AudioFaults(**faults)
    with pytest.raises(AudioNotStarted, match=why) as failure:
        async with call.listen(start_timeout=0.1):
            pytest.fail("it began")
    assert failure.value.action is not None
    await failure.value.action.outcome()


async def test_a_late_start_is_waited_for_and_what_came_before_is_dropped(space: Simulator, call: Call) -> None:
    space.audio.faults = AudioFaults(start_delay=0.5)
    async with call.listen() as audio:
        frame = await anext(audio)
        assert frame.timestamp_ms >= 480
        assert audio.dropped_frames == frame.timestamp_ms // 20
        assert audio.missing_frames == 0


async def test_a_call_that_ends_before_the_start_is_no_longer_waited_for(space: Simulator, call: Call) -> None:
    space.audio.faults = AudioFaults(no_connection=True)
    async with asyncio.TaskGroup() as tasks:

        async def hang_up() -> None:
            while not sent(space, "calling.stream"):
                await asyncio.sleep(0)
            space.calls[call.id or ""].hang_up()

        tasks.create_task(hang_up())
        with pytest.raises(CallEnded, match=r"the call ended \(hangup\)"):
            async with call.listen():
                pytest.fail("it began")


async def test_a_stream_that_fails_before_the_start_is_no_longer_waited_for(
    space: Simulator, client: Client, call: Call
) -> None:
    space.audio.faults = AudioFaults(no_connection=True)
    async with asyncio.TaskGroup() as tasks:

        async def fail() -> None:
            while not sent(space, "calling.stream"):
                await asyncio.sleep(0)
            (params,) = sent(space, "calling.stream")
            path = params["status_url"].removeprefix(client._engine.urls.public_url)
            body = f'{{"control_id": "{params["control_id"]}", "state": "error"}}'.encode()
            assert (await client.accept(path=path, headers={}, body=body)).status == 200

        tasks.create_task(fail())
        with pytest.raises(ActionFailed, match="the platform reported 'error'"):
            async with call.listen():
                pytest.fail("it began")


async def test_a_refused_command_raises_and_leaves_nothing(space: Simulator, client: Client, call: Call) -> None:
    space.faults = Faults(status=409)
    with pytest.raises(CommandRejected):
        async with call.listen():
            pytest.fail("it began")
    assert len(client._engine.listeners) == 0
    assert not client.actions


async def test_a_cancelled_start_stops_what_may_run(space: Simulator, client: Client, call: Call) -> None:
    space.audio.faults = AudioFaults(no_start=True)

    async def listen() -> None:
        async with call.listen():
            pytest.fail("it began")

    task = asyncio.create_task(listen())
    while not client.actions:
        await asyncio.sleep(0)
    (action,) = client.actions.values()
    await action.reached("streaming", timeout=10)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await action.outcome()
    assert sent(space, "calling.stream.stop")


async def test_one_listen_is_one_block(space: Simulator, call: Call) -> None:
    start = call.listen()
    async with start as audio:
        with pytest.raises(RuntimeError, match=r"call listen\(\) again"):
            await start.__aenter__()
        assert (await anext(audio)).track == "inbound"


async def test_a_listen_that_is_not_used_is_noticed_unless_it_is_closed(client: Client) -> None:
    client.call("c").listen().close()
    with pytest.warns(RuntimeWarning, match=r"coroutine 'Call\.listen' was never awaited"):
        client.call("c").listen()


async def test_missing_frames_and_gaps_are_told(space: Simulator, call: Call) -> None:
    space.audio.faults = AudioFaults(loses_every=4)
    async with call.listen() as audio:
        frames = await some(audio, 7)
        assert [frame.gap_ms for frame in frames] == [0, 0, 0, 20, 0, 0, 20]
        assert audio.missing_frames >= 2


async def test_a_burst_after_a_gap_is_heard_whole_by_a_reader_that_waits(space: Simulator, call: Call) -> None:
    space.audio.faults = AudioFaults(stalls=(0.2, 5.0))
    async with call.listen(max_lag=0.5) as audio:
        frames = await some(audio, 300)
    assert [frame.timestamp_ms for frame in frames] == list(range(0, 6000, 20))
    assert audio.dropped_frames == 0


async def test_a_reader_that_sleeps_loses_the_oldest(
    space: Simulator, call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    async with call.listen(max_lag=0.2) as audio:
        while audio.dropped_frames < 20:
            await audio._feed.has_moved.wait() if audio.ended_by else await asyncio.sleep(0)
        frame = await anext(audio)
        assert frame.dropped_before >= 20
        assert frame.timestamp_ms == frame.dropped_before * 20
    assert caplog.text.count("the reader is too slow") == 1


async def test_a_second_connection_is_refused(space: Simulator, call: Call) -> None:
    space.audio.faults = AudioFaults(second_connection=True)
    async with call.listen() as audio:
        while not space.audio.refused:
            await anext(audio)
    assert list(space.audio.refused) == [409]


async def test_a_call_is_saved_in_stereo(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "call.wav"
    async with call.listen(track="both") as audio:
        await call.play(swcalls.Audio("https://example.com/a.mp3"), loop=0)
        seconds = await audio.save(file, seconds=2)
    assert seconds == 2
    with wave.open(str(file)) as saved:
        assert (saved.getnchannels(), saved.getframerate(), saved.getsampwidth()) == (2, 8000, 2)
        assert saved.getnframes() == 16000
        samples = array.array("h", saved.readframes(16000))
    left, right = samples[::2], samples[1::2]
    assert max(left) == pytest.approx(8000, rel=0.05)
    assert max(right) == pytest.approx(8000, rel=0.05)
    assert left != right


async def test_the_far_end_is_saved_on_the_left_and_our_own_silence_on_the_right(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "call.wav"
    async with call.listen(track="both") as audio:
        await audio.save(file, seconds=0.2)
    with wave.open(str(file)) as saved:
        samples = array.array("h", saved.readframes(saved.getnframes()))
    assert max(samples[::2]) == pytest.approx(8000, rel=0.05)
    assert not any(samples[1::2])


async def test_a_call_is_saved_to_its_end_with_its_gaps(space: Simulator, call: Call, tmp_path: Path) -> None:
    file = tmp_path / "call.wav"
    space.audio.faults = AudioFaults(loses_every=2)
    async with call.listen() as audio, asyncio.TaskGroup() as tasks:
        saving = tasks.create_task(audio.save(file))
        while audio.missing_frames < 10:
            await asyncio.sleep(0)
        await audio.action.stop()
    with wave.open(str(file)) as saved:
        samples = array.array("h", saved.readframes(saved.getnframes()))
        assert saved.getnframes() / 8000 == saving.result()
    assert saving.result() >= 20 * 0.02 - 0.02
    assert not any(samples[160:320])
    assert max(samples[320:480]) == pytest.approx(8000, rel=0.05)


async def test_what_was_saved_before_a_cancellation_is_in_the_file(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "call.wav"
    async with call.listen() as audio:
        saving = asyncio.create_task(audio.save(file))
        while audio._feed.heard < 10 or len(audio._feed.frames):
            await asyncio.sleep(0)
        saving.cancel()
        await asyncio.wait([saving])
        assert saving.cancelled()
    with wave.open(str(file)) as saved:
        assert saved.getnframes() >= 9 * 160


async def test_no_more_is_saved_than_was_asked_for(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "call.wav"
    async with call.listen() as audio:
        assert await audio.save(file, seconds=0.03) == pytest.approx(0.03)
    with wave.open(str(file)) as saved:
        assert saved.getnframes() == 240


async def test_what_cannot_be_decoded_is_not_saved(call: Call, tmp_path: Path) -> None:
    async with call.listen() as audio:
        started = audio._started
        unknown = swcalls.AudioFormat(encoding="OPUS", sample_rate=48000)
        other = CallAudio(audio.action, audio._feed, type(started)(
            format=unknown, tracks=("inbound",), stream_id=None, call_id=None, custom_parameters={}
        ))  # fmt: skip
        with pytest.raises(ValueError, match=r"encoding='OPUS' must be mu-law, A-law or L16"):
            await other.save(tmp_path / "call.wav")
        with pytest.raises(ValueError, match="seconds=0 must be greater than 0"):
            await audio.save(tmp_path / "call.wav", seconds=0)
    assert files_in(tmp_path) == []


async def test_frames_have_one_reader_at_a_time(space: Simulator, call: Call, tmp_path: Path) -> None:
    space.audio.faults = AudioFaults(stalls=(0.2, 1e6))
    async with call.listen() as audio:
        await some(audio, 10)
        waiting = asyncio.create_task(anext(audio))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one reader at a time"):
            await anext(audio)
        with pytest.raises(RuntimeError, match="one reader at a time"):
            await audio.save(tmp_path / "call.wav")
        waiting.cancel()
        await asyncio.wait([waiting])
    assert waiting.cancelled()


async def test_nothing_secret_is_shown(space: Simulator, call: Call, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    space.audio.faults = AudioFaults(wrong_bearer=True)
    with pytest.raises(AudioNotStarted) as failure:
        async with call.listen(start_timeout=0.1):
            pytest.fail("it began")
    space.audio.faults = AudioFaults(second_connection=True)
    async with call.listen() as audio:
        await some(audio, 10)
    for params in sent(space, "calling.stream"):
        mac = params["url"].rpartition("/")[2]
        shown = caplog.text + repr(audio) + repr(audio._feed) + repr(audio.action) + str(failure.value)
        assert mac not in shown
        assert params["authorization_bearer_token"] not in shown


@pytest.mark.parametrize(
    ("settings", "error", "rule"),
    [
        ({"track": "left"}, ValueError, "track='left' must be 'inbound' or 'outbound' or 'both'"),
        ({"byte_order": "middle"}, ValueError, "byte_order='middle' must be 'little' or 'big'"),
        ({"max_lag": 0}, ValueError, "max_lag=0 must be greater than 0"),
        ({"max_lag": math.inf}, ValueError, "max_lag=inf must be finite"),
        ({"start_timeout": "5"}, TypeError, "start_timeout='5' must be a number of seconds"),
        ({"start_timeout": None}, TypeError, "start_timeout=None must be a number"),
        ({"idle_timeout": -1}, ValueError, "idle_timeout=-1 must be greater than 0"),
        ({"codec": ""}, ValueError, "codec=''"),
        ({"custom_parameters": 5}, (TypeError, ValueError), "custom_parameters=5"),
    ],
)
async def test_bad_arguments_are_refused_before_anything_is_sent(
    space: Simulator, call: Call, settings: dict[str, Any], error: Any, rule: str
) -> None:
    before = len(space.commands)
    with pytest.raises(error, match=r"calling\.stream: ") as refusal:
        call.listen(**settings)
    assert rule in str(refusal.value)
    assert len(space.commands) == before


async def test_the_public_url_must_be_one_that_the_platform_brings_audio_to(space: Simulator) -> None:
    async with Client("project", "token", space.url, public_url="http://pbx.example.com") as client:
        with pytest.raises(ConfigurationError, match=r"https://, or an audio_url that begins with wss://"):
            client.call("c").listen()
    async with Client("project", "token", space.url) as client:
        with pytest.raises(ConfigurationError, match="public_url is not set"):
            client.call("c").listen()


@pytest.mark.parametrize(
    ("settings", "begins"),
    [
        ({"public_url": "https://pbx.example.com/a"}, "wss://pbx.example.com/a/swcalls/audio/"),
        ({"public_url": "http://pbx.example.com", "audio_url": "wss://w1.example.com/b/"}, "wss://w1.example.com/b/swcalls/audio/"),
        ({"public_url": "http://[::1]:8080"}, "ws://[::1]:8080/swcalls/audio/"),
        ({"public_url": "http://localhost"}, "ws://localhost/swcalls/audio/"),
    ],
)  # fmt: skip
async def test_where_audio_is_sent(space: Simulator, call: Call, settings: dict[str, Any], begins: str) -> None:
    async with Client("project", "token", space.url, **settings) as client:
        space.audio.faults = AudioFaults(no_connection=True)
        with pytest.raises(AudioNotStarted):
            async with client.call(call.id or "").listen(start_timeout=0.001):
                pytest.fail("it began")
        assert sent(space, "calling.stream")[0]["url"].startswith(begins)


@pytest.mark.parametrize("url", ["https://w1.example.com", "ws://w1.example.com", "wss://", "wss://h/?a=b", 5, "w1"])
def test_an_audio_url_must_be_a_websocket_url(url: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"audio_url=.* must be a wss:// URL"):
        Client("project", "token", "example", audio_url=url)


async def test_audio_comes_to_an_application_that_the_client_is_set_up_in(space: Simulator) -> None:
    listening = asyncio.Event()
    async with AsyncExitStack() as stack:
        app = web.Application()
        runner = web.AppRunner(app)
        # The port is known only when it listens, and the client before.
        probe = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
        port = probe.sockets[0].getsockname()[1]
        probe.close()
        await probe.wait_closed()
        client = Client("project", "token", space.url, public_url=f"http://127.0.0.1:{port}")
        swcalls.setup(app, client)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", port).start()
        call = await client.dial(from_=FROM, to=TO)
        await call.answered(timeout=10)

        async def listen() -> str | None:
            async with call.listen() as audio:
                await anext(audio)
                listening.set()
                await rest(audio)
                return audio.ended_by

        task = asyncio.create_task(listen())
        await listening.wait()
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{client._engine.urls.public_url}/swcalls/audio/x/y") as response,
        ):
            assert response.status == 403
    # The application has shut down, without waiting for the connection to end by itself.
    assert await task == "local"


async def test_leaving_the_server_ends_what_is_heard(space: Simulator) -> None:
    async with Client("project", "token", space.url) as client, AsyncExitStack() as server:
        await server.enter_async_context(client.receiver.serve())
        call = await client.dial(from_=FROM, to=TO)
        await call.answered(timeout=10)
        async with call.listen() as audio:
            await some(audio, 1)
            await server.aclose()
            assert await rest(audio) == []
            assert audio.ended_by == "local"


async def test_closing_the_client_ends_what_is_heard(space: Simulator) -> None:
    client = Client("project", "token", space.url)
    async with client.receiver.serve():
        await client.open()
        call = await client.dial(from_=FROM, to=TO)
        await call.answered(timeout=10)
        async with call.listen() as audio:
            await some(audio, 1)
            await client.close()
            assert await rest(audio) == []
            assert audio.ended_by == "local"
        assert not audio._feed.is_connected


async def test_a_handler_that_listens_hears_its_caller_to_the_end(space: Simulator, client: Client) -> None:
    heard: list[str | None] = []
    done = asyncio.Event()

    @client.receiver.on_call
    async def answer(call: Call) -> None:
        async with call.listen() as audio:
            space.calls[call.id or ""].hang_up()
            await rest(audio)
            heard.append(audio.ended_by)
        done.set()

    await space.call(url=client.receiver.inbound_url)
    await asyncio.wait_for(done.wait(), 10)
    assert heard == ["stop"]
