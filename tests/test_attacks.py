"""Nobody gets in: what is forged, foreign, wrongly signed, malformed, too large or too slow is refused and harms nobody.

Over real sockets, served and embedded, and on the core where no socket matters.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import hmac
import json
import logging
import os
import random
import re
import socket
import string
import struct
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
from aiohttp import web

import swcalls
from swcalls import Call, Client, Limits, Playback, receiver
from swcalls._core.callback_urls import CallbackUrls
from swcalls._core.decoding import DEEPEST, READERS
from swcalls._core.operation import CallOperation, Operation
from swcalls._core.registry import Registry
from swcalls._core.signature import Verifier
from swcalls._core.webhooks import INBOUND, MOST_SHAPES, WebhookReader
from swcalls._engine import server as serving
from swcalls._engine.ingress import Ingress, log_receipt
from swcalls.actions import HANDLES
from swcalls.receiver import ObservingReceiver

SCALE = float(os.environ.get("SWCALLS_DEEP", "1"))
TOKEN = "PT-that-nobody-else-has"
KEY, NEXT_KEY = "PSK-of-today", "PSK-of-tomorrow"
CALL_ID = "2e1e66e5-5d07-413d-9668-55542992eec0"
URL_SAFE = string.ascii_letters + string.digits + "-_.~"
HOSTILE = "x\n2026-01-01 CRITICAL root: owned\r\x1b[31m\u202e\u2028\x85\x00y"
LONGEST_LINE = 500
PATIENCE = 20
"""Seconds after which a server that says nothing, and does not hang up either, is one that hangs."""


def sha1(signed: str | bytes, key: str = KEY) -> str:
    return hmac.digest(key.encode(), signed.encode() if isinstance(signed, str) else signed, "sha1").hex()


def sha256(signed: bytes, key: str = KEY) -> str:
    return hmac.digest(key.encode(), signed, "sha256").hex()


def request(path: str | bytes, body: bytes = b"{}", *headers: str | bytes, method: str = "POST") -> bytes:
    """A request as it goes over the wire; what *headers* say of its length is believed."""
    lines = [line.encode() if isinstance(line, str) else line for line in headers]
    if not any(line.lower().startswith((b"content-length", b"transfer-encoding")) for line in lines):
        lines.append(b"Content-Length: %d" % len(body))
    start = method.encode() + b" " + (path.encode() if isinstance(path, str) else path) + b" HTTP/1.1"
    return b"\r\n".join([start, b"Host: x", *lines, b"", body])


async def read_status(reader: asyncio.StreamReader) -> int | None:
    """Read one answer, and give its status; ``None``: the connection was closed instead."""
    try:
        async with asyncio.timeout(PATIENCE):
            head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    await reader.readexactly(int(length[1]) if length else 0)
    return int(head.split()[1])


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """Wait until the server hangs up; say whether it had nothing more to say."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await reader.read() == b""
    except ConnectionError:
        return True


class Door:
    """A receiver that can be reached, and an action of every kind that waits behind it."""

    def __init__(self, client: Client, port: int) -> None:
        self.client = client
        self.port = port
        self.call = client.call(CALL_ID)
        self.pending = {kind: self.call.action(kind, f"{kind}-1") for kind in HANDLES}
        self._served = 0

    def path(self, kind: str = "play", key: str | None = None) -> str:
        urls = self.client._engine.urls
        assert urls.public_url is not None
        return urls.mint(kind, f"{kind}-1" if key is None else key).removeprefix(urls.public_url)

    def url(self, path: str) -> str:
        return f"{self.client._engine.urls.public_url}{path}"

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def send(self, data: bytes) -> int | None:
        """Send *data* over a connection of its own, and give the status of the answer."""
        reader, writer = await self.connect()
        try:
            writer.write(data)
            status = await read_status(reader)
            if status == 100:
                status = await read_status(reader)
            if status in (400, 403, 413):
                assert await is_closed(reader)
            return status
        finally:
            writer.close()

    async def post(self, path: str | bytes, payload: object, *headers: str | bytes) -> int | None:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return await self.send(request(path, body, *headers))

    async def is_unharmed(self) -> bool:
        """Look whether nothing was settled, and whether the next webhook is still served."""
        if any(action.done() for action in self.pending.values()):
            return False
        self._served += 1
        action = self.call.action("play", f"served-{self._served}")
        path = self.path("play", action.control_id)
        body = b'{"state":"finished"}'
        status = await self.post(path, body, f"X-SignalWire-Signature: {sha1(self.url(path).encode() + body)}")
        return status == 200 and isinstance(action.result(), Playback)


OpenDoor = Callable[..., Awaitable[Door]]


