"""A real PostgreSQL server, on a free port of the loopback, for benchmarks and tests."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Self

SETTINGS = {"listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
FAST = {
    "fsync": "off",  # a process that is killed loses nothing that way
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "16MB",
    "autovacuum": "off",
}
"""For tests: as little work as possible."""


@cache
def programs() -> Path | None:
    """Where the programs of PostgreSQL are: SWCALLS_POSTGRES_BIN, or the newest installed; ``None``: nowhere."""
    if "SWCALLS_POSTGRES_BIN" in os.environ:
        return Path(os.environ["SWCALLS_POSTGRES_BIN"])
    found = [path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)]
    on_path = shutil.which("initdb")
    return found[-1] if found else Path(on_path).parent if on_path else None


def _version(path: Path) -> float:
    return float(path.parts[-3])


@cache
def missing() -> str:
    """Say why there is no server; empty: there is one."""
    if programs() is None:
        return "PostgreSQL is not installed"
    return "PostgreSQL does not run as root, and there is no user postgres or nobody" if _user() == 0 else ""


def _user() -> int:
    """Who runs it, since it refuses to run as root."""
    if os.getuid():
        return os.getuid()
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    return 0


def _times(process: int) -> list[int]:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return [0, 0, 0, 0]
    return [int(field) for field in fields[11:15]]


class PostgresServer:
    """One server, with its data in a directory of its own, so that it survives its own end.

    Args:
        settings: What is not to be as usual.
        core: The core on which it runs; ``None``: on any.
    """

    def __init__(self, settings: Mapping[str, str] | None = None, *, core: int | None = None) -> None:
        self._settings = {**SETTINGS, **(settings or {})}
        self._core = core
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        # Not below the directory of pytest, which only its user may enter.
        self.directory = Path(tempfile.mkdtemp(prefix="swcalls-postgres-"))
        os.chown(self.directory, _user(), -1)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        self._run("initdb", *options, "-D", str(self.directory / "data")).check_returncode()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on()
        self.kill()
        shutil.rmtree(self.directory)

    def start(self) -> None:
        """Start it, unless it runs; return when it accepts connections."""
        if self._process is not None:
            return
        command = [str(self._program("postgres")), "-D", str(self.directory / "data"), "-p", str(self.port)]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, user=_user(), cwd=self.directory)
        if self._core is not None:
            os.sched_setaffinity(self._process.pid, {self._core})
        while self._run("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)).returncode:
            assert self._process.poll() is None, (self.directory / "log").read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGQUIT)
            process.wait()

    def pause(self) -> None:
        """Let it answer nothing."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again."""
        self._signal(signal.SIGCONT)

    def spent(self) -> float:
        """Return the CPU seconds of all its processes so far, those that have ended included."""
        server, *children = self._processes()
        # utime and stime; of the server also cutime and cstime: those of its children that have ended.
        ticks = sum(_times(server)) + sum(sum(_times(child)[:2]) for child in children)
        return ticks / os.sysconf("SC_CLK_TCK")

    @property
    def version(self) -> str:
        """Its version."""
        return self._run("postgres", "--version").stdout.decode().split()[2]

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes():
            os.kill(process, number)

    def _processes(self) -> list[int]:
        """The server and its children, each of which has a session of its own."""
        if self._process is None:
            return []
        server = self._process.pid
        children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        return [server, *map(int, children)]

    def _program(self, name: str) -> Path:
        directory = programs()
        assert directory is not None
        return directory / name

    def _run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [str(self._program(name)), *arguments], capture_output=True, user=_user(), cwd=self.directory, check=False
        )
