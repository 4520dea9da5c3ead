"""What is left of a run: a JSON file, a plot, tables for people to read; and the command line of a benchmark."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from . import machine, plot
from .harness import FULL, QUICK, TINY, Measured, Result, Row, Size, Spread, progress

Run = Callable[[Size], Result]

ORDER = (
    "receiver", "latency", "commands", "end_to_end", "call_centre", "pending", "audio", "scale_out", "imports",
)  # fmt: skip
"""In which the results are shown."""
RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parents[1] / "README.md"
"""Has the headlines and one picture."""
PAGE = Path(__file__).parent / "README.md"
"""Has all plots and all ratios."""
PICTURE = "end_to_end"
"""The benchmark whose plot the README shows."""
HEADLINES = {
    "receiver": [
        ("swcalls in an Application, 64 connections", "bare aiohttp handler"),
        ("swcalls in an Application, signing key, 64 connections", "bare aiohttp handler"),
        ("swcalls, serve(), 64 connections", "bare aiohttp handler"),
        ("swcalls in an Application, signing key, 64 connections", "FastAPI with the vendor's dependency"),
    ],
    "commands": [
        ("swcalls, 64 at once", "bare aiohttp post"),
        ("swcalls, 64 at once", "the vendor's REST client in threads"),
        ("swcalls, 64 at once", "twilio, asynchronous"),
    ],
    "end_to_end": [
        ("swcalls, 10,000 at once", "100 at once"),
        ("swcalls, 100 at once", "the vendor's RELAY actions"),
    ],
    "pending": [("swcalls, of 100,000", "")],
    "latency": [],
    "call_centre": [],
    "audio": [],
    "scale_out": [("all that a webhook costs, with its owner elsewhere", "in one process, serve()")],
    "imports": [("import swcalls", "import aiohttp")],
}
"""The rows that the README shows of each benchmark, by what was measured and its baseline: a dozen in all."""
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"

_started = time.monotonic()


def result(
    benchmark: str,
    question: str,
    size: Size,
    *,
    rows: list[Row],
    measured: list[Measured],
    skipped: dict[str, str] | None = None,
    notes: Sequence[str] = (),
) -> Result:
    """Put a result together, with what is known of the machine."""
    return Result(
        benchmark=benchmark,
        question=question,
        size=size.name,
        seconds=round(time.monotonic() - _started, 1),
        machine=machine.describe(),
        rows=rows,
        measured=measured,
        skipped=skipped or {},
        notes=list(notes),
    )


def main(*runs: Run) -> None:
    """Run benchmarks as the command line says."""
    parser = argparse.ArgumentParser(description="Measure swcalls. All parties are processes of this machine.")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="size", action="store_const", const=QUICK, help="about a minute for all of them")
    size.add_argument("--tiny", dest="size", action="store_const", const=TINY, help="only to see that they run")
    parser.add_argument("--out", type=Path, help="where to write JSON, plots and tables; else they are only printed")
    parser.add_argument(
        "--readme", action="store_true", help=f"write to {RESULTS.parent.name}/{RESULTS.name} and into both READMEs"
    )
    parser.add_argument(
        "--redraw",
        action="store_true",
        help="measure nothing: draw plots and tables anew from the results that are there",
    )
    arguments = parser.parse_args()
    if arguments.redraw:
        redraw()
        return
    out = RESULTS if arguments.readme else arguments.out
    for run in runs:
        found = _timed(run, arguments.size or FULL)
        print(markdown(found), flush=True)
        if out is not None:
            save(found, out)
    if arguments.readme:
        renew()


def redraw() -> None:
    """Draw the plots and the tables of the results that are there, and renew both READMEs. The figures stay."""
    for found in load(RESULTS):
        show(found, RESULTS)
    renew()


def renew() -> None:
    """Write the results that are there into both READMEs."""
    results = load(RESULTS)
    README.write_text(renewed(README.read_text(), results))
    PAGE.write_text(renewed(PAGE.read_text(), results, section))


def save(found: Result, directory: Path) -> None:
    """Write a result into *directory*: NAME.json, NAME.svg, NAME.md."""
    directory.mkdir(parents=True, exist_ok=True)
    encoded = msgspec.json.format(msgspec.json.encode(found), indent=1)
    (directory / f"{found.benchmark}.json").write_bytes(encoded + b"\n")
    show(found, directory)


def show(found: Result, directory: Path) -> None:
    """Write what people read of a result into *directory*: NAME.svg, NAME.md."""
    (directory / f"{found.benchmark}.svg").write_text(plot.draw(found.question, found.rows))
    (directory / f"{found.benchmark}.md").write_text(markdown(found))


def load(directory: Path) -> list[Result]:
    """Read the results that are in *directory*, in the order in which the benchmarks are run."""
    files = [directory / f"{name}.json" for name in ORDER]
    return [msgspec.json.decode(file.read_bytes(), type=Result) for file in files if file.exists()]


def headlines(results: Sequence[Result]) -> str:
    """Return results as a part of the README: one table of selected rows, and one plot."""
    lines = [["", "", "against", "ratio", "better is", "goal", ""]]
    for found in results:
        question = found.question
        rows = {(row.what, row.against): row for row in found.rows}
        for key in HEADLINES[found.benchmark]:
            if key in rows:
                row = rows[key]
                name, judged = next(iter(row.figures.items()))
                ratio = f"{name} {_spread(judged)}" if row.unit == "x" else _spread(judged, row.unit)
                better = plot.direction(row).partition(" ")[0]
                lines.append([question, row.what, row.against, ratio, better, goal(row), _verdict(row)])
                question = ""
    parts = [
        f"Measured on {_machine(results[0])}; swcalls {results[0].machine.versions['swcalls']}.",
        "",
        _table(lines),
        "",
    ]
    parts += [
        f"![{found.question}](benchmarks/{RESULTS.name}/{found.benchmark}.svg)\n"
        for found in results
        if found.benchmark == PICTURE
    ]
    return "\n".join(parts)


def section(results: Sequence[Result]) -> str:
    """Return results as a part of the page about benchmarks: their plots and all their ratios."""
    parts = [f"Measured on {_where(max(results, key=lambda found: len(found.machine.versions)))}.", ""]
    for found in results:
        plot_of = f"{RESULTS.name}/{found.benchmark}"
        parts += [
            f"### {found.question}",
            "",
            f"A {found.size} run of {found.seconds:.0f} s, [all figures]({plot_of}.md).",
            "",
            f"![{found.question}]({plot_of}.svg)",
            "",
            _ratios(found),
            "",
        ]
    return "\n".join(parts)


def renewed(text: str, results: Sequence[Result], write: Callable[[Sequence[Result]], str] = headlines) -> str:
    """Put what *write* makes of *results* between the marks of a page."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    assert begin, f"no {BEGIN}"
    assert end, f"no {END}"
    return f"{head}{BEGIN}\n{write(results)}{END}{tail}"