@pytest.fixture(params=["served", "embedded"])
async def open_door(
    request: pytest.FixtureRequest, nothing_is_left_running: None, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[OpenDoor]:
    monkeypatch.setattr(serving, "LINGERING_TIME", 0.05)
    async with AsyncExitStack() as stack:

        async def make(**settings: Any) -> Door:
            settings = {"public_url": None if request.param == "served" else "http://127.0.0.1:9", **settings}
            client = Client("project", TOKEN, "http://127.0.0.1:9", **settings)
            if request.param == "served":
                await stack.enter_async_context(client)
                server = await stack.enter_async_context(client.receiver.serve())
                return Door(client, int(server.url.rpartition(":")[2]))
            app = web.Application()
            swcalls.setup(app, client)
            runner = web.AppRunner(app, access_log=None, lingering_time=0.05)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            port = runner.addresses[0][1]
            client._engine.urls.public_url = f"http://127.0.0.1:{port}"
            return Door(client, port)

        yield make


@pytest.fixture
async def door(open_door: OpenDoor) -> Door:
    return await open_door()


served = pytest.mark.parametrize("open_door", ["served"], indirect=True)
"""For what an application's own server decides when the receiver is embedded."""


@pytest.fixture(autouse=True)
def nothing_of_a_stranger_and_no_secret_is_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    secrets = {TOKEN, KEY, NEXT_KEY}
    mint = CallbackUrls.mint

    def remember(self: CallbackUrls, kind: str, key: str, **how: bool) -> str:
        url = mint(self, kind, key, **how)
        secrets.add(url.rpartition("/")[2])
        return url

    monkeypatch.setattr(CallbackUrls, "mint", remember)
    with caplog.at_level(logging.DEBUG):
        yield
    assert not [secret for secret in secrets if secret in caplog.text]
    for record in caplog.get_records("call"):
        if record.name.startswith("swcalls"):
            assert record.getMessage().isprintable()
            assert len(record.getMessage()) <= LONGEST_LINE
            assert record.exc_info is None


def core(
    *keys: str,
    require: bool = False,
    limits: Limits = Limits(),
    kinds: tuple[str, ...] = (),
    key: str = "x",
    dispatch: Any = None,
) -> tuple[Ingress, Registry, list[Operation]]:
    """An ingress without a server, whose registry expects an operation of each of *kinds*."""
    urls = CallbackUrls("project", TOKEN, "/swcalls", "https://hooks.example.com")
    registry = Registry(limits)
    ingress = Ingress(WebhookReader(urls, Verifier(keys, require=require), limits.body), registry, dispatch)
    ingress.observers.clear()
    call = CallOperation("call", CALL_ID)
    registry.expect_call(call, 0)
    pending = [Operation(kind, key, call) for kind in kinds]
    for operation in pending:
        registry.expect(operation, 0.0)
    return ingress, registry, pending


def minted(ingress: Ingress, kind: str, key: str) -> str:
    return ingress.reader.urls.mint(kind, key).removeprefix("https://hooks.example.com")


# The URL


def changes(path: str, alphabet: str) -> Iterator[str]:
    """Every path that differs from *path* by one character: replaced, put in, left out, swapped, or of another case."""
    for at in range(len(path) + 1):
        head, tail = path[:at], path[at:]
        yield from (head + character + tail for character in alphabet)
        if tail:
            yield from (head + character + tail[1:] for character in alphabet)
            yield head + tail[1:]
            yield head + tail[0].swapcase() + tail[1:]
            yield head + tail[1:2] + tail[0] + tail[2:]


@pytest.mark.parametrize("key", ["x", CALL_ID, "a/b", "ключ", "~", HOSTILE])
def test_every_change_of_one_character_of_a_path_is_refused(key: str) -> None:
    ingress, _, (operation,) = core(kinds=("play",), key=key)
    path = minted(ingress, "play", key)
    changed = {*changes(path, URL_SAFE + "/%;:@&=+$,!*'()\\ \0\u202e")} - {path}
    # With a question mark, what is before it is the path: one at the end changes nothing.
    changed |= {path[:at] + "?" + path[at:] for at in range(len(path))}
    for other in changed:
        assert ingress.accept_now(other, {}, b'{"state":"finished"}').status == 403, other
    assert operation.outcome is None
    assert ingress.verdicts == {"forged": len(changed)}
    assert ingress.accept_now(path, {}, b'{"state":"finished"}').verdict == "applied"
    assert operation.outcome is not None


@pytest.mark.parametrize("key", ["play-1", "ключ"])
async def test_every_change_of_one_character_is_refused_over_a_socket(door: Door, key: str) -> None:
    if key not in door.client.actions:
        door.pending[key] = door.call.action("play", key)
    path = door.path("play", key)
    changed = sorted({*changes(path, "A/")} - {path})
    # Others in each run; without a socket, all are tried.
    for other in random.sample(changed, min(len(changed), int(80 * SCALE))):
        # A target without a slash before it is no HTTP.
        statuses = (403,) if other.startswith("/swcalls/") else (403, 404) if other[0] == "/" else (400,)
        assert await door.post(other, {"state": "finished"}) in statuses, other
    assert await door.is_unharmed()


@pytest.mark.parametrize(
    "spell",
    [
        lambda path: path.replace("/swcalls", "/%73wcalls"),
        lambda path: path.replace("play/", "%70lay/"),
        lambda path: path.replace("play/", "play%2F"),
        lambda path: path[:-1] + f"%{ord(path[-1]):02x}",
        lambda path: path[:-1] + f"%{ord(path[-1]):02X}",
        lambda path: path.replace("-", "%2d"),
        lambda path: "/" + path,
        lambda path: "//evil.example.com" + path,
        lambda path: path.replace("/play", "//play"),
        lambda path: path.replace("/play", "/./play"),
        lambda path: "/." + path,
        lambda path: path.replace("/play", "/x/../play"),
        lambda path: "/x/.." + path,
        lambda path: path + "/",
        lambda path: path + "/.",
        lambda path: path + ";a=b",
        lambda path: path.replace("/play", "/play;a=b"),
        lambda path: path + "#fragment",
        lambda path: path + "#",
        lambda path: path + "%00",
        lambda path: path + "\0",
        lambda path: path + "ü",
        lambda path: path.encode() + b"\xff",
        lambda path: path + "%C3%BC",
        lambda path: path + "A" * 100_000,
        lambda path: "/swcalls/" * 900 + path,
        lambda path: path.upper(),
        lambda path: path.replace("/swcalls", "/SWCALLS"),
        lambda path: path.replace("/", "\\"),
        lambda path: path.replace("play-1", "play\u20111"),
        lambda path: path.replace("/play-1", "/~cGxheS0x"),
        lambda path: path.rpartition("/")[0],
        lambda path: path.rpartition("/")[0] + "/",
        lambda path: path + "=",
        lambda path: path.replace("/play", "/ play"),
        lambda path: path + "\x1b[31m",
    ],
)
async def test_another_spelling_of_the_same_path_is_refused(door: Door, spell: Callable[[str], str | bytes]) -> None:
    path = door.path()
    assert spell(path) != path
    assert await door.post(spell(path), {"state": "finished"}) in (400, 403, 404)
    assert await door.is_unharmed()


async def test_a_query_is_no_part_of_the_path(door: Door) -> None:
    assert await door.post(door.path() + "?added=by&a=proxy", {"state": "playing"}) == 200
    assert await door.is_unharmed()


async def test_a_url_is_good_for_one_kind_key_project_and_token_only(door: Door) -> None:
    kind, key, mac = door.path().split("/")[2:]
    others = [CallbackUrls("project", "PT-other", "/swcalls"), CallbackUrls("other", TOKEN, "/swcalls")]
    for urls in others:
        urls.public_url = ""
    paths = [urls.mint(kind, key) for urls in others]
    paths += [f"/swcalls/{other}/{key}/{mac}" for other in (*READERS, INBOUND, "hologram") if other != kind]
    paths += [f"/swcalls/{kind}/{other}-1/{mac}" for other in READERS if other != kind]
    paths += [f"/swcalls/{mac}", f"/swcalls/{kind}/{mac}", f"/swcalls//{key}/{mac}", f"/swcalls/{kind}//{mac}"]
    for path in paths:
        assert await door.post(path, {"state": "finished"}) == 403, path
    assert await door.is_unharmed()


def test_the_boundaries_of_kind_and_key_cannot_be_moved() -> None:
    ingress, _, _ = core()
    macs = {minted(ingress, kind, key).rpartition("/")[2] for kind, key in [("a", "bc"), ("ab", "c"), ("a/b", "c")]}
    macs.add(CallbackUrls("projecta", TOKEN, "/swcalls", "").mint("", "bc").rpartition("/")[2])
    assert len(macs) == 4


@pytest.mark.parametrize("base", ["", "/swc", "/swcalls", "/hooks/v1", "/swcalls/play"])
def test_a_path_of_the_public_url_lets_in_what_was_minted_and_nothing_else(base: str) -> None:
    ingress, _, (operation,) = core(kinds=("play",))
    ingress.reader.urls.public_url = f"https://hooks.example.com{base}"
    whole = minted(ingress, "play", "x")
    stripped = whole.removeprefix(base)
    for path in (base + whole, base + base + stripped, "/x" + whole, base + "x" + stripped):
        if path not in (whole, stripped):
            assert ingress.accept_now(path, {}, b'{"state":"finished"}').status == 403, path
    assert operation.outcome is None
    assert ingress.accept_now(stripped, {}, b'{"state":"playing"}').verdict == "applied"
    assert ingress.accept_now(whole, {}, b'{"state":"finished"}').verdict == "applied"


def test_secrets_are_compared_in_constant_time_and_by_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    ingress, _, _ = core(KEY)
    path, body = minted(ingress, "play", "x"), b'{"state":"playing"}'
    signature = sha1(b"https://hooks.example.com" + path.encode() + body)
    compared: list[tuple[str, str]] = []

    def decide(result: bool) -> None:
        def compare(one: str, other: str) -> bool:
            compared.append((one, other))
            return result

        monkeypatch.setattr(hmac, "compare_digest", compare)

    decide(True)
    # If anything else were looked at, this would not pass.
    forged = path.rpartition("/")[0] + "/" + "A" * 36
    assert ingress.accept_now(forged, {"X-SignalWire-Signature": "0" * 40}, body).status == 200
    assert [{len(one), len(other)} for one, other in compared] == [{36}, {40}]
    decide(False)
    assert ingress.accept_now(path, {"X-SignalWire-Signature": signature}, body).status == 403


# The payload


def shapes(kind: str, control_id: object) -> list[dict[str, Any]]:
    """Payloads of another action's end: bare, enveloped, and as what else has been seen of envelopes."""
    types = READERS[kind].event_types or (f"calling.{kind}",)
    bare = {"control_id": control_id, "state": "finished", "call_id": CALL_ID}
    return [
        bare,
        {"event_type": types[0], "timestamp": 1.5, "params": bare},
        {"event_type": types[0], "timestamp": 1.5, "params": json.dumps(bare)},
        {"event_type": types[0], "control_id": control_id, "params": {"state": "finished"}},
        {"event_type": types[0], "control_id": control_id, "params": bare | {"control_id": f"{kind}-1"}},
        {"event_type": "calling.newer", "params": bare},
    ]


@pytest.mark.parametrize("kind", [kind for kind in HANDLES if READERS[kind].keyed])
async def test_the_control_id_of_another_action_is_refused_in_any_shape(door: Door, kind: str) -> None:
    bodies = [body for other in ("record-2", "", 5, "play-1 ", "PLAY-1", HOSTILE) for body in shapes(kind, other)]
    door.pending["other"] = door.call.action("record" if kind == "play" else "play", "record-2")
    for body in bodies:
        assert await door.post(door.path(kind), body) == 403, body
    assert door.client.stats.webhooks == {"foreign": len(bodies)}
    assert await door.is_unharmed()


_NAMES = """
event_type event_channel params call_id node_id control_id state timestamp result type text digits confidence final
record url duration size recording_id detect event beep tap device stream name fax success pages document id
sip_refer_to sip_refer_response_code denoised utterance content language sidecar_event ts ask_id stop_reason call_info
channel_data raw summary call_state status end_reason start_time call headers envs vars
"""
NAMES = _NAMES.split()


@pytest.mark.parametrize("kind", HANDLES)
@pytest.mark.parametrize("value", [None, {}, [], [None], "", False, "\ud83d\ude00", [[{}]], {"params": None}])
def test_fields_that_are_null_or_of_a_wrong_type_are_tolerated_and_settle_nothing(kind: str, value: object) -> None:
    ingress, _, (operation,) = core(kinds=(kind,))
    keep = {"control_id": None} if READERS[kind].keyed else {}
    payload = dict.fromkeys(NAMES, value) | keep
    inner = {name: dict.fromkeys(NAMES, value) for name in NAMES}
    for body in (payload, payload | {"event_type": "calling.x", "params": payload}, inner | keep, {"params": payload}):
        reply = ingress.accept_now(minted(ingress, kind, "x"), {}, json.dumps(body).encode())
        assert reply.status == 200, body
    assert operation.outcome is None


GOING = b'{"state":"playing",'
"""The beginning of a payload that ends nothing."""


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b" ", 400),
        (b"\xef\xbb\xbf{}", 400),
        ("{}".encode("utf-16"), 400),
        ("{}".encode("utf-32"), 400),
        (b"\0", 400),
        (b"\x0b{}", 400),
        (b"{}{}", 400),
        (b"[{}]", 400),
        (b'"{}"', 400),
        (b"null", 400),
        (b"true", 400),
        (b"-0", 400),
        (b"state=finished&control_id=play-1", 400),
        (b"<state>finished</state>", 400),
        (GOING[:-1], 400),
        (GOING + b'"x":"\xff"}', 400),
        (GOING + b'"x":"\xc0\x80"}', 400),
        (GOING + b'"x":"\xed\xa0\x80"}', 400),
        (GOING + b'"x":"\xf4\x90\x80\x80"}', 400),
        (GOING + b'"x":"\\ud800"}', 400),
        (GOING + b'"\\udfff":1}', 400),
        (GOING + b'"x":"\\ude00\\ud83d"}', 400),
        (GOING + b'"x":"\\ud83d\\ude00"}', 200),
        (GOING + b'"x":"\n"}', 400),
        (GOING + b'"x":"\\u0000\\u202e\\u001b"}', 200),
        (GOING + b'"x":NaN}', 400),
        (GOING + b'"x":-Infinity}', 400),
        (GOING + b'"x":1e999999}', 400),
        (GOING + b'"x":1e-999999}', 200),
        (GOING + b'"x":' + b"9" * 4000 + b"}", 200),
        (GOING + b'"x":1' + b"0" * 5000 + b"}", 400),
        (GOING + b'"x":1' + b"0" * 1_000_000 + b"}", 400),
        (GOING + b'"x":0.' + b"9" * 1_000_000 + b"}", 200),
        (GOING + b'"x":-0}', 200),
        (GOING + b'"x":01}', 400),
        (GOING + b'"x":+1}', 400),
        (GOING + b'"x":"' + b"y" * 1_000_000 + b'"}', 200),
        (b'{"state":"' + b"y" * 1_000_000 + b'"}', 200),
        (b'{"' + b"y" * 1_000_000 + b'":1,"state":"playing"}', 200),
        (b'{"state":"finished","state":"playing"}', 200),
        (b'{"control_id":"other","control_id":"play-1","state":"playing"}', 200),
        (GOING + b'"x":' + b"[" * (DEEPEST - 1) + b"]" * (DEEPEST - 1) + b"}", 200),
        (GOING + b'"x":' + b"[" * DEEPEST + b"]" * DEEPEST + b"}", 400),
        (GOING + b'"x":' + b'{"x":' * DEEPEST + b"1" + b"}" * DEEPEST + b"}", 400),
        (GOING + b'"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
        (b"[" * 100_000, 400),
        (b'{"x":' * 100_000, 400),
        (GOING + b'"x":[' + b"[]," * 300_000 + b"[]]}", 200),
        (GOING + b"," * 100_000 + b"}", 400),
        (b'{"event_type":"calling.call.play","params":"' + b"[" * 100_000 + b'"}', 200),
        (b'{"event_type":"calling.call.play","params":"{\\"state\\":\\"\\ud83d\\ude00\\"}"}', 200),
    ],
    ids=lambda value: f"{value[:30]!r} of {len(value)}" if isinstance(value, bytes) else str(value),
)
async def test_a_body_is_answered_as_the_contract_says_whatever_is_in_it(door: Door, body: bytes, status: int) -> None:
    assert await door.post(door.path(), body) == status
    assert await door.post(door.path()[:-1] + "~", body) == 403
    assert await door.is_unharmed()


