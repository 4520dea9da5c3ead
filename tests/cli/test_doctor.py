"""``swcalls doctor`` against spaces, proxies and tunnels with one thing wrong each: what it says, and how it ends."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from yarl import URL

from swcalls._core.callback_urls import CallbackUrls
from swcalls._engine.server import ReceiverServer
from swcalls.cli import http_request, main
from swcalls.cli.doctor import doctor
from swcalls.testing import Simulator

PROJECT, TOKEN, KEY = "p-4d0d6f16", "PTsecret-token", "PSKsecret-key"
NAMES = ["environment", "space", "credentials", "clock", "public URL", "signature"]
LOG = {"links": {}, "data": []}

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(handler, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    yield f"{'http' if tls is None else 'https'}://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def basic(user: str, password: str) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def free_port() -> int:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return int(closed.getsockname()[1])


def copied(answer: web.Response) -> web.Response:
    """A response is sent once."""
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


class Space:
    """A space that has a voice log, or answers as it is told."""

    url = ""

    def __init__(self) -> None:
        self.answer: web.Response | Handler = web.json_response(LOG)
        self.requests: list[web.BaseRequest] = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        return await self.answer(request) if callable(self.answer) else copied(self.answer)


class Proxy:
    """Passes requests on to whatever was served last, as it is told."""

    url = ""

    def __init__(self) -> None:
        self.upstream = ""
        self.method: str | None = None
        self.path: Callable[[str], str] = lambda path: path
        self.body: Callable[[bytes], bytes] = lambda body: body
        self.drops: tuple[str, ...] = ("Host", "Content-Length")
        self.answer: web.Response | Handler | None = None
        """Given instead of passing anything on."""
        self.answers: Callable[[int], int] = lambda status: status
        self.after: Callable[[], Awaitable[object]] | None = None
        self.headers: list[Mapping[str, str]] = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.headers.append(request.headers)
        if self.answer is not None:
            return await self.answer(request) if callable(self.answer) else copied(self.answer)
        headers = {name: value for name, value in request.headers.items() if name not in self.drops}
        url = URL(self.upstream + self.path(request.rel_url.raw_path), encoded=True)
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                self.method or request.method, url, headers=headers, data=self.body(await request.read())
            ) as response,
        ):
            status = self.answers(response.status)
        if self.after is not None:
            await self.after()
        return web.Response(status=status)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("SIGNALWIRE_", "SWCALLS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SIGNALWIRE_PROJECT_ID", PROJECT)
    monkeypatch.setenv("SIGNALWIRE_API_TOKEN", TOKEN)
    monkeypatch.setenv("SIGNALWIRE_SIGNING_KEY", KEY)


@pytest.fixture
async def space(nothing_is_left_running: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Space]:
    space = Space()
    async with serving(space.handle) as space.url:
        monkeypatch.setenv("SIGNALWIRE_SPACE", space.url)
        yield space


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    proxy = Proxy()
    enter = ReceiverServer.__aenter__

    async def noted(server: ReceiverServer) -> ReceiverServer:
        await enter(server)
        proxy.upstream = server.url
        return server

    monkeypatch.setattr(ReceiverServer, "__aenter__", noted)
    async with serving(proxy.handle) as proxy.url:
        monkeypatch.setenv("SWCALLS_PUBLIC_URL", proxy.url)
        yield proxy


Examine = Callable[..., Awaitable[dict[str, dict[str, str]]]]


@pytest.fixture
def examine(capsys: pytest.CaptureFixture[str]) -> Examine:
    """Run the doctor, and return its findings by name; no secret is among them."""

    async def run(**options: Any) -> dict[str, dict[str, str]]:
        settings = {"host": "127.0.0.1", "port": 0, "public_url": None, "path": "/swcalls", "as_json": True}
        status = await doctor(**settings | options)
        out, err = capsys.readouterr()
        assert err == ""
        for secret in (TOKEN, KEY):
            assert secret not in out
        found = msgspec.json.decode(out)
        assert [check["name"] for check in found["checks"]] == NAMES
        wrong = any(check["level"] == "wrong" for check in found["checks"])
        assert (found["ok"], status) == (not wrong, int(wrong))
        return {check["name"]: check for check in found["checks"]}

    return run


def levels(found: dict[str, dict[str, str]]) -> list[str]:
    return [check["level"] for check in found.values()]


def names_lead_to(monkeypatch: pytest.MonkeyPatch, **hosts: str | OSError) -> None:
    """Have the system's resolver know these names (``_`` for ``.``) as addresses, or fail at them."""
    known = {name.replace("_", "."): address for name, address in hosts.items()}
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **more: Any) -> Any:
        address = known.get(host, host)
        if isinstance(address, OSError):
            raise address
        return real(address, port, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


# Nothing wrong


async def test_nothing_is_wrong(space: Space, proxy: Proxy, examine: Examine) -> None:
    found = await examine()
    assert levels(found) == ["ok"] * 6
    assert found["public URL"]["what"].startswith(f"{proxy.url} reaches this receiver, at 127.0.0.1:")
    (request,) = space.requests
    assert (request.method, request.rel_url) == ("GET", URL("/api/voice/logs?page_size=1"))
    assert request.headers["Authorization"] == basic(PROJECT, TOKEN)


async def test_a_line_for_each_check(space: Space, proxy: Proxy, capsys: pytest.CaptureFixture[str]) -> None:
    assert await doctor(host="127.0.0.1", port=0, public_url=None, path="/swcalls", as_json=False) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    for name, line in zip(NAMES, lines, strict=False):
        assert re.match(f"✓  {name:<12}  \\S", line)
    assert lines[6:] == ["", "Nothing is wrong."]
    assert TOKEN not in out
    assert KEY not in out


async def test_what_is_wrong_is_told_with_what_to_do(space: Space, capsys: pytest.CaptureFixture[str]) -> None:
    space.answer = web.Response(status=401)
    assert await asyncio.to_thread(main, ["doctor", "--port", "0"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("✗  credentials   refused (401): project or token is wrong")
    assert lines[4].startswith("!  public URL    not set: ")
    assert lines[-1] == "Wrong: credentials."


async def test_without_a_public_url_its_own_address_is_tried(space: Space, examine: Examine) -> None:
    found = await examine()
    assert levels(found) == ["ok", "ok", "ok", "ok", "warning", "ok"]
    assert re.search(r"http://127\.0\.0\.1:\d+, where it was reached", found["public URL"]["what"])


async def test_against_the_simulator(
    nothing_is_left_running: None, monkeypatch: pytest.MonkeyPatch, examine: Examine
) -> None:
    async with Simulator(PROJECT, TOKEN) as simulator:
        monkeypatch.setenv("SIGNALWIRE_SPACE", simulator.url)
        assert levels(await examine()) == ["ok", "ok", "ok", "ok", "warning", "ok"]
        monkeypatch.setenv("SIGNALWIRE_PROJECT_ID", "somebody else")
        assert levels(await examine()) == ["ok", "ok", "wrong", "ok", "warning", "ok"]


# The environment


async def test_what_is_not_set_is_named_and_what_needs_it_is_skipped(
    monkeypatch: pytest.MonkeyPatch, examine: Examine
) -> None:
    monkeypatch.delenv("SIGNALWIRE_PROJECT_ID")
    monkeypatch.setenv("SIGNALWIRE_API_TOKEN", "")
    found = await examine()
    assert levels(found) == ["wrong", *["skipped"] * 5]
    assert found["environment"]["what"] == (
        "SIGNALWIRE_PROJECT_ID is not set; SIGNALWIRE_API_TOKEN is not set; SIGNALWIRE_SPACE is not set"
    )
    for check in list(found.values())[1:]:
        assert check["what"].startswith("not checked: it needs ")


async def test_what_needs_no_credentials_is_checked_without(
    space: Space, monkeypatch: pytest.MonkeyPatch, examine: Examine
) -> None:
    monkeypatch.delenv("SIGNALWIRE_API_TOKEN")
    space.answer = web.Response(status=401)
    assert levels(await examine()) == ["wrong", "ok", "skipped", "ok", "skipped", "skipped"]
    assert "Authorization" not in space.requests[0].headers


async def test_what_needs_no_space_is_checked_without(proxy: Proxy, examine: Examine) -> None:
    assert levels(await examine()) == ["wrong", "skipped", "skipped", "skipped", "ok", "ok"]


async def test_what_is_optional_is_told_but_not_its_value(
    space: Space, monkeypatch: pytest.MonkeyPatch, examine: Examine
) -> None:
    monkeypatch.delenv("SIGNALWIRE_SIGNING_KEY")
    found = await examine()
    assert found["environment"]["what"] == (
        "set: SIGNALWIRE_PROJECT_ID, SIGNALWIRE_API_TOKEN, SIGNALWIRE_SPACE; "
        "not set: SIGNALWIRE_SIGNING_KEY, SWCALLS_PUBLIC_URL"
    )


@pytest.mark.parametrize(
    ("variable", "value", "fault", "skipped"),
    [
        ("SIGNALWIRE_API_TOKEN", f"{TOKEN}\n", "white space around it", ["credentials", "public URL", "signature"]),
        ("SIGNALWIRE_API_TOKEN", f"{TOKEN}\udcff", "not printable", ["credentials", "public URL", "signature"]),
        ("SIGNALWIRE_PROJECT_ID", f"{PROJECT}:{TOKEN}", "a colon", ["credentials", "public URL", "signature"]),
        ("SIGNALWIRE_SPACE", f"ftp://{TOKEN}", "must be a space's name", ["space", "credentials", "clock"]),
        ("SIGNALWIRE_SPACE", f"https://u:{TOKEN}@host", "a URL with no user", ["space", "credentials", "clock"]),
        ("SIGNALWIRE_SPACE", f"{TOKEN} space!", "must be a space's name", ["space", "credentials", "clock"]),
        ("SIGNALWIRE_SPACE", f"{TOKEN}{'a' * 64}", "must be a space's name", ["space", "credentials", "clock"]),
        ("SWCALLS_PUBLIC_URL", f"hooks/{TOKEN}", "must be an http(s) URL", ["public URL", "signature"]),
        ("SWCALLS_PUBLIC_URL", f"https://hooks?{TOKEN}", "must be an http(s) URL", ["public URL", "signature"]),
        ("SIGNALWIRE_SIGNING_KEY", f" {KEY}", "white space around it", ["signature"]),
    ],
)
async def test_what_cannot_be_right_is_told(
    space: Space,
    monkeypatch: pytest.MonkeyPatch,
    examine: Examine,
    variable: str,
    value: str,
    fault: str,
    skipped: list[str],
) -> None:
    monkeypatch.setenv(variable, value)
    found = await examine()
    assert found["environment"]["level"] == "wrong"
    assert found["environment"]["what"].startswith(f"{variable} ")
    assert fault in found["environment"]["what"]
    assert [name for name, check in found.items() if check["level"] == "skipped"] == skipped


async def test_a_public_url_that_is_given_comes_first(
    space: Space, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, examine: Examine
) -> None:
    monkeypatch.setenv("SWCALLS_PUBLIC_URL", "nowhere")
    found = await examine(public_url=proxy.url)
    assert levels(found) == ["ok"] * 6
    assert "--public-url" in found["environment"]["what"]
    found = await examine(public_url="nowhere")
    assert found["environment"]["what"].startswith("--public-url must be")


# The space


def unreachable(found: dict[str, dict[str, str]]) -> str:
    assert levels(found)[1:4] == ["wrong", "skipped", "skipped"]
    assert found["space"]["advice"]
    return found["space"]["what"]


async def test_a_space_whose_name_is_not_known(monkeypatch: pytest.MonkeyPatch, examine: Examine) -> None:
    names_lead_to(monkeypatch, exampel_signalwire_com=socket.gaierror(socket.EAI_NONAME, "not known"))
    monkeypatch.setenv("SIGNALWIRE_SPACE", "exampel")
    assert unreachable(await examine()) == "the name exampel.signalwire.com does not resolve (not known)"


async def test_a_space_whose_name_takes_for_ever(monkeypatch: pytest.MonkeyPatch, examine: Examine) -> None:
    over = threading.Event()
    real = socket.getaddrinfo
    threads: list[threading.Thread] = []

    def getaddrinfo(host: Any, *args: Any, **more: Any) -> Any:
        if host == "example.signalwire.com":
            threads.append(threading.current_thread())
            over.wait()
            raise socket.gaierror(socket.EAI_AGAIN, "at last")
        return real(host, *args, **more)

    monkeypatch.setattr(http_request, "TIMEOUT", 0.05)
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setenv("SIGNALWIRE_SPACE", "example")
    assert unreachable(await examine()) == "the name example.signalwire.com did not resolve within 0.05 s"
    over.set()
    for thread in threads:
        assert thread.daemon
        await asyncio.to_thread(thread.join)


async def test_a_space_where_nobody_listens(monkeypatch: pytest.MonkeyPatch, examine: Examine) -> None:
    port = free_port()
    monkeypatch.setenv("SIGNALWIRE_SPACE", f"http://127.0.0.1:{port}")
    assert unreachable(await examine()).startswith(f"no connection to 127.0.0.1:{port} (")


async def test_a_space_that_does_not_answer(space: Space, monkeypatch: pytest.MonkeyPatch, examine: Examine) -> None:
    over = asyncio.Event()

    async def hang(request: web.BaseRequest) -> web.StreamResponse:
        await over.wait()
        return web.Response()

    space.answer = hang
    monkeypatch.setattr(http_request, "TIMEOUT", 0.05)
    assert unreachable(await examine()).endswith("within 0.05 s")
    over.set()


async def test_a_space_that_speaks_no_tls(space: Space, monkeypatch: pytest.MonkeyPatch, examine: Examine) -> None:
    monkeypatch.setenv("SIGNALWIRE_SPACE", space.url.replace("http:", "https:"))
    assert "the TLS handshake with" in unreachable(await examine())


@pytest.mark.parametrize(("said", "told"), [(b"SSH-2.0\r\n\r\n", "is not HTTP"), (b"", "closed the connection")])
async def test_a_space_that_speaks_no_http(
    monkeypatch: pytest.MonkeyPatch, examine: Examine, said: bytes, told: str
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    monkeypatch.setenv("SIGNALWIRE_SPACE", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert told in unreachable(await examine())
    server.close()
    await server.wait_closed()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is nothing to make a certificate with")
async def test_a_space_whose_certificate_is_nobodys(
    monkeypatch: pytest.MonkeyPatch, examine: Examine, tmp_path: Path
) -> None:
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    await asyncio.to_thread(
        subprocess.run,
        f"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 1 -keyout {key} -out {certificate}".split(),
        check=True,
        capture_output=True,
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the server's, about the same thing
    async with serving(Space().handle, tls) as url:
        monkeypatch.setenv("SIGNALWIRE_SPACE", url)
        assert re.search(r"the certificate of 127\.0\.0\.1:\d+ is not accepted \(", unreachable(await examine()))


async def test_a_space_that_others_can_listen_to(
    space: Space, monkeypatch: pytest.MonkeyPatch, examine: Examine
) -> None:
    names_lead_to(monkeypatch, space_example_com="127.0.0.1")
    monkeypatch.setenv("SIGNALWIRE_SPACE", space.url.replace("127.0.0.1", "space.example.com"))
    found = await examine()
    assert (found["space"]["level"], found["space"]["advice"]) == ("warning", "Use https")
    assert found["credentials"]["level"] == "ok"


@pytest.mark.parametrize(
    ("status", "headers", "body", "told"),
    [
        (401, {}, b"", "refused (401)"),
        (403, {}, b"", "refused (403)"),
        (404, {}, b"", "no voice log (404)"),
        (429, {}, b"", "too many requests (429)"),
        (302, {"Location": f"https://other.example.com/{TOKEN}"}, b"", "redirects (302) to other.example.com"),
        (307, {"Location": f"/{TOKEN}"}, b"", "redirects (307) to another path"),
        (307, {"Location": f"http://[{TOKEN}"}, b"", "redirects (307) to nowhere"),
        (500, {}, b"", "failed (500)"),
        (503, {}, b"", "failed (503)"),
        (418, {}, b"", "answered 418"),
        (200, {}, b"<html>", "not that of a voice log"),
        (200, {}, b"{}", "not that of a voice log"),
        (200, {}, b'{"data":[' + b" " * http_request.MAX_RESPONSE + b"]}", "not that of a voice log"),
    ],
)
async def test_credentials_that_were_not_accepted(
    space: Space, examine: Examine, status: int, headers: dict[str, str], body: bytes, told: str
) -> None:
    space.answer = web.Response(status=status, headers=headers, body=body)
    found = await examine()
    assert levels(found)[1:4] == ["ok", "wrong", "ok"]
    assert told in found["credentials"]["what"]
    assert found["credentials"]["advice"]
    assert len(space.requests) == 1


async def test_an_answer_without_an_end_is_not_read_to_it(space: Space, examine: Examine) -> None:
    async def talk(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionError):
            while True:
                await response.write(b"x" * 65536)
        return response

    space.answer = talk
    found = await examine()
    assert "not that of a voice log" in found["credentials"]["what"]


@pytest.mark.parametrize(
    ("ahead", "level", "told"),
    [
        (0, "ok", "within 30 s of the space's clock"),
        (-25, "ok", "within 30 s of the space's clock"),
        (90, "warning", "ahead of the space's clock"),
        (-90, "warning", "behind the space's clock"),
        (1000, "wrong", "ahead of the space's clock"),
        (-1000, "wrong", "behind the space's clock"),
    ],
)
async def test_clocks_that_are_apart(space: Space, examine: Examine, ahead: int, level: str, told: str) -> None:
    date = format_datetime(datetime.now(UTC) - timedelta(seconds=ahead), usegmt=True)
    space.answer = web.json_response(LOG, headers={"Date": date})
    found = await examine()
    assert found["clock"]["level"] == level
    assert found["clock"]["what"].endswith(told)
    assert bool(found["clock"]["advice"]) is (level != "ok")


async def test_a_space_without_a_clock(space: Space, examine: Examine) -> None:
    space.answer = web.json_response(LOG, headers={"Date": "today"})
    assert (await examine())["clock"]["level"] == "skipped"


@pytest.mark.skipif(sys.platform == "win32", reason="the time zone cannot be set there")
async def test_a_date_without_a_zone_is_utc(
    space: Space, monkeypatch: pytest.MonkeyPatch, examine: Examine, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("TZ", "XXX-9")
    time.tzset()
    request.addfinalizer(time.tzset)
    request.addfinalizer(monkeypatch.undo)
    date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S -0000")
    space.answer = web.json_response(LOG, headers={"Date": date})
    assert (await examine())["clock"]["level"] == "ok"


# The public URL


def misled(found: dict[str, dict[str, str]], proxy: Proxy) -> str:
    assert levels(found) == ["ok", "ok", "ok", "ok", "wrong", "skipped"]
    check = found["public URL"]
    assert check["what"].startswith(f"{proxy.url}: ")
    assert check["advice"]
    return check["what"].removeprefix(f"{proxy.url}: ")


async def test_a_public_url_where_nobody_listens(
    space: Space, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, examine: Examine
) -> None:
    proxy.url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("SWCALLS_PUBLIC_URL", proxy.url)
    found = await examine()
    assert misled(found, proxy).startswith("no connection to 127.0.0.1:")
    assert found["public URL"]["advice"].startswith("Start the tunnel or the proxy")


async def test_a_public_url_whose_name_is_not_known(
    space: Space, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, examine: Examine
) -> None:
    names_lead_to(monkeypatch, hooks_example_com=socket.gaierror(socket.EAI_NONAME, "not known"))
    proxy.url = "https://hooks.example.com"
    monkeypatch.setenv("SWCALLS_PUBLIC_URL", proxy.url)
    assert misled(await examine(), proxy) == "the name hooks.example.com does not resolve (not known)"


async def test_a_public_url_that_does_not_answer(
    space: Space, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, examine: Examine
) -> None:
    over = asyncio.Event()

    async def hang(request: web.BaseRequest) -> web.StreamResponse:
        await over.wait()
        return web.Response()

    proxy.answer = hang
    monkeypatch.setattr(http_request, "TIMEOUT", 0.2)
    found = await examine()
    assert found["public URL"]["what"].endswith("within 0.2 s")
    assert "firewall" in found["public URL"]["advice"]
    over.set()


@pytest.mark.parametrize(
    ("answer", "told", "advice"),
    [
        (
            web.Response(status=200),
            "answered 200, but the probe did not arrive",
            "Stop that server, or make it forward",
        ),
        (
            web.Response(status=204),
            "answered 204, but the probe did not arrive",
            "Stop that server, or make it forward",
        ),
        (web.Response(status=401), "requires a password (401)", "Allow /swcalls/ without a password"),
        (web.Response(status=403), "refused (403) by another server", "Stop that server, or make it forward"),
        (
            web.Response(status=404),
            "answered 404, and the probe did not arrive",
            "Make it forward POST /swcalls/ to",
        ),
        (
            web.Response(status=405),
            "answered 405, and the probe did not arrive",
            "Make it forward POST /swcalls/ to",
        ),
        (
            web.Response(status=502),
            "does not reach this receiver (502)",
            "Make it forward POST /swcalls/ to 127.0.0.1:",
        ),
        (
            web.Response(status=308, headers={"Location": "https://hooks.example.com/secret"}),
            "redirects (308) to hooks.example.com",
            "Set SWCALLS_PUBLIC_URL to the final address",
        ),
    ],
    ids=lambda value: str(value.status) if isinstance(value, web.Response) else "",
)
async def test_a_public_url_where_somebody_else_answers(
    space: Space, proxy: Proxy, examine: Examine, answer: web.Response, told: str, advice: str
) -> None:
    proxy.answer = answer
    found = await examine()
    assert told in misled(found, proxy)
    assert found["public URL"]["advice"].startswith(advice)
    assert "secret" not in found["public URL"]["what"]


@pytest.mark.parametrize(
    ("path", "received_as"),
    [
        (lambda path: path.removeprefix("/swcalls"), r"'POST /probe/[0-9a-f]{32}/\*\*\*'"),
        (lambda path: f"/hooks{path}", r"'POST /hooks/swcalls/probe/[0-9a-f]{32}/\*\*\*'"),
        (lambda path: path[:-1], r"'POST /swcalls/probe/[0-9a-f]{32}/\*\*\*'"),
        (lambda path: f"{path}/", r"'POST /swcalls/probe/[0-9a-f]{32}/\*\*\*'"),
    ],
    ids=["prefix taken off", "prefix put before", "cut", "slash"],
)
async def test_a_path_that_is_changed_on_the_way(
    space: Space, proxy: Proxy, examine: Examine, path: Callable[[str], str], received_as: str
) -> None:
    proxy.path = path
    assert re.search(f"the probe arrived, but as {received_as}", misled(await examine(), proxy))


async def test_a_method_that_is_changed_on_the_way(space: Space, proxy: Proxy, examine: Examine) -> None:
    proxy.method = "GET"
    assert "the probe arrived, but as 'GET /swcalls/probe/" in misled(await examine(), proxy)


async def test_a_body_that_is_changed_on_the_way(space: Space, proxy: Proxy, examine: Examine) -> None:
    proxy.body = lambda body: body + b" "
    assert "was refused as forged: its body or its signature" in misled(await examine(), proxy)


async def test_a_body_that_is_lost_on_the_way(
    space: Space, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, examine: Examine
) -> None:
    monkeypatch.delenv("SIGNALWIRE_SIGNING_KEY")
    proxy.body = lambda body: b""
    assert "was refused as malformed" in misled(await examine(), proxy)


async def test_an_answer_that_is_changed_on_the_way_back(space: Space, proxy: Proxy, examine: Examine) -> None:
    proxy.answers = lambda status: 500
    assert "accepted, but the answer that came back was 500" in misled(await examine(), proxy)


async def test_an_answer_that_does_not_come_back(space: Space, proxy: Proxy, examine: Examine) -> None:
    async def break_off(request: web.BaseRequest) -> web.StreamResponse:
        proxy.answer = None
        await proxy.handle(request)
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    proxy.answer = break_off
    assert "the probe arrived, but the answer did not come back: " in misled(await examine(), proxy)


async def test_another_receiver_of_the_same_project_is_not_this_one(
    space: Space, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, examine: Examine
) -> None:
    from swcalls.receiver import ObservingReceiver

    other = ObservingReceiver(PROJECT, TOKEN, public_url=proxy.url, signing_key=KEY)
    async with other.serve() as server:
        url = server.url

        async def pass_on(request: web.BaseRequest) -> web.StreamResponse:
            proxy.answer, proxy.upstream = None, url
            return await proxy.handle(request)

        proxy.answer = pass_on
        assert misled(await examine(), proxy).startswith("answered 200, but the probe did not arrive")
    assert other._ingress.verdicts == {"unknown": 1}


async def test_what_else_comes_in_the_meantime_is_no_probe(space: Space, proxy: Proxy, examine: Examine) -> None:
    async def post_another(request: web.BaseRequest) -> web.StreamResponse:
        url = CallbackUrls(PROJECT, TOKEN, "/swcalls", proxy.upstream).mint("probe", "another")
        async with aiohttp.ClientSession() as session, session.post(url, json={}) as response:
            assert response.status == 200
        return web.Response()

    proxy.answer = post_another
    assert misled(await examine(), proxy).startswith("answered 200, but the probe did not arrive")


@pytest.mark.parametrize("stripped", [True, False])
async def test_a_public_url_with_a_path_and_credentials(
    space: Space, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, examine: Examine, stripped: bool
) -> None:
    monkeypatch.setenv("SWCALLS_PUBLIC_URL", proxy.url.replace("//", f"//user:{TOKEN}@") + "/hooks")
    if stripped:
        proxy.path = lambda path: path.removeprefix("/hooks")
    found = await examine()
    assert levels(found) == ["ok"] * 6
    assert found["public URL"]["what"].startswith(f"{proxy.url}/hooks reaches")
    assert {given["Authorization"] for given in proxy.headers} == {basic("user", TOKEN)}


async def test_a_public_url_that_others_can_listen_to(
    space: Space, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, examine: Examine
) -> None:
    names_lead_to(monkeypatch, hooks_example_com="127.0.0.1")
    monkeypatch.setenv("SWCALLS_PUBLIC_URL", proxy.url.replace("127.0.0.1", "hooks.example.com"))
    found = await examine()
    assert levels(found) == ["ok", "ok", "ok", "ok", "warning", "ok"]
    assert found["public URL"]["advice"] == "Use https"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_public_url_that_the_space_cannot_reach(
    space: Space, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, examine: Examine, host: str
) -> None:
    names_lead_to(monkeypatch, space_example_com="127.0.0.1", localhost="127.0.0.1")
    monkeypatch.setenv("SIGNALWIRE_SPACE", space.url.replace("127.0.0.1", "space.example.com"))
    monkeypatch.setenv("SWCALLS_PUBLIC_URL", proxy.url.replace("127.0.0.1", host))
    found = await examine()
    assert found["public URL"]["level"] == "warning"
    assert "only from the local network" in found["public URL"]["what"]


async def test_a_port_that_is_taken(space: Space, examine: Examine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = await examine(port=port)
    assert levels(found)[4:] == ["wrong", "skipped"]
    assert found["public URL"]["what"].startswith(f"cannot listen on 127.0.0.1:{port}: ")
    assert "--port" in found["public URL"]["advice"]


def test_a_wrong_path_is_one_line_of_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--path", "no/slash"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch("swcalls doctor: path='no/slash' must be .*\n", err)


# Signatures


async def test_without_a_key_signatures_are_not_checked(
    space: Space, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, examine: Examine
) -> None:
    monkeypatch.delenv("SIGNALWIRE_SIGNING_KEY")
    found = await examine()
    assert levels(found) == ["ok"] * 5 + ["skipped"]
    assert "SIGNALWIRE_SIGNING_KEY is not set" in found["signature"]["what"]


async def test_a_proxy_that_drops_signatures(space: Space, proxy: Proxy, examine: Examine) -> None:
    proxy.drops += ("X-SignalWire-Signature", "X-SignalWire-SHA256-Signature")
    found = await examine()
    assert levels(found) == ["ok"] * 5 + ["wrong"]
    assert found["signature"]["what"] == "a wrong signature was accepted: no signature header arrives here"
    assert "X-SignalWire-Signature" in found["signature"]["advice"]


async def test_a_proxy_that_changes_refusals(space: Space, proxy: Proxy, examine: Examine) -> None:
    proxy.answers = lambda status: 200
    found = await examine()
    assert levels(found) == ["ok"] * 5 + ["wrong"]
    assert found["signature"]["what"] == "a wrong signature was refused, but the answer, 403, came back as 200"


async def test_a_proxy_that_breaks_down_between_two_probes(space: Space, proxy: Proxy, examine: Examine) -> None:
    async def break_down() -> None:
        proxy.answer = web.Response(status=502)

    proxy.after = break_down
    found = await examine()
    assert levels(found) == ["ok"] * 5 + ["wrong"]
    assert found["signature"]["what"].startswith("the second probe failed: the proxy runs, but does not reach")


async def test_a_proxy_that_loses_a_refusal(space: Space, proxy: Proxy, examine: Examine) -> None:
    async def break_off(request: web.BaseRequest) -> web.StreamResponse:
        proxy.answer = None
        await proxy.handle(request)
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async def then_break_off() -> None:
        proxy.after, proxy.answer = None, break_off

    proxy.after = then_break_off
    found = await examine()
    assert levels(found) == ["ok"] * 5 + ["wrong"]
    assert "refused, but the answer, 403, did not come back: 127.0.0.1:" in found["signature"]["what"]
