"""The benchmarks run, each at a size at which its figures mean nothing, and leave what they should. Nothing is timed."""

from __future__ import annotations

import multiprocessing
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import harness, party, plot, report, scale_model  # noqa: E402
from benchmarks.harness import Result, Row, Size, Spread  # noqa: E402
from benchmarks.peers import installed  # noqa: E402
from swcalls.timeline.labels import Font  # noqa: E402

NAMES = [
    "receiver", "latency", "commands", "end_to_end", "call_centre", "pending", "audio", "scale_out", "imports",
]  # fmt: skip
SUBJECTS = [
    "audio_load", "audio_receivers", "centre", "clients", "flows", "holders", "load", "owners", "receivers", "space",
    "waiters",
]  # fmt: skip
PRELOADED = [*(f"benchmarks.{name}" for name in SUBJECTS), "swcalls.backplane.redis", "swcalls.backplane.postgres"]

# What a goal is set for, by what it takes to measure it.
GOALS = {
    "receiver": {(): 4, ("fastapi", "pydantic", "uvicorn", "signalwire"): 1},
    "commands": {(): 1, ("signalwire", "requests"): 1, ("telnyx", "httpx_aiohttp"): 1, ("telnyx",): 1, ("twilio",): 1},
    "end_to_end": {(): 1, ("uvloop",): 1},
    "latency": {(): 0},
    "call_centre": {(): 2},
    "pending": {(): 2},
    "audio": {(): 3},
    "scale_out": {("redis",): 1},
    "imports": {(): 1},
}


