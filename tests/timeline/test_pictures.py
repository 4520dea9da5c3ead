"""The timeline as SVG and HTML: well-formed, escaped, self-contained, and true."""

from __future__ import annotations

import base64
import hashlib
import re
from xml.etree import ElementTree as ET

import pytest

from swcalls import Event, Mark, Timeline
from swcalls.timeline.page import page

from .test_text import CALL, command, event, settled, wait

SVG = "{http://www.w3.org/2000/svg}"
EVIL = "</script><script>alert(1)</script>\x1b[2J\u202e\"'&"

TROUBLE = [
    *CALL,
    command(106.1, "calling.tap", "t", verdict="failed", detail="InvalidParams: no"),
    Mark(at=106.2, what="retry", kind="play", key="p1", word="calling.play", verdict="", detail="429"),
    event(106.3, "play", "p1", "playing", "duplicate"),
    event(106.4, "play", "p1", "playing", "late"),
    event(106.5, "record", "r", "finished", "reconciled"),
    settled(106.6, "collect", "c", "ActionExpired", "deadline"),
    wait(106.0, "collect", "c", "finished", "timeout"),
    wait(106.0, "collect", "c", "outcome", "", None),
]


def drawn(*marks: Mark) -> ET.Element:
    return ET.fromstring(Timeline(marks=marks).svg())


def titles(picture: ET.Element) -> list[str]:
    return [title.text or "" for title in picture.iter(f"{SVG}title")]


def test_a_row_for_the_call_and_for_each_action() -> None:
    # A name is behind a title, which has the control_id.
    names = [list(text.itertext())[-1] for text in drawn(*CALL).iter(f"{SVG}text") if text.get("class") == "name"]
    assert names == ["call", "detect", "play", "play #2"]


def test_commands_and_webhooks_are_marks_that_say_what_and_when() -> None:
    groups = [group.get("class", "") for group in drawn(*CALL).iter(f"{SVG}g")]
    assert sum(group.startswith("mark command") for group in groups) == sum(mark.what == "command" for mark in CALL)
    told = [mark for mark in CALL if mark.what == "event" and mark.verdict == "applied"]
    assert sum(group.startswith("mark event applied") for group in groups) == len(told)
    assert any(title.startswith("webhook: HUMAN (applied) · detect d\n2.000 s") for title in titles(drawn(*CALL)))


def test_states_are_spans_that_say_how_long_they_lasted() -> None:
    assert "playing, 2.000 s" in titles(drawn(*CALL))


@pytest.mark.parametrize(
    "kind",
    [
        "command failed",
        "retry open",
        "event duplicate",
        "event late",
        "event reconciled",
        "settled bad",
        "wait timeout",
        "wait open",
    ],
)
def test_what_went_wrong_looks_different(kind: str) -> None:
    groups = [group.get("class") for group in drawn(*TROUBLE).iter(f"{SVG}g")]
    assert f"mark {kind}" in groups


def test_what_came_from_the_network_is_escaped() -> None:
    evil = Mark(
        at=1.0,
        what="event",
        kind="play",
        key=EVIL,
        word=EVIL,
        verdict="unknown",
        event=Event(state=EVIL, payload={"x": EVIL}),
    )
    timeline = Timeline(marks=(command(0.0, "dial"), evil), call_id=EVIL)
    for document in (timeline.svg(), timeline.html(title=EVIL)):
        assert "<script>alert" not in document
        assert "\x1b" not in document
        assert "\u202e" not in document
    assert document.count("<script>") == 1
    ET.fromstring(timeline.svg())


def test_the_page_runs_no_script_and_loads_nothing_but_what_is_in_it() -> None:
    html = Timeline(marks=tuple(TROUBLE)).html()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert policy[1].startswith("default-src 'none';")
    for tag in ("script", "style"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy[1]
    assert not re.search(r"""(?:src|href)=|url\(|\son\w+=|\sstyle=""", html)


def test_the_page_shows_payloads_and_the_picture_alone_does_not() -> None:
    secretive = Mark(
        at=0.0,
        what="event",
        kind="play",
        key="p",
        word="x",
        verdict="applied",
        event=Event(state="x", payload={"said": "4711"}),
    )
    assert "4711" in Timeline(marks=(secretive,)).html()
    assert "4711" not in Timeline(marks=(secretive,)).svg()


def test_a_long_payload_is_cut() -> None:
    long = Mark(
        at=0.0,
        what="event",
        kind="play",
        key="p",
        word="x",
        verdict="applied",
        event=Event(state="x", payload={"said": "a" * 9000}),
    )
    html = Timeline(marks=(long,)).html()
    assert "characters more" in html
    assert "a" * 5000 not in html


def test_marks_of_two_calls_on_one_page_have_different_numbers() -> None:
    html = page([Timeline(marks=tuple(CALL)), Timeline(marks=tuple(CALL))], "Two")
    in_pictures = re.findall(r'<g class="mark[^>]*data-mark="(\d+)"', html)
    assert len(in_pictures) == len(set(in_pictures))
    assert set(re.findall(r'<tr data-mark="(\d+)"', html)) >= set(in_pictures)


def test_facts_are_counted() -> None:
    facts = re.findall(r'<li class="\w*">(.*?)</li>', Timeline(marks=tuple(TROUBLE), dropped=3).html())
    assert set(facts) >= {
        "1 failed command",
        "1 repetition",
        "1 duplicate",
        "1 late",
        "1 found in the voice log",
        "1 ended without a webhook",
        "1 timeout",
        "3 earlier, not kept",
    }


@pytest.mark.parametrize(
    "marks", [(), (command(5.0, "dial"),), (command(5.0, "dial"), event(5.0, "call", None, "ended"))]
)
def test_there_is_a_page_and_a_picture_for_the_shortest_of_calls(marks: tuple[Mark, ...]) -> None:
    timeline = Timeline(marks=marks)
    ET.fromstring(timeline.svg())
    assert "<h1>" in timeline.html()


def test_a_thousand_marks_make_a_wider_picture() -> None:
    marks = [command(0.0, "calling.collect", "c"), *(event(n / 100, "collect", "c", str(n)) for n in range(1, 1000))]
    width = drawn(*marks).get("width")
    assert width is not None
    assert int(width) > 4000
