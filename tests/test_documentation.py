"""Every snippet of the README and every example runs, as it stands, against the simulator."""

from __future__ import annotations

import asyncio
import json
import os
import re
import runpy
import signal
import socket
import sys
import tomllib
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvicorn
from aiohttp import web
from forking import python

import swcalls
from swcalls.testing import Callee, NotAnswered, Simulator

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PROGRAMS = [snippet for snippet in SNIPPETS if "asyncio.run(" in snippet]
TESTS = [snippet for snippet in SNIPPETS if "@pytest.mark." in snippet]
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
    process = await python("-W", "error", "-c", code, env=os.environ | environment(space))
    async with asyncio.timeout(60):
        output, errors = await process.communicate()
    assert (process.returncode, errors.decode()) == (0, "")
    return output.decode()


def test_every_snippet_is_run_by_one_of_these_tests() -> None:
    assert len(PROGRAMS) == 2
    rest = [snippet for snippet in SNIPPETS if snippet not in (*PROGRAMS, *APPLICATIONS, *TESTS)]
    for snippet, what in zip(rest, ("client.accept(", "RedisBackplane(", "receiver.record("), strict=True):
        assert what in snippet


@pytest.mark.parametrize("code", PROGRAMS, ids=lambda code: f"snippet-{PROGRAMS.index(code)}")
async def test_the_programs_of_the_readme_run(space: Simulator, code: str) -> None:
    await run(code, space)
    # What these are about may have ended while the news of it was on the way.
    refused = {received.command for received in space.commands if received.status != 200}
    assert refused <= {"calling.collect.start_input_timers", "calling.play.stop", "calling.record.stop"}


@asynccontextmanager
async def with_aiohttp(app: web.Application, listening: socket.socket) -> AsyncIterator[None]:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listening).start()
    yield
    await runner.cleanup()


@asynccontextmanager
async def with_uvicorn(app: Any, listening: socket.socket) -> AsyncIterator[None]:
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none"))
    server.install_signal_handlers = lambda: None
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    yield
    server.should_exit = True
    await serving


async def ring(
    make_app: Callable[..., Any],
    serve: Any,
    space: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    *,
    receives: bool = True,
) -> Any:
    """Serve an application, have it ring a number, and return what it says. It *receives* webhooks, or does it not."""
    for name, value in environment(space).items():
        monkeypatch.setenv(name, value)
    # The application needs to know where it is reached before it is served.
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with (
            serve(make_app(**({"public_url": url} if receives else {})), listening),
            aiohttp.ClientSession() as session,
            session.post(f"{url}/ring", params={"to": "+15550198765"}) as response,
        ):
            assert response.status == 200
            return await response.json()


async def test_the_application_of_the_readme_runs(space: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    namespace: dict[str, Any] = {"__name__": "snippet"}
    exec(compile(APPLICATIONS[0], "README.md", "exec"), namespace)
    answer = await ring(namespace["make_app"], with_aiohttp, space, monkeypatch)
    assert answer["call"] in space.calls


async def test_the_test_of_the_readme_passes(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS[0])
    # The setting that the README names.
    setting, table = re.findall(r"`(asyncio_mode = .+?)` under `(\[.+?\])`", README)[0]
    (tmp_path / "pyproject.toml").write_text(f"{table}\n{setting}\n")
    plugin = "" if entry_points(group="pytest11", name="swcalls") else "-pswcalls.pytest_plugin"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider",
        "-o", "asyncio_default_fixture_loop_scope=function",
        *filter(None, [plugin]), "--rootdir", tmp_path, tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=tmp_path, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    assert b"1 passed" in output, output.decode()


def test_the_readme_names_verbs_that_there_are() -> None:
    section = README.partition("### What REST has no command for")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(\w+)\(", section)) - {"connected", "on_call", "reached", "stop"}
    assert named == {"answer", "conference", "connect", "reject", "run_swml", "send_digits"}
    assert not [name for name in named if not hasattr(swcalls.Call, name)]


def test_no_page_links_to_what_is_not_there() -> None:
    for page in (ROOT / "README.md", ROOT / "examples/workers.md", ROOT / "benchmarks/README.md"):
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            path, _, heading = target.partition("#")
            linked = page.parent / path if path else page
            assert linked.exists(), target
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE) if heading else []
            slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}
            assert not heading or heading in slugs, target


