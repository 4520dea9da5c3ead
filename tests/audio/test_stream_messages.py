"""What a stream's WebSocket brings, in any order and form: nothing raises, nothing is made up, what is wrong is counted."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from swcalls._core.audio_frame import AudioFrame
from swcalls._core.stream_messages import Digit, Message, Started, Stopped, StreamMessages

MULAW = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
CONNECTED = {"event": "connected", "protocol": "Call", "version": "0.2.0"}
STOP = {"event": "stop", "sequenceNumber": "999"}


def start(**media: Any) -> dict[str, Any]:
    return {
        "event": "start",
        "sequenceNumber": "1",
        "start": {
            "streamSid": "3f0c5a9e-6c0f-4d6e-9a53-0d7a6d0f4d11",
            "accountSid": "7d0f4d11-6c0f-4d6e-9a53-3f0c5a9e6c0f",
            "callSid": "2e1e66e5-5d07-413d-9668-55542992eec0",
            "tracks": ["inbound"],
            "customParameters": {"k": "v"},
            "mediaFormat": {**MULAW, **media},
        },
    }


def media(
    chunk: object = 1, payload: bytes | object = b"\xff" * 160, /, *, sequence: object = None, **more: object
) -> dict[str, Any]:
    number = int(chunk) if isinstance(chunk, str | int) and str(chunk).isdigit() else 1
    inner = {
        "track": "inbound",
        "chunk": str(chunk) if isinstance(chunk, int) else chunk,
        "timestamp": str((number - 1) * 20),
        "payload": base64.b64encode(payload).decode() if isinstance(payload, bytes) else payload,
        **more,
    }
    inner = {name: value for name, value in inner.items() if value is not ...}
    return {"event": "media", "sequenceNumber": str(number + 1) if sequence is None else sequence, "media": inner}


def dtmf(digit: object = "5") -> dict[str, Any]:
    return {"event": "dtmf", "sequenceNumber": "123", "dtmf": {"digit": digit, "duration": 2000}}


def read(*messages: object, reader: StreamMessages | None = None) -> list[Message | None]:
    reader = reader or StreamMessages()
    return [reader.read(one if isinstance(one, bytes | str) else json.dumps(one)) for one in messages]


def test_the_documented_order_is_read() -> None:
    reader = StreamMessages()
    _, started, first, second, digit, stopped = read(
        CONNECTED, start(), media(1), media(2, b"\x00" * 160), dtmf(), STOP, reader=reader
    )
    assert isinstance(started, Started)
    assert (started.format.encoding, started.format.sample_rate, started.format.channels) == ("audio/x-mulaw", 8000, 1)
    assert started.tracks == ("inbound",)
    assert started.stream_id == "3f0c5a9e-6c0f-4d6e-9a53-0d7a6d0f4d11"
    assert started.call_id == "2e1e66e5-5d07-413d-9668-55542992eec0"
    assert started.custom_parameters == {"k": "v"}
    assert isinstance(first, AudioFrame)
    assert (first.track, first.timestamp_ms, first.sequence, first.gap_ms) == ("inbound", 0, 2, 0)
    assert (first.payload, first.pcm, first.rms()) == (b"\xff" * 160, bytes(320), 0.0)
    assert isinstance(second, AudioFrame)
    assert (second.timestamp_ms, second.rms(), second.duration) == (20, 32124.0, 0.02)
    assert digit == Digit("5")
    assert isinstance(stopped, Stopped)
    assert reader.has_stopped
    assert (reader.missing, reader.malformed, reader.ignored, reader.unframed) == (0, 0, 0, 0)


def test_numbers_may_be_numbers_and_messages_may_be_bytes() -> None:
    message = json.dumps(
        {
            "event": "media",
            "sequenceNumber": 7,
            "media": {"track": "outbound", "chunk": 3, "timestamp": 40, "payload": "AAAA"},
        }
    )
    reader = StreamMessages()
    frame = read(start(), message.encode(), reader=reader)[1]
    assert isinstance(frame, AudioFrame)
    assert (frame.track, frame.sequence, frame.timestamp_ms, frame.payload) == ("outbound", 7, 40, b"\0\0\0")
    assert reader.malformed == 0


@pytest.mark.parametrize(
    "payload",
    ["_-8", "_-8=", "/+8", "/+8="],
    ids=["URL-safe, unpadded", "URL-safe", "unpadded", "plain"],
)
def test_base64_of_either_alphabet_with_padding_or_without(payload: str) -> None:
    frame = read(start(), media(1, payload))[1]
    assert isinstance(frame, AudioFrame)
    assert frame.payload == b"\xff\xef"


@pytest.mark.parametrize(
    "message",
    [
        media(1, "!!!"), media(1, "AAAAA"), media(1, None), media(1, 5), media(1, ...),
        media(1, "\u00e9\u00e9\u00e9\u00e9"), {"event": "media"}, {"event": "media", "media": []}, dtmf("x"), dtmf(None), dtmf("55"),
        {"event": "dtmf"}, b"", b"{", b"\xff\xfe", "\ud800", "[]", "null", "5", b"[" * 5000,
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_counted(message: object) -> None:
    reader = StreamMessages()
    assert read(start(), message, reader=reader)[1] is None
    assert reader.malformed == 1


@pytest.mark.parametrize("name", ["chunk", "timestamp", "track"])
@pytest.mark.parametrize("value", [None, ..., [], {}, "x", -1, "-5", 10**30, "1e400", 1.5, True])
def test_a_frame_is_handed_on_whatever_stands_beside_its_payload(name: str, value: object) -> None:
    reader = StreamMessages()
    frame = read(start(), media(1), media(2, b"\0" * 80, **{name: value}), reader=reader)[2]
    assert isinstance(frame, AudioFrame)
    assert frame.payload == b"\0" * 80
    assert frame.timestamp_ms >= 0
    assert reader.malformed == 0


def test_a_frame_without_a_timestamp_stands_behind_the_one_before() -> None:
    frame = read(start(), media(1), media(2, timestamp=None))[2]
    assert isinstance(frame, AudioFrame)
    assert (frame.timestamp_ms, frame.gap_ms) == (20, 0)


def test_missing_frames_are_counted_for_each_track() -> None:
    reader = StreamMessages()
    frames = read(
        start(), media(1), media(1, track="outbound"), media(4), media(2, track="outbound"), media(5), reader=reader
    )[1:]
    assert reader.missing == 2
    assert [frame.gap_ms for frame in frames if isinstance(frame, AudioFrame)] == [0, 0, 40, 0, 0]


def test_without_chunks_the_sequence_tells_what_is_missing() -> None:
    reader = StreamMessages()
    read(start(), *(media(1, chunk=..., sequence=number) for number in (2, 3, 6)), reader=reader)
    assert reader.missing == 2


def test_a_sequence_that_begins_again_or_is_no_number_is_no_gap() -> None:
    reader = StreamMessages()
    read(start(), *(media(1, chunk=..., sequence=number) for number in (2, "x", 6, 1, 2)), reader=reader)
    assert reader.missing == 0


def test_silence_that_is_no_frames_is_a_gap_but_nothing_is_missing() -> None:
    reader = StreamMessages()
    frame = read(start(), media(1), media(2, timestamp="5020"), reader=reader)[2]
    assert isinstance(frame, AudioFrame)
    assert frame.gap_ms == 5000
    assert reader.missing == 0


def test_a_sender_that_counts_anew_or_repeats_itself_misses_nothing() -> None:
    reader = StreamMessages()
    frames = read(start(), media(7), media(8), media(8), media(1), media(2), reader=reader)[1:]
    assert all(isinstance(frame, AudioFrame) for frame in frames)
    assert reader.missing == 0


def test_audio_before_the_start_has_no_format_and_is_counted() -> None:
    reader = StreamMessages()
    assert read(media(1), CONNECTED, media(2), start(), media(3), reader=reader)[:3] == [None, None, None]
    assert reader.unframed == 2
    assert reader.missing == 0


def test_a_second_start_and_what_follows_the_stop_are_ignored() -> None:
    reader = StreamMessages()
    read(start(), start(encoding="audio/x-L16"), STOP, media(1), dtmf(), start(), STOP, reader=reader)
    assert reader.started is not None
    assert reader.started.format.codec == "mulaw"
    assert reader.ignored == 5


def test_a_message_of_a_kind_that_is_not_known_is_ignored() -> None:
    reader = StreamMessages()
    assert read(start(), {"event": "mark", "mark": {}}, {"event": 5}, {"no": "event"}, reader=reader)[1:] == [None] * 3
    assert (reader.ignored, reader.malformed) == (3, 0)


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [
        ("audio/x-mulaw", "mulaw"), ("AUDIO/X-MULAW", "mulaw"), ("audio/PCMU;rate=8000", "mulaw"), ("PCMU", "mulaw"),
        ("audio/x-alaw", "alaw"), ("pcma", "alaw"), ("audio/x-L16", "l16"), ("audio/l16;rate=16000", "l16"),
        ("OPUS", None), ("", None), (None, None), (5, None),
    ],
)  # fmt: skip
def test_the_encoding_is_read_and_never_assumed(encoding: object, codec: str | None) -> None:
    started, frame = read(start(encoding=encoding), media(1))
    assert isinstance(started, Started)
    assert isinstance(frame, AudioFrame)
    assert started.format.codec == codec
    assert started.format.is_decodable is (codec is not None)
    if codec is None:
        assert frame.payload
        assert frame.duration == 0.02
        with pytest.raises(ValueError, match=r"must be mu-law, A-law or L16"):
            _ = frame.pcm
        with pytest.raises(ValueError, match=r"encoding="):
            frame.rms()


@pytest.mark.parametrize("rate", [None, 0, -8000, "x", 10**12, 1e300])
def test_g711_without_a_sound_rate_has_its_own(rate: object) -> None:
    started = read(start(sampleRate=rate))[0]
    assert isinstance(started, Started)
    assert started.format.sample_rate == 8000


def test_l16_without_a_sound_rate_is_not_decoded() -> None:
    started = read(start(encoding="audio/x-L16", sampleRate=None))[0]
    assert isinstance(started, Started)
    assert (started.format.sample_rate, started.format.is_decodable) == (0, False)


def test_rates_may_be_strings_and_the_format_may_be_absent() -> None:
    started = read(start(encoding="audio/x-L16", sampleRate="16000", channels="1"))[0]
    assert isinstance(started, Started)
    assert started.format.sample_rate == 16000
    bare = read({"event": "start"})[0]
    assert isinstance(bare, Started)
    assert (bare.tracks, bare.stream_id, bare.custom_parameters, bare.format.encoding) == ((), None, {}, "")


def test_tracks_are_called_the_same_however_the_platform_spells_them() -> None:
    message = start()
    message["start"]["tracks"] = ["inbound_track", "outbound_track", 5]
    started, frame = read(message, media(1, track="outbound_track"))
    assert isinstance(started, Started)
    assert isinstance(frame, AudioFrame)
    assert started.tracks == ("inbound", "outbound")
    assert frame.track == "outbound"


def test_l16_is_little_endian_unless_it_is_said_to_be_big() -> None:
    for order, expected in (("little", b"\x01\x02"), ("big", b"\x02\x01")):
        frame = read(
            start(encoding="audio/x-L16", sampleRate=16000), media(1, b"\x01\x02\x03"), reader=StreamMessages(order)
        )[1]
        assert isinstance(frame, AudioFrame)
        assert frame.pcm == expected


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
numbers = st.integers(0, 60) | st.integers(0, 60).map(str) | anything | st.just(...)
messages = st.one_of(
    st.just(CONNECTED),
    st.just(STOP),
    st.just(start()),
    st.builds(
        start,
        encoding=st.sampled_from(["audio/x-alaw", "audio/x-L16", "OPUS"]) | anything,
        sampleRate=numbers,
    ),
    st.builds(
        media,
        numbers,
        st.binary(max_size=200) | anything,
        sequence=numbers,
        track=st.sampled_from(["inbound", "outbound"]) | anything,
        timestamp=numbers,
    ),
    st.builds(dtmf, st.sampled_from("0123456789*#A") | anything),
    st.fixed_dictionaries(
        {"event": st.sampled_from(["start", "media", "dtmf", "stop"]) | anything},
        optional={"media": anything, "start": anything, "dtmf": anything},
    ),
    anything,
)


def encoded(message: object) -> bytes | str:
    return json.dumps(message, default=lambda _: None) if not isinstance(message, bytes) else message


@given(st.lists(messages | st.binary(max_size=30), max_size=30))
@example([start(), media(1), media(1), media(9), STOP, media(10)])
def test_no_messages_in_no_order_raise(sent: list[object]) -> None:
    reader = StreamMessages()
    handed_out = [reader.read(encoded(one)) for one in sent]

    frames = [one for one in handed_out if isinstance(one, AudioFrame)]
    begins = [number for number, one in enumerate(handed_out) if isinstance(one, Started)]
    ends = [number for number, one in enumerate(handed_out) if isinstance(one, Stopped)]
    heard = [number for number, one in enumerate(handed_out) if isinstance(one, AudioFrame)]
    assert len(begins) <= 1
    assert len(ends) <= 1
    assert not heard or (begins and begins[0] < heard[0])
    assert not ends or all(one is None for one in handed_out[ends[0] + 1 :])
    assert reader.missing >= 0
    silent = handed_out.count(None)
    assert reader.malformed + reader.ignored + reader.unframed <= silent
    for frame in frames:
        assert frame.gap_ms >= 0
        assert frame.duration >= 0
        if frame.format.is_decodable:
            assert len(frame.pcm) % 2 == 0
            assert 0 <= frame.rms() <= 32768


@given(st.data(), st.integers(1, 40))
def test_what_was_lost_is_what_is_missing(data: st.DataObject, count: int) -> None:
    """Whatever of a track is lost between its first and its last frame is counted, and nothing else is."""
    kept = sorted(data.draw(st.sets(st.integers(1, count), min_size=1)))
    reader = StreamMessages()
    frames = read(start(), *(media(chunk) for chunk in kept), reader=reader)[1:]
    assert reader.missing == kept[-1] - kept[0] + 1 - len(kept)
    assert sum(frame.gap_ms for frame in frames if isinstance(frame, AudioFrame)) == 20 * reader.missing