@pytest.mark.parametrize("depth", [950, 980, 985, 990, 995])
@pytest.mark.parametrize("kind", ["play", "tap"])
def test_a_depth_that_can_just_be_parsed_is_no_fault_of_ours(kind: str, depth: int) -> None:
    ingress, _, _ = core(kinds=(kind,))
    ingress.observers.append(log_receipt)
    nested = b'{"event_type":"calling.call.%s","timestamp":1,"params":{"state":"a","device":{"x":%b1%b}}}' % (
        kind.encode(),
        b'{"x":' * depth,
        b"}" * depth,
    )
    # Twice: what looks like a repetition is compared.
    assert [ingress.accept_now(minted(ingress, kind, "x"), {}, nested).status for _ in range(2)] == [400, 400]


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize(
    "number", ["9" * 10_000, "1e999999", "-inf", "nan", "1_0", " 7 ", "٣", 10**4000, -(10**400), 1e308]
)
def test_numbers_of_any_size_and_spelling_are_read_or_left_out(kind: str, number: object) -> None:
    ingress, _, _ = core()
    names = (
        "timestamp",
        "ts",
        "duration",
        "size",
        "confidence",
        "start_time",
        "answer_time",
        "end_time",
        "pages",
        "id",
    )
    fields: dict[str, Any] = dict.fromkeys(names, number)
    body = fields | dict.fromkeys(("record", "result", "fax", "params", "sidecar_event"), fields)
    for payload in (body, {"event_type": "calling.x", "timestamp": number, "params": body}):
        assert ingress.accept_now(minted(ingress, kind, "x"), {}, json.dumps(payload).encode()).status == 200


