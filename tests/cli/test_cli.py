"""The program from outside: processes, their output, their ends. Each wait is for a line, or for the process."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import signal
import socket
import sys
import wave
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from forking import Process, python

import swcalls
from swcalls import TTS, Client
from swcalls._core.callback_urls import CallbackUrls
from swcalls.cli import main
from swcalls.cli.demo import demo
from swcalls.testing import Callee

SAFETY_NET = 60
AUTH = {"Authorization": "Basic cHJvamVjdDp0b2tlbg=="}
DIAL = {"command": "dial", "params": {"from": "+12069708643", "to": "+15550198765", "swml": {"version": "1.0.0"}}}
RECEIVER = {"SIGNALWIRE_PROJECT_ID": "project", "SIGNALWIRE_API_TOKEN": "token"}

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals to send")


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    # A process started in the background of a shell ignores SIGINT, and so do the processes that it starts.
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, before)


@asynccontextmanager
async def program(*args: str, stdout: int = PIPE, **more: str) -> AsyncIterator[Process]:
    """Run ``swcalls`` with *args*, and with *more* in its environment."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("SIGNALWIRE_", "SWCALLS_"))}
    settings = {
        "PYTHONPATH": str(Path(swcalls.__file__).parents[1]),
        "PYTHONIOENCODING": "utf-8",
        "COLUMNS": "80",
        "NO_COLOR": "1",
    }
    async with asyncio.timeout(SAFETY_NET):
        process = await python("-W", "error", "-m", "swcalls", *args, env=ours | settings | more, stdout=stdout)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


def environ(monkeypatch: pytest.MonkeyPatch, more: dict[str, str]) -> None:
    """Have nothing but *more* in the environment that a program in this process reads."""
    for name in [name for name in os.environ if name.startswith(("SIGNALWIRE_", "SWCALLS_"))]:
        monkeypatch.delenv(name)
    for name, value in more.items():
        monkeypatch.setenv(name, value)


async def line(stream: asyncio.StreamReader | None) -> str:
    assert stream is not None
    return (await stream.readline()).decode().rstrip("\r\n")


async def line_with(stream: asyncio.StreamReader | None, *words: str) -> str:
    """The next line that has all *words*."""
    assert stream is not None
    async for read in stream:
        text = read.decode().rstrip("\r\n")
        if all(word in text for word in words):
            return text
    raise AssertionError(f"no line has {words}")


async def ending(process: Process) -> tuple[int | None, str, str]:
    out, err = await process.communicate()
    return process.returncode, (out or b"").decode(), err.decode()


async def test_the_demo_tells_the_story_of_a_call() -> None:
    async with program("demo", "--speed", "20") as process:
        status, out, err = await ending(process)
    assert (status, err) == (0, "")
    assert "simulation" in out.splitlines()[0]
    printed = iter(out.splitlines())
    for told in (
        r"\d s  →  call +dial",
        r"\d s  ←  call +ringing",
        r"\d s  ←  call +answered",
        r"\d s  →  detect +calling\.detect",
        r"\d s  ←  detect +HUMAN",
        r"\d s  →  play +calling\.play",
        r"\d s  ←  play +finished",
        r"\d s  →  play #2 +calling\.play",
        r"\d s  →  collect +calling\.collect",
        r"\d s  ←  collect +1",
        r"\d s  ←  collect +12",
        r"\d s  ←  collect +1234#",
        r"\d s  →  play #2 +calling\.play\.stop",
        r"\d s  →  record +calling\.record",
        r"\d s  →  record +calling\.record\.stop",
        r"\d s  ←  record +finished",
        r"\d s  ←  call +ended: hangup",
        r" +0 s +0\.\d",
        r"  call  .* ended: hangup",
        r"  detect .* HUMAN · finished",
        r"  collect .*1234#",
        r"  record .* finished",
        r"  play #3 .* finished",
        r"  ✓ a person answered: HUMAN",
        r"  ✓ the PIN is right: 1234",
        r"  recording http://127\.0\.0\.1:\d+/\S+",
        r"Every step worked as expected\.",
    ):
        assert any(re.search(told, text) for text in printed), f"{told} is missing, or out of turn:\n{out}"


async def test_the_demo_listens_to_its_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert await demo(10, listens=True) == 0
    out = capsys.readouterr().out
    assert re.search(r"stream +heard \d+ frames, 0 missing, 0 dropped", out)
    assert re.search(r"both sides were heard: levels \{'inbound': \d{4,5}, 'outbound': \d{4,5}\}", out)
    assert "take_a_message_and_listen" in out