def markdown(found: Result) -> str:
    """Return a result in full."""
    parts = [f"## {found.question}", "", f"{found.size} run, {found.seconds:.0f} s, on {_where(found)}.", ""]
    parts += [_ratios(found), "", _figures(found)]
    if found.skipped:
        parts += ["", *(f"- Skipped: {what} ({why})." for what, why in found.skipped.items())]
    if found.notes:
        parts += ["", *(f"- {note}" for note in found.notes)]
    return "\n".join(parts) + "\n"


def _timed(run: Run, size: Size) -> Result:
    started = time.monotonic()
    found = run(size)
    progress("")
    return msgspec.structs.replace(found, seconds=round(time.monotonic() - started, 1))


def _where(found: Result) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in found.machine.versions.items())
    return f"{_machine(found)}; {versions}"


def _machine(found: Result) -> str:
    at = found.machine
    pinned = "each party on its core" if at.pinned else "parties not pinned"
    return f"{at.cores} cores of {at.processor}, {at.system}, {at.python}, {pinned}"


def _ratios(found: Result) -> str:
    names = list(dict.fromkeys(name for row in found.rows for name in row.figures))
    lines = [["", "against", *names, "goal", ""]]
    for row in found.rows:
        figures = [_spread(row.figures[name], row.unit) if name in row.figures else "" for name in names]
        lines.append([row.what, row.against, *figures, goal(row), _verdict(row)])
    return _table(lines)


def _figures(found: Result) -> str:
    names = list(dict.fromkeys(name for measured in found.measured for name in measured.figures))
    lines = [
        [measured.variant, *(_spread(measured.figures[name]) if name in measured.figures else "" for name in names)]
        for measured in found.measured
    ]
    return _table([["", *names], *lines])


def goal(row: Row) -> str:
    """Say what is asked of a row."""
    if row.at_least is None and row.at_most is None:
        return ""
    asked = f"≥ {row.at_least:g}" if row.at_least is not None else f"≤ {row.at_most:g}"
    return asked if row.go_for is None else f"{asked}, better {row.go_for:g}"


def _verdict(row: Row) -> str:
    return {True: "reached", False: "**not reached**", None: ""}[row.reached]


def number(value: float) -> str:
    """Write a number with about three digits that mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 20 else f"{value:.2f}"


def _spread(found: Spread, unit: str = "") -> str:
    times = "" if unit in ("", "x") else f" {unit}"
    if found.rounds == 1:
        return f"{number(found.median)}{times}"
    return f"{number(found.median)}{times} ({number(found.low)}–{number(found.high)})"  # noqa: RUF001 - a range


def _table(lines: list[list[str]]) -> str:
    head, *rest = lines
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rest))