# Signatures


def signatures(url: str, body: bytes) -> dict[str, list[str | bytes]]:
    """Headers that must not pass, by what is wrong with them."""
    right, right256 = sha1(url.encode() + body), sha256(url.encode() + body)
    mac = hmac.digest(KEY.encode(), url.encode() + body, "sha1")
    one, two = "X-SignalWire-Signature", "X-SignalWire-SHA256-Signature"
    return {
        "the URL alone": [f"{one}: {sha1(url)}"],
        "the body alone": [f"{one}: {sha1(body)}"],
        "another body": [f"{one}: {sha1(url.encode() + body + b' ')}"],
        "another order": [f"{one}: {sha1(body + url.encode())}"],
        "another URL": [f"{one}: {sha1(url.replace('play-1', 'play-2').encode() + body)}"],
        "the URL with a slash": [f"{one}: {sha1(url.encode() + b'/' + body)}"],
        "another scheme": [f"{one}: {sha1(url.replace('://', 's://').encode() + body)}"],
        "another key": [f"{one}: {sha1(url.encode() + body, NEXT_KEY)}"],
        "the token for a key": [f"{one}: {sha1(url.encode() + body, TOKEN)}"],
        "an empty key": [f"{one}: {sha1(url.encode() + body, '')}"],
        "base64": [f"{one}: {base64.b64encode(mac).decode()}"],
        "base64 of hex": [f"{one}: {base64.b64encode(right.encode()).decode()}"],
        "the form scheme": [f"{one}: {base64.b64encode(bytes.fromhex(sha1(url))).decode()}"],
        "upper case": [f"{one}: {right.upper()}"],
        "a prefix": [f"{one}: sha1={right}"],
        "truncated": [f"{one}: {right[:-1]}"],
        "one digit": [f"{one}: {right[0]}"],
        "too long": [f"{one}: {right}0"],
        "empty": [f"{one}:"],
        "a NUL of hex": [f"{one}: {'00' * 20}"],
        "not ASCII": [f"{one}: {right}ü"],
        "not even UTF-8": [f"{one}: {right}".encode() + b"\xff"],
        "full-width digits": [f"{one}: {''.join(chr(ord(digit) + 0xFEE0) for digit in right)}"],
        "long": [f"{one}: {right * 150}"],
        "overlong": [f"{one}: {'a' * 65536}"],
        "control characters": [f"{one}: {right}\x1b[31m"],
        "SHA-256 in the header of SHA-1": [f"{one}: {right256}"],
        "SHA-1 in the header of SHA-256": [f"{two}: {right}"],
        "SHA-1 right, SHA-256 wrong": [f"{one}: {right}", f"{two}: {right256[:-1]}x"],
        "SHA-1 right, SHA-256 empty": [f"{one}: {right}", f"{two}:"],
        "SHA-1 wrong, SHA-256 right": [f"{one}: {right[:-1]}x", f"{two}: {right256}"],
        "twice, the second wrong": [f"{one}: {right}", f"{one}: {'0' * 40}"],
        "twice, the first wrong": [f"{one}: {'0' * 40}", f"{one}: {right}"],
        "twice, in two cases": [f"{one}: {right}", f"{one.lower()}: {'0' * 40}"],
        "twice, one empty": [f"{one}: {right}", f"{one}:"],
        "twice in one line": [f"{one}: {right}, {right}"],
    }


