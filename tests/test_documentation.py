"""Every snippet of the README and every example runs, as it stands, against the simulator."""

from __future__ import annotations

import asyncio
import os
import re
import runpy
import sys
import tomllib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

import swcalls
from swcalls.testing import Callee, Simulator

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PROGRAMS = [snippet for snippet in SNIPPETS if "asyncio.run(" in snippet]
APPLICATIONS = [snippet for snippet in SNIPPETS if "def make_app(" in snippet]


@pytest.fixture
async def space(nothing_is_left_running: None) -> AsyncIterator[Simulator]:
    async with Simulator(callee=Callee(presses=["1234", "1234"]), speed=30) as space:
        yield space


def environment(space: Simulator) -> dict[str, str]:
    return {
        "SIGNALWIRE_PROJECT_ID": "project",
        "SIGNALWIRE_API_TOKEN": "token",
        "SIGNALWIRE_SPACE": space.url,
    }


async def run(code: str, space: Simulator) -> str:
    """Run a program in a process of its own; fail unless it ends with 0, and return what it printed."""
    # The ports of the snippets are for readers; here several run at once.
    code = code.replace("port=8080", "port=0")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", code,
        env=os.environ | environment(space), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        output, errors = await process.communicate()
    assert (process.returncode, errors.decode()) == (0, "")
    return output.decode()


def test_every_snippet_is_run_by_one_of_these_tests() -> None:
    assert len(PROGRAMS) >= 3
    rest = [snippet for snippet in SNIPPETS if snippet not in PROGRAMS and snippet not in APPLICATIONS]
    assert len(rest) == 1
    assert "client.accept(" in rest[0]


@pytest.mark.parametrize("code", PROGRAMS, ids=lambda code: f"snippet-{PROGRAMS.index(code)}")
async def test_the_programs_of_the_readme_run(space: Simulator, code: str) -> None:
    await run(code, space)
    assert all(received.status == 200 for received in space.commands)


async def ring(make_app: Callable[..., web.Application], space: Simulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in environment(space).items():
        monkeypatch.setenv(name, value)
    # The application needs to know where it is reached before it is served.
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        runner = web.AppRunner(make_app(public_url=url), access_log=None)
        await runner.setup()
        await web.SockSite(runner, listening).start()
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"{url}/ring", params={"to": "+15550198765"}) as response,
            ):
                assert response.status == 200
                return await response.json()
        finally:
            await runner.cleanup()


async def test_the_application_of_the_readme_runs(space: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    namespace: dict[str, Any] = {"__name__": "snippet"}
    exec(compile(APPLICATIONS[0], "README.md", "exec"), namespace)
    answer = await ring(namespace["make_app"], space, monkeypatch)
    assert answer["call"] in space.calls


async def test_the_adapter_of_the_readme_runs() -> None:
    namespace: dict[str, Any] = {"__name__": "snippet"}
    code = next(snippet for snippet in SNIPPETS if "client.accept(" in snippet)
    exec(compile(code, "README.md", "exec"), namespace)
    client = swcalls.Client("project", "token", "space")
    assert await namespace["webhook"](client, "/swcalls/play/x/y", {}, b"{}") == (403, b"")


async def test_the_first_call_example_runs(space: Simulator) -> None:
    output = await run((ROOT / "examples/first_call.py").read_text(), space)
    assert "PIN: 1234" in output
    assert "recording: http" in output
    assert "ended: hangup" in output


async def test_the_embedding_example_runs(space: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    module = runpy.run_path(str(ROOT / "examples/embed_in_aiohttp.py"))
    assert await ring(module["make_app"], space, monkeypatch) == {"answered": True}


def test_every_example_has_a_test_and_is_short() -> None:
    tests = Path(__file__).read_text()
    for example in (ROOT / "examples").glob("*.py"):
        assert example.name in tests
        assert len(example.read_text().splitlines()) <= 60


def test_the_changelog_and_the_version_are_one() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert pyproject["tool"]["hatch"]["version"]["path"] == "swcalls/__init__.py"
    assert re.fullmatch(r"\d+\.\d+\.\d+", swcalls.__version__)
    assert re.search(
        r"^## \[(Unreleased|" + re.escape(swcalls.__version__) + r")\]",
        (ROOT / "CHANGELOG.md").read_text(),
        re.MULTILINE,
    )
