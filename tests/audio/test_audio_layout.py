"""Frames on an axis of time: each stands where its timestamp says, in a file of one or two channels."""

from __future__ import annotations

import array

from hypothesis import given
from hypothesis import strategies as st

from swcalls._core.audio_frame import AudioFormat, AudioFrame
from swcalls._core.audio_layout import Layout

L16 = AudioFormat(encoding="audio/x-L16", sample_rate=1000, codec="l16")
BOTH = ("inbound", "outbound")


def frame(start_ms: int, level: int, track: str = "inbound", length: int = 20) -> AudioFrame:
    """A frame of *length* milliseconds, which at this rate are as many samples, each of them *level*."""
    payload = array.array("h", [level] * length).tobytes()
    return AudioFrame(
        track=track, timestamp_ms=start_ms, sequence=None, payload=payload, format=L16, duration=length / 1000
    )


def laid_out(frames: list[AudioFrame], *tracks: str) -> list[int]:
    layout = Layout(tracks or ("inbound",), 1000)
    written = b"".join(layout.place(one) for one in frames) + layout.finish()
    assert layout.samples * 2 * len(tracks or "1") == len(written)
    return list(array.array("h", written))


def test_frames_in_a_row_are_joined() -> None:
    assert laid_out([frame(0, 1), frame(20, 2)]) == [1] * 20 + [2] * 20


def test_the_file_begins_with_the_first_frame() -> None:
    assert laid_out([frame(5000, 1), frame(5020, 2)]) == [1] * 20 + [2] * 20


def test_a_gap_is_silence() -> None:
    assert laid_out([frame(0, 1), frame(120, 2)]) == [1] * 20 + [0] * 100 + [2] * 20


def test_what_overlaps_is_cut() -> None:
    assert laid_out([frame(0, 1), frame(0, 9), frame(10, 2)]) == [1] * 20 + [2] * 10


def test_timestamps_that_were_rounded_tear_no_holes() -> None:
    assert (
        laid_out([frame(0, 1), frame(21, 2), frame(39, 3), frame(61, 4)]) == [1] * 20 + [2] * 20 + [3] * 20 + [4] * 20
    )


def test_timestamps_that_leap_begin_anew() -> None:
    assert laid_out([frame(90_000, 1), frame(0, 2), frame(20, 3)]) == [1] * 20 + [2] * 20 + [3] * 20
    assert laid_out([frame(0, 1), frame(10**12, 2), frame(10**12 + 40, 3)]) == [1] * 20 + [2] * 20 + [0] * 20 + [3] * 20


def test_two_tracks_are_two_channels_side_by_side() -> None:
    both = laid_out([frame(0, 1), frame(0, 5, "outbound"), frame(20, 2), frame(20, 6, "outbound")], *BOTH)
    assert both[::2] == [1] * 20 + [2] * 20
    assert both[1::2] == [5] * 20 + [6] * 20


def test_a_track_that_is_silent_does_not_hold_up_the_other() -> None:
    layout = Layout(BOTH, 1000)
    written = b"".join(layout.place(frame(20 * number, 1)) for number in range(200))
    assert len(written) == 3000 * 4
    written += layout.place(frame(3990, 5, "outbound")) + layout.finish()
    samples = array.array("h", written)
    assert list(samples[::2]) == [1] * 4000 + [0] * 10
    assert list(samples[1::2]) == [0] * 3990 + [5] * 20


def test_a_track_that_was_not_asked_for_is_left_out_of_two_and_is_the_one_of_one() -> None:
    assert laid_out([frame(0, 1, "mixed")]) == [1] * 20
    assert laid_out([frame(0, 1), frame(0, 7, "mixed"), frame(0, 5, "outbound")], *BOTH) == [1, 5] * 20


@given(
    st.lists(
        st.tuples(st.integers(0, 3000) | st.integers(0, 10**15), st.sampled_from(BOTH), st.integers(0, 60)), max_size=30
    ),
    st.sampled_from([("inbound",), BOTH]),
)
def test_no_timestamps_make_a_file_that_is_longer_than_they_can_ask_for(
    parts: list[tuple[int, str, int]], tracks: tuple[str, ...]
) -> None:
    frames = [frame(start, 1, track, length) for start, track, length in parts]
    samples = laid_out(frames, *tracks)
    assert len(samples) <= len(tracks) * sum(600_000 + length for _, _, length in parts)
    assert set(samples) <= {0, 1}


@given(st.lists(st.integers(1, 60), min_size=1, max_size=30))
def test_what_is_placed_is_found_where_its_timestamp_says(lengths: list[int]) -> None:
    """Frames of a track with gaps of at least 3 ms: each sample of the file is the one of its time."""
    expected: dict[int, int] = {}
    frames, at = [], 0
    for number, length in enumerate(lengths, 1):
        frames.append(frame(at, number, length=length))
        expected.update(dict.fromkeys(range(at, at + length), number))
        at += length + (0 if number % 2 else 3 + number)
    samples = laid_out(frames)
    assert [expected.get(position, 0) for position in range(len(samples))] == samples
