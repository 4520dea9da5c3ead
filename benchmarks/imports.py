"""What it costs to import swcalls: time and memory against ``import aiohttp``, in fresh interpreters; and its size."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import partial
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from . import report
from .harness import Measured, Result, Row, Sample, Samples, Size, Spread, interleave, ratio, spread
from .machine import core_of
from .peers import lacks

ROUNDS = {"full": 21, "quick": 3, "tiny": 1}

STATEMENTS = {
    "nothing": "pass",
    "aiohttp": "import aiohttp",
    "swcalls": "import swcalls",
    "swcalls, with a client": "import swcalls; swcalls.Client('p', 't', 's')",
    "swcalls, with a receiver": "import swcalls; swcalls.Client('p', 't', 's').receiver",
    "aiohttp, with aiohttp.web": "import aiohttp.web",
    "the vendor's REST client": "import signalwire.rest",
    "telnyx": "import telnyx",
    "twilio": "import twilio.rest",
}
NEEDS = {"the vendor's REST client": ("signalwire",), "telnyx": ("telnyx",), "twilio": ("twilio",)}
SIZES = {
    "aiohttp": ("aiohttp",),
    "swcalls": ("aiohttp", "msgspec", "yarl"),
    "the vendor's REST client": ("signalwire-sdk",),
    "telnyx": ("telnyx",),
    "twilio": ("twilio",),
}

# The high-water mark is read from the process itself: what `wait4` tells includes the one that it was forked from.
_PROGRAM = """
import os, sys, time
if sys.argv[2] != "None":
    os.sched_setaffinity(0, {int(sys.argv[2])})
wall, cpu, modules = time.perf_counter(), time.process_time(), len(sys.modules)
exec(sys.argv[1])
wall, cpu, modules = time.perf_counter() - wall, time.process_time() - cpu, len(sys.modules) - modules
try:
    peak = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
except OSError:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print('{"wall": %f, "cpu": %f, "peak": %d, "modules": %d}' % (wall, cpu, peak, modules))
"""


def run(size: Size) -> Result:
    """Measure it."""
    skipped = {name: missing for name, modules in NEEDS.items() if (missing := lacks(modules))}
    runs = {name: partial(_import, statement) for name, statement in STATEMENTS.items() if name not in skipped}
    wider = Size(size.name, ROUNDS[size.name], size.share, size.seconds)
    # The first round fills the page cache and writes .pyc files, and is not counted.
    samples = interleave(runs, wider)
    sizes = {name: _installed(name, roots) for name, roots in SIZES.items() if name not in skipped}
    return report.result(
        "imports",
        "What does it cost to import it?",
        size,
        rows=_rows(samples, sizes),
        measured=[_measured(name, found, sizes.get(name)) for name, found in samples.items()],
        skipped=skipped,
        notes=[
            "swcalls imports aiohttp with the first client, and aiohttp.web with the first receiver.",
            (
                "Time is that of the statement, in an interpreter that has started, with a warm page cache and "
                ".pyc files; memory is the peak of the whole process, the interpreter's own included."
            ),
            "Installed size is that of all files but .pyc, with everything that is required.",
        ],
    )


def _import(statement: str) -> Sample:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["PYTHONPATH"] = str(Path(find_spec("swcalls").origin or "").parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, statement, str(core_of("subject"))],
        capture_output=True, text=True, check=True, timeout=60, env=environment,
    )  # fmt: skip
    sample: Sample = json.loads(done.stdout)
    return sample


def _rows(samples: Samples, sizes: dict[str, int]) -> list[Row]:
    def row(ours: str, theirs: str, **goals: float) -> Row:
        # Here less is better, as the goal says: ours is divided by theirs.
        figures = {
            shown: ratio(samples, ours, theirs, figure)
            for shown, figure in (("CPU", "cpu"), ("wall", "wall"), ("peak memory", "peak"))
        }
        if {ours, theirs} <= set(sizes):
            figures["installed"] = _one(sizes[ours] / sizes[theirs])
        return Row(
            what=f"import {ours}",
            against=f"import {theirs}",
            group="cost of swcalls / of the other (less is better)",
            figures=figures,
            **goals,
        )

    peers = [row("swcalls", peer) for peer in NEEDS if peer in samples]
    return [
        row("swcalls", "aiohttp", at_most=1.10),
        row("swcalls, with a client", "aiohttp"),
        row("swcalls, with a receiver", "aiohttp, with aiohttp.web"),
        *peers,
    ]


def _measured(name: str, found: list[Sample], installed: int | None) -> Measured:
    figures = {
        "CPU ms": spread(sample["cpu"] * 1e3 for sample in found),
        "wall ms": spread(sample["wall"] * 1e3 for sample in found),
        "peak MiB": spread(sample["peak"] / 2**20 for sample in found),
        "modules": spread(sample["modules"] for sample in found),
    }
    if installed is not None:
        figures["installed MiB"] = _one(installed / 2**20)
    return Measured("python alone" if name == "nothing" else f"import {name}", figures)


def _one(value: float) -> Spread:
    return Spread(value, value, value, 1)


def _installed(name: str, roots: tuple[str, ...]) -> int:
    """Sum up the files of *roots* and of all that they require, and of swcalls itself if that is the *name*."""
    found: dict[str, Distribution] = {}
    for root in roots:
        _require(root, found)
    total = sum(_size(Path(str(at.locate_file(file)))) for at in found.values() for file in at.files or ())
    if name == "swcalls":
        # It may run from a clone.
        total += sum(_size(file) for file in Path(find_spec("swcalls").origin or "").parent.rglob("*"))
    return total


def _require(name: str, found: dict[str, Distribution]) -> None:
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in found:
        return
    try:
        found[key] = distribution(name)
    except PackageNotFoundError:
        return
    for requirement in found[key].requires or ():
        wanted, _, marker = requirement.partition(";")
        if "extra" not in marker:
            _require(re.split(r"[^A-Za-z0-9._-]", wanted.strip(), maxsplit=1)[0], found)


def _size(file: Path) -> int:
    return file.stat().st_size if file.suffix != ".pyc" and file.is_file() else 0


if __name__ == "__main__":
    report.main(run)
