"""Real servers, on free ports of the loopback, which a test may kill, stop and start again.

SWCALLS_BACKPLANES names what the tests run on, separated by commas: ``memory``, ``redis``, ``postgres``. ``cluster``,
``sentinel``, ``tls`` and ``limited`` (a user with the fewest rights) are Redis, too. SWCALLS_REDIS_SERVER is the program
to run. By default they run in memory, on Redis, and a sample of them on PostgreSQL, whose programs are in
SWCALLS_POSTGRES_BIN or where Debian has them.
"""

from __future__ import annotations

import inspect
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))

from projects import MemoryProject, PostgresProject, Project, RedisProject
from servers import ClusterServers, SentinelServers, Server, Servers, has_tls, limited, secured

from benchmarks.postgres_server import FAST, PostgresServer, missing
from swcalls.backplane import handover

BACKPLANES = os.environ.get("SWCALLS_BACKPLANES", "memory,redis").split(",")
if not os.environ.get("SWCALLS_DEEP"):
    # Masters that are killed, and what becomes of thousands of actions: half a minute.
    collect_ignore = ["test_failover.py"]
KINDS: dict[str, Callable[[Path], Servers]] = {
    "redis": Server,
    "cluster": ClusterServers,
    "sentinel": SentinelServers,
    "tls": secured,
    "limited": limited,
}
SAMPLE = (
    "test_a_name_that_is_alive_cannot_be_claimed_and_one_claimer_wins",
    "test_what_is_remembered_outlives_its_process",
    "test_of_many_who_ask_for_a_call_one_gets_it",
    "test_who_loses_its_name_is_told",
)
"""What runs on PostgreSQL, too, unless SWCALLS_BACKPLANES is set: the others take too long for every run."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "project" in metafunc.fixturenames and "postgres" not in metafunc.module.__name__:
        is_sampled = "SWCALLS_BACKPLANES" not in os.environ and metafunc.function.__name__ in SAMPLE
        metafunc.parametrize("project", [*BACKPLANES, *(["postgres"] if is_sampled else [])], indirect=True)


def made(kind: str, directory: Path) -> Servers:
    """Make servers of *kind*, or skip the test."""
    if kind == "tls" and (not has_tls() or shutil.which("openssl") is None):
        pytest.skip("the Redis server has no TLS, or there is no openssl")
    return KINDS[kind](directory)


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Servers]]:
    """Return the servers of a kind, which all tests share that leave them alone."""
    found: dict[str, Servers] = {}

    def start(kind: str) -> Servers:
        if kind not in found:
            found[kind] = made(kind, tmp_path_factory.mktemp(kind))
            found[kind].start()
        return found[kind]

    yield start
    for servers in found.values():
        servers.kill()


@pytest.fixture(params=[kind for kind in BACKPLANES if kind in KINDS])
def server(request: pytest.FixtureRequest, started: Callable[[str], Servers]) -> Servers:
    """One for all tests that leave it alone; each has a prefix of its own."""
    return started(request.param)


@pytest.fixture(params=[kind for kind in BACKPLANES if kind != "memory"])
def any_server(request: pytest.FixtureRequest, started: Callable[[str], Servers]) -> Servers | PostgresServer:
    """A server of any kind, for tests that only need its URL."""
    return request.getfixturevalue("postgres") if request.param == "postgres" else started(request.param)


@pytest.fixture(params=[kind for kind in BACKPLANES if kind in KINDS])
def fragile(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Servers]:
    """One for a test that does it harm."""
    server = made(request.param, tmp_path)
    server.start()
    yield server
    server.go_on()
    server.kill()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One for all tests; each has a schema of its own. A test that does it harm leaves it running."""
    if missing():
        pytest.skip(missing())
    with PostgresServer(FAST) as server:
        yield server


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    return f"t{abs(hash(request.node.nodeid)):x}"


@pytest.fixture
async def look(server: Servers) -> AsyncIterator[Any]:
    """A client of the test's own, to see what is there."""
    client = server.client()
    yield client
    await client.aclose()


@pytest.fixture(autouse=True)
def no_call_is_refused_for_a_busy_machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for whoever takes a call for as long as that lasts, where the time is real."""
    if inspect.iscoroutinefunction(request.function):
        monkeypatch.setattr(handover, "ANNOUNCED", 60.0)
        monkeypatch.setattr(handover, "ANSWERED", 120.0)


@pytest.fixture
async def project(
    request: pytest.FixtureRequest, started: Callable[[str], Servers], nothing_is_left_running: None
) -> AsyncIterator[Project]:
    """The processes of one project, on each backplane."""
    if request.param == "memory":
        project: Project = MemoryProject()
    elif request.param == "postgres":
        project = PostgresProject(request.getfixturevalue("postgres").url, request.getfixturevalue("prefix"))
    else:
        project = RedisProject(started(request.param), request.getfixturevalue("prefix"))
    yield project
    await project.close()
