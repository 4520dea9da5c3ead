"""The timeline as text: pure functions, from marks to lines."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

from swcalls import CallEvent, Event, Mark, Timeline
from swcalls.timeline.rows import rows
from swcalls.timeline.terminal_style import ASCII, UNICODE, TerminalStyle, escaped, quoted
from swcalls.timeline.text import legend, picture, text

SGR = re.compile(r"\x1b\[[0-9;]*m")


def command(at: float, name: str, key: str | None = None, **more: Any) -> Mark:
    kind = "call" if key is None else name.split(".")[1]
    return Mark(**{"at": at, "what": "command", "kind": kind, "key": key, "word": name, "verdict": "accepted", **more})


def event(at: float, kind: str, key: str | None, word: str, verdict: str = "applied") -> Mark:
    told = CallEvent(state=word.partition(":")[0], payload={}) if kind == "call" else Event(state=word, payload={})
    return Mark(at=at, what="event", kind=kind, key=key, word=word, verdict=verdict, event=told)


def settles(mark: Mark, word: str = "result") -> list[Mark]:
    """An event, and the outcome that it is."""
    told = {"kind": mark.kind, "key": mark.key, "event": mark.event}
    return [mark, Mark(at=mark.at, what="settled", word=word, verdict="callback", **told)]


def settled(at: float, kind: str, key: str | None, word: str, by: str, detail: str = "") -> Mark:
    return Mark(at=at, what="settled", kind=kind, key=key, word=word, verdict=by, detail=detail)


def wait(at: float, kind: str, key: str | None, word: str, verdict: str = "result", took: float | None = 1.0) -> Mark:
    return Mark(at=at, took=took, what="wait", kind=kind, key=key, word=word, verdict=verdict)


def failed(at: float, name: str, key: str | None, detail: str, took: float = 0.0) -> Mark:
    return command(at, name, key, verdict="failed", detail=detail, took=took)


# A clock starts anywhere.
CALL = [
    command(100.0, "dial"),
    event(100.0, "call", None, "queued", "reported"),
    event(100.0, "call", None, "created"),
    event(100.0, "call", None, "ringing"),
    wait(100.0, "call", None, "answered"),
    event(101.0, "call", None, "answered"),
    command(101.0, "calling.detect", "d"),
    *settles(event(102.0, "detect", "d", "HUMAN")),
    command(102.0, "calling.play", "p1"),
    event(102.0, "play", "p1", "playing"),
    event(102.5, "detect", "d", "finished"),
    *settles(event(104.0, "play", "p1", "finished")),
    command(104.0, "calling.play", "p2"),
    event(104.0, "play", "p2", "playing"),
    command(105.9, "calling.play.stop", "p2"),
    *settles(event(106.0, "play", "p2", "finished")),
    command(106.0, "calling.end"),
    *settles(event(106.0, "call", None, "ended: hangup")),
]


def lines(width: int = 80, marks: list[Mark] = CALL, **style: object) -> list[str]:
    return picture(marks, TerminalStyle(width, **style)).split("\n")


def row(name: str, drawn: list[str]) -> str:
    return next(line for line in drawn if line.startswith(f"  {name} "))


def test_the_picture_at_80_columns() -> None:
    assert lines() == [
        "           0 s      1        2       3        4        5        6",
        "           ┬────────┬────────┬───────┬────────┬────────┬────────┬",
        "  call     ▸╌╌╌╌╌╌╌╌● answered ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━▸● ended: hangup",
        "  detect            ▸╌╌╌╌╌╌╌╌●━━━● HUMAN · finished",
        "  play                       ▸ playing ━━━━━━━● finished",
        "  play #2                                     ▸ playing ━━━━━━━▸● finished",
    ]


@pytest.mark.parametrize("width", [40, 41, 60, 79, 80, 100, 120, 200])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_no_line_is_wider_than_the_terminal_and_every_row_tells_its_end(width: int, glyphs: object) -> None:
    drawn = lines(width, glyphs=glyphs)
    assert max(map(len, drawn)) <= width
    assert len(drawn) == 6
    assert row("call", drawn).endswith("ended: hangup")
    assert row("detect", drawn).endswith("finished")
    assert all(row(name, drawn).endswith("finished") for name in ("play", "play #2"))


def test_more_width_is_more_time() -> None:
    narrow, wide = (max(map(len, lines(width)[1:2])) for width in (60, 120))
    assert wide > narrow + 50


def test_marks_stand_below_their_times() -> None:
    drawn = lines()
    times, axis = drawn[:2]
    answered, verdict = row("call", drawn).index("●"), row("detect", drawn).index("●")
    assert (times[answered], axis[answered]) == ("1", "┬")
    assert (times[verdict], axis[verdict]) == ("2", "┬")


@pytest.mark.parametrize(
    ("span", "labels"),
    [
        (0.006, ["0.001", "0.006"]),
        (0.3, ["0.05", "0.30"]),
        (6.0, ["1", "6"]),
        (60.0, ["10", "60"]),
        (5400.0, ["1000", "5000"]),
    ],
)
def test_ticks_are_at_round_times(span: float, labels: list[str]) -> None:
    times = lines(marks=[command(7.0, "dial"), event(7.0 + span, "call", None, "ended")])[0].split()
    assert times[:2] == ["0", "s"]
    assert [times[2], times[-1]] == labels


def test_a_word_that_fits_between_two_marks_stands_there_and_others_at_the_end() -> None:
    drawn = lines(120)
    assert "▸ ringing ╌" in row("call", drawn)
    assert row("detect", lines(60)).endswith("● HUMAN · finished")


def test_waiting_and_pauses_are_drawn_lighter() -> None:
    marks = [
        command(0.0, "calling.play", "p"),
        event(2.0, "play", "p", "playing"),
        event(4.0, "play", "p", "paused"),
        event(6.0, "play", "p", "playing"),
        *settles(event(8.0, "play", "p", "finished")),
    ]
    bar = re.sub(r" \w+ ", "", row("play", lines(marks=marks)).split("  ")[2])
    assert re.fullmatch(r"▸╌+●━+●╌+●━+● finished", bar)


def test_a_refused_command_is_marked() -> None:
    marks = [*CALL, failed(103.0, "calling.record", "r", "InvalidParams: format='ogg' is none")]
    assert row("record", lines(marks=marks)).endswith(" ✗ InvalidParams")
    marks[-1] = failed(103.0, "calling.record", "r", "CommandUnconfirmed: it may have arrived")
    assert " ✗ CommandUnconfirmed ╌╌" in row("record", lines(marks=marks)), "and so it may be running"
    coloured = picture(marks, TerminalStyle(80, colour=True))
    assert "\x1b[31m✗\x1b[0m" in coloured


def test_what_happens_all_at_once_has_a_picture() -> None:
    assert lines(marks=[command(5.0, "dial")])[-1] == "  call  ▸"
    assert lines(marks=[command(5.0, "dial"), event(5.0, "call", None, "busy")])[-1] == "  call  ▸● busy"


def test_nothing_has_none() -> None:
    assert picture([], TerminalStyle()) == ""


def test_long_names_and_words_are_cut() -> None:
    marks = [command(0.0, "calling." + "x" * 70, "k"), *settles(event(1.0, "x" * 70, "k", "y" * 200))]
    (bar,) = lines(60, marks=marks)[2:]
    assert bar.startswith(f"  {'x' * 14}…  ▸")
    assert bar.endswith("y…")
    assert len(bar) == 60


@pytest.mark.parametrize("width", [40, 80])
def test_any_number_of_events_stays_within_the_width(width: int) -> None:
    marks = [command(0.0, "calling.collect", "c"), *(event(1 + n / 99, "collect", "c", f"{n}") for n in range(500))]
    assert max(map(len, lines(width, marks=marks))) <= width


def test_ascii_says_the_same() -> None:
    drawn = lines(glyphs=ASCII)
    assert all(line.isascii() for line in drawn)
    assert row("call", drawn) == "  call     >--------o answered =================================>o ended: hangup"
    assert legend(TerminalStyle(glyphs=ASCII)).isascii()


def test_colour_changes_nothing_but_colour() -> None:
    coloured = picture(CALL, TerminalStyle(80, colour=True))
    assert SGR.search(coloured)
    assert SGR.sub("", coloured).split("\n") == [*lines()]
    assert "\x1b" not in picture(CALL, TerminalStyle(80))


def test_what_comes_from_the_network_cannot_control_the_terminal() -> None:
    marks = [command(0.0, "calling.play", "p"), event(1.0, "play", "p", "a\x1b[2J\n\u202eb")]
    assert row("play", lines(marks=marks)).endswith(r"a\x1b[2J\n\u202eb")
    assert r"a\x1b[2J\n\u202eb" in text(marks, TerminalStyle())
    assert "\x1b" not in text(marks, TerminalStyle())


def test_actions_are_named_in_the_order_of_their_appearance() -> None:
    assert [found.name for found in rows(CALL)] == ["call", "detect", "play", "play #2"]


def told(marks: list[Mark], **style: Any) -> list[str]:
    return text(marks, TerminalStyle(style.pop("width", 80), **style)).partition("\n\n")[0].split("\n")


def test_a_line_for_whatever_was_sent_and_heard() -> None:
    drawn = told(CALL)
    assert len(drawn) == 16
    assert drawn[0] == "   0.000 s  →  call          dial"
    assert drawn[1] == "   0.000 s  ←  call          created"
    assert drawn[3] == "   1.000 s  ←  call          answered"
    assert drawn[-4] == "   5.900 s  →  play #2       calling.play.stop"
    assert drawn[-1] == "   6.000 s  ←  call          ended: hangup"


def test_what_did_not_go_as_it_should_has_a_line_at_its_time() -> None:
    marks = [
        command(0.0, "dial", took=0.1),
        failed(1.0, "calling.play.stop", "p", "CallNotFound: gone", took=0.5),
        Mark(at=1.2, what="retry", kind="play", key="p", word="calling.play", verdict="", detail="RateLimited: slowly"),
        event(1.3, "play", "p", "playing", "duplicate"),
        event(1.4, "play", "p", "finished", "reconciled"),
        event(1.4, "call", None, "answered", "reported"),
        wait(1.0, "play", "p", "finished", "timeout", 0.6),
        wait(1.0, "play", "p", "outcome", "cancelled", 0.7),
        wait(1.8, "play", "p", "reached playing", "", None),
        settled(2.0, "play", "p", "ActionExpired", "deadline", "its deadline passed"),
        settled(2.1, "call", None, "result", "closed"),
        command(3.0, "calling.end", verdict="cancelled", took=0.25),
    ]
    assert told(marks, width=100) == [
        "   0.000 s  →  call          dial",
        "   1.000 s  →  play          calling.play.stop",
        "   1.200 s  →  play          calling.play sent again after RateLimited: slowly",
        "   1.300 s  ←  play          playing (duplicate)",
        "   1.400 s  ←  play          finished (from the voice log)",
        "   1.400 s  ←  call          answered (from a command's response)",
        "   1.500 s  ✗  play          calling.play.stop: CallNotFound: gone",
        "   1.600 s  ⧖  play          finished: timeout after 0.600 s",
        "   1.700 s  ⧖  play          outcome: cancelled after 0.700 s",
        "   1.800 s  ⧖  play          waiting for reached playing",
        "   2.000 s  ✗  play          settled by deadline: ActionExpired: its deadline passed",
        "   2.100 s  ✓  call          settled by closed: result",
        "   3.000 s  →  call          calling.end",
        "   3.250 s  ✗  call          calling.end: cancelled",
    ]


def test_the_whole_is_lines_a_picture_and_its_legend() -> None:
    whole = str(Timeline(marks=tuple(CALL)))
    assert whole == "\n\n".join(("\n".join(told(CALL)), "\n".join(lines()), legend(TerminalStyle())))
    assert Timeline(marks=tuple(CALL)).text(width=100, colour=True) == text(CALL, TerminalStyle(100, colour=True))
    assert Timeline(marks=tuple(CALL)).text(width=1) == text(CALL, TerminalStyle(40))
    assert str(Timeline(marks=())) == "nothing has happened yet"
    assert str(Timeline(marks=tuple(CALL), dropped=7)).startswith("7 earlier marks were dropped\n   0.000 s  →")


def test_what_came_twice_or_too_late_is_hollow_and_changes_nothing() -> None:
    marks = [
        command(0.0, "calling.play", "p"),
        event(1.0, "play", "p", "playing"),
        event(3.0, "play", "p", "playing", "duplicate"),
        *settles(event(6.0, "play", "p", "finished")),
        event(8.0, "play", "p", "finished", "late"),
    ]
    bar = row("play", lines(100, marks=marks))
    assert re.fullmatch(r"  play  ▸╌+● playing ━+○ playing \(duplicate\) ━+● finished +○ finished \(late\)", bar)


def test_an_end_that_no_event_told_is_marked() -> None:
    marks = [
        command(0.0, "calling.play", "p"),
        event(1.0, "play", "p", "playing"),
        settled(9.0, "play", "p", "CallEnded", "call_ended"),
    ]
    assert row("play", lines(marks=marks)).endswith("━✗ CallEnded (call_ended)")
    marks[-1] = settled(9.0, "play", "p", "result", "callback")
    assert row("play", lines(marks=marks)).endswith("━○ result (callback)")


def test_what_is_not_over_goes_on_to_the_end() -> None:
    marks = [*CALL, command(103.0, "calling.record", "r"), event(103.5, "record", "r", "recording")]
    drawn = lines(marks=marks)
    assert row("record", drawn).endswith("━━━━")
    assert len(row("record", drawn)) == len(drawn[1])


def test_what_only_waits_has_no_bar() -> None:
    assert len(lines(marks=[*CALL, wait(103.0, "tap", "t", "finished")])) == len(lines())
    assert picture([wait(103.0, "tap", "t", "finished")], TerminalStyle()) == ""


def test_a_state_that_only_an_answer_told_is_in_the_picture_when_no_webhook_came() -> None:
    marks = [command(0.0, "dial"), event(4.0, "call", None, "answered", "reported"), command(8.0, "calling.end")]
    assert "○ answered (reported) ━" in row("call", lines(marks=marks))
    marks.append(event(5.0, "call", None, "answered"))
    assert "reported" not in row("call", lines(marks=marks))


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_a_line_is_cut_to_the_width(glyphs: object) -> None:
    marks = [command(0.0, "dial"), event(0.0, "z" * 50, "k", "w" * 100)]
    assert [len(line) for line in told(marks, width=40, glyphs=glyphs)][1] == 40


class Stream(io.TextIOWrapper):
    def __init__(self, encoding: str, *, is_tty: bool = False) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self.is_tty = is_tty

    def isatty(self) -> bool:
        return self.is_tty


@pytest.mark.parametrize(
    ("environ", "is_tty", "colour"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_colour_is_for_terminals_whose_users_want_it(environ: dict[str, str], is_tty: bool, colour: bool) -> None:
    assert TerminalStyle.of(Stream("utf-8", is_tty=is_tty), environ).colour is colour


@pytest.mark.parametrize(("encoding", "glyphs"), [("utf-8", UNICODE), ("ascii", ASCII), ("latin-1", ASCII)])
def test_glyphs_are_those_that_the_encoding_has(encoding: str, glyphs: object) -> None:
    assert TerminalStyle.of(Stream(encoding), {}).glyphs is glyphs


@pytest.mark.parametrize(("columns", "width"), [("132", 132), ("10", 40)])
def test_the_width_is_that_of_the_terminal(columns: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert TerminalStyle.of(Stream("utf-8")).width == width


def test_a_stream_that_is_closed_has_a_look_too() -> None:
    assert TerminalStyle.of(None) == TerminalStyle()


def test_escaping() -> None:
    assert escaped("plain words ~") == "plain words ~"
    assert escaped("é\t") == r"\xe9\t"
    assert quoted("b3f1-x_y.z") == "b3f1-x_y.z"
    assert quoted("two words") == "'two words'"
    assert quoted("a\nb") == r"'a\nb'"
    assert quoted("") == "''"
    assert len(quoted("\x00" * 10_000)) < 400
