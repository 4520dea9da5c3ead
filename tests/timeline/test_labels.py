"""The texts of the SVG picture: none covers another one, or a symbol, whatever the call was like."""

from __future__ import annotations

import re
from itertools import combinations
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swcalls import CallEvent, CollectEvent, Event, Mark, Timeline
from swcalls.timeline.labels import FONTS, Box, Font, shorten, text_box
from swcalls.timeline.rows import hue
from swcalls.timeline.style import PICTURE

from .test_pictures import SVG, TROUBLE, drawn
from .test_text import CALL, command, event, failed, settled, wait

MEASURED = {
    "playing": (3.66, 4.12),
    "collecting": (4.82, 5.48),
    "HUMAN": (3.78, 4.25),
    "ended: hangup": (7.57, 8.49),
    "CallNotFound": (6.67, 7.57),
    "start_input_timers": (9.09, 10.31),
    "1234#": (3.38, 3.62),
    "finished: cancelled": (9.37, 10.58),
    "live_transcribe #2": (9.11, 10.17),
    "reached playing": (8.03, 9.02),
    "not ended yet": (7.01, 7.88),
    "InvalidParams": (7.01, 8.0),
    "(reconciled)": (5.94, 6.75),
    "mmmWWW%%": (7.79, 8.44),
    "iiijjjlll": (2.5, 3.08),
    "rtrtrtrt": (3.21, 3.88),
    "0.25 s": (3.07, 3.41),
}
"""Widths in DejaVu Sans, normal and bold, in em; a browser measured them."""


def boxes(row: ET.Element) -> tuple[list[tuple[str, Box]], list[Box]]:
    """Return the texts of a row with their boxes, and the boxes of its symbols."""
    texts = []
    for text in row.iter(f"{SVG}text"):
        shown = list(text.itertext())[-1]
        texts.append(
            (shown, text_box(shown, float(text.get("x", "")), float(text.get("y", "")), text.get("class", "")))
        )
    symbols = []
    for circle in row.iter(f"{SVG}circle"):
        x, y, r = (float(circle.get(name, "")) for name in ("cx", "cy", "r"))
        symbols.append(Box(x - r, y - r, x + r, y + r))
    for path in row.iter(f"{SVG}path"):
        if path.get("class") == "tip":
            x, y = map(float, path.get("d", "").partition("H")[0][1:].split())
            symbols.append(Box(x, y, x + 10, y + 9))
    return texts, symbols


def assert_legible(picture: ET.Element) -> None:
    width = float(picture.get("width", ""))
    found = [
        text for row in picture.iter(f"{SVG}g") if row.get("class", "").startswith("row") for text in boxes(row)[0]
    ]
    for (one, its), (other, others) in combinations(found, 2):
        assert not its.meets(others), (one, other)
    assert all(box.left >= 0 and box.right <= width for _, box in found)
    for row in picture.iter(f"{SVG}g"):
        if row.get("class", "").startswith("row"):
            texts, symbols = boxes(row)
            for word, box in texts:
                assert not any(box.meets(symbol) for symbol in symbols), word


WORDS = st.sampled_from(
    [
        "playing",
        "paused",
        "finished",
        "1",
        "12",
        "1234",
        "12345678#",
        "a whole sentence that somebody said",
        "日本語",
        "W" * 40,
    ]
)
ACTIONS = st.sampled_from(
    [("call", None), ("play", "a"), ("play", "b"), ("collect", "c"), ("live_transcribe", "d"), ("x" * 50, "e")]
)
TIMES = st.integers(0, 60).map(lambda number: number / 10)


@st.composite
def a_mark(draw: st.DrawFn) -> Mark:
    (kind, key), at, word = draw(ACTIONS), draw(TIMES), draw(WORDS)
    took = draw(st.none() | TIMES)
    about = {"at": at, "kind": kind, "key": key}
    match draw(st.sampled_from(["command", "command", "retry", "event", "event", "event", "wait", "wait", "settled"])):
        case "command":
            verdict = draw(st.sampled_from(["accepted", "accepted", "failed", "cancelled", ""]))
            detail = draw(st.sampled_from(["", "CallNotFound: gone", "CommandUnconfirmed: no answer"]))
            return Mark(what="command", word="calling.play.stop", verdict=verdict, detail=detail, took=took, **about)
        case "retry":
            return Mark(what="retry", word="calling.play", verdict="", **about)
        case "wait":
            verdict = draw(st.sampled_from(["result", "error", "timeout", "cancelled"])) if took is not None else ""
            return Mark(
                what="wait",
                word=draw(st.sampled_from(["finished", "reached playing"])),
                verdict=verdict,
                took=took,
                **about,
            )
        case "settled":
            return Mark(
                what="settled", word=draw(st.sampled_from(["result", "ActionExpired"])), verdict="deadline", **about
            )
    told: Event = Event(state=word, payload={})
    if kind == "call":
        told = CallEvent(state=word, payload={})
    elif kind == "collect":
        told = CollectEvent(state="collecting", digits=word, payload={})
    verdict = draw(
        st.sampled_from(["applied", "applied", "duplicate", "late", "early", "unknown", "reconciled", "reported"])
    )
    return Mark(what="event", word=word, verdict=verdict, event=told, **about)


