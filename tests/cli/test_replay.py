"""``swcalls listen --record`` and ``swcalls replay``, from outside: what they print, and how they end."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import msgspec
import pytest
from forking import Process, python

import swcalls
from swcalls._core.callback_urls import CallbackUrls
from swcalls.cli import main
from swcalls.receiver import ObservingReceiver
from swcalls.recording import read_recording

CALL = "2e1e66e5-5d07-413d-9668-55542992eec0"
LOST = "collect c1: the call ended (hangup) before the end of the action was reported"
URL = r"https://example.com/r\x1b[2J"
RECORDED = f"Recording(state='finished', url='{URL}', duration=None, size=None, recording_id=None)"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "incident.jsonl"


@pytest.fixture
def incident(file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A call with a lost, a duplicated, an out-of-order, a strange and a forged delivery."""
    clock = iter((100.0, 101.0, 101.25, 102.0, 103.0, 104.0, 104.5, 105.0, 106.0))
    monkeypatch.setattr("swcalls.recording.time", SimpleNamespace(time=lambda: next(clock)))
    receiver = ObservingReceiver("project", "token", public_url="http://hooks")

    def send(kind: str, key: str, **params: Any) -> None:
        path = receiver._ingress.reader.urls.mint(kind, key).removeprefix("http://hooks")
        receiver._ingress.accept_now(path, {}, msgspec.json.encode({"call_id": CALL, **params}))

    with receiver.record(file):
        send("call", "dialled", call_state="answered")
        send("play", "p1", state="playing")
        send("play", "p1", state="playing")
        send("play", "p1", state="finished")
        send("collect", "c1", result={"type": "start_of_input"})
        send("call", "dialled", call_state="ended", end_reason="hangup")
        send("weather", "w\x1b[2J", state="sunny\n")
        send("record", "r1", state="finished", url="https://example.com/r\x1b[2J")
        receiver._ingress.accept_now("/swcalls/play/p1/x", {}, b"{}")
    return file


def test_a_line_for_each_delivery_and_for_what_it_came_to(incident: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(incident)]) == 0
    out, err = capsys.readouterr()
    told = [re.sub(" {2,}", "  ", line).strip() for line in out.splitlines()]
    assert (told, err) == (
        [
            "0.000 s  applied  call  dialled  answered (then early)",
            "1.000 s  applied  play  p1  playing (then early)",
            "1.250 s  duplicate  play  p1  playing (then early)",
            "2.000 s  applied  play  p1  finished (then early)",
            "3.000 s  applied  collect  c1  start_of_input (then early)",
            "4.000 s  applied  call  dialled  ended (then early)",
            r"4.500 s  unknown  weather  'w\x1b[2J'  - (a new shape)",
            "5.000 s  applied  record  r1  finished (then early)",
            "6.000 s  forged  play  p1  -",
            "",
            "✓  play  p1  callback: Playback(); last event: finished",
            f"✗  collect  c1  call_ended: CallEnded: {LOST}; last event: start_of_input",
            f"✓  record  r1  callback: {RECORDED}; last event: finished",
            f"✓  call  {CALL}  ended: hangup",
        ],
        "",
    )