@pytest.mark.parametrize("wrong", signatures("", b""))
@pytest.mark.parametrize("require", [False, True])
async def test_a_signature_that_is_there_must_be_right(open_door: OpenDoor, wrong: str, require: bool) -> None:
    door = await open_door(signing_key=KEY, require_signature=require)
    path, body = door.path(), b'{"state":"finished","control_id":"play-1"}'
    headers = signatures(door.url(path), body)[wrong]
    # A server may have refused what is no header before we saw it.
    statuses = (400, 403) if wrong in ("overlong", "control characters", "not even UTF-8") else (403,)
    assert await door.post(path, body, *headers) in statuses
    assert await door.is_unharmed()


@pytest.mark.parametrize("wrong", signatures("", b""))
def test_a_mapping_of_headers_may_be_any_and_hides_nothing(wrong: str) -> None:
    ingress, _, _ = core(KEY)
    path, body = minted(ingress, "play", "play-1"), b'{"state":"finished"}'
    lines = [
        line if isinstance(line, str) else line.decode("utf-8", "surrogateescape")
        for line in signatures(f"https://hooks.example.com{path}", body)[wrong]
    ]

    class Headers(dict[str, str]):
        """One that has a name twice, as those of servers do."""

        def items(self) -> Any:
            return [(line.partition(":")[0], line.partition(":")[2].strip()) for line in lines]

    assert ingress.accept_now(path, Headers(), body).verdict == "forged"
    plain = {line.partition(":")[0]: line.partition(":")[2].strip() for line in lines}
    if len(plain) == len(lines):
        assert ingress.accept_now(path, plain, body).verdict == "forged"


async def test_a_signature_that_is_right_passes_in_either_form_or_both(open_door: OpenDoor) -> None:
    door = await open_door(signing_key=KEY, require_signature=True)
    body = b'{"state":"playing"}'
    signed = door.url(door.path()).encode() + body
    one, two = f"X-Signalwire-Signature: {sha1(signed)}", f"x-signalwire-sha256-signature: {sha256(signed)}"
    for headers in ([one], [two], [one, two], [one, one]):
        assert await door.post(door.path(), body, *headers) == 200
    assert await door.is_unharmed()


@pytest.mark.parametrize("require", [False, True])
async def test_a_missing_signature_is_refused_when_it_is_required(open_door: OpenDoor, require: bool) -> None:
    door = await open_door(signing_key=KEY, require_signature=require)
    assert await door.post(door.path(), {"state": "playing"}) == (403 if require else 200)
    # An inbound call's is documented, so it is required always; a header of another name is none.
    calls = door.client.receiver

    @calls.on_call
    async def handler(call: Call) -> None:
        pytest.fail("nobody called")

    announced = {"call": {"call_id": "c", "from": "+1", "to": "+2"}}
    path = calls.inbound_url.removeprefix(door.url(""))
    signed = sha1(calls.inbound_url.encode() + json.dumps(announced).encode())
    assert await door.post(path, announced) == 403
    assert await door.post(path, announced, f"X-Twilio-Signature: {signed}") == 403
    assert await door.is_unharmed()


async def test_during_a_rotation_either_key_passes_and_a_third_does_not(open_door: OpenDoor) -> None:
    door = await open_door(signing_key=[KEY, NEXT_KEY], require_signature=True)
    body = b'{"state":"playing"}'
    signed = door.url(door.path()).encode() + body
    for key, status in ((KEY, 200), (NEXT_KEY, 200), ("PSK-of-yesterday", 403), (KEY + NEXT_KEY, 403)):
        assert await door.post(door.path(), body, f"X-SignalWire-Signature: {sha1(signed, key)}") == status
    both = [
        f"X-SignalWire-Signature: {sha1(signed, KEY)}",
        f"X-SignalWire-SHA256-Signature: {sha256(signed, NEXT_KEY)}",
    ]
    assert await door.post(door.path(), body, *both) == 200
    assert await door.is_unharmed()


# The size of a body


async def test_a_body_over_the_limit_is_413_however_its_length_is_told(open_door: OpenDoor) -> None:
    door = await open_door(limits=Limits(body=1000))
    path, large = door.path(), b" " * 1001
    chunks = b"".join(b"64\r\n" + b" " * 100 + b"\r\n" for _ in range(11)) + b"0\r\n\r\n"
    assert await door.post(path, large) == 413
    assert await door.send(request(path, chunks, "Transfer-Encoding: chunked")) == 413
    assert await door.send(request(path, b"", "Content-Length: 1000000000000")) == 413
    assert await door.send(request(path, b"", "Expect: 100-continue", "Content-Length: 1001")) == 413
    assert await door.post(path, b'{"state":"playing"}' + b" " * 981) == 200
    assert await door.is_unharmed()


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Length: -1"],
        ["Content-Length: 19, 19"],
        ["Content-Length: 19", "Content-Length: 18"],
        ["Content-Length: 19", "Transfer-Encoding: chunked"],
        ["Content-Length: 99999999999999999999999999"],
        ["Content-Length: 1e1"],
        ["Transfer-Encoding: gzip"],
        ["Transfer-Encoding: chunked, identity"],
    ],
)
async def test_a_length_that_contradicts_itself_is_refused(door: Door, headers: list[str]) -> None:
    assert await door.send(request(door.path(), b'{"state":"finished"}', *headers)) in (400, 413)
    assert await door.is_unharmed()