@given(st.lists(a_mark(), min_size=1, max_size=40))
def test_no_text_covers_another_one_or_a_symbol(marks: list[Mark]) -> None:
    assert_legible(drawn(*sorted(marks, key=lambda mark: mark.at)))


@pytest.mark.parametrize("marks", [CALL, TROUBLE])
def test_the_usual_pictures_are_legible(marks: list[Mark]) -> None:
    assert_legible(drawn(*sorted(marks, key=lambda mark: mark.at)))


def words(*marks: Mark, kind: str) -> list[str]:
    found = (text for text in drawn(*marks).iter(f"{SVG}text") if text.get("class") == kind)
    return [list(text.itertext())[-1] for text in found]


def test_digits_are_shown_where_they_have_room() -> None:
    def pressed(at: float, digits: str) -> Mark:
        told = CollectEvent(state="collecting", digits=digits, payload={})
        return Mark(at=at, what="event", kind="collect", key="c", word=digits, verdict="applied", event=told)

    start, end = command(0, "calling.collect", "c"), pressed(10, "12345")
    wide = [pressed(2 * number, "1234"[:number]) for number in (1, 2, 3, 4)]
    assert words(start, *wide, end, kind="pressed") == ["1", "12", "123", "1234", "12345"]
    narrow = [pressed(2 + number / 100, "1234"[:number]) for number in (1, 2, 3, 4)]
    assert words(start, *narrow, end, kind="pressed") == ["1", "12345"]


def test_a_state_that_has_no_room_in_the_bar_stands_above_it() -> None:
    found = [command(0, "calling.detect", "d"), event(5, "detect", "d", "HUMAN"), event(5.2, "detect", "d", "finished")]
    more = [settled(5.2, "detect", "d", "result", "callback"), command(20, "calling.end")]
    assert words(*found, *more, kind="pressed") == ["HUMAN"]


def test_a_failed_command_in_the_middle_says_why() -> None:
    stop = failed(2, "calling.play.stop", "p", "CallNotFound: gone")
    found = [
        command(0, "calling.play", "p"),
        event(0.1, "play", "p", "playing"),
        stop,
        event(3, "play", "p", "finished", "late"),
    ]
    assert words(*found, settled(4, "play", "p", "CallEnded", "call_ended"), kind="verb bad") == ["CallNotFound"]


def test_late_and_the_last_word_have_places_of_their_own() -> None:
    stop = failed(2, "calling.play.stop", "p", "CallNotFound: gone")
    found = [command(0, "calling.play", "p"), settled(1.9, "play", "p", "CallEnded", "call_ended"), stop]
    late = [*found, event(2.02, "play", "p", "finished", "late")]
    assert words(*late, kind="last") == ["CallNotFound"]
    assert_legible(drawn(*late))


def test_a_kind_has_one_colour_wherever_it_stands() -> None:
    def colours(*kinds: str) -> dict[str, str]:
        marks = [command(number, f"calling.{kind}", "k") for number, kind in enumerate(kinds)]
        rows = [group for group in drawn(*marks).iter(f"{SVG}g") if group.get("class", "").startswith("row")]
        return dict(zip(kinds, (row.get("class", "") for row in rows), strict=True))

    assert colours("play", "record", "collect") == colours("collect", "play", "record")
    assert len({hue(kind) for kind in ("call", "detect", "play", "collect", "record", "stream", "transcribe")}) == 7


@pytest.mark.parametrize("text", MEASURED)
def test_widths_are_not_less_than_those_of_a_wide_font(text: str) -> None:
    normal, bold = MEASURED[text]
    assert normal <= Font(1).width(text) <= normal * 1.2
    assert bold <= Font(1, is_bold=True).width(text) <= bold * 1.2


def test_texts_have_the_sizes_that_are_measured() -> None:
    sizes = dict(re.findall(r"\.(\w+)\{font-size:([\d.]+)px", PICTURE))
    assert {kind: float(size) for kind, size in sizes.items() if kind != "swcalls"} == {
        kind: font.size for kind, font in FONTS.items() if font.size != 11 and kind != "verb bad"
    }
    assert "font-size:11px" in PICTURE


def test_what_is_cut_ends_in_an_ellipsis_and_fits() -> None:
    assert shorten("short", 100, "last") == "short"
    cut = shorten("far too long for this", 60, "last")
    assert cut.endswith("…")
    assert 40 < FONTS["last"].width(cut) <= 60


def test_what_a_response_reported_first_is_nothing_odd_on_the_page() -> None:
    queued = event(100.0, "call", None, "queued", "reported")
    assert '<td class="soft">reported</td>' in Timeline(marks=(CALL[0], queued, *CALL[2:])).html()
    alone = event(1.0, "call", None, "answered", "reported")
    assert '<td class="odd">reported</td>' in Timeline(marks=(command(0.0, "dial"), alone)).html()


def test_a_row_of_which_only_a_wait_is_kept_is_drawn() -> None:
    assert words(wait(0, "play", "p", "finished"), kind="last") == ["not ended yet"]
