"""The timeline as text: pure functions, from marks to lines."""

from __future__ import annotations

import io
import re

import pytest

from swcalls.cli.look import ASCII, UNICODE, Look, escaped, quoted
from swcalls.cli.render import legend, log_line, picture
from swcalls.cli.rows import Names, rows
from swcalls.timeline import Mark

SGR = re.compile(r"\x1b\[[0-9;]*m")


def command(at: float, name: str, key: str | None = None) -> Mark:
    return Mark(at=at, what="command", name=name, key=key, word="")


def event(at: float, kind: str, key: str | None, word: str) -> Mark:
    return Mark(at=at, what="event", name=kind, key=key, word=word)


def failed(at: float, name: str, key: str | None, word: str) -> Mark:
    return Mark(at=at, what="failed", name=name, key=key, word=word)


# A clock starts anywhere.
CALL = [
    command(100.0, "dial"),
    Mark(at=100.0, what="accepted", name="dial", key=None, word=""),
    event(100.0, "call", "c", "created"),
    event(100.0, "call", "c", "ringing"),
    event(101.0, "call", "c", "answered"),
    command(101.0, "calling.detect", "d"),
    event(102.0, "detect", "d", "HUMAN"),
    command(102.0, "calling.play", "p1"),
    event(102.0, "play", "p1", "playing"),
    event(102.5, "detect", "d", "finished"),
    event(104.0, "play", "p1", "finished"),
    command(104.0, "calling.play", "p2"),
    event(104.0, "play", "p2", "playing"),
    command(105.9, "calling.play.stop", "p2"),
    event(106.0, "play", "p2", "finished"),
    command(106.0, "calling.end"),
    event(106.0, "call", "c", "ended: hangup"),
]


def lines(width: int = 80, marks: list[Mark] = CALL, **look: object) -> list[str]:
    return picture(marks, Look(width, **look)).split("\n")


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
    times = lines(marks=[command(7.0, "dial"), event(7.0 + span, "call", "c", "ended")])[0].split()
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
        event(8.0, "play", "p", "finished"),
    ]
    bar = re.sub(r" \w+ ", "", row("play", lines(marks=marks)).split("  ")[2])
    assert re.fullmatch(r"▸╌+●━+●╌+●━+● finished", bar)


def test_a_refused_command_is_marked() -> None:
    marks = [*CALL[:5], command(103.0, "calling.record", "r"), failed(103.0, "calling.record", "r", "InvalidParams")]
    assert row("record", lines(marks=marks)).endswith("▸✗ InvalidParams")
    coloured = picture(marks, Look(80, colour=True))
    assert "\x1b[31m✗\x1b[0m" in coloured


def test_what_happens_all_at_once_has_a_picture() -> None:
    assert lines(marks=[command(5.0, "dial")])[-1] == "  call  ▸"
    assert lines(marks=[command(5.0, "dial"), event(5.0, "call", "c", "busy")])[-1] == "  call  ▸● busy"


def test_nothing_has_none() -> None:
    assert picture([], Look()) == ""


def test_long_names_and_words_are_cut() -> None:
    marks = [command(0.0, "calling." + "x" * 70, "k"), event(1.0, "x" * 70, "k", "y" * 200)]
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
    assert legend(Look(glyphs=ASCII)).isascii()


def test_colour_changes_nothing_but_colour() -> None:
    coloured = picture(CALL, Look(80, colour=True))
    assert SGR.search(coloured)
    assert SGR.sub("", coloured).split("\n") == [*lines()]
    assert "\x1b" not in picture(CALL, Look(80))


def test_what_comes_from_the_network_cannot_control_the_terminal() -> None:
    marks = [command(0.0, "calling.play", "p"), event(1.0, "play", "p", "a\x1b[2J\n\u202eb")]
    assert row("play", lines(marks=marks)).endswith(r"a\x1b[2J\n\u202eb")
    assert "\x1b" not in log_line(marks[1], 0.0, Names(), Look())


def test_actions_are_named_in_the_order_of_their_appearance() -> None:
    assert [found.name for found in rows(CALL)] == ["call", "detect", "play", "play #2"]


def test_a_line_for_each_mark() -> None:
    names = Names()
    look = Look(80)
    drawn = [log_line(mark, 100.0, names, look) for mark in CALL if mark.what != "accepted"]
    assert drawn[0] == "   0.000 s  →  call          dial"
    assert drawn[3] == "   1.000 s  ←  call          answered"
    assert drawn[-4] == "   5.900 s  →  play #2       calling.play.stop"
    assert drawn[-1] == "   6.000 s  ←  call          ended: hangup"
    refusal = failed(101.5, "calling.play.stop", "p2", "CallNotFound")
    assert log_line(refusal, 100.0, names, look) == "   1.500 s  ✗  play #2       calling.play.stop: CallNotFound"


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_a_line_is_cut_to_the_width(glyphs: object) -> None:
    line = log_line(event(0.0, "z" * 50, "k", "w" * 100), 0.0, Names(), Look(40, glyphs=glyphs))
    assert len(line) == 40


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
    assert Look.of(Stream("utf-8", is_tty=is_tty), environ).colour is colour


@pytest.mark.parametrize(("encoding", "glyphs"), [("utf-8", UNICODE), ("ascii", ASCII), ("latin-1", ASCII)])
def test_glyphs_are_those_that_the_encoding_has(encoding: str, glyphs: object) -> None:
    assert Look.of(Stream(encoding), {}).glyphs is glyphs


@pytest.mark.parametrize(("columns", "width"), [("132", 132), ("10", 40)])
def test_the_width_is_that_of_the_terminal(columns: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert Look.of(Stream("utf-8")).width == width


def test_a_stream_that_is_closed_has_a_look_too() -> None:
    assert Look.of(None) == Look()


def test_escaping() -> None:
    assert escaped("plain words ~") == "plain words ~"
    assert escaped("é\t") == r"\xe9\t"
    assert quoted("b3f1-x_y.z") == "b3f1-x_y.z"
    assert quoted("two words") == "'two words'"
    assert quoted("a\nb") == r"'a\nb'"
    assert quoted("") == "''"
    assert len(quoted("\x00" * 10_000)) < 400
