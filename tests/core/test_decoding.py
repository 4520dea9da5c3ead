"""Webhook bodies as events: both shapes of every kind, and nothing in a body that could break anything."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from swcalls._core.decoding import DEEPEST, READERS, MalformedBody, end_reason, parse, read, read_inbound
from swcalls.events import CallEvent, CollectEvent, DetectEvent, RecordEvent, UnknownEvent

SAMPLES: list[dict[str, Any]] = msgspec.json.decode((Path(__file__).parent.parent / "samples/events.json").read_bytes())

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        "event_type",
        "params",
        "call_id",
        "control_id",
        "state",
        "timestamp",
        "result",
        "type",
        "detect",
        "event",
        "final",
        "record",
        "url",
        "duration",
        "size",
        "tap",
        "device",
        "fax",
        "success",
        "sidecar_event",
        "ts",
        "call_info",
        "raw",
        "utterance",
        "content",
        "summary",
        "call_state",
        "status",
        "end_reason",
        "start_time",
        "digits",
        "confidence",
        "call",
        "headers",
        "envs",
        "vars",
        "name",
        "value",
    ]
)
PAYLOADS = st.recursive(
    st.dictionaries(NAMES, JSON, max_size=6),
    lambda inner: st.dictionaries(NAMES, inner | JSON, max_size=6),
    max_leaves=10,
)


BOTH = [(sample, "bare") for sample in SAMPLES] + [(sample, "enveloped") for sample in SAMPLES if sample["envelope"]]


@pytest.mark.parametrize(("sample", "shape"), BOTH, ids=lambda case: case if isinstance(case, str) else case["kind"])
def test_every_kind_in_both_shapes(sample: dict[str, Any], shape: str) -> None:
    payload: dict[str, Any] = sample["payload"]
    if shape == "enveloped":
        payload = {"event_type": sample["envelope"], "timestamp": 1777565735.3, "params": payload}
    event = read(sample["kind"], payload)
    assert type(event).__name__ == sample["event"]
    for name, expected in sample["expect"].items():
        found = getattr(event, name)
        assert (list(found) if name == "words" else found) == expected, name
    assert event.raw is payload
    if shape == "enveloped":
        assert event.timestamp == 1777565735.3


@given(kind=st.sampled_from(sorted(READERS)), payload=PAYLOADS)
def test_no_payload_raises(kind: str, payload: dict[str, Any]) -> None:
    event = read(kind, payload)
    assert isinstance(event.state, str)
    assert event.words
    read_inbound(payload)


@given(st.binary(max_size=200) | JSON.map(msgspec.json.encode))
def test_no_body_raises_anything_but_malformed(body: bytes) -> None:
    with contextlib.suppress(MalformedBody):
        assert isinstance(parse(body), dict)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"3",
        b"\xff",
        b'{"a":"\xff"}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"{}x",
        b'{"a":NaN}',
    ],
)
def test_what_is_no_object_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        parse(body)


def test_huge_numbers_are_no_trouble() -> None:
    raw = parse(b'{"state":"finished","duration":' + b"9" * 1000 + b',"size":1e300,"call_id":' + b"9" * 1000 + b"}")
    event = read("record", raw)
    assert isinstance(event, RecordEvent)
    assert (event.duration, event.call_id) == (None, None)


@pytest.mark.parametrize(
    ("spelt", "expected"),
    [
        ("hangup", "hangup"),
        ("no_answer", "noAnswer"),
        ("noAnswer", "noAnswer"),
        ("NO-ANSWER", "noAnswer"),
        ("declined", "decline"),
        ("decline", "decline"),
        ("max_duration", "max_duration"),
        ("maxDuration", "max_duration"),
        ("canceled", "cancel"),
        ("Gremlins", "Gremlins"),
        ("", None),
        (None, None),
    ],
)
def test_end_reasons_have_one_spelling(spelt: str | None, expected: str | None) -> None:
    assert end_reason(spelt) == expected


@pytest.mark.parametrize(
    ("status", "reason"), [("busy", "busy"), ("no-answer", "noAnswer"), ("ended", None), ("completed", None)]
)
def test_a_final_status_may_be_its_own_reason(status: str, reason: str | None) -> None:
    event = read("call", {"call_id": "c", "status": status})
    assert isinstance(event, CallEvent)
    assert (event.state, event.end_reason) == (status, reason)


def test_params_may_be_a_string_of_json() -> None:
    inner = '{"control_id":"x","state":"playing"}'
    assert read("play", {"event_type": "calling.call.play", "params": inner}).state == "playing"
    broken = read("play", {"event_type": "calling.call.play", "params": "{'state': 'playing'}"})
    assert (broken.state, broken.control_id) == ("", None)


def test_an_event_type_that_contradicts_the_url_makes_it_unknown() -> None:
    event = read("play", {"event_type": "calling.call.record", "params": {"state": "finished"}})
    assert isinstance(event, UnknownEvent)
    assert (event.event_type, event.state) == ("calling.call.record", "finished")


def test_a_type_without_params_is_no_envelope() -> None:
    assert read("live_transcribe", {"event_type": "utterance", "text": "Hi"}).state == "utterance"
    assert read("play", {"event_type": "calling.call.play", "state": "playing"}).state == "playing"


def test_wrong_types_are_coerced_or_dropped() -> None:
    event = read("record", {"state": "finished", "duration": "15.5", "size": "248320", "url": None})
    assert isinstance(event, RecordEvent)
    assert (event.duration, event.size, event.url) == (15.5, 248320, None)
    collect = read(
        "collect", {"result": {"type": "digit", "params": {"digits": 1234, "confidence": "high"}}, "final": "false"}
    )
    assert isinstance(collect, CollectEvent)
    assert (collect.digits, collect.confidence, collect.final) == ("1234", None, False)
    detect = read("detect", {"detect": {"type": "machine", "params": {"event": "MACHINE", "beep": "true"}}})
    assert isinstance(detect, DetectEvent)
    assert detect.beep is True


def test_a_recording_may_be_described_in_either_place() -> None:
    for payload in ({"url": "u", "duration": 1, "size": 2}, {"record": {"url": "u", "duration": 1, "size": 2}}):
        event = read("record", {"state": "finished", **payload})
        assert isinstance(event, RecordEvent)
        assert (event.url, event.duration, event.size) == ("u", 1, 2)


def test_a_repr_leaves_the_payload_out() -> None:
    assert repr(read("play", {"state": "playing", "x": "y" * 1000})) == "PlayEvent(state='playing')"


@pytest.mark.parametrize("names", [("from", "to"), ("from_number", "to_number")])
def test_the_numbers_of_an_inbound_call_have_either_name(names: tuple[str, str]) -> None:
    inbound = read_inbound({"call": {"call_id": "in-1", **dict(zip(names, ("+1", "+2"), strict=True))}})
    assert inbound is not None
    assert (inbound.from_, inbound.to) == ("+1", "+2")


def test_the_headers_of_an_inbound_call_are_pairs() -> None:
    headers = [{"name": "X-Account", "value": "7"}, {"name": "X-Empty"}, {"value": "no name"}, "no pair", None]
    inbound = read_inbound({"call": {"call_id": "in-1", "headers": headers}})
    assert inbound is not None
    assert inbound.headers == {"X-Account": "7", "X-Empty": ""}
    other = read_inbound({"call": {"call_id": "in-1", "headers": "none"}})
    assert other is not None
    assert other.headers == {}


@pytest.mark.parametrize("opening", ['{"a":', "["])
def test_a_body_of_many_levels_is_malformed_and_one_of_many_brackets_is_not(opening: str) -> None:
    closing = "}" if opening.startswith("{") else "]"
    with pytest.raises(MalformedBody, match="deep"):
        parse('{"x":' + opening * DEEPEST + "1" + closing * DEEPEST + "}")
    fits = DEEPEST - 1
    assert parse('{"x":' + opening * fits + "1" + closing * fits + "}")
    assert len(parse('{"x":[' + ",".join(["[]"] * 3 * DEEPEST) + "]}")["x"]) == 3 * DEEPEST
