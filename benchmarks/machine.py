"""Where a benchmark ran: processor, kernel, versions; and which of its parties runs on which core."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from msgspec import Struct

DISTRIBUTIONS = (
    "aiohttp", "msgspec", "yarl", "uvloop", "fastapi", "starlette", "pydantic", "uvicorn", "httptools",
    "signalwire-sdk", "requests", "telnyx", "httpx", "httpx-aiohttp", "twilio", "redis", "asyncpg",
)  # fmt: skip


class Machine(Struct, frozen=True, kw_only=True):
    """What the figures depend on."""

    processor: str
    cores: int
    system: str
    python: str
    versions: dict[str, str]
    """Of the distributions that are installed."""
    pinned: bool
    """Whether each party stayed on one core."""


def describe() -> Machine:
    """Describe this machine."""
    import swcalls

    versions = {"swcalls": swcalls.__version__}
    for name in DISTRIBUTIONS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        versions=versions,
        pinned=core_of("subject") is not None,
    )


def core_of(role: str) -> int | None:
    """Say on which core a *role* runs: what is measured has one to itself, where there are two at all.

    On two cores ``subject`` and ``platform`` share one. ``None``: on any, as ``anywhere`` says.
    """
    if role == "anywhere" or not hasattr(os, "sched_getaffinity"):
        return None
    available = sorted(os.sched_getaffinity(0))
    return available[("subject", "load", "platform").index(role) % len(available)]


def pin(core: int | None) -> None:
    """Keep this process on *core*; ``None``: wherever it likes."""
    if core is not None:
        os.sched_setaffinity(0, {core})


def resident_bytes() -> int | None:
    """Say how much memory this process holds; ``None`` where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
