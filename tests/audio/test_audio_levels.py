"""How loud it was over time: bounded, whatever the timestamps say, and shown in the timeline of the call."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swcalls import Client
from swcalls._core.audio_frame import AudioFormat, AudioFrame
from swcalls._core.audio_levels import FIRST_STEP, LOUDEST, MOST, LevelHistory, louder
from swcalls.testing import AudioFaults, Callee, Simulator
from swcalls.timeline.page import page

MULAW = AudioFormat(encoding="audio/x-mulaw", sample_rate=8000, codec="mulaw")
LOUD, SILENT = b"\x00" * 160, b"\xff" * 160


def frame(timestamp: int, payload: bytes = LOUD) -> AudioFrame:
    return AudioFrame("inbound", timestamp, None, payload, MULAW, 0.02)


def history(frames: list[AudioFrame]) -> LevelHistory:
    levels = LevelHistory()
    for one in frames:
        if one.timestamp_ms >= levels.due:
            levels.add(one)
    return levels


def test_each_step_has_the_level_of_its_first_frame() -> None:
    frames = [frame(at, LOUD if at % 200 == 0 else SILENT) for at in range(0, 1000, 20)]
    assert history(frames).steps() == [LOUDEST, 0] * 5


def test_time_without_frames_is_silent() -> None:
    assert history([frame(5000), frame(5000 + 3 * FIRST_STEP)]).steps() == [LOUDEST, 0, 0, LOUDEST]


def test_a_long_call_has_no_more_levels_than_a_short_one() -> None:
    steps = history([frame(at, SILENT if at < 1_800_000 else LOUD) for at in range(0, 3_600_000, 100)]).steps()
    assert MOST // 2 <= len(steps) <= MOST
    middle = len(steps) // 2
    assert steps[: middle - 1] == [0] * (middle - 1)
    assert steps[middle + 1 :] == [LOUDEST] * (len(steps) - middle - 1)


@given(
    st.lists(st.tuples(st.integers(0, 5000) | st.integers(0, 2**53), st.sampled_from([LOUD, SILENT, b""])), max_size=40)
)
def test_no_timestamps_make_more_levels_than_are_kept(frames: list[tuple[int, bytes]]) -> None:
    steps = history([frame(at, payload) for at, payload in frames]).steps()
    assert len(steps) <= MOST
    assert set(steps) <= {0, LOUDEST}
    assert bool(steps) == bool(frames)


@pytest.mark.parametrize(
    ("code", "step"), [(0xFF, 0), (0xFE, 0), (0xE0, 3), (0xC0, 5), (0xA0, 7), (0x90, 8), (0x80, 8)]
)
def test_steps_are_of_equal_loudness(code: int, step: int) -> None:
    assert history([frame(0, bytes([code]) * 160)]).steps() == [step]


def test_of_two_tracks_the_louder_one_counts() -> None:
    assert louder([[1, 8, 0, 0], [2, 3]]) == (2, 8, 3, 3)
    assert louder([[], [5]]) == (5,)
    assert louder([]) == ()


async def test_the_timeline_shows_what_was_heard(nothing_is_left_running: None) -> None:
    callee = Callee(rings_for=0, sound="tone")
    async with (
        Simulator(speed=20, callee=callee) as space,
        Client("project", "token", space.url) as client,
        client.receiver.serve(),
    ):
        space.audio.faults = AudioFaults(loses_every=10)
        call = await client.dial(from_="+12069708643", to="+15550198765")
        await call.answered(timeout=10)
        async with call.listen() as audio:
            async for frame in audio:
                if frame.timestamp_ms >= 2000:
                    break
        (mark,) = [mark for mark in call.timeline if mark.what == "audio"]
        assert (mark.kind, mark.key, mark.verdict) == ("stream", audio.action.control_id, "local")
        assert mark.detail.endswith(f" frames, {audio.missing_frames} missing, 0 dropped")
        assert len(mark.levels) >= 20
        assert set(mark.levels) == {6}
        assert mark.took is not None
        text, picture = call.timeline.text(), ET.fromstring(call.timeline.svg())
        assert f"heard {mark.detail[:20]}" in text
        assert "▆" in text
        drawn = [group for group in picture.iter("{http://www.w3.org/2000/svg}g") if group.get("class") == "mark audio"]
        assert len(drawn) == 1
        assert mark.detail in "".join(drawn[0].itertext())
        assert mark.detail in page([call.timeline], "heard", [])


async def test_without_a_timeline_no_levels_are_kept(nothing_is_left_running: None) -> None:
    from swcalls import Limits

    async with (
        Simulator(speed=20, callee=Callee(rings_for=0)) as space,
        Client("project", "token", space.url, limits=Limits(timeline=0)) as client,
        client.receiver.serve(),
    ):
        call = await client.dial(from_="+12069708643", to="+15550198765")
        await call.answered(timeout=10)
        async with call.listen() as audio:
            await anext(audio)
        assert audio._feed.levels == {}
        assert len(call.timeline) == 0