async def test_what_is_longer_than_it_said_is_no_second_request(door: Door) -> None:
    hidden = request(door.path(), b'{"state":"finished"}')
    reader, writer = await door.connect()
    writer.write(request(door.path(), b"{}}" + hidden, "Content-Length: 3"))
    assert await read_status(reader) == 400
    assert await is_closed(reader)
    writer.close()
    assert await door.is_unharmed()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "x-gzip", "compress", "gzip, gzip"])
async def test_what_is_packed_is_refused_whatever_is_in_it(door: Door, encoding: str) -> None:
    header = f"Content-Encoding: {encoding}"
    pack = {"gzip": gzip.compress, "deflate": zlib.compress}.get(encoding, bytes)
    for body in (pack(b'{"state":"finished"}'), pack(b" " * 2_000_000), b"\0not packed"):
        assert await door.post(door.path(), body, header) in (400, 413)
        assert await door.post(door.path()[:-1] + "~", body, header) in (400, 403, 413)
    assert await door.is_unharmed()


@served
async def test_a_bomb_is_not_unpacked(door: Door) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    tracemalloc.start()
    try:
        assert await door.post(door.path(), bomb, "Content-Encoding: gzip") == 400
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    assert await door.is_unharmed()


async def test_of_a_body_for_a_forged_url_only_the_beginning_is_read(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "BODY_TIMEOUT", 600)
    reader, writer = await door.connect()
    # The rest never comes, and is not waited for.
    writer.write(request(door.path()[:-1] + "~", b"x" * 20_000, "Content-Length: 1000000"))
    assert await read_status(reader) == 403
    assert await is_closed(reader)
    writer.close()
    assert door.client.stats.webhooks == {"forged": 1}
    assert await door.is_unharmed()


# Who is slow, or goes away


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, drop: bytes) -> None:
    """Send *drop* again and again, until the server has had enough."""
    for _ in range(100 * PATIENCE):
        writer.write(drop)
        try:
            async with asyncio.timeout(0.01):
                await reader.read()
        except ConnectionError:
            pass
        except TimeoutError:
            continue
        return
    pytest.fail("the server has all the time in the world")


