"""The example of several processes runs as it stands."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from swcalls.testing import Callee, Simulator

README = Path(__file__).parents[2] / "README.md"
EXAMPLE = Path(__file__).parents[2] / "examples" / "workers_on_redis.py"


async def test_a_worker_is_killed_and_its_successor_goes_on(server, nothing_is_left_running: None) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # The digits come when the first worker is long dead, and before the second one gives up.
    async with Simulator(callee=Callee(presses="1234", reacts_after=50), speed=10) as space:
        environment = os.environ | {
            "SIGNALWIRE_PROJECT_ID": "project",
            "SIGNALWIRE_API_TOKEN": "token",
            "SIGNALWIRE_SPACE": space.url,
            "REDIS_URL": server.url,
            "PORT": str(port),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(EXAMPLE), env=environment, stdout=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(60):
            output, _ = await process.communicate()
        assert process.returncode == 0
        lines = output.decode().splitlines()
        assert lines[0] == "receiver: ready"
        assert sorted(lines[1:3]) == ["one: waits", "two: waits"]
        assert lines[3] == "one: killed"
        assert sorted(lines[4:]) == ["one: goes on", "one: got 1234", "two: got 1234"]
        assert [call.end_reason for call in space.calls.values()] == ["hangup", "hangup"]


async def test_the_worker_of_the_readme_runs(
    server, nothing_is_left_running: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    snippets = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    (snippet,) = [snippet for snippet in snippets if "RedisBackplane(" in snippet]
    namespace: dict[str, Any] = {"__name__": "snippet"}
    exec(compile(snippet, "README.md", "exec"), namespace)
    async with Simulator(callee=Callee(presses="1234"), speed=50) as space:
        settings = {"PROJECT_ID": "project", "API_TOKEN": "token", "SPACE": space.url}
        for name, value in settings.items():
            monkeypatch.setenv(f"SIGNALWIRE_{name}", value)
        await namespace["worker"]("readme", server.url)
    assert capsys.readouterr().out == "1234\n"


def test_when_a_worker_fails_no_process_is_left_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SWCALLS_PUBLIC_URL", "http://127.0.0.1:8080")
    stub, pid = tmp_path / "stub.py", tmp_path / "pid"
    stub.write_text(
        "import os, pathlib, sys, time\n"
        "if sys.argv[1] == 'receive':\n"
        f"    pathlib.Path({str(pid)!r}).write_text(str(os.getpid()))\n"
        "    print('receiver: ready', flush=True)\n"
        "    time.sleep(600)\n"
    )
    namespace: dict[str, Any] = {"__name__": "example", "__file__": str(stub)}
    exec(compile(EXAMPLE.read_text(), str(EXAMPLE), "exec"), namespace)
    with pytest.raises(
        SystemExit, match=r"a process has ended before it said 'waits': is Redis running at REDIS_URL\?"
    ):
        namespace["main"]()
    assert capsys.readouterr().out == "receiver: ready\n"
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
