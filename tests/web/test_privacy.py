"""What the page shows of what came from outside: nothing private unless that is wanted, and nothing unescaped."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swcalls import Mark, events
from swcalls.events import CallEvent, CollectEvent, DetectEvent, Event, InboundCall, PlayEvent
from swcalls.timeline.svg import svg
from swcalls.web.privacy import address, clean, clean_marks, public_marks

SECRET = "4711SECRET"
EVENTS = [cls for cls in vars(events).values() if isinstance(cls, type) and issubclass(cls, Event) and cls is not Event]


def mark(**fields: Any) -> Mark:
    return Mark(**{"at": 1.0, "what": "event", "kind": "play", "key": "k", "word": "w", "verdict": "applied", **fields})


@pytest.mark.parametrize("cls", EVENTS)
@pytest.mark.parametrize("what", ["event", "settled"])
def test_the_content_of_an_event_is_not_drawn(cls: type[Event], what: Any) -> None:
    content = {name: SECRET for name in cls.__struct_fields__ if name not in ("state", "payload", "timestamp")}
    event = cls(**content | {"state": "finished", "payload": {"said": SECRET}})
    # The word of an outcome is ``result``, or the name of an error.
    marks = [mark(what=what, word=SECRET if what == "event" else "result", detail=SECRET, event=event)]
    assert SECRET not in svg(public_marks(marks), 0.0, payloads=True)
    assert SECRET in svg(clean_marks(marks), 0.0)


@pytest.mark.parametrize("digits", ["5", "#", "A", "ABCD"])
def test_digits_that_a_detector_heard_are_not_drawn(digits: str) -> None:
    event = DetectEvent(state=digits, type="digit", payload={})
    (shown,) = public_marks([mark(kind="detect", word=digits, event=event)])
    assert (shown.word, shown.event) == ("digits", Event(state="digits", payload={}))


def test_a_state_that_is_no_word_is_not_drawn() -> None:
    (shown,) = public_marks([mark(word="+15550198765", event=PlayEvent(state="+15550198765", payload={}))])
    assert shown.word == "hidden"


def test_what_the_platform_and_the_program_say_is_drawn() -> None:
    marks = [
        mark(kind="call", word="ended: hangup", event=CallEvent(state="ended", end_reason="hangup", payload={})),
        mark(kind="call", word="inbound", event=InboundCall(call_id="c", from_=SECRET, raw={"from": SECRET})),
        mark(kind="collect", word="12", event=CollectEvent(state="", type="digit", digits="12", payload={})),
        mark(what="command", word="calling.play", verdict="failed", detail="InvalidParams: +1555 is wrong"),
        mark(what="audio", word="audio", verdict="stop", detail="100 frames"),
        mark(what="wait", word="finished", verdict="timeout"),
    ]
    shown = [(one.word, one.detail) for one in public_marks(marks)]
    assert shown == [
        ("ended: hangup", ""),
        ("inbound", ""),
        ("digit", ""),
        ("calling.play", "InvalidParams"),
        ("audio", "100 frames"),
        ("finished", ""),
    ]


@pytest.mark.parametrize(
    ("given", "sort"),
    [
        ("+15550198765", "phone number"),
        ("sip:ada@example.com", "SIP address"),
        ("SIPS:ada@example.com", "SIP address"),
        ("client:ada", "WebRTC address"),
        ("/private/ada", "Fabric address"),
        ("Ada <+1555>", "address"),
        (None, ""),
    ],
)
def test_of_an_address_the_sort_is_shown(given: str | None, sort: str) -> None:
    assert address(given, private=False) == sort
    assert address(given, private=True) == (given or "")


@given(st.text(max_size=400))
def test_a_text_is_short_and_printable(text: str) -> None:
    shown = clean(text, 50)
    assert shown.isprintable()
    assert len(text) > 50 or len(shown) >= len(text)
    assert clean("a" * 51, 50) == "a" * 49 + "…"


@given(st.lists(st.text(), min_size=4, max_size=4), st.sampled_from(["event", "command", "settled", "wait", "retry"]))
def test_whatever_came_the_picture_is_one_svg_without_scripts(texts: list[str], what: Any) -> None:
    word, detail, key, state = texts
    event = PlayEvent(state=state, payload={"text": word}) if what in ("event", "settled") else None
    marks = [mark(what=what, word=word, detail=detail, key=key, event=event), mark(at=2.0, key=key)]
    for shown in (public_marks(marks), clean_marks(marks)):
        root = ET.fromstring(svg(shown, 0.0, first=0))
        assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {
            "svg", "g", "rect", "path", "text", "title", "circle",
        }  # fmt: skip
        assert not [name for element in root.iter() for name in element.attrib if name.startswith("on")]
