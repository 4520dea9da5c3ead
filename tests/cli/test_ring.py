"""``swcalls ring``: an application of one's own gets a call, without an account and without a telephone."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from forking import Process, python

from swcalls import TTS, Call, Client, Digits
from swcalls.cli import main


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@asynccontextmanager
async def ringing(url: str, port: int, *options: str) -> AsyncIterator[Process]:
    process = await python(
        *("-W", "error", "-m", "swcalls", "ring", url, "--port", f"{port}", "--speed", "30", *options)
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ended(process: Process) -> tuple[int | None, str, str]:
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_an_application_gets_a_call_and_what_the_caller_presses(nothing_is_left_running: None) -> None:
    port, heard = free_port(), asyncio.Queue[tuple[str | None, str, str | None]]()

    async def menu(call: Call) -> None:
        await call.answered(timeout=30)
        choice = await call.prompt(TTS("Press one or two."), digits=Digits(1)).finished(timeout=60)
        heard.put_nowait((call.from_, call.headers["X-Case"], choice.digits))

    async with Client("project", "token", f"http://127.0.0.1:{port}") as client, client.receiver.serve():
        client.receiver.on_call(menu)
        options = ("--presses", "2", "--from", "+15550190002", "--sip-header", "X-Case=7")
        async with ringing(client.receiver.inbound_url, port, *options) as process:
            status, out, err = await ended(process)
    assert (status, out) == (0, "ended: hangup\n")
    assert heard.get_nowait() == ("+15550190002", "7", "2")
    assert "calling.collect" in err


async def test_a_caller_may_hang_up_first(nothing_is_left_running: None) -> None:
    port, reasons = free_port(), asyncio.Queue[str | None]()

    async def wait(call: Call) -> None:
        reasons.put_nowait(await call.ended(timeout=60))

    async with Client("project", "token", f"http://127.0.0.1:{port}") as client, client.receiver.serve():
        client.receiver.on_call(wait)
        async with ringing(client.receiver.inbound_url, port, "--hangs-up-after", "2") as process:
            assert (await ended(process))[:2] == (0, "ended: hangup\n")
    assert reasons.get_nowait() == "hangup"


@pytest.mark.skipif(sys.platform == "win32", reason="loops support no signal handlers there")
async def test_an_interruption_hangs_up(nothing_is_left_running: None) -> None:
    port, calls = free_port(), asyncio.Queue[Call]()

    async def hold(call: Call) -> None:
        calls.put_nowait(call)
        await call.ended(timeout=60)

    async with Client("project", "token", f"http://127.0.0.1:{port}") as client, client.receiver.serve():
        client.receiver.on_call(hold)
        async with ringing(client.receiver.inbound_url, port) as process:
            async with asyncio.timeout(60):
                await (await calls.get()).answered()
            process.send_signal(signal.SIGINT)
            assert (await ended(process))[:2] == (0, "ended: hangup\n")


async def test_a_call_that_nobody_answers_fails(nothing_is_left_running: None) -> None:
    async with ringing(f"http://127.0.0.1:{free_port()}/nobody", 0) as process:
        status, out, err = await ended(process)
    assert (status, out) == (1, "")
    assert "not answered" in err.splitlines()[-1]


@pytest.mark.parametrize("url", ["nowhere", "http://", "http://x y/", "ftp://127.0.0.1/", "http://[::1", ""])
def test_what_is_called_must_be_a_url(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended_by:
        main(["ring", url, "--port", "0"])
    assert ended_by.value.code == 2
    assert f"argument URL: {url!r} must be an http:// or https:// URL" in capsys.readouterr().err


def test_a_caller_that_cannot_be_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ring", "http://127.0.0.1:1/", "--presses", "x"]) == 2
    assert "made of the characters 0-9 A-D" in capsys.readouterr().err


def test_a_header_has_a_name_and_a_value(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["ring", "http://127.0.0.1:1/", "--sip-header", "X"])
    assert "'X' must be NAME=VALUE" in capsys.readouterr().err


def test_nothing_in_the_environment_is_needed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("SIGNALWIRE_")]:
        monkeypatch.delenv(name)
    assert main(["ring", f"http://127.0.0.1:{free_port()}/", "--port", "0", "--speed", "100"]) == 1
    assert "not answered" in capsys.readouterr().err


async def test_a_call_that_is_not_answered_can_be_interrupted(nothing_is_left_running: None) -> None:
    asked = asyncio.Event()

    async def hold(request: web.Request) -> web.Response:
        asked.set()
        return web.json_response({"version": "1.0.0", "sections": {"main": [{"sleep": -1}]}})

    app = web.Application()
    app.router.add_post("/", hold)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with ringing(f"http://127.0.0.1:{runner.addresses[0][1]}/", 0) as process:
            async with asyncio.timeout(60):
                await asked.wait()
            process.send_signal(signal.SIGINT)
            status, out, err = await ended(process)
    finally:
        await runner.cleanup()
    assert (status, out) == (1, "")
    assert err.splitlines()[-1] == "swcalls ring: interrupted before the call was answered"