@pytest.fixture
def parties(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork parties off one process that has imported what they are made of: else each imports it again."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    if "forkserver" in multiprocessing.get_all_start_methods():
        forking = multiprocessing.get_context("forkserver")
        forking.set_forkserver_preload(PRELOADED)
        monkeypatch.setattr(party, "_spawn", forking)


def test_a_benchmark_is_a_program() -> None:
    command = [sys.executable, "-m", "benchmarks.scale_out", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    assert "--tiny" in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_runs_and_says_what_it_skipped(
    name: str, tmp_path: Path, parties: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--tiny", "--out", str(tmp_path)])
    runpy.run_module(f"benchmarks.{name}", run_name="__main__")

    found = msgspec.json.decode((tmp_path / f"{name}.json").read_bytes(), type=Result)
    assert found.benchmark == name
    assert found.machine.versions["aiohttp"]
    assert all(spread.rounds for measured in found.measured for spread in measured.figures.values())
    with_goals = [row for row in found.rows if row.reached is not None]
    assert len(with_goals) >= sum(count for modules, count in GOALS[name].items() if installed(*modules))
    for modules in GOALS[name]:
        assert installed(*modules) or any("needs" in why for why in found.skipped.values())

    assert_each_row_has_a_label_of_its_own((tmp_path / f"{name}.svg").read_text(), found)
    table = (tmp_path / f"{name}.md").read_text()
    assert all(row.what in table for row in found.rows)
    assert all(f"Skipped: {what}" in table for what in found.skipped)
    assert table in capsys.readouterr().out


def texts_of(drawn: str) -> list[str]:
    return ["".join(text.itertext()) for text in ET.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")]


def assert_each_row_has_a_label_of_its_own(drawn: str, found: Result) -> None:
    texts = texts_of(drawn)
    labels = [f"{row.what} against {row.against}" if row.against else row.what for row in found.rows]
    assert len(set(labels)) == len(labels)
    assert all(texts.count(label) == 1 for label in labels)


def assert_nothing_is_cut_off(drawn: str) -> None:
    tag = "{http://www.w3.org/2000/svg}"
    for text in ET.fromstring(drawn).iter(f"{tag}text"):
        kind, anchor = text.get("class"), text.get("text-anchor")
        font = Font(16 if kind == "title" else 12, is_bold=kind in ("title", "group"))
        for line in text.findall(f"{tag}tspan") if kind == "label" else [text]:
            width, x = font.width("".join(line.itertext()).strip()), float(line.get("x", ""))
            left = x - width * {"end": 1, "middle": 0.5}.get(anchor or "", 0)
            assert 0 <= left < left + width <= plot.WIDTH, "".join(line.itertext())


def spread_of(value: float) -> Spread:
    return Spread(value, value, value, 1)


def row(median: float, *, what: str = "this <b>", group: str = "g", unit: str = "x", **goals: float) -> Row:
    return Row(what=what, against="that", group=group, unit=unit, figures={"CPU": spread_of(median)}, **goals)


def test_every_variant_runs_once_a_round_after_one_that_does_not_count() -> None:
    ran: list[str] = []

    def run(name: str) -> harness.Sample:
        ran.append(name)
        return {"cpu": float(len(ran))}

    size = Size("quick", rounds=4, share=1, seconds=60)
    runs = {name: (lambda name=name: run(name)) for name in "abc"}
    samples = harness.interleave(runs, size, seldom={"c": 2})
    assert sorted(ran[:2]) == ["a", "b"]
    assert [len(samples[name]) for name in "abc"] == [4, 4, 2]
    assert len(ran) == 2 + 4 + 4 + 2


def test_variants_are_compared_round_by_round() -> None:
    samples = {"reference": [{"cpu": 2.0}, {"cpu": 6.0}, {"cpu": 4.0}], "subject": [{"cpu": 1.0}, {"cpu": 2.0}]}
    assert harness.ratio(samples, "reference", "subject", "cpu") == Spread(2.5, 2.0, 3.0, 2)


@pytest.mark.parametrize(
    ("found", "reached"),
    [
        (row(0.9, at_least=0.85), True),
        (row(0.8, at_least=0.85), False),
        (row(1.0, at_most=1.1), True),
        (row(1.2, at_most=1.1), False),
        (row(1.2), None),
    ],
)
def test_a_goal_is_about_the_median(found: Row, reached: bool | None) -> None:
    assert found.reached is reached


def test_a_plot_is_well_formed_and_shows_each_row() -> None:
    drawn = plot.draw("a & b", [row(0.9, at_least=0.85), row(22, at_least=30), row(1.2)])
    texts = texts_of(drawn)
    assert texts.count("this <b> against that") == 3
    assert "a & b" in texts
    assert "22.0 ≥ 30".replace(" ", "") in [text.replace(" ", "") for text in texts]


def test_a_plot_says_which_figures_are_the_good_ones() -> None:
    bytes_, rate = (msgspec.structs.replace(row(9, group=group), unit="u") for group in ("i", "j (more is better)"))
    streams = msgspec.structs.replace(row(9, group="k", at_least=8), unit="u")
    drawn = plot.draw("a", [row(1.2), row(0.5, group="h (less is better)"), bytes_, rate, streams])
    texts = texts_of(drawn)
    directions = [text.partition(";")[0] for text in texts if " is better" in text]
    assert directions == ["more is better", "less is better", "less is better", "more is better", "more is better"]
    assert "j" in texts


def test_the_goal_of_a_plain_figure_says_which_ones_are_good() -> None:
    streams = row(783, group="streams", unit="streams", at_least=900)
    memory = row(291, group="bytes", unit="bytes", at_most=300)
    texts = texts_of(plot.draw("a", [streams, memory]))
    assert [text for text in texts if " is better" in text] == ["more is better", "less is better"]


def test_a_long_label_is_wrapped_and_nothing_is_cut_off() -> None:
    long = " ".join(["words"] * 30)
    drawn = plot.draw("a", [row(1.2, what=long)])
    assert f"{long} against that" in texts_of(drawn)
    spans = ET.fromstring(drawn).iter("{http://www.w3.org/2000/svg}tspan")
    assert all(len("".join(span.itertext()).strip()) <= plot.LETTERS for span in spans)


@pytest.mark.parametrize(
    ("highest", "step", "top"), [(0, 0.5, 1.0), (0.9, 0.5, 1.0), (1.0, 0.5, 1.0), (23, 10, 30), (300, 100, 300)]
)
def test_a_scale_has_round_steps_and_reaches_the_highest(highest: float, step: float, top: float) -> None:
    assert plot.scale(highest) == pytest.approx((step, top))


def test_numbers_have_three_digits_that_mean_something() -> None:
    assert [report.number(value) for value in (0.8765, 23.456, 1234.5)] == ["0.88", "23.5", "1,234"]


def test_all_run_by_one_command_too() -> None:
    program = (ROOT / "benchmarks/__main__.py").read_text()
    assert all(f"{name}.run" in program for name in NAMES)


def test_both_readmes_have_the_sections_that_the_results_make() -> None:
    results = report.load(report.RESULTS)
    assert [found.benchmark for found in results] == NAMES
    readme, page = report.README.read_text(), report.PAGE.read_text()
    assert report.renewed(readme, results) == readme
    assert report.renewed(page, results, report.section) == page


def test_the_plots_and_tables_are_those_of_the_results() -> None:
    for found in report.load(report.RESULTS):
        drawn = (report.RESULTS / f"{found.benchmark}.svg").read_text()
        assert_each_row_has_a_label_of_its_own(drawn, found)
        assert_nothing_is_cut_off(drawn)
        assert drawn == plot.draw(found.question, found.rows)
        assert (report.RESULTS / f"{found.benchmark}.md").read_text() == report.markdown(found)


def test_every_headline_is_a_row_of_its_result() -> None:
    results = {found.benchmark: found for found in report.load(report.RESULTS)}
    for benchmark, keys in report.HEADLINES.items():
        rows = {(row.what, row.against) for row in results[benchmark].rows}
        assert rows.issuperset(keys)
    assert sum(map(len, report.HEADLINES.values())) <= 12


def test_drawing_anew_measures_nothing_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, str] = {}
    monkeypatch.setattr(Path, "write_text", lambda path, text: written.update({path.name: text}))
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--redraw"])
    report.main(lambda size: pytest.fail("a benchmark ran"))
    assert {f"{name}.svg" for name in NAMES} < set(written)
    assert not any(name.endswith(".json") for name in written)
    assert written["commands.svg"] == (report.RESULTS / "commands.svg").read_text()


def test_renewing_the_section_leaves_the_rest_of_the_readme() -> None:
    before = f"# Title\n\n{report.BEGIN}\nold\n{report.END}\n\n## Next\n"
    results = report.load(report.RESULTS)[:1]
    after = report.renewed(before, results)
    assert after.startswith(f"# Title\n\n{report.BEGIN}\nMeasured on ")
    assert after.endswith(f"{report.END}\n\n## Next\n")
    assert "old" not in after
    assert results[0].question in after
    assert report.renewed(after, results) == after


def test_the_scale_model_adds_costs_up() -> None:
    found = scale_model.Costs(
        alone=50e-6, receiver=100e-6, owner=[(100, 200e-6), (10_000, 100e-6)], store=20e-6, start=100e-6, memo=0.0,
        store_start=10e-6, pending=300, store_pending=250,
    )  # fmt: skip
    assert [round(found.owner_at(rate) * 1e6) for rate in (1, 100, 1_000, 10_000, 10**6)] == [200, 200, 150, 100, 100]
    traffic = scale_model.Traffic(webhooks=10, commands=5, seconds=100, inbound=0.5, keep=1_000)
    needs = scale_model.plan(found, traffic, 1_000, share=0.5, store_cores=1)
    # 10,000 webhooks at 100 us keep a core busy, and no core may be busy for more than half of the time.
    assert (needs.receivers, needs.stores) == (2, 1)
    assert needs.workers in range(3, 6)
    assert needs.worker_bytes == 2 * 1_000 * 100 * 300
    assert needs.store_bytes == 2 * 1_000 * 100 * 250 + 500 * 1_000 * scale_model.RECORD
    each = scale_model.limits(found, traffic, share=0.5, store_cores=1)
    assert list(each) == ["one worker", "one receiver", "one store"]
    assert round(each["one store"]) == round(0.5 / (10 * 20e-6 + 5 * 10e-6))
    assert scale_model.predicted(found, 0, 1, 10e-6, cores=8) == 1 / 50e-6
    rates = [scale_model.predicted(found, 2, workers, 10e-6, cores=8) for workers in (1, 4)]
    assert [round(rate) for rate in rates] == [10_000, 20_000], "first the worker is full, then the receivers are"


@pytest.mark.parametrize("store", ["Redis", "PostgreSQL"])
def test_the_scale_model_reads_the_results(store: str, tmp_path: Path) -> None:
    for name in ("scale_out", "commands", "pending"):
        shutil.copy(ROOT / f"benchmarks/results/{name}.json", tmp_path)
    if store == "PostgreSQL":
        path = tmp_path / "scale_out.json"
        found = path.read_text().replace('"1 owner"', '"1 owner, PostgreSQL"').replace("Redis us", "PostgreSQL us")
        path.write_text(found)
    costs = scale_model.costs(tmp_path, store)
    said = scale_model.table(costs, scale_model.Traffic(), share=0.5, store_cores=1)
    assert "| 10,000 | 80,000 |" in said
