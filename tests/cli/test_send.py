"""``swcalls send``, and what ``swcalls simulate`` can be told about its far end, from outside."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from swcalls import Retry
from swcalls.cli import main
from swcalls.testing import Simulator

from .test_cli import ending, environ, program

CREDENTIALS = {"SIGNALWIRE_PROJECT_ID": "project", "SIGNALWIRE_API_TOKEN": "token"}
DIAL = {"from": "+12069708643", "to": "+15550198765", "url": "http://127.0.0.1:9/swml"}


async def url_of(space: Any) -> str:
    return (await space.stdout.readline()).decode().strip()


async def test_a_command_and_its_answer() -> None:
    async with program("simulate", "--port", "0") as space:
        settings = {**CREDENTIALS, "SIGNALWIRE_SPACE": await url_of(space)}
        async with program("send", "dial", json.dumps(DIAL), **settings) as sent:
            status, out, err = await ending(sent)
        assert (status, err) == (0, "")
        call = json.loads(out)
        assert call["to"] == DIAL["to"]
        async with program("send", "calling.end", "--call-id", call["id"], **settings) as sent:
            status, out, err = await ending(sent)
        assert (status, err) == (0, "")
        assert json.loads(out)["id"] == call["id"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("calling.end", "--call-id", "nobody"), "CallNotFound: calling.end"),
        (("calling.play", '{"play": []}', "--call-id", "x"), "InvalidParams: calling.play"),
        (("calling.end", "[]"), "PARAMS must be a JSON object: Expected `object`, got `array`"),
        (("calling.end", "{"), "PARAMS must be a JSON object: Input data was truncated"),
    ],
)
async def test_what_is_refused_is_one_line_and_status_1(
    args: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Simulator() as space:
        environ(monkeypatch, CREDENTIALS | {"SIGNALWIRE_SPACE": space.url})
        status = await asyncio.to_thread(main, ["send", *args])
    out, err = capsys.readouterr()
    assert (status, out) == (1, "")
    assert err.startswith(f"swcalls send: {says}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "settings", "advice"),
    [
        ("dial", {"SIGNALWIRE_API_TOKEN": "wrong"}, "; swcalls doctor checks space and credentials"),
        ("calling.play", {}, "; --call-id names the call that a command is for"),
        ("dial", {}, " must be given)"),
    ],
)
async def test_a_refusal_says_what_to_do(
    command: str,
    settings: dict[str, str],
    advice: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with Simulator() as space:
        environ(monkeypatch, CREDENTIALS | {"SIGNALWIRE_SPACE": space.url} | settings)
        assert await asyncio.to_thread(main, ["send", command]) == 1
    assert capsys.readouterr().err.endswith(f"{advice}\n")


def test_nobody_there_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(Retry, "wait", lambda *_: None)
    environ(monkeypatch, CREDENTIALS | {"SIGNALWIRE_SPACE": "http://127.0.0.1:9"})
    assert main(["send", "calling.end"]) == 1
    err = capsys.readouterr().err
    assert err.splitlines()[-1].startswith("swcalls send: CommandNotSent: ")
    assert "Traceback" not in err


def test_without_an_environment_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ(monkeypatch, {})
    assert main(["send", "calling.end"]) == 2
    missing = ", ".join([*CREDENTIALS, "SIGNALWIRE_SPACE"])
    assert capsys.readouterr().err == f"swcalls send: not set in the environment: {missing}\n"


async def test_the_far_end_and_the_faults_of_a_simulated_space() -> None:
    callee, faults = json.dumps({"answers": "busy"}), json.dumps({"status": {"503": 1}, "retry_after": None, "seed": 7})
    async with program("simulate", "--port", "0", "--callee", callee, "--faults", faults) as space:
        settings = {**CREDENTIALS, "SIGNALWIRE_SPACE": await url_of(space)}
        async with program("send", "dial", json.dumps(DIAL), **settings) as sent:
            status, _, err = await ending(sent)
        assert status == 1
        assert "ServerFault: dial" in err
        assert space.stderr is not None
        assert "Ctrl-C" in (await space.stderr.readline()).decode()
        assert "faults are enabled: seed=7" in (await space.stderr.readline()).decode()


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--callee", "{", "Input data was truncated"),
        ("--callee", '{"pressed": "1"}', "'pressed' must be one of answers, presses,"),
        ("--callee", '{"presses": "x"}', "presses='x' must be a string, or strings, made of"),
        ("--faults", '{"drop": 2}', "drop=2.0 must be a number from 0 to 1"),
        ("--faults", "[]", "Expected `object`, got `array`"),
    ],
)
def test_a_far_end_that_is_wrong_is_refused(
    option: str, value: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["simulate", option, value])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


async def test_the_demo_as_json() -> None:
    async with program("demo", "--speed", "20", "--json") as process:
        status, out, err = await ending(process)
    assert (status, err) == (0, "")
    told = json.loads(out)
    assert told["failure"] is None
    assert all(one["passed"] for one in told["checks"])
    assert next(mark["word"] for mark in told["timeline"] if mark["what"] == "command") == "dial"
    assert told["timeline"][0]["time"] == 0
