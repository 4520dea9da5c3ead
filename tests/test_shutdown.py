"""Processes that are asked to end while calls are up: real ones, with real signals, servers and webhooks."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import forking
import pytest

from swcalls.testing import Callee, Simulator
from swcalls.testing.calls import SimulatedCall
from swcalls.testing.received import ReceivedCommand

ROOT = Path(__file__).parent.parent
PATIENCE = 60
"""Seconds after which a process has failed."""
BUSY = "webhook refused: busy (inbound)\n"
"""What it logs when `refuses_calls` has found that it does."""


@pytest.fixture
async def space(nothing_is_left_running: None) -> AsyncIterator[Simulator]:
    async with Simulator(speed=20) as space:
        yield space


class Process:
    """A program that is running, and what it prints."""

    def __init__(self, process: forking.Process) -> None:
        self._process = process

    async def says(self, beginning: str) -> str:
        """Return what follows *beginning* in the next line that begins so."""
        assert self._process.stdout is not None
        while line := (await self._process.stdout.readline()).decode():
            if line.startswith(beginning):
                return line.removeprefix(beginning).strip()
        raise AssertionError(f"the program ended before it said {beginning!r}")

    def is_asked_to_end(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    async def ends(self) -> tuple[int | None, str, str]:
        """Return the exit status, and the rest of what was printed."""
        output, errors = await self._process.communicate()
        return self._process.returncode, output.decode(), errors.decode()

    async def ended(self) -> None:
        await self._process.wait()


@asynccontextmanager
async def running(space: Simulator, *arguments: str, **environment: str) -> AsyncIterator[Process]:
    process = await forking.python(
        *arguments,
        env=os.environ
        | {"SIGNALWIRE_PROJECT_ID": "project", "SIGNALWIRE_API_TOKEN": "token", "SIGNALWIRE_SPACE": space.url}
        | {"PYTHONPATH": str(ROOT)}
        | environment,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


async def refuses_calls(process: Process, url: str, call: SimulatedCall) -> None:
    """Return once *process* takes no more calls. The one that it has is announced again, which rings nobody."""
    announcement = {"call": {"call_id": call.id, "direction": "inbound", "type": "phone"}}
    # aiohttp reads nothing from a connection that it accepts in the moment in which it stops listening.
    impatient = aiohttp.ClientTimeout(total=1)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True), timeout=impatient) as session:
        while True:
            try:
                async with session.post(url, json=announcement) as response:
                    status = response.status
            except (aiohttp.ClientConnectionError, TimeoutError):
                assert process.is_running, "it stopped listening before it refused calls"
                continue
            if status == 503:
                return
            assert status == 200


async def sent(space: Simulator, command: str, number: int = 1) -> ReceivedCommand:
    """Return the *number*th such command that the space has got, once it has."""
    arrived = asyncio.Event()
    space.observers.append(lambda _: arrived.set())
    while len(found := [received for received in space.commands if received.command == command]) < number:
        arrived.clear()
        await arrived.wait()
    return found[number - 1]


def commands(space: Simulator) -> list[str]:
    return [received.command for received in space.commands]


# An aiohttp application under web.run_app


APPLICATION = """
import sys
import swcalls
from aiohttp import web

port, drain, never = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
url = f"http://127.0.0.1:{port}"
client = swcalls.Client.from_env(public_url=url, limits=swcalls.Limits(drain=drain))

@client.receiver.on_call
async def handler(call):
    collect = await call.collect(digits=swcalls.Digits(max=1), initial_timeout=600)
    print("handler: listens", flush=True)
    if never:
        await call.ended()
    digits = (await collect.finished()).digits
    play = await call.say("You pressed " + digits + ". We are closing. Goodbye.")
    await play.reached("playing")
    await play.finished()
    print("handler: has said goodbye", flush=True)

async def ring(request):
    async with request.app[swcalls.CLIENT].dial(to="+15550198765", from_="+12069708643") as call:
        await call.answered(timeout=60)
        collect = await call.collect(digits=swcalls.Digits(max=1), initial_timeout=600)
        print("request: listens", flush=True)
        digits = (await collect.finished()).digits
        await call.say("Thank you.").finished()
    return web.json_response({"digits": digits})

