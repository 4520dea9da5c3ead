"""Whatever a command prints: where it cannot be written, the command says so and fails."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from swcalls.cli import main
from swcalls.receiver import ObservingReceiver

FULL = Path("/dev/full")

SETTINGS = {
    "SIGNALWIRE_PROJECT_ID": "project",
    "SIGNALWIRE_API_TOKEN": "token",
    "SIGNALWIRE_SPACE": "http://127.0.0.1:1",
}


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    file = tmp_path / "incident.jsonl"
    receiver = ObservingReceiver("project", "token", public_url="http://hooks")
    with receiver.record(file):
        path = receiver._ingress.reader.urls.mint("play", "p1").removeprefix("http://hooks")
        receiver._ingress.accept_now(path, {}, b'{"call_id": "c", "state": "finished"}')
    return file


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full, which is always full")
@pytest.mark.parametrize(
    "args",
    [
        ["demo", "--speed", "500"],
        ["demo", "--speed", "500", "--json"],
        ["simulate", "--port", "0"],
        ["listen", "--port", "0"],
        ["doctor", "--port", "0"],
        ["doctor", "--port", "0", "--json"],
        ["replay", "FILE"],
        ["replay", "FILE", "--json"],
        ["--version"],
        ["--help"],
        ["ring", "--help"],
    ],
    ids=" ".join,
)
def test_a_command_fails_when_its_output_cannot_be_written(
    args: list[str], recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith(("SIGNALWIRE_", "SWCALLS_"))]:
        monkeypatch.delenv(name)
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    errors = io.StringIO()
    with FULL.open("w", encoding="utf-8") as full, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", full)
        patched.setattr(sys, "stderr", errors)
        status = main([str(recording) if arg == "FILE" else arg for arg in args])
    assert status == 1
    assert errors.getvalue().endswith("cannot write the output: No space left on device\n")
    assert errors.getvalue().startswith("swcalls")