def test_audio_is_not_simulated_at_any_speed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--audio", "--speed", "51"]) == 2
    assert capsys.readouterr().err == "swcalls demo: --speed=51 must be at most 50 with --audio\n"


async def test_the_demo_does_without_unicode() -> None:
    async with program("demo", "--speed", "50", PYTHONIOENCODING="ascii") as process:
        status, out, err = await ending(process)
    assert (status, err) == (0, "")
    assert out.isascii()
    assert "  ok a person answered: HUMAN" in out


async def test_the_picture_of_the_demo_is_as_wide_as_the_terminal() -> None:
    async with program("demo", "--speed", "50", COLUMNS="60") as process:
        _, out, _ = await ending(process)
    picture = [text for text in out.splitlines() if re.match(r"  (call|detect|play|collect|record)\b", text)]
    assert len(picture) == 7
    assert max(map(len, picture)) <= 60


@needs_signals
async def test_the_demo_can_be_interrupted() -> None:
    async with program("demo") as process:
        await line_with(process.stdout, "ringing")
        process.send_signal(signal.SIGINT)
        status, out, err = await ending(process)
    assert (status, err) == (130, "")
    assert re.search(r"→  call +calling\.end\n.*←  call +ended: hangup\n$", out), "it did not hang up"


@pytest.mark.parametrize(
    ("callee", "failed"),
    [
        (Callee(answers="busy"), r"await call\.answered\(.*\): CallEnded: .*busy"),
        (Callee(presses="1234#", is_machine=True), "a person answered"),
        (Callee(presses="99#"), "the keys came one by one; the PIN is right"),
        (Callee(presses="1234#", hangs_up_after=2.0), r"\S.* call\.\w+\(.*\): (CallEnded|CallNotFound): "),
    ],
    ids=["busy", "machine", "wrong PIN", "hang-up"],
)
async def test_the_demo_says_what_failed(callee: Callee, failed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert await demo(100, callee) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.match(f"Failed: {failed}", last)


async def test_the_demo_goes_on_when_nobody_reads_it() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    async with program("demo", "--speed", "100", stdout=writing) as process:
        os.close(writing)
        status, _, err = await ending(process)
    assert (status, err) == (0, "")


@needs_signals
@pytest.mark.parametrize("signum", ["SIGINT", "SIGTERM"])
async def test_the_simulator_serves_until_it_is_told_to_end(signum: str) -> None:
    async with program("simulate", "--port", "0", "--speed", "50") as process:
        url = await line(process.stdout)
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        async with (
            aiohttp.ClientSession(headers=AUTH) as session,
            session.post(f"{url}/api/calling/calls", json=DIAL) as response,
        ):
            assert response.status == 200
            assert (await response.json())["status"] == "queued"
        assert (await line_with(process.stderr, "→", "dial")).endswith("200")
        process.send_signal(getattr(signal, signum))
        assert await ending(process) == (0, "", "")


@needs_signals
async def test_the_simulator_lets_a_file_be_heard(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "loud.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"\x00\x20\x00\xe0" * 80_000)
    async with program("simulate", "--port", "0", "--speed", "20", "--audio", str(tmp_path / "loud.wav")) as process:
        url = await line(process.stdout)
        async with (
            Client("project", "token", url) as client,
            client.receiver.serve(),
            client.dial(to="+15550198765", from_="+12069708643") as call,
        ):
            await call.answered()
            async with call.listen() as audio:
                assert (await anext(audio)).rms() == pytest.approx(0x2000, rel=0.02)


@needs_signals
async def test_the_simulator_logs_commands_and_webhooks() -> None:
    args = ("--port", "0", "--speed", "50", "--project", "P", "--token", "T", "--signing-key", "K")
    async with program("simulate", *args) as process:
        url = await line(process.stdout)
        async with (
            Client("P", "T", url, signing_key="K", require_signature=True) as client,
            client.receiver.serve(),
            client.dial(to="+15550198765", from_="+12069708643") as call,
        ):
            await call.answered()
            play = await call.play(TTS("Hello."))
            await play.finished()
            control_id = play.control_id
        for words in (("→", "dial"), ("←", "call answered"), ("→", "calling.play"), ("←", "play finished", control_id)):
            assert (await line_with(process.stderr, *words)).endswith("200")


async def test_the_simulator_tells_of_a_webhook_that_nobody_took() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        dial = {"command": "dial", "params": DIAL["params"] | {"status_url": nowhere}}
        async with program("simulate", "--port", "0", "--speed", "50") as process:
            url = await line(process.stdout)
            async with aiohttp.ClientSession(headers=AUTH) as session:
                async with session.post(f"{url}/api/calling/calls", json=dial) as response:
                    call_id = (await response.json())["id"]
                end = {"command": "calling.end", "id": call_id, "params": {}}
                async with session.post(f"{url}/api/calling/calls", json=end):
                    pass
            assert (await line_with(process.stderr, "calling.end")).endswith("200")
            assert re.search(rf"←  call ended +{call_id}  no answer at attempt 3$", await line(process.stderr))


async def test_the_simulator_logs_what_it_refuses_escaped() -> None:
    async with program("simulate", "--port", "0") as process:
        url = await line(process.stdout)
        async with aiohttp.ClientSession() as session:
            for headers, command in (({}, DIAL), (AUTH, {"command": "\x1b[2J\n→ dial", "id": "x", "params": {}})):
                async with session.post(f"{url}/api/calling/calls", json=command, headers=headers):
                    pass
        assert (await line_with(process.stderr, "→")).endswith("401")
        refused = await line_with(process.stderr, "→")
    assert r"'\x1b[2J\n\u2192 dial'" in refused
    assert "\x1b" not in refused


@pytest.mark.parametrize("command", ["simulate", "listen"])
def test_a_port_in_use_is_one_line_of_error(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ(monkeypatch, RECEIVER)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main([command, "--port", str(port)]) == 1
    error = f"swcalls {command}: cannot listen on 127.0.0.1:{port}: {os.strerror(errno.EADDRINUSE)}; choose another --host or --port\n"
    assert capsys.readouterr() == ("", error)


def test_a_host_that_is_none_is_one_line_of_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--port", "0", "--host", "a" * 300]) == 1
    error = (
        f"swcalls simulate: cannot listen on {'a' * 300}:0: not the name of a host; choose another --host or --port\n"
    )
    assert capsys.readouterr() == ("", error)


@asynccontextmanager
async def listener(**more: str) -> AsyncIterator[tuple[Process, CallbackUrls]]:
    async with program("listen", "--port", "0", **(RECEIVER | more)) as process:
        match = re.fullmatch(r"listening on (http://\S+)/swcalls/; .*", await line(process.stdout))
        assert match is not None
        yield process, CallbackUrls("project", "token", "/swcalls", match[1])


def play(state: str, control_id: str = "k1") -> dict[str, object]:
    return {"event_type": "calling.call.play", "params": {"call_id": "c", "control_id": control_id, "state": state}}


async def post(url: str, body: object, **headers: str) -> int:
    async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=headers) as response:
        return response.status


@needs_signals
async def test_listening_prints_a_line_for_each_delivery() -> None:
    async with listener() as (process, urls):
        mine = urls.mint("play", "k1")
        assert await post(mine, play("playing")) == 200
        assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}  early      play      k1 +playing", await line(process.stdout))
        assert await post(mine, play("playing", control_id="k2")) == 403
        assert re.fullmatch(r"\S+  foreign    play      k1 +playing", await line(process.stdout))
        assert await post(mine, "no object") == 400
        assert re.fullmatch(r"\S+  malformed  play      k1 +-", await line(process.stdout))
        assert await post(mine[:-1], play("playing")) == 403
        assert re.fullmatch(r"\S+  forged     -         - +-", await line(process.stdout))
        assert await post(urls.mint("weather", "w"), {"sun": True}) == 200
        assert re.fullmatch(r"\S+  unknown    weather   w +- \(a new shape\)", await line(process.stdout))
        process.send_signal(signal.SIGTERM)
        assert await ending(process) == (0, "", "")


async def test_listening_shows_what_came_escaped() -> None:
    async with listener() as (process, urls):
        key = "k\x1b[2J\n\u202e"
        assert await post(urls.mint("play", key), play("a b\r\n\x07", control_id=key)) == 200
        text = await line(process.stdout)
    assert text.endswith(r"'a b\r\n\x07'")
    assert r"'k\x1b[2J\n\u202e'" in text


async def test_listening_checks_signatures_with_the_key_of_the_environment() -> None:
    async with listener(SIGNALWIRE_SIGNING_KEY="K") as (process, urls):
        url = urls.mint("play", "k1")
        assert await post(url, play("playing"), **{"X-SignalWire-Signature": "0" * 40}) == 403
        assert "forged     play      k1" in await line(process.stdout)


async def test_listening_ends_when_nobody_reads_it() -> None:
    reading, writing = os.pipe()
    async with program("listen", "--port", "0", stdout=writing, **RECEIVER) as process:
        os.close(writing)
        said = await asyncio.to_thread(os.read, reading, 1000)
        os.close(reading)
        match = re.match(rb"listening on (http://\S+)/swcalls/;", said)
        assert match is not None
        url = CallbackUrls("project", "token", "/swcalls", match[1].decode()).mint("play", "k1")
        assert await post(url, play("playing")) == 200
        status, _, err = await ending(process)
    assert (status, err) == (0, "")


@pytest.mark.parametrize(
    ("args", "more", "error"),
    [
        ((), {}, "not set in the environment: SIGNALWIRE_PROJECT_ID, SIGNALWIRE_API_TOKEN"),
        ((), {"SIGNALWIRE_PROJECT_ID": "p"}, "not set in the environment: SIGNALWIRE_API_TOKEN"),
        (("--path", "no/slash"), RECEIVER, "path='no/slash' must be like '/swcalls'"),
        (("--public-url", "ftp://x"), RECEIVER, "public_url='ftp://x' must be an http(s) URL"),
        ((), RECEIVER | {"SWCALLS_PUBLIC_URL": "nowhere"}, "public_url='nowhere' must be an http(s) URL"),
    ],
)
def test_a_wrong_setting_is_one_line_of_error(
    args: tuple[str, ...],
    more: dict[str, str],
    error: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    environ(monkeypatch, more)
    assert main(["listen", *args]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"swcalls listen: {error}")
    assert err.count("\n") == 1


async def test_a_bad_argument_ends_the_process_with_2() -> None:
    async with program("simulate", "--port", "65536") as process:
        status, out, err = await ending(process)
    assert (status, out) == (2, "")
    assert err.endswith("argument --port: '65536' must be a whole number from 0 to 65535\n")


@pytest.mark.parametrize(
    ("args", "rule"),
    [
        (["simulate", "--port", "-1"], "a whole number from 0 to 65535"),
        (["simulate", "--port", "x"], "a whole number from 0 to 65535"),
        (["listen", "--port", "8_0"], "a whole number from 0 to 65535"),
        (["simulate", "--speed", "0"], "a number greater than 0"),
        (["simulate", "--dial-rate", "0"], "'0' must be a number greater than 0"),
        (["simulate", "--dial-rate", "often"], "'often' must be a number greater than 0"),
        (["simulate", "--audio", "nowhere.wav"], "'nowhere.wav' must be silence, tone, speech, or the path of a WAV"),
        (["simulate", "--speed", "inf"], "a number greater than 0"),
        (["demo", "--speed", "nan"], "a number greater than 0"),
        (["demo", "--speed", "fast"], "a number greater than 0"),
        (["simulate", "--project", "a:b"], "must not contain ':'"),
        (["simulate", "--project", ""], "must be printable text that is not empty"),
        (["simulate", "--token", ""], "must be printable text that is not empty"),
        (["simulate", "--host", ""], "must be printable text that is not empty"),
        (["simulate", "--signing-key", "\udcff"], "must be printable text that is not empty"),
        (["nothing"], "invalid choice"),
        ([], "COMMAND"),
        (["demo", "--spee", "1"], "unrecognized arguments"),
    ],
)
def test_a_bad_argument_is_refused_with_its_rule(
    args: list[str], rule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refusal:
        main(args)
    assert refusal.value.code == 2
    assert rule in capsys.readouterr().err


@pytest.mark.parametrize("args", [[], ["demo"], ["simulate"], ["listen"]])
def test_there_is_help(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*args, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(" ".join(["usage: swcalls", *args]))


def test_there_is_a_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"swcalls {swcalls.__version__}\n"


async def test_the_demo_on_a_page(tmp_path: Path) -> None:
    page = tmp_path / "call.html"
    async with program("demo", "--speed", "20", "--html", str(page)) as process:
        status, out, err = await ending(process)
    assert (status, err) == (0, "")
    assert f"The timeline as an HTML page: {page}" in out
    html = page.read_text()
    assert "10 commands" in html
    assert "19 webhooks" in html
