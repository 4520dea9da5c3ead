"""The buffer between the socket and a reader: so many seconds, and the oldest goes first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swcalls._core.audio_buffer import AudioBuffer
from swcalls._core.audio_frame import AudioFormat, AudioFrame

MULAW = AudioFormat(encoding="audio/x-mulaw", sample_rate=8000, codec="mulaw")
OPUS = AudioFormat(encoding="OPUS", sample_rate=48000)


def frame(number: int = 0, track: str = "inbound", size: int = 160, format: AudioFormat = MULAW) -> AudioFrame:
    a_byte = format.seconds_a_byte
    seconds = 0.02 if a_byte is None else size * a_byte
    return AudioFrame(
        track=track, timestamp_ms=number * 20, sequence=number, payload=bytes(size), format=format, duration=seconds
    )


def drained(buffer: AudioBuffer) -> list[AudioFrame]:
    return list(iter(buffer.take, None))


def test_what_fits_is_kept_in_its_order() -> None:
    buffer = AudioBuffer(2.0)
    assert [buffer.put(frame(number)) for number in range(100)] == [0] * 100
    assert [one.sequence for one in drained(buffer)] == list(range(100))
    assert buffer.dropped == 0


def test_the_oldest_is_dropped_and_the_next_one_says_so() -> None:
    buffer = AudioBuffer(0.1)
    assert sum(buffer.put(frame(number)) for number in range(20)) == 15
    frames = drained(buffer)
    assert [one.sequence for one in frames] == [15, 16, 17, 18, 19]
    assert [one.dropped_before for one in frames] == [15, 0, 0, 0, 0]
    assert buffer.dropped == 15


def test_each_track_has_its_own_seconds() -> None:
    buffer = AudioBuffer(0.1)
    for number in range(5):
        assert buffer.put(frame(number)) == 0
        assert buffer.put(frame(number, "outbound")) == 0
    assert buffer.put(frame(5)) == 1
    oldest = buffer.take()
    assert oldest is not None
    assert (oldest.sequence, oldest.track) == (0, "outbound")


def test_the_latest_frame_is_kept_even_if_it_is_longer_than_all_that_may_wait() -> None:
    buffer = AudioBuffer(0.01)
    buffer.put(frame(1))
    assert buffer.put(frame(2, size=8000)) == 1
    assert [one.sequence for one in drained(buffer)] == [2]


def test_frames_without_audio_or_of_unknown_length_are_bounded_too() -> None:
    buffer = AudioBuffer(1.0)
    for number in range(5000):
        buffer.put(frame(number, size=0))
    assert len(buffer) == 1000
    buffer.clear()
    assert (len(buffer), buffer.seconds("inbound"), buffer.dropped) == (0, 0.0, 4000)
    for number in range(500):
        buffer.put(frame(number, format=OPUS))
    assert len(buffer) == 50


steps = st.lists(
    st.none() | st.tuples(st.sampled_from(["inbound", "outbound"]), st.sampled_from([0, 1, 80, 160, 320, 4000])),
    max_size=200,
)


@given(steps, st.sampled_from([0.001, 0.02, 0.1, 1.0]))
def test_nothing_is_lost_but_what_is_counted_and_the_order_is_kept(
    steps: list[tuple[str, int] | None], lag: float
) -> None:
    buffer = AudioBuffer(lag)
    taken: list[AudioFrame] = []
    put = dropped = 0
    for step in steps:
        if step is None:
            one = buffer.take()
            assert (one is None) == (len(taken) + buffer.dropped == put)
            taken += [one] if one is not None else []
        else:
            dropped += buffer.put(frame(put, step[0], step[1]))
            put += 1
            assert buffer.seconds(step[0]) <= max(lag, step[1] / 8000) + 0.001
    taken += drained(buffer)
    numbers = [one.sequence for one in taken]
    assert numbers == sorted(numbers)
    assert len(taken) + dropped == put
    assert dropped == buffer.dropped == sum(one.dropped_before for one in taken)
    assert buffer.seconds("inbound") == buffer.seconds("outbound") == 0.0