app = web.Application()
app.router.add_post("/ring", ring)
swcalls.setup(app, client)
web.run_app(app, host="127.0.0.1", port=port, print=lambda _: print(client.receiver.inbound_url, flush=True))
"""


async def test_an_application_that_gets_sigterm_lets_its_handlers_finish(space: Simulator) -> None:
    async with running(space, "-W", "error", "-c", APPLICATION, str(free_port()), "30") as process:
        url = "http" + await process.says("http")
        call = await space.call(url=url)
        await process.says("handler: listens")
        process.is_asked_to_end()
        await refuses_calls(process, url, call)
        call.press("7")
        assert await process.ends() == (0, "handler: has said goodbye\n", BUSY)
    assert list(call.spoken) == ["You pressed 7. We are closing. Goodbye."]
    assert (call.state, call.end_reason) == ("ended", "hangup")
    assert commands(space) == ["calling.collect", "calling.play", "calling.end"]


async def test_an_application_that_gets_sigterm_ends_the_calls_of_handlers_that_do_not_finish(space: Simulator) -> None:
    async with running(space, "-W", "error", "-c", APPLICATION, str(free_port()), "0.2", "never") as process:
        url = "http" + await process.says("http")
        calls = [await space.call(url=url) for _ in range(3)]
        for _ in calls:
            await process.says("handler: listens")
        process.is_asked_to_end()
        assert await process.ends() == (0, "", "")
    assert [(call.state, call.end_reason) for call in calls] == [("ended", "hangup")] * 3
    assert commands(space) == ["calling.collect"] * 3 + ["calling.end"] * 3


async def test_an_application_that_gets_sigterm_answers_the_requests_that_wait_for_calls(space: Simulator) -> None:
    port = free_port()
    async with running(space, "-W", "error", "-c", APPLICATION, str(port), "30") as process:
        url = "http" + await process.says("http")
        inbound = await space.call(url=url)
        await process.says("handler: listens")
        async with aiohttp.ClientSession() as session:
            ringing = asyncio.create_task(session.post(f"http://127.0.0.1:{port}/ring"))
            await process.says("request: listens")
            (call,) = [call for call in space.calls.values() if call is not inbound]
            process.is_asked_to_end()
            await refuses_calls(process, url, inbound)
            inbound.press("1")
            await process.says("handler: has said goodbye")
            # The handlers have finished, and webhooks come in for whoever else waits for them.
            call.press("2")
            async with await ringing as response:
                assert await response.json() == {"digits": "2"}
        assert await process.ends() == (0, "", BUSY)
    assert {call.state for call in space.calls.values()} == {"ended"}


async def test_an_application_that_gets_sigterm_twice_ends_its_calls_at_once(space: Simulator) -> None:
    async with running(space, "-c", APPLICATION, str(free_port()), "3600", "never") as process:
        url = "http" + await process.says("http")
        call = await space.call(url=url)
        await process.says("handler: listens")
        process.is_asked_to_end()
        await refuses_calls(process, url, call)
        process.is_asked_to_end()
        await process.ended()
    assert call.state == "ended"


async def test_an_application_without_calls_ends_at_once(space: Simulator) -> None:
    async with running(space, "-W", "error", "-c", APPLICATION, str(free_port()), "3600") as process:
        await process.says("http")
        process.is_asked_to_end()
        assert await process.ends() == (0, "", "")


# Programs


def example(name: str) -> str:
    # The ports are for readers; here several run at once.
    return (ROOT / "examples" / name).read_text().replace("port=8080", "port=0").replace("port=8081", "port=0")


@pytest.mark.parametrize("name", ["say_hello.py", "ask_for_pin.py", "many_calls.py"])
async def test_a_program_that_gets_sigterm_hangs_up(space: Simulator, name: str) -> None:
    async with running(space, "-W", "error", "-c", example(name)) as process:
        await sent(space, "calling.play")
        process.is_asked_to_end()
        status, _, errors = await process.ends()
        assert (status, errors.splitlines()[-1]) == (1, "asyncio.exceptions.CancelledError")
    assert {call.state for call in space.calls.values()} == {"ended"}


async def test_without_those_lines_it_does_not(space: Simulator) -> None:
    lines = example("say_hello.py").splitlines()
    without = "\n".join(line for line in lines if "signal" not in line)
    async with running(space, "-W", "error", "-c", without) as process:
        await sent(space, "calling.play")
        process.is_asked_to_end()
        assert (await process.ends())[0] == -signal.SIGTERM
    assert {call.state for call in space.calls.values()} == {"answered"}


async def test_a_program_that_answers_calls_and_gets_sigterm_lets_them_finish(space: Simulator) -> None:
    async with running(space, "-W", "error", "-c", example("inbound_menu.py")) as process:
        url = await process.says("SWML webhook for your number: ")
        call = await space.call(url=url, callee=Callee())
        await sent(space, "calling.collect")
        process.is_asked_to_end()
        await refuses_calls(process, url, call)
        call.press("1")
        assert await process.ends() == (0, "call from +15550198765\n", BUSY)
    assert call.spoken[-1] == "We are open from nine to five."
    assert (call.state, call.end_reason) == ("ended", "hangup")


# Applications under uvicorn, which stops listening before their lifespan ends


@asynccontextmanager
async def under_uvicorn(space: Simulator, name: str, directory: Path, edit: Callable[[str], str]) -> AsyncIterator[Any]:
    (directory / name).write_text(edit(example(name)))
    port = free_port()
    target = f"{name.removesuffix('.py')}:make_app"
    arguments = ["-m", "uvicorn", target, "--factory", "--port", str(port), "--app-dir", str(directory), "--ws", "none"]
    async with running(space, *arguments, "--log-level", "critical", "--lifespan", "on") as process:
        yield process, port


async def rings(process: Process, port: int) -> int:
    """Have the application ring, once it listens; return the status of its answer."""
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.post(f"http://127.0.0.1:{port}/ring", params={"to": "+15550198765"}) as response:
                    return response.status
            except aiohttp.ClientConnectorError:
                assert process.is_running


async def test_the_starlette_example_that_gets_sigterm_lets_its_handlers_finish(
    space: Simulator, tmp_path: Path
) -> None:
    async with under_uvicorn(space, "serve_with_starlette.py", tmp_path, lambda text: text) as (process, port):
        url = await process.says("SWML webhook for your number: ")
        assert await rings(process, port) == 200
        call = await space.call(url=url)
        await sent(space, "calling.play", 2)
        process.is_asked_to_end()
        status, _, errors = await process.ends()
        assert (status in (0, -signal.SIGTERM), errors) == (True, "")
    assert list(call.spoken) == ["Hello. Please hold the line.", "Nobody is here. Goodbye."]
    assert (call.state, call.end_reason) == ("ended", "hangup")


@pytest.mark.parametrize("name", ["serve_with_starlette.py", "serve_with_django.py"])
async def test_an_example_under_uvicorn_that_gets_sigterm_answers_its_requests(
    space: Simulator, tmp_path: Path, name: str
) -> None:
    async with under_uvicorn(space, name, tmp_path, lambda text: text) as (process, port):
        ringing = asyncio.create_task(rings(process, port))
        await sent(space, "calling.play")
        process.is_asked_to_end()
        assert await ringing == 200
        await process.ended()
    (call,) = space.calls.values()
    assert (call.state, call.spoken[-1]) == ("ended", "Your table is ready.")


async def test_an_example_under_uvicorn_ends_the_calls_of_handlers_that_do_not_finish(
    space: Simulator, tmp_path: Path
) -> None:
    def never(text: str) -> str:
        settings = "from_env(limits=swcalls.Limits(drain=0.1), **settings)"
        return "import swcalls\n" + text.replace("from_env(**settings)", settings).replace(
            "    await call.say(", "    await call.ended()\n    await call.say(", 1
        )

    async with under_uvicorn(space, "serve_with_starlette.py", tmp_path, never) as (process, port):
        url = await process.says("SWML webhook for your number: ")
        assert await rings(process, port) == 200
        call = await space.call(url=url)
        process.is_asked_to_end()
        await process.ended()
    assert (call.state, call.end_reason) == ("ended", "hangup")
    assert commands(space)[-1] == "calling.end"