def test_what_did_not_settle_is_said(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = {"time": 1, "path": "/swcalls/play/k/***", "headers": {}, "verdict": "applied", "status": 200}
    good = msgspec.json.encode(line | {"body": f'{{"call_id":"{CALL}","state":"playing"}}'})
    file.write_bytes(good + b"\n" + msgspec.json.encode(line | {"path": "/swcalls/tap/t/***", "body": "{}"}))
    assert main(["replay", str(file)]) == 0
    first, second, _, *ends = (re.sub(" {2,}", "  ", text).strip() for text in capsys.readouterr().out.splitlines())
    assert first == "0.000 s  applied  play  k  playing"
    assert second == "0.000 s  unknown  tap  t  - (a new shape) (then applied)"
    assert ends == [
        "?  play  k  not settled; last event: playing",
        "?  tap  t  not settled; no event",
        f"?  call  {CALL}  no event with its state",
    ]


def test_for_programs_there_is_one_json_object(incident: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "--json", str(incident)]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    found = msgspec.json.decode(out)
    assert found["deliveries"][2] == {
        "line": 3,
        "time": 1.25,
        "verdict": "duplicate",
        "recorded": "early",
        "kind": "play",
        "key": "p1",
        "state": "playing",
        "new_shape": False,
    }
    played, collected, recorded = found["actions"]
    assert played == {
        "kind": "play",
        "key": "p1",
        "last_event": "finished",
        "settled_by": "callback",
        "result": {},
        "error": None,
    }
    assert (collected["settled_by"], collected["result"]) == ("call_ended", None)
    assert collected["error"]["type"] == "CallEnded"
    assert recorded["result"]["url"] == "https://example.com/r\x1b[2J"
    assert found["calls"] == [{"call_id": CALL, "state": "ended", "end_reason": "hangup", "ended": True}]


def test_for_programs_what_did_not_settle_is_null(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = {"time": 1, "path": "/a/play/k/***", "headers": {}, "verdict": "early", "status": 200, "body": "{}"}
    file.write_bytes(msgspec.json.encode(line))
    assert main(["replay", str(file), "--json"]) == 0
    found = msgspec.json.decode(capsys.readouterr().out)
    assert found["actions"] == [
        {"kind": "play", "key": "k", "last_event": None, "settled_by": None, "result": None, "error": None}
    ]


def test_an_empty_recording_prints_nothing(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.touch()
    assert main(["replay", str(file)]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_what_cannot_be_read_is_one_line_of_error(
    file: Path, more: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(file), *more]) == 1
    assert capsys.readouterr() == ("", f"swcalls replay: cannot read {file}: No such file or directory\n")
    file.write_text("\x1b[2J\n")
    assert main(["replay", str(file), *more]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"swcalls replay: \S+incident\.jsonl, line 1: not a delivery: [ -~]*\n", err)


def test_it_ends_when_nobody_reads_it(incident: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("swcalls.cli.replay.print_line", told.append)
    assert main(["replay", str(incident)]) == 0
    assert len(told) == 1


@pytest.mark.parametrize("command", ["replay", "doctor"])
def test_there_is_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as over:
        main([command, "--help"])
    assert over.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: swcalls {command}")


async def listen(*args: str) -> Process:
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("SIGNALWIRE_", "SWCALLS_"))}
    settings = {
        "PYTHONPATH": str(Path(swcalls.__file__).parents[1]),
        "SIGNALWIRE_PROJECT_ID": "project",
        "SIGNALWIRE_API_TOKEN": "token",
    }
    return await python("-W", "error", "-m", "swcalls", "listen", "--port", "0", *args, env=ours | settings)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals to send")
async def test_listening_records_what_a_replay_reads(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = await listen("--record", str(file))
    try:
        assert process.stdout is not None
        match = re.match(r"listening on (http://\S+)/swcalls/;", (await process.stdout.readline()).decode())
        assert match is not None
        url = CallbackUrls("project", "token", "/swcalls", match[1]).mint("play", "k")
        async with aiohttp.ClientSession() as session:
            for state in ("playing", "finished"):
                async with session.post(url, json={"call_id": CALL, "state": state}) as response:
                    assert response.status == 200
        process.send_signal(signal.SIGTERM)
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert out.decode().splitlines()[-1] == f"recorded 2 deliveries in {file}"
    assert [delivery.verdict for delivery in read_recording(file)] == ["early", "early"]
    assert url.rpartition("/")[2] not in await asyncio.to_thread(file.read_text)
    assert await asyncio.to_thread(main, ["replay", str(file)]) == 0
    assert "callback: Playback(); last event: finished" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32" or not Path("/dev/full").exists(), reason="there is no full disk to be had")
async def test_listening_says_what_it_could_not_record() -> None:
    process = await listen("--record", "/dev/full")
    try:
        assert process.stdout is not None
        match = re.match(r"listening on (http://\S+)/swcalls/;", (await process.stdout.readline()).decode())
        assert match is not None
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{match[1]}/swcalls/a/b/c", json={}) as response,
        ):
            assert response.status == 403
        process.send_signal(signal.SIGTERM)
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert out.decode().splitlines()[-1] == "recorded 0 deliveries in /dev/full; 1 could not be written"
    assert process.returncode == 0
    assert err.decode().count("\n") == 1
    assert "No space left on device" in err.decode()


async def test_listening_says_that_it_cannot_record(tmp_path: Path) -> None:
    process = await listen("--record", str(tmp_path))
    out, err = await process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert err.decode() == f"swcalls listen: cannot record in {tmp_path}: Is a directory\n"


def test_the_calls_of_a_recording_on_a_page(incident: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "call.html"
    assert main(["replay", str(incident), "--html", str(page), "--json"]) == 0
    html = page.read_text()
    assert f"<h2>{CALL}</h2>" in html
    assert "1 duplicate" in html
    assert "1 ended without a webhook" in html
    assert "sunny" not in html, "it is about no action of a call"
    assert page.stat().st_mode & 0o077 == 0
    assert msgspec.json.decode(capsys.readouterr().out)["calls"]


def test_a_page_that_cannot_be_written(incident: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(incident), "--html", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"swcalls replay: cannot write {tmp_path}: Is a directory\n"
