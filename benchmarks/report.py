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

ORDER = ("receiver", "commands", "end_to_end", "pending", "audio", "scale_out", "imports")
"""In which the results are shown."""
RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parents[1] / "README.md"
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
        "--readme", action="store_true", help=f"write to {RESULTS.parent.name}/{RESULTS.name} and into the README"
    )
    arguments = parser.parse_args()
    out = RESULTS if arguments.readme else arguments.out
    for run in runs:
        found = _timed(run, arguments.size or FULL)
        print(markdown(found), flush=True)
        if out is not None:
            save(found, out)
    if arguments.readme:
        README.write_text(renewed(README.read_text(), load(RESULTS)))


def save(found: Result, directory: Path) -> None:
    """Write a result into *directory*: NAME.json, NAME.svg, NAME.md."""
    directory.mkdir(parents=True, exist_ok=True)
    encoded = msgspec.json.format(msgspec.json.encode(found), indent=1)
    (directory / f"{found.benchmark}.json").write_bytes(encoded + b"\n")
    (directory / f"{found.benchmark}.svg").write_text(plot.draw(found.question, found.rows))
    (directory / f"{found.benchmark}.md").write_text(markdown(found))


def load(directory: Path) -> list[Result]:
    """Read the results that are in *directory*, in the order in which the benchmarks are run."""
    files = [directory / f"{name}.json" for name in ORDER]
    return [msgspec.json.decode(file.read_bytes(), type=Result) for file in files if file.exists()]


def renewed(readme: str, results: Sequence[Result]) -> str:
    """Put *results* between the marks of a README."""
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    assert begin, f"no {BEGIN}"
    assert end, f"no {END}"
    return f"{head}{BEGIN}\n{section(results)}{END}{tail}"


def section(results: Sequence[Result]) -> str:
    """Return results as a part of the README: their plots, and their ratios to be unfolded."""
    parts = [f"Measured on {_where(max(results, key=lambda found: len(found.machine.versions)))}.", ""]
    for found in results:
        plot_of = f"benchmarks/{RESULTS.name}/{found.benchmark}"
        parts += [
            f"**{found.question}** A {found.size} run of {found.seconds:.0f} s, [all figures]({plot_of}.md).",
            "",
            f"![{found.question}]({plot_of}.svg)",
            "",
            "<details><summary>The ratios</summary>",
            "",
            _ratios(found),
            "",
            "</details>",
            "",
        ]
    return "\n".join(parts)


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
    at = found.machine
    versions = ", ".join(f"{name} {version}" for name, version in at.versions.items())
    pinned = "each party on its core" if at.pinned else "parties not pinned"
    return f"{at.cores} cores of {at.processor}, {at.system}, {at.python}, {pinned}; {versions}"


def _ratios(found: Result) -> str:
    names = list(dict.fromkeys(name for row in found.rows for name in row.figures))
    lines = [["", "against", *names, "goal", ""]]
    for row in found.rows:
        figures = [_spread(row.figures[name], row.unit) if name in row.figures else "" for name in names]
        verdict = {True: "reached", False: "**not reached**", None: ""}[row.reached]
        lines.append([row.what, row.against, *figures, goal(row), verdict])
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