async def test_the_adapter_of_the_readme_runs() -> None:
    namespace: dict[str, Any] = {"__name__": "snippet"}
    code = next(snippet for snippet in SNIPPETS if "client.accept(" in snippet)
    exec(compile(code, "README.md", "exec"), namespace)
    client = swcalls.Client("project", "token", "space")
    answer = await namespace["webhook"](client, "/swcalls/play/x/y", {}, b"{}")
    assert answer == (403, {"Content-Type": "text/plain"}, b"")


async def test_the_recording_of_the_readme_is_replayed_by_its_test(
    space: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = (snippet for snippet in SNIPPETS if "incident.jsonl" in snippet)
    namespace: dict[str, Any] = {"__name__": "snippet"}
    exec(compile(code, "README.md", "exec"), namespace)
    monkeypatch.chdir(tmp_path)
    async with swcalls.Client("project", "token", space.url) as client, client.receiver.serve():
        await namespace["say"](client, "+15550198765", "Hello.")
    namespace["test_the_incident"]()


def example(name: str) -> str:
    return (ROOT / "examples" / name).read_text()


def patient(name: str) -> str:
    """Return an example that hears a call, and does not lose audio when this machine is slow: a call takes no time here."""
    return example(name).replace("call.listen(", "call.listen(max_lag=600, ")


async def test_the_hello_example_runs(space: Simulator) -> None:
    assert await run(example("say_hello.py"), space) == "ended: hangup\n"
    space.callees["+15550198765"] = Callee(answers="busy")
    assert await run(example("say_hello.py"), space) == "not answered: busy\n"


async def test_the_pin_example_runs(space: Simulator) -> None:
    space.callees["+15550198765"] = Callee(presses=["12#", "1234"])
    assert await run(example("ask_for_pin.py"), space) == "PIN: 1234\n"


@pytest.mark.parametrize(("is_machine", "said"), [(True, "after the beep\n"), (False, "a person answered\n")])
async def test_the_voicemail_example_runs(space: Simulator, is_machine: bool, said: str) -> None:
    space.callees["+15550198765"] = Callee(is_machine=is_machine)
    assert await run(example("leave_voicemail.py"), space) == said


async def test_the_streaming_example_runs(space: Simulator) -> None:
    assert await run(example("stream_audio.py"), space) == "streamed to: wss://media.example.com/listen\n"


async def test_the_level_meter_example_runs(space: Simulator) -> None:
    space.callees["+15550198765"] = Callee(sound="speech")
    output = await run(patient("level_meter.py"), space)
    assert re.search(r" s  our voice speaks, level \d+\n(?:.*\n)*.* s  our voice is silent, level 0\n", output)
    assert " s  the far end speaks" in output
    # A busy machine reads too slowly at thirty times the speed of speech, and frames are dropped.
    assert re.search(r"\n\d+ frames were missing, \d+ dropped\n\Z", output)


async def test_the_captions_example_runs_without_a_recogniser(space: Simulator) -> None:
    space.callees["+15550198765"] = Callee(sound="speech", hangs_up_after=3)
    output = await run(patient("live_captions.py").replace("import pocketsphinx", "raise ImportError"), space)
    assert re.fullmatch(r"   0\.0 s  level \d+\n(?: +\d\.0 s  level \d+\n){2,3}", output)


async def test_the_saving_example_runs(space: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALL_WAV", str(tmp_path / "call.wav"))
    assert re.fullmatch(r"saved: \d+ s, ended by stop\n", await run(patient("save_call.py"), space))
    with wave.open(str(tmp_path / "call.wav")) as saved:
        assert saved.getnchannels() == 2
        assert saved.getnframes() > 8000


async def test_the_silence_example_runs(space: Simulator) -> None:
    process = await python(
        "-c",
        patient("end_voicemail_on_silence.py").replace("port=8080", "port=0"),
        env=os.environ | environment(space),
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            url = (await process.stdout.readline()).decode().partition("number: ")[2].strip()
            await space.call(url=url, callee=Callee(says="Hello, this is Ada. Please call me back."))
            told = (await process.stdout.readline()).decode()
    finally:
        process.kill()
        await process.communicate()
    found = re.fullmatch(r"message of (\d+) s: http\S+\n", told)
    assert found is not None, told
    assert int(found[1]) >= 3


async def test_the_transcribing_example_runs(space: Simulator) -> None:
    output = await run(example("record_and_transcribe.py"), space)
    assert "recording: http" in output
    assert "transcript: Everything that is said here is written down." in output


async def test_the_timeline_example_runs(space: Simulator) -> None:
    # It brings a space of its own, as fast as real life.
    code = example("timeline_of_a_call.py").replace('presses="1234")', 'presses="1234"), speed=30')
    output = await run(code, space)
    assert "→  detect        calling.detect" in output
    assert "ended: hangup" in output


def test_the_picture_in_the_readme_is_one_that_the_example_draws() -> None:
    (picture,) = re.findall(r"!\[.*\]\((examples/\S+\.svg)\)", README)
    drawn = (ROOT / picture).read_text()
    assert swcalls.Timeline(marks=()).svg().partition("</style>")[0].partition("<style>")[2] in drawn
    assert all(f">{name}</text>" in drawn for name in ("call", "detect", "play", "collect", "record"))


async def test_the_menu_example_runs(space: Simulator) -> None:
    process = await python(
        "-c",
        example("inbound_menu.py").replace("port=8080", "port=0"),
        env=os.environ | environment(space),
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            url = (await process.stdout.readline()).decode().partition("number: ")[2].strip()
            for presses in ("1", "2", ""):
                call = await space.call(url=url, callee=Callee(presses=presses, says="Please call me back."))
                assert await process.stdout.readline() == b"call from +15550198765\n"
                if presses == "2":
                    assert b"message: http" in await process.stdout.readline()
                assert call.direction == "inbound"
            process.send_signal(signal.SIGINT)
            assert (await process.communicate(), process.returncode) == ((b"", b""), 0), "Ctrl-C ends it quietly"
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def in_this_process(name: str, space: Simulator, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the names of an example, to run it here: a process of its own takes a second to start."""
    for variable, value in environment(space).items():
        monkeypatch.setenv(variable, value)
    namespace: dict[str, Any] = {"__name__": "example"}
    exec(compile(example(name).replace("port=8080", "port=0"), name, "exec"), namespace)
    return namespace


async def test_the_reminder_example_runs(
    space: Simulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    space.callees["+15550198765"] = Callee(is_machine=True)
    space.callees["+15550198766"] = Callee(presses=["", "1"])
    space.callees["+15550198767"] = Callee(answers="busy")
    names = await in_this_process("appointment_reminder.py", space, monkeypatch)
    names["APPOINTMENTS"] |= {"+15550198768": "on Monday", "+15550198769": "on Friday"}
    space.callees["+15550198768"] = Callee(presses="7")
    space.callees["+15550198769"] = Callee(presses=["2"])
    await names["main"]()
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    assert sorted(capsys.readouterr().out.splitlines()) == [
        "+15550198765 message left",
        "+15550198766 confirmed",
        "+15550198767 not reached: busy",
        "+15550198768 not confirmed",
        "+15550198769 cancelled",
    ]
    machine = next(call for call in space.calls.values() if call.to == "+15550198765")
    assert [text.rpartition(". ")[2] for text in machine.heard] == ["Please call us if you cannot come."]


async def test_the_example_with_three_levels_runs(space: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    names = await in_this_process("menu_of_three_levels.py", space, monkeypatch)
    printed: asyncio.Queue[tuple[str, ...]] = asyncio.Queue()
    names["print"] = lambda *words, flush=False: printed.put_nowait(words)
    seen: asyncio.Queue[Any] = asyncio.Queue()
    space.observers.append(seen.put_nowait)
    program = asyncio.create_task(names["main"]())
    _, url = await printed.get()
    callers = (
        Callee(presses=["1"]),
        Callee(presses=["2", "2", "2"], says="My phone is broken."),
        Callee(presses=["2", "2", "9", "9", "1"]),
        Callee(),
    )
    last = []
    for callee in callers:
        call = await space.call(url=url, callee=callee)
        while getattr(await seen.get(), "command", "") != "calling.end":
            pass
        last.append(call.heard[-1])
    hours = "We are open from nine to five."
    assert last == [hours, "Please speak after the tone.", hours, "Goodbye."]
    caller, said, message = printed.get_nowait()
    assert (caller, said, message[:4]) == ("+15550198765", "left a message:", "http")
    os.kill(os.getpid(), signal.SIGTERM)
    await program
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().remove_signal_handler(number)


async def test_the_blocklist_example_runs(space: Simulator) -> None:
    process = await python(
        "-c",
        example("reject_unwanted_calls.py").replace("port=8080", "port=0"),
        env=os.environ | environment(space),
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            url = (await process.stdout.readline()).decode().partition("number: ")[2].strip()
            with pytest.raises(NotAnswered, match="busy"):
                await space.call(from_="+15550190001", url=url)
            assert await process.stdout.readline() == b"refused +15550190001\n"
            call = await space.call(url=url)
            assert call.state == "answered"
            assert await process.stdout.readline() == b"answered +15550198765\n"
    finally:
        process.kill()
        await process.communicate()


async def test_the_many_calls_example_runs(space: Simulator) -> None:
    space.callees["+15550190003"] = Callee(answers="decline")
    lines = (await run(example("many_calls.py"), space)).splitlines()
    assert len(lines) == 20
    assert lines[3] == "+15550190003 not answered (decline)"
    assert lines[4] == "+15550190004 reminded"


async def test_the_embedding_example_runs(space: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    module = runpy.run_path(str(ROOT / "examples/embed_in_aiohttp.py"))
    assert await ring(module["make_app"], with_aiohttp, space, monkeypatch) == {"answered": True}


async def test_the_dashboard_example_runs(space: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    module = runpy.run_path(str(ROOT / "examples/dashboard.py"))
    for name, value in environment(space).items():
        monkeypatch.setenv(name, value)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        app, headers = (
            module["make_app"]("0123456789abcdef", public_url=url),
            {"Authorization": "Bearer 0123456789abcdef"},
        )
        async with with_aiohttp(app, listening), aiohttp.ClientSession(headers=headers) as session:
            async with session.get(f"{url}/swcalls-dashboard") as page:
                assert "Timelines" in await page.text()
            async with session.get(f"{url}/swcalls-dashboard/events", read_bufsize=2**20) as events:
                async for line in events.content:
                    if b'"play: playing"' in line:
                        break
    assert {call.to for call in space.calls.values()} <= set(module["make_app"].__globals__["NUMBERS"])


def with_a_free_port(name: str) -> Callable[..., Any]:
    """Return what makes the application of an example, whose receiver has a port of its own."""
    namespace: dict[str, Any] = {"__name__": "example"}
    exec(compile(example(name).replace("port=8081", "port=0"), name, "exec"), namespace)
    return namespace["make_app"]


async def test_the_starlette_example_runs(space: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    make_app = with_a_free_port("serve_with_starlette.py")
    assert await ring(make_app, with_uvicorn, space, monkeypatch, receives=False) == {"answered": True}


async def test_the_django_example_runs(space: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    make_app = with_a_free_port("serve_with_django.py")
    assert await ring(make_app, with_uvicorn, space, monkeypatch, receives=False) == {"answered": True}


async def test_the_example_that_accepts_from_anywhere_runs(space: Simulator) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def face_the_network(request: web.Request) -> web.Response:
        body = (await request.read()).decode()
        told = {"path": request.raw_path, "headers": dict(request.headers), "body": body}
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return web.Response(status=503)  # The example has ended.
        try:
            writer.write(json.dumps(told).encode() + b"\n")
            line = await reader.readline()
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        if not line:
            return web.Response(status=503)
        answer = json.loads(line)
        return web.Response(status=answer["status"], text=answer["body"], headers=answer["headers"])

    runner = web.ServerRunner(web.Server(face_the_network, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    process = await python(
        "-W",
        "error",
        str(ROOT / "examples/accept_from_anywhere.py"),
        str(port),
        env=os.environ | environment(space) | {"SWCALLS_PUBLIC_URL": f"http://127.0.0.1:{runner.addresses[0][1]}"},
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    assert output == b"ended: hangup\n"
    await runner.cleanup()


async def test_the_tracing_example_runs(space: Simulator) -> None:
    output = await run(example("tracing.py"), space)
    assert '"name": "play action"' in output
    assert '"swcalls.settled_by": "callback"' in output
    assert '"name": "swcalls.command.duration"' in output


@pytest.mark.parametrize(
    ("customer", "said"),
    [
        (Callee(hangs_up_after=3), "they have talked\n"),
        (Callee(answers="busy"), "the customer did not answer: busy\n"),
    ],
)
async def test_the_example_that_connects_two_people_runs(space: Simulator, customer: Callee, said: str) -> None:
    space.callees["+15550198766"] = customer
    assert await run(example("connect_two_people.py"), space) == said


async def test_the_transfer_example_runs(space: Simulator) -> None:
    space.callees["+15550198771"] = Callee(presses="2")
    space.callees["+15550198772"] = Callee(presses="1", hangs_up_after=30)
    lines = (await run(example("warm_transfer.py"), space)).splitlines()
    assert lines == ["put through to +15550198772", "the agent hung up: hangup"]
    agent = next(call for call in space.calls.values() if call.to == "+15550198771")
    assert list(agent.heard) == ["A caller about an order. Press one to take the call."]


async def test_the_transfer_example_says_when_nobody_is_free(space: Simulator) -> None:
    space.callees.update(dict.fromkeys(("+15550198771", "+15550198772"), Callee(answers="busy")))
    output = await run(example("warm_transfer.py"), space)
    assert "not connected: busy" in output
    caller = next(call for call in space.calls.values() if call.to == "+15550198765")
    assert caller.heard[-1] == "Nobody is free. Please call again tomorrow."


async def test_the_extension_example_runs(space: Simulator) -> None:
    assert await run(example("dial_an_extension.py"), space) == "extension 204 was dialled\n"
    (call,) = space.calls.values()
    assert call.received_digits == "204#"


async def test_the_conference_example_runs(space: Simulator) -> None:
    space.callees["+15550198765"] = Callee(hangs_up_after=20)
    host, *guests = (await run(example("conference_of_three.py"), space)).splitlines()
    assert host == "+15550198765 hung up: hangup"
    assert [guest.partition(" (")[0] for guest in guests] == [
        "+15550198766 was there until the end",
        "+15550198767 was there until the end",
    ]


def test_every_example_has_a_test_and_is_short() -> None:
    others = ("tests/backplane/test_example.py", "tests/plugin/test_plugin.py")
    tests = "".join(path.read_text() for path in (Path(__file__), *(ROOT / name for name in others)))
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


def test_every_guarantee_names_tests_that_exist() -> None:
    table = README.partition("## Guarantees")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and "](tests/" in line]
    assert len(rows) >= 12
    for row in rows:
        sources = [(ROOT / path).read_text() for path in re.findall(r"\]\((tests/[^)]+)\)", row)]
        assert sources
        for name in re.findall(r"`((?:test_|Test)\w+)", row.rpartition("|")[0].rpartition("|")[2]):
            assert any(re.search(rf"\b{name}", source) for source in sources), name
