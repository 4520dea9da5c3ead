"""The support modules of these tests are a package of their own, `simulation`, beside them."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

PAIRS = "pairs of a flow and a step"


@pytest.fixture(scope="session")
def exhaustive() -> bool:
    """Whether every case is tried, or a sample of them."""
    return os.environ.get("SWCALLS_EXHAUSTIVE", "0") not in ("", "0")


@pytest.fixture(scope="session")
def seed() -> int:
    """What the samples are drawn by."""
    return int(os.environ.get("SWCALLS_SEED", "0"))


@pytest.fixture(autouse=True, scope="module")
def a_small_heap() -> Iterator[None]:
    """Each run hides what is older from the collector: bring it back."""
    gc.collect()
    yield
    gc.unfreeze()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ())]
    pairs = sum(number for report in reports for name, number in report.user_properties if name == PAIRS)
    if pairs:
        terminalreporter.write_line(f"{pairs} {PAIRS} were tried")