@served
@pytest.mark.parametrize(
    "sent", [b"", b"PO", b"POST /swcalls/play HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nX-Y: "]
)
async def test_who_never_ends_its_headers_is_hung_up_on(
    open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(serving, "HEADERS_TIMEOUT", 0.05)
    door = await open_door()
    reader, writer = await door.connect()
    writer.write(sent)
    assert await is_closed(reader)
    writer.close()
    assert await door.is_unharmed()


@served
async def test_who_dribbles_its_headers_is_hung_up_on(open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HEADERS_TIMEOUT", 0.05)
    door = await open_door()
    reader, writer = await door.connect()
    writer.write(f"POST {door.path()} HTTP/1.1\r\nX-Y: ".encode())
    await drip(reader, writer, b"z")
    writer.close()
    assert await door.is_unharmed()


@served
async def test_the_time_for_headers_is_not_one_for_what_comes_after_them(
    open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "HEADERS_TIMEOUT", 0.05)
    door = await open_door()
    reader, writer = await door.connect()
    writer.write(request(door.path(), b"{", "Content-Length: 2"))
    later, other = await door.connect()
    assert await is_closed(later)
    other.close()
    writer.write(b"}")
    assert await read_status(reader) == 200
    writer.close()


@pytest.mark.parametrize(
    ("forged", "lengths"),
    [(False, "Content-Length: 100"), (False, "Transfer-Encoding: chunked"), (True, "Content-Length: 9")],
)
async def test_who_dribbles_its_body_is_refused_in_time(
    door: Door, monkeypatch: pytest.MonkeyPatch, forged: bool, lengths: str
) -> None:
    monkeypatch.setattr(receiver, "BODY_TIMEOUT", 0.05)
    path = door.path()[:-1] + "~" if forged else door.path()
    reader, writer = await door.connect()
    writer.write(request(path, b"1\r\n{\r\n", lengths))
    assert await read_status(reader) == (403 if forged else 400)
    assert await is_closed(reader)
    writer.close()
    assert await door.is_unharmed()


@served
@pytest.mark.parametrize("sent", [b"", b"POST /swcalls/play HTTP/1.1\r\nX-Y: "])
async def test_a_connection_that_was_used_is_not_kept_for_ever(
    open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(serving, "KEEPALIVE_TIMEOUT", 0.1)
    door = await open_door()
    reader, writer = await door.connect()
    writer.write(request(door.path(), b'{"state":"playing"}'))
    assert await read_status(reader) == 200
    writer.write(sent)
    assert await is_closed(reader)
    writer.close()
    assert await door.is_unharmed()


async def test_a_connection_is_kept_for_who_is_genuine_and_closed_on_everybody_else(door: Door) -> None:
    reader, writer = await door.connect()
    for state in ("playing", "paused", "playing"):
        writer.write(request(door.path(), b'{"state":"%b"}' % state.encode()))
        assert await read_status(reader) == 200
    writer.write(request(door.path()[:-1] + "~"))
    assert await read_status(reader) == 403
    assert await is_closed(reader)
    writer.close()
    for data in (request(door.path(), b"["), request(door.path(), b'{"control_id":"other"}')):
        reader, writer = await door.connect()
        writer.write(data)
        assert await read_status(reader) in (400, 403)
        assert await is_closed(reader)
        writer.close()
    assert await door.is_unharmed()


@served
@pytest.mark.parametrize("data", [request("/elsewhere"), request("/swcalls/play/x/y", method="GET")])
async def test_who_looks_around_is_hung_up_on(door: Door, data: bytes) -> None:
    reader, writer = await door.connect()
    writer.write(data)
    assert await read_status(reader) in (404, 405)
    assert await is_closed(reader)
    writer.close()


@served
async def test_a_hundred_idle_connections_are_served_around_and_closed(
    open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "HEADERS_TIMEOUT", 0.3)
    door = await open_door()
    idle = [await door.connect() for _ in range(100)]
    for _, writer in idle[::2]:
        writer.write(b"POST /swcalls/")
    assert await door.is_unharmed()
    assert all(await asyncio.gather(*(is_closed(reader) for reader, _ in idle)))
    for _, writer in idle:
        writer.close()
    assert await door.is_unharmed()


async def test_a_server_that_is_closed_does_not_wait_for_who_is_idle(nothing_is_left_running: None) -> None:
    listener = ObservingReceiver("project", TOKEN)
    async with listener.serve() as server:
        port = int(server.url.rpartition(":")[2])
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(10)]
        # Each has been accepted once the last one is answered.
        idle[-1][1].write(request("/elsewhere"))
        await read_status(idle[-1][0])
    for reader, writer in idle:
        assert await is_closed(reader)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_server_that_is_closed_reads_no_further_what_it_refused(
    nothing_is_left_running: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "LINGERING_TIME", 600)
    async with ObservingReceiver("project", TOKEN).serve() as server:
        for sent in (b"", b"x" * 20_000):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
            writer.write(request("/swcalls/play/x/y", sent, "Content-Length: 1000000000"))
            assert await read_status(reader) == 413
            writer.close()
            await writer.wait_closed()


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("sent", ["", "headers", "body", "whole"])
async def test_a_connection_that_is_cut_harms_nobody(door: Door, sent: str, reset: bool) -> None:
    whole = request(door.path(), b'{"state":"playing"}')
    data = {"": b"", "headers": whole[:40], "body": whole[:-5], "whole": whole}[sent]
    for _ in range(5):
        _, writer = await door.connect()
        writer.write(data)
        if reset:
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()
        await writer.wait_closed()
    assert await door.is_unharmed()


async def test_requests_in_one_go_are_answered_in_their_order(door: Door) -> None:
    path = door.path()
    reader, writer = await door.connect()
    states = ["playing", "paused", "playing", "paused"] * 25
    writer.write(b"".join(request(path, b'{"state":"%b"}' % state.encode()) for state in states))
    assert [await read_status(reader) for _ in states] == [200] * len(states)
    assert [event.state for event in door.pending["play"]._operation.history or ()] == states
    writer.close()
    assert await door.is_unharmed()


async def test_of_requests_in_one_go_none_is_served_after_one_that_is_refused(door: Door) -> None:
    genuine, forged = request(door.path(), b'{"state":"finished"}'), request(door.path()[:-1] + "~")
    reader, writer = await door.connect()
    writer.write(request(door.path("record"), b'{"state":"recording"}') + forged + genuine * 1000)
    assert [await read_status(reader) for _ in range(3)] == [200, 403, None]
    writer.close()
    assert await door.is_unharmed()


@served
@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
        b"GET\x1b[31mX / HTTP/9.9\r\n\r\n",
        b"POST /\x1b[31m HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nX\x1b[31m: y\r\n\r\n",
        b"POST / HTTP/1.1\r\nX: y\x1b[31m\x00\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
        b"POST / HTTP/1.1\r\nX: " + b"y" * 100_000,
        b"\r\n" * 10_000 + b"x\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"\0" * 10_000,
    ],
)
async def test_what_is_not_http_is_refused_in_one_line(
    open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    monkeypatch.setattr(serving, "HEADERS_TIMEOUT", 0.2)
    door = await open_door()
    assert await door.send(data) in (400, None)
    told = [record for record in caplog.get_records("call") if record.name.startswith(("aiohttp", "swcalls"))]
    assert all("not HTTP" in record.getMessage() for record in told)
    assert "Traceback" not in caplog.text
    assert await door.is_unharmed()


async def test_upgrades_and_other_methods_get_nobody_in(door: Door) -> None:
    body = b'{"state":"finished"}'
    for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"):
        assert await door.send(request(door.path(), body, method=method)) in (400, 405)
    forged = door.path()[:-1] + "~"
    for upgrade in ("websocket", "h2c"):
        assert await door.post(forged, body, "Connection: Upgrade", f"Upgrade: {upgrade}") in (400, 403, None)
    assert await door.post(forged, body, "X-HTTP-Method-Override: PUT", f"X-Original-URL: {door.path()}") == 403
    assert await door.post(forged, body, f"X-Forwarded-Path: {door.path()}", f"X-Rewrite-URL: {door.path()}") == 403
    assert await door.is_unharmed()


# What is logged


def hostile_requests(ingress: Ingress) -> Iterator[tuple[str, dict[str, str], bytes]]:
    """Requests of every verdict, with what would break a line wherever a sender can put anything."""
    headers = {HOSTILE: HOSTILE, "X-SignalWire-Signature": HOSTILE}
    fields: dict[str, Any] = dict.fromkeys(NAMES, HOSTILE) | {"control_id": None}
    for key in ("x", HOSTILE):
        for kind in (*READERS, "hologram"):
            path = minted(ingress, kind, key)
            for state in ("playing", HOSTILE, "finished", "finished"):
                for payload in (
                    fields | {"state": state},
                    fields | {"event_type": None, "state": state},
                    {"event_type": HOSTILE, "params": fields | {"state": state}},
                    {"event_type": f"calling.call.{kind}", "params": fields | {"state": state, "device": {HOSTILE: 1}}},
                    {"control_id": HOSTILE + "other"},
                ):
                    yield from [(path, {}, json.dumps(payload).encode())] * 2
            yield path, {}, HOSTILE.encode()
            yield path, headers, HOSTILE.encode()
            yield path + HOSTILE, headers, HOSTILE.encode()
    calls = minted(ingress, INBOUND, "calls")
    for call_id in (HOSTILE, "c"):
        yield (
            calls,
            {},
            json.dumps({"call": dict.fromkeys((*NAMES, "from", "to"), HOSTILE) | {"call_id": call_id}}).encode(),
        )
        yield calls, {}, json.dumps({"call_id": call_id, "call_state": HOSTILE}).encode()
    yield HOSTILE, headers, HOSTILE.encode()
    yield f"/swcalls/{HOSTILE}/{HOSTILE}/{HOSTILE}", headers, HOSTILE.encode()
    yield minted(ingress, "play", "x"), headers, b" " * (ingress.reader.limit + 1)


@pytest.mark.parametrize("keys", [(), (KEY,)])
def test_nothing_that_is_sent_can_forge_a_line_of_the_log(
    caplog: pytest.LogCaptureFixture, keys: tuple[str, ...]
) -> None:
    ingress, _, _ = core(*keys, limits=Limits(body=10_000), kinds=("play",))
    ingress.observers.append(log_receipt)
    verdicts = {ingress.accept_now(*sent).verdict for sent in hostile_requests(ingress)}
    expected = {
        "applied",
        "late",
        "early",
        "unknown",
        "duplicate",
        "malformed",
        "foreign",
        "forged",
        "oversized",
        "busy",
    }
    # With a key, the call that comes in is forged, since it must be signed.
    assert verdicts == (expected - {"busy"} if keys else expected)
    assert len(caplog.get_records("call")) == sum(ingress.verdicts.values())


def test_a_line_of_the_log_is_short_however_much_was_sent(caplog: pytest.LogCaptureFixture) -> None:
    ingress, _, _ = core(kinds=("play",))
    ingress.observers.append(log_receipt)
    long = "y" * 100_000
    for kind in READERS:
        payload = dict.fromkeys(NAMES, long) | {"control_id": None, "event_type": None}
        ingress.accept_now(minted(ingress, kind, "x"), {}, json.dumps(payload).encode())
        ingress.accept_now(minted(ingress, kind, "x"), {}, json.dumps({"event_type": long, "params": payload}).encode())
    lengths = [len(record.getMessage()) for record in caplog.get_records("call")]
    caplog.clear()
    assert max(lengths) <= LONGEST_LINE


@pytest.mark.parametrize("call_id", [HOSTILE, "../../../evil", "x y", "", "ü", "x" * 129, {}, ["x"]])
def test_what_is_no_id_names_no_call(call_id: object) -> None:
    rung: list[Any] = []
    ingress, registry, _ = core(dispatch=lambda call: rung.append(call.call_id) is None)
    path = minted(ingress, INBOUND, "calls")
    is_id = call_id == "../../../evil"  # Odd, but whoever puts it into a URL or a line quotes it.
    for payload in ({"call": {"call_id": call_id}}, {"call_id": call_id, "call_state": "ended"}):
        assert ingress.accept_now(path, {}, json.dumps(payload).encode()).status == (200 if is_id else 400)
    assert len(rung) == len(registry.early) == is_id


# What is remembered


def test_authentic_events_for_nobody_stay_within_their_bounds_and_drops_are_counted() -> None:
    limits = Limits(early_events=100, early_bytes=20_000, body=5000)
    ingress, registry, _ = core(limits=limits)
    sent = 0
    for size in (10, 4000, 100):
        for number in range(1000):
            body = b'{"state":"playing","x":"%b"}' % (b"y" * size)
            assert ingress.accept_now(minted(ingress, "play", f"nobody-{number % 700}"), {}, body).verdict == "early"
            sent += 1
            assert len(registry.early) <= limits.early_events
            assert registry.early._bytes <= limits.early_bytes
            assert registry.early.dropped == sent - len(registry.early)
    assert ingress.verdicts == {"early": sent}
    assert not registry.actions


def test_forged_requests_leave_nothing_but_their_number() -> None:
    ingress, registry, _ = core(KEY)
    genuine = minted(ingress, "play", "x")
    wrong = {"X-SignalWire-Signature": "0" * 40}

    def attack(start: int) -> None:
        for number in range(start, start + 1000):
            assert ingress.accept_now(f"/swcalls/kind-{number}/{number}/{number}", {}, b"x" * 1000).status == 403
            assert ingress.accept_now(genuine, wrong, b'{"state":"%d"}' % number).status == 403
            assert ingress.accept_now(genuine, {}, b"[%d" % number).status == 400
            assert ingress.accept_now(genuine, {}, b'{"control_id":"other-%d"}' % number).status == 403
            ingress.refuse("oversized", f"/{number}", {})

    attack(0)
    tracemalloc.start()
    try:
        attack(1000)
        before = tracemalloc.get_traced_memory()[0]
        attack(2000)
        assert tracemalloc.get_traced_memory()[0] - before < 5000
    finally:
        tracemalloc.stop()
    assert ingress.verdicts == {"forged": 6000, "malformed": 3000, "foreign": 3000, "oversized": 3000}
    assert len(registry.early) == registry.early.dropped == 0
    assert not ingress._shapes._seen


def test_the_shapes_and_words_that_are_remembered_are_bounded_in_number_and_length() -> None:
    ingress, _, (operation,) = core(kinds=("play",))
    tracemalloc.start()
    try:
        for number in range(2 * MOST_SHAPES):
            long = f"{number}-" + "y" * 50_000
            for payload in ({"state": long}, {"event_type": long, "params": {"state": long}}):
                assert (
                    ingress.accept_now(minted(ingress, "play", "x"), {}, json.dumps(payload).encode()).verdict
                    == "unknown"
                )
                if operation.history:
                    operation.history.clear()
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
    assert len(ingress._shapes._seen) == MOST_SHAPES


async def test_a_flood_over_sockets_leaves_nothing_behind(open_door: OpenDoor) -> None:
    door = await open_door(limits=Limits(early_events=10))
    for number in range(100):
        assert await door.post(f"/swcalls/play/{number}/x", {}) == 403
        assert await door.post(door.path("play", f"nobody-{number}"), {"state": "playing"}) == 200
    stats = door.client.stats
    assert (stats.early, stats.early_dropped) == (10, 90)
    assert stats.webhooks == {"forged": 100, "early": 100}
    assert await door.is_unharmed()


# What nobody gets to see


async def test_no_secret_is_shown_by_anything_that_can_be_printed(open_door: OpenDoor) -> None:
    door = await open_door(signing_key=[KEY, NEXT_KEY])
    switchboard = door.client._engine
    shown = [
        door.client,
        door.client.receiver,
        switchboard.ingress,
        switchboard.urls,
        switchboard.ingress.reader._verifier,
    ]
    shown += [door.call, door.client.receiver.serve(), *door.pending.values(), door.client.stats]
    shown += [ObservingReceiver("project", TOKEN, signing_key=KEY)]
    text = " ".join(f"{one!r} {one}" for one in shown)
    for secret in (TOKEN, KEY, NEXT_KEY, hashlib.sha256(TOKEN.encode()).hexdigest()):
        assert secret not in text
    assert door.path().rpartition("/")[2] not in text
    for wrong in ({"token": ""}, {"path": "no"}, {"signing_key": [KEY, ""]}, {"signing_key": [KEY, 5]}):
        with pytest.raises(ValueError, match="must be") as refusal:
            ObservingReceiver("project", **{"token": TOKEN, **wrong})
        assert not any(secret in repr(refusal.value) for secret in (TOKEN, KEY))
