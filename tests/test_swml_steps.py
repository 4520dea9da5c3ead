"""The steps of a SWML document: what they look like on the wire, and what is refused before anything is sent."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from swcalls.commands import swml
from swcalls.commands.swml import (
    Answer,
    Connect,
    Hangup,
    JoinConference,
    Request,
    SendDigits,
    Sleep,
    Step,
    Switch,
    document,
    tail,
    variables_of,
)

BOB = "+15550198765"


@pytest.mark.parametrize(
    ("step", "wire"),
    [
        (Connect(to=BOB), {"connect": {"to": BOB}}),
        (
            Connect(
                serial=[BOB, "sip:eve@example.com"],
                caller_id="+12069708643",
                timeout=20,
                max_duration=600,
                ringback=["ring:us"],
                headers={"X-Case": "7"},
                status_url="https://example.com/status",
                call_state_url="https://example.com/states",
                call_state_events=["answered", "ended"],
                confirm=[{"play": {"url": "say:A call for you."}}, Hangup()],
            ),
            {
                "connect": {
                    "serial": [{"to": BOB}, {"to": "sip:eve@example.com"}],
                    "from": "+12069708643",
                    "timeout": 20,
                    "max_duration": 600,
                    "ringback": ["ring:us"],
                    "headers": [{"name": "X-Case", "value": "7"}],
                    "status_url": "https://example.com/status",
                    "call_state_url": "https://example.com/states",
                    "call_state_events": ["answered", "ended"],
                    "confirm": [{"play": {"url": "say:A call for you."}}, {"hangup": {}}],
                }
            },
        ),
        (
            Connect(parallel=["/public/desk"], confirm="https://example.com/confirm"),
            {"connect": {"parallel": [{"to": "/public/desk"}], "confirm": "https://example.com/confirm"}},
        ),
        (SendDigits("1w2W#"), {"send_digits": {"digits": "1w2W#"}}),
        (
            JoinConference(name="room", muted=True, beep="false", end_on_exit=False, max_participants=3),
            {"join_conference": {"name": "room", "muted": True, "beep": "false", "end_on_exit": False, "max_participants": 3}},
        ),
        (Hangup("busy"), {"hangup": {"reason": "busy"}}),
        (Answer(), {"answer": {}}),
        (Answer(60), {"answer": {"max_duration": 60}}),
        (Request("https://example.com"), {"request": {"url": "https://example.com", "method": "POST"}}),
        (Sleep(-1), {"sleep": -1}),
        (Sleep(500), {"sleep": 500}),
        (
            Switch("request_response.action", {"busy": [Hangup("busy")]}, [Answer(), Sleep(-1)]),
            {
                "switch": {
                    "variable": "request_response.action",
                    "case": {"busy": [{"hangup": {"reason": "busy"}}]},
                    "default": [{"answer": {}}, {"sleep": -1}],
                }
            },
        ),
    ],
)  # fmt: skip
def test_what_a_step_is_on_the_wire(step: Step, wire: dict[str, Any]) -> None:
    assert step.as_object() == wire
    assert document([step]) == {"version": "1.0.0", "sections": {"main": [wire]}}


def test_typed_steps_and_plain_dicts_can_be_mixed() -> None:
    plain = {"switch": {"variable": "x", "case": {"a": [Hangup("busy")]}, "default": ({"play": {"url": "u"}},)}}
    assert document([SendDigits("1"), plain])["sections"]["main"] == [
        {"send_digits": {"digits": "1"}},
        {
            "switch": {
                "variable": "x",
                "case": {"a": [{"hangup": {"reason": "busy"}}]},
                "default": [{"play": {"url": "u"}}],
            }
        },
    ]


ENDLESS: dict[str, Any] = {}
ENDLESS["play"] = ENDLESS


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (Connect, ValueError, "to=None must be given, or serial, or parallel"),
        (lambda: Connect(to=BOB, serial=[BOB]), ValueError, "one of the three"),
        (lambda: Connect(to="Bob"), ValueError, "to='Bob' must be a phone number"),
        (lambda: Connect(to=BOB, caller_id=""), ValueError, "caller_id=''"),
        (lambda: Connect(to=BOB, timeout=0), ValueError, "timeout=0 must be a whole number of seconds, at least 1"),
        (
            lambda: Connect(to=BOB, confirm=[3]),
            TypeError,
            r"connect: confirm=\[3\] must be a list of steps; item 0: a step must be",
        ),
        (lambda: Connect(to=BOB, headers={"X": 1}), TypeError, "headers="),
        (lambda: SendDigits(""), ValueError, "digits=''"),
        (lambda: SendDigits("1e"), ValueError, "0-9 A-D"),
        (lambda: JoinConference(name="x", beep="loud"), ValueError, "beep='loud' must be one of"),
        (lambda: JoinConference(name="x", max_participants=1), ValueError, "max_participants=1"),
        (lambda: Hangup("bored"), ValueError, "reason='bored' must be one of"),
        (lambda: Sleep(-2), ValueError, "duration=-2"),
        (lambda: Sleep(0.5), TypeError, "duration=0.5 must be a whole number"),
        (lambda: Request("ftp://x"), ValueError, "url="),
        (lambda: Switch("x", {"a": [3]}), TypeError, r"switch: case=\[3\] must be a list of steps; item 0"),
        (
            lambda: Switch("x", {"a": []}, [{}]),
            ValueError,
            r"switch: default=\[{}\] must be a list of steps; item 0: a dict must have one key",
        ),
        (lambda: document([]), ValueError, r"steps=\[\]"),
        (lambda: document("hangup"), TypeError, "steps='hangup' must be a list of steps"),
        (lambda: document({"hangup": {}}), TypeError, "must be a list of steps"),
        (lambda: document(Hangup()), TypeError, "must be a list of steps"),
        (lambda: document(5), TypeError, "must be a list of steps"),
        (
            lambda: document(["hangup"]),
            TypeError,
            r"steps=\['hangup'\] must be a list of steps; item 0: a step must be one such as",
        ),
        (
            lambda: document([Answer(), {"a": 1, "b": 2}]),
            ValueError,
            r"item 1: a dict must have one key, the step.s name; this one has 2",
        ),
        (lambda: document([{"a": object()}]), TypeError, "JSON can hold"),
        (lambda: document([{1: 2}]), TypeError, "string keys"),
        (lambda: document([ENDLESS]), ValueError, "JSON can hold"),
    ],
)
def test_what_is_wrong_is_refused_by_name(build: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        build()


def test_no_secret_is_shown() -> None:
    steps = [
        Connect(to=BOB, status_url="https://example.com/s3cret", call_state_url="https://example.com/s3cret"),
        JoinConference(name="x", status_callback="https://example.com/s3cret"),
        tail("https://example.com/s3cret", "k", ()),
        Request("https://example.com/s3cret", headers={"Authorization": "s3cret"}),
    ]
    assert "s3cret" not in repr(steps)
    with pytest.raises(TypeError) as refused:
        document([{"connect": {"password": "s3cret"}, "x": object()}])
    assert "s3cret" not in str(refused.value)


def test_the_tail_tells_the_variables_and_does_not_wait_for_ever() -> None:
    step = tail("https://example.com/k", "k-1", ("send_digits_result",)).as_object()["request"]
    assert step["body"] == {
        "op": "k-1",
        "call_id": "%{call.call_id}",
        "send_digits_result": "%{send_digits_result}",
    }
    assert (step["method"], step["connect_timeout"], step["timeout"]) == ("POST", 3, 5)
    assert step["headers"] == {"Content-Type": "application/json"}


def test_which_variables_a_document_leaves() -> None:
    steps = [
        SendDigits("1"),
        {"set": {"mood": "good", "no name": 1, "op": "mine"}},
        Switch("x", {"a": [Connect(to=BOB)]}, [{"prompt": {"play": "say:Hi"}}]),
        {"cond": [{"when": "x", "then": [{"record": {}}]}, {"else": [SendDigits("2")]}]},
        {"join_room": {"name": "x"}},
    ]
    assert variables_of(document(steps)["sections"]["main"]) == (
        "send_digits_result", "mood", "connect_result", "connect_failed_reason", "prompt_result", "prompt_value",
        "record_result", "record_url",
    )  # fmt: skip


@given(st.text("0123456789ABCD*#wW", min_size=1, max_size=40))
def test_digits_take_a_bounded_time(digits: str) -> None:
    assert 0.25 * len(digits) <= SendDigits(digits).seconds <= len(digits)


JSON = st.recursive(st.none() | st.integers(-9, 9) | st.text(max_size=4), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=6)  # fmt: skip


@given(st.lists(st.dictionaries(st.text(min_size=1, max_size=6), JSON, min_size=1, max_size=1), min_size=1, max_size=4))
def test_a_plain_dict_is_sent_as_it_is(steps: list[dict[str, Any]]) -> None:
    made = document(steps)
    assert made["sections"]["main"] == steps
    assert msgspec.json.decode(msgspec.json.encode(made)) == made
    assert len(set(variables_of(made["sections"]["main"]))) == len(variables_of(made["sections"]["main"]))


def test_every_step_says_its_name() -> None:
    steps = [cls for cls in vars(swml).values() if isinstance(cls, type) and issubclass(cls, Step) and cls is not Step]
    assert len({cls.step for cls in steps}) == len(steps) == 8
    assert all(cls.command == cls.step for cls in steps)
