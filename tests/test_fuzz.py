"""The receiver under whatever hypothesis comes up with: never an exception, never a 500, never somebody else's action.

``SWCALLS_DEEP=10`` runs ten times as many examples.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import string
from collections.abc import AsyncIterator
from typing import Any

import hypothesis.strategies as st
import pytest
from aiohttp import web
from hypothesis import HealthCheck, example, given, settings

from swcalls import Client, receiver
from swcalls._core.callback_urls import CallbackUrls
from swcalls._core.decoding import READERS
from swcalls._core.operation import Operation, Options
from swcalls._core.webhooks import INBOUND, Reply
from swcalls._engine import server as serving
from swcalls.actions import HANDLES

SCALE = float(os.environ.get("SWCALLS_DEEP", "1"))
BASE = "https://hooks.example.com"
KEY = "PSK-of-today"
CALL_ID = "2e1e66e5-5d07-413d-9668-55542992eec0"
KINDS = [*READERS, INBOUND, "hologram"]
ANSWERS = {
    "applied": 200, "duplicate": 200, "late": 200, "early": 200, "unknown": 200, "inbound": 200, "busy": 503,
    "malformed": 400, "forged": 403, "foreign": 403, "oversized": 413,
}  # fmt: skip
"""The contract's table."""


def examples(number: int) -> settings:
    return settings(
        max_examples=int(number * SCALE),
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


# What is made up

_NAMES = """
event_type event_channel params call_id node_id control_id state timestamp result type text digits terminator
confidence final record url duration size recording_id detect event beep tap device stream name fax success pages
document result_text direction id sip_refer_to sip_refer_response_code denoised utterance content role language
sidecar_event ts ask_id stop_reason summary question call_info channel_data raw call_state status end_reason from
from_number to to_number start_time answer_time end_time call headers envs vars value
"""
_WORDS = """
playing paused finished error recording no_input no_match digit speech start_of_input collecting tapping streaming
HUMAN MACHINE UNKNOWN READY NOT_READY CED CNG transcribing completed failed inProgress success page final ask_answer
summary created ringing answered ending ended queued busy no-answer canceled hangup true 12# calling.call.play
calling.call.record calling.call.collect calling.call.state calling.transcript.completed calling.transcript.failed
calling.call.transcribe calling.summary calling.unheard.of
"""
NAMES = st.sampled_from(_NAMES.split())
WORDS = st.sampled_from(_WORDS.split())
KEYS = st.sampled_from(["target", "other", "", "target ", CALL_ID, *(f"{kind}-1" for kind in READERS)])
SCALARS = (
    st.sampled_from([None, True, False, "", 0, -1, 0.5, -0.0, 1e308, 10**400, -(10**18), "1e999", "\0\u202e", "0"])
    | st.text(max_size=8)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS
    | KEYS
)


def objects(values: st.SearchStrategy[Any], size: int) -> st.SearchStrategy[dict[str, Any]]:
    """As `st.dictionaries`, and quicker: a name that is drawn twice is there once."""
    return st.lists(st.tuples(NAMES | st.text(max_size=4), values), max_size=size).map(dict)


INNER = SCALARS | st.lists(SCALARS, max_size=3) | objects(SCALARS, 4)
VALUES = SCALARS | st.lists(INNER, max_size=3) | objects(INNER, 4)
OBJECTS = objects(VALUES, 6)
PARTS = st.sampled_from(["detect", "result", "fax", "record", "sidecar_event", "params", "utterance", "call", "device"])


@st.composite
def likely(draw: st.DrawFn) -> dict[str, Any]:
    """A payload that has what a genuine one has where it has it, and more."""
    payload = draw(OBJECTS)
    for name, word in draw(st.lists(st.tuples(st.sampled_from(["state", "call_state", "type"]), WORDS), max_size=2)):
        payload[name] = word
    for part, word, more in draw(st.lists(st.tuples(PARTS, WORDS, OBJECTS), max_size=2)):
        payload[part] = more | {"type": word, "params": {"event": word} | more}
    if draw(st.booleans()):
        payload["control_id"] = draw(KEYS)
    return payload


@st.composite
def payloads(draw: st.DrawFn) -> dict[str, Any]:
    """Bare or enveloped, and envelopes of the kind that has been seen once."""
    payload = draw(likely())
    shape = draw(st.sampled_from(["bare", "enveloped", "string", "odd"]))
    if shape == "bare":
        return payload
    inner: Any = payload
    if shape == "string":
        inner = json.dumps(payload)
    elif shape == "odd":
        inner = draw(VALUES)
    return draw(OBJECTS) | {"event_type": draw(WORDS), "timestamp": draw(SCALARS), "params": inner}


OPTIONS = st.builds(
    Options,
    continuous=st.booleans(),
    message_end=st.booleans(),
    summary=st.booleans(),
    bound=st.none() | st.just(5.0),
    held=st.booleans(),
)


# What must hold


class Town:
    """A client that no loop runs, an action of every kind on one call, and the target on another."""

    def __init__(self, kind: str, options: Options = Options(), **settings: Any) -> None:
        self.client = Client("project", "token", "space", public_url=BASE, **settings)
        self.registry = self.client._engine.registry
        self.ingress = self.client._engine.ingress
        self.bystanders: dict[str, Operation] = {}
        self.call = self.client.call("call-of-bystanders")
        for other in HANDLES:
            self.bystanders[other] = self.call.action(other, f"{other}-1")._operation
        for other in ("denoise", "ai_sidecar.ask", "ai_sidecar.summarize"):
            self.bystanders[other] = bystander = Operation(other, f"{other}-1", self.call._operation)
            self.registry.expect(bystander, 0.0)
        self.target_call = self.client.call(CALL_ID)
        self.target: Operation | None = None
        if kind == "call":
            self.target = self.target_call._operation
            self.target.key = "target"
            self.registry.expect_call(self.target, 0)
        elif kind in HANDLES:
            self.target = self.target_call.action(kind, "target")._operation
            self.target.options = options
        elif kind in READERS:
            self.target = Operation(kind, "target", self.target_call._operation, options)
            self.registry.expect(self.target, 0.0)
        self.path = self.ingress.reader.urls.mint(kind, "calls" if kind == INBOUND else "target").removeprefix(BASE)

    def accept(self, body: bytes, path: str | None = None, /, **headers: str) -> Reply:
        reply = self.ingress.accept_now(self.path if path is None else path, headers, body)
        assert reply.status == ANSWERS[reply.verdict]
        return reply

    def check(self) -> None:
        """Nobody but the target was touched."""
        assert not self.call.has_ended
        for bystander in self.bystanders.values():
            assert bystander.outcome is None
            assert not bystander.history
            assert not bystander.states_reached
            assert self.registry.actions[bystander.key] is bystander


def claims(payload: dict[str, Any]) -> list[object]:
    """Every ``control_id`` that *payload* has where one can be, by the words of the contract."""
    found = [payload.get("control_id")]
    if isinstance(payload.get("event_type"), str) and "params" in payload:
        inner = payload["params"]
        if isinstance(inner, str):
            with contextlib.suppress(ValueError):
                inner = json.loads(inner)
        found.append(inner.get("control_id") if isinstance(inner, dict) else None)
    return found


def is_foreign(claim: object) -> bool:
    """Numbers are taken for strings; what is neither is no id."""
    if isinstance(claim, bool) or not isinstance(claim, int | float | str):
        return False
    if not isinstance(claim, str):
        with contextlib.suppress(OverflowError):
            return math.isfinite(claim)
        return False
    return claim != "target"


@example(kind="refer", options=Options(), sent=[{"state": 0}], again=False)
@example(kind="record", options=Options(), sent=[{"size": 1e300, "duration": "9" * 400}], again=False)
@given(
    kind=st.sampled_from(KINDS), options=OPTIONS, sent=st.lists(payloads(), min_size=1, max_size=3), again=st.booleans()
)
@examples(120)
def test_whatever_is_posted_to_an_action_is_about_that_action_only(
    kind: str, options: Options, sent: list[dict[str, Any]], again: bool
) -> None:
    town = Town(kind, options)
    if town.target is not None:
        town.target.stopping = again
    for payload in sent * 2 if again else sent:
        outcome = None if town.target is None else town.target.outcome
        reply = town.accept(json.dumps(payload).encode())
        if kind == INBOUND:
            assert reply.status in (200, 400, 503)
        elif kind in READERS and READERS[kind].keyed and any(map(is_foreign, claims(payload))):
            assert reply.verdict == "foreign"
        else:
            assert reply.status == 200
        if town.target is not None:
            if reply.verdict in ("applied", "unknown"):
                assert town.target.history
                assert town.target.history[-1].raw == payload
            if reply.verdict in ("foreign", "late"):
                assert town.target.outcome is outcome
            assert outcome is None or town.target.outcome is outcome
            repr(town.target.last_event)
        town.check()


@given(kind=st.sampled_from(KINDS), body=st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
@examples(90)
@example(kind="play", body=b"\xef\xbb\xbf{}")
@example(kind="play", body=b'{"state":"\xed\xa0\x80"}')
def test_whatever_bytes_are_posted_they_are_json_objects_or_400(kind: str, body: bytes) -> None:
    town = Town(kind)
    reply = town.accept(body)
    try:
        is_object = isinstance(json.loads(body.decode()), dict)
    except ValueError:
        is_object = False
    assert reply.status == 400 or is_object
    town.check()


@given(kind=st.sampled_from(KINDS), payload=payloads(), data=st.data())
@examples(60)
def test_a_body_that_was_damaged_on_the_way_harms_nobody(
    kind: str, payload: dict[str, Any], data: st.DataObject
) -> None:
    town = Town(kind)
    body = bytearray(json.dumps(payload, ensure_ascii=False).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        body[start : start + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    assert town.accept(bytes(body)).status in (200, 400, 403, 503)
    town.check()


TOWN = Town("play")
MINTED = {kind: TOWN.ingress.reader.urls.mint(kind, "target").removeprefix(BASE) for kind in READERS}
MINTED["awkward"] = TOWN.ingress.reader.urls.mint("play", "a/b ключ").removeprefix(BASE)


@given(path=st.text(max_size=300) | st.text(string.printable, max_size=100) | st.binary(max_size=99).map(os.fsdecode))
@examples(90)
def test_no_path_that_was_made_up_is_accepted(path: str) -> None:
    for prefix in ("", "/", "/swcalls/", "/swcalls/play/", "/swcalls/play/target/"):
        assert TOWN.accept(b'{"state":"finished"}', prefix + path).verdict == "forged"
    TOWN.check()


@given(kind=st.sampled_from(sorted(MINTED)), data=st.data())
@examples(120)
def test_no_path_that_was_changed_is_accepted(kind: str, data: st.DataObject) -> None:
    path = MINTED[kind]
    changed = path
    pieces = st.text(string.ascii_letters + string.digits + "-_~/.%;#", max_size=4) | st.text(max_size=2)
    pieces |= st.sampled_from([segment for one in MINTED.values() for segment in one.split("/")])
    for _ in range(data.draw(st.integers(1, 5))):
        start = data.draw(st.integers(0, len(changed)))
        end = data.draw(st.integers(start, min(len(changed), start + 40)))
        changed = changed[:start] + data.draw(pieces) + changed[end:]
    # A query is no part of a path.
    if changed.partition("?")[0] not in MINTED.values():
        assert TOWN.accept(b'{"state":"finished"}', changed).verdict == "forged"
        TOWN.check()


@given(
    public_url=st.sampled_from(
        [None, "", BASE, BASE + "/", BASE + "/swcalls", BASE + "/hooks/v1", "https://user:pw@e.com"]
    ),
    kind=st.sampled_from(list(READERS)),
    key=st.text(min_size=1, max_size=200),
    other=st.text(min_size=1, max_size=200),
)
@examples(60)
def test_what_is_minted_is_read_again_and_names_nothing_else(
    public_url: str | None, kind: str, key: str, other: str
) -> None:
    urls = CallbackUrls("project", "token", "/swcalls", BASE)
    path = urls.mint(kind, key).removeprefix(BASE)
    urls.public_url = public_url
    assert urls.parse(urls.relative(path)) == (kind, key, "")
    assert (urls.mint(kind, other) == urls.mint(kind, key)) == (other == key) if public_url is not None else True
    assert CallbackUrls("project", "token2", "/swcalls").parse(path) is None
    assert CallbackUrls("project2", "token", "/swcalls").parse(path) is None


HEADER_NAMES = st.sampled_from(
    [
        "X-SignalWire-Signature",
        "x-signalwire-signature",
        "X-SIGNALWIRE-SHA256-SIGNATURE",
        "X-Signalwire-Sha256-Signature",
    ]
)
SIGNED = Town("play", signing_key=[KEY, "PSK-of-tomorrow"])


@given(
    headers=st.dictionaries(
        HEADER_NAMES | st.text(max_size=30),
        st.text(max_size=100) | st.text("0123456789abcdefABCDEF", min_size=39, max_size=65),
    ),
    body=st.binary(max_size=50),
    path=st.sampled_from([SIGNED.path, SIGNED.path + "x", "/", ""]),
)
@examples(90)
def test_no_header_raises_and_no_signature_is_right_by_chance(headers: dict[str, str], body: bytes, path: str) -> None:
    reply = SIGNED.accept(body, path, **headers)
    signs = {"x-signalwire-signature", "x-signalwire-sha256-signature"}
    if path != SIGNED.path or signs & {name.lower() for name in headers}:
        assert reply.verdict == "forged"
    else:
        assert reply.status in (200, 400)
    SIGNED.check()


# The same over a socket, on fewer examples


class Gate:
    """A town's receiver on a socket."""

    def __init__(self, port: int, town: Town) -> None:
        self.port = port
        self.town = town

    def renew(self, kind: str) -> str:
        """Let an action of *kind* wait for what comes, in the place of the last one; return its path."""
        last = self.town.target
        # Of a detector that has answered, the run goes on.
        if last is not None and not last.closed:
            self.town.registry.withdraw(last, RuntimeError("the example is over"))
        if kind in HANDLES:
            self.town.target = self.town.target_call.action(kind, "target")._operation
        return self.town.ingress.reader.urls.mint(kind, "target").removeprefix(BASE)

    async def send(self, data: bytes, *, to_the_end: bool = False) -> int | None:
        """Send *data*, and give the status of the first answer, if there is one; go on *to_the_end* that a server makes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            answer = await reader.readline()
            status = int(answer.split()[1]) if answer else None
            if to_the_end or status in (400, 403, 413):
                await reader.read()
        except ConnectionError:
            return None
        finally:
            writer.close()
        return status

    async def post(self, path: str, body: bytes, *headers: bytes) -> int | None:
        lines = [f"POST {path} HTTP/1.1".encode(), b"Host: x", b"Content-Length: %d" % len(body), *headers, b"", body]
        return await self.send(b"\r\n".join(lines))


@pytest.fixture(params=["served", "embedded"])
async def gate(
    request: pytest.FixtureRequest, nothing_is_left_running: None, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Gate]:
    monkeypatch.setattr(receiver, "BODY_TIMEOUT", 0.05)
    monkeypatch.setattr(serving, "LINGERING_TIME", 0.05)
    town = Town("play")
    if request.param == "served":
        async with town.client.receiver.serve() as server:
            yield Gate(int(server.url.rpartition(":")[2]), town)
        return
    app = web.Application()
    app.add_routes(town.client.receiver.routes())
    runner = web.AppRunner(app, access_log=None, lingering_time=0.05)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield Gate(runner.addresses[0][1], town)
    await runner.cleanup()
    # aiohttp forgets those that still read from a connection that is gone.
    for left in asyncio.all_tasks() - {asyncio.current_task()}:
        if "RequestHandler" in repr(left):
            await left


@given(
    kind=st.sampled_from([*HANDLES, "hologram"]), payload=payloads(), junk=st.binary(max_size=99), is_junk=st.booleans()
)
@examples(40)
async def test_what_is_posted_over_a_socket_is_answered_as_the_contract_says(
    gate: Gate, kind: str, payload: dict[str, Any], junk: bytes, is_junk: bool
) -> None:
    path = gate.renew(kind)
    status = await gate.post(path, junk if is_junk else json.dumps(payload).encode())
    if is_junk:
        assert status in (200, 400, 403)
    elif kind in READERS and READERS[kind].keyed and any(map(is_foreign, claims(payload))):
        assert status == 403
    else:
        assert status == 200
        assert kind not in HANDLES or gate.town.target.history[-1].raw == payload
    gate.town.check()


VISIBLE = st.binary(max_size=40).map(lambda value: bytes(set(value) - {0, 10, 13}))


@given(
    changed=st.text(string.ascii_letters + string.digits + "-_~/.%;:@&=+$,", max_size=60),
    keep=st.integers(0, 60),
    name=st.sampled_from([b"X-SignalWire-Signature", b"Content-Type", b"X-Forwarded-For", b"Cookie"]),
    value=VISIBLE,
)
@examples(40)
async def test_no_path_and_no_header_gets_anybody_in_over_a_socket(
    gate: Gate, changed: str, keep: int, name: bytes, value: bytes
) -> None:
    path = gate.renew("play")
    other = path[:keep] + changed
    if other[:1] == "/" and other != path:
        assert await gate.post(other, b'{"state":"finished"}', name + b": " + value) in (400, 403, 404)
        assert not gate.town.target.outcome
    assert await gate.post(path, b'{"state":"finished"}', b"X-Any: thing") == 200
    assert gate.town.target.outcome
    gate.town.check()


@given(
    at=st.integers(0, 200),
    length=st.integers(0, 30),
    put=st.binary(max_size=30)
    | st.sampled_from([b"\r\n\r\n", b"\r\n", b"Transfer-Encoding: chunked\r\n", b"\0", b"\n"]),
    again=st.integers(1, 3),
)
@examples(40)
async def test_a_request_that_was_damaged_is_no_fault_of_ours(
    gate: Gate, at: int, length: int, put: bytes, again: int
) -> None:
    path = gate.renew("play")
    request = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n".encode() + b'{"state":"playing" }'
    # What follows ends any headers, and any body that is not long in coming, and is no request.
    damaged = (request[:at] + put + request[at + length :]) * again + b"\0" * 2000 + b"\r\n\r\n"
    status = await gate.send(damaged, to_the_end=True)
    assert status is None or status in (200, 400, 403, 404, 405, 413)
    assert await gate.post(path, b'{"state":"finished"}') == 200
    assert gate.town.target.outcome
    gate.town.check()
