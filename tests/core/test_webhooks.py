"""A request from its bytes to the answer: the table of answers, row by row, without a server."""

from __future__ import annotations

import hashlib
import hmac
from typing import cast

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from swcalls._core.callback_urls import CallbackUrls
from swcalls._core.registry import Delivered, Registry
from swcalls._core.signature import Verifier
from swcalls._core.webhooks import Receipt, WebhookReader
from swcalls._engine.ingress import Ingress
from swcalls.events import Event

URLS = CallbackUrls("project", "token", "/swcalls", "https://hooks.example.com")
PATH = URLS.mint("play", "x").removeprefix("https://hooks.example.com")


class Deliveries:
    """Stands in for the registry: takes every event, and says *verdict* of it."""

    def __init__(self, verdict: Delivered = "applied") -> None:
        self.verdict = verdict
        self.delivered: list[tuple[str, str, Event]] = []

    def deliver(self, kind: str, key: str, event: Event, size: int, now: float) -> Delivered:
        self.delivered.append((kind, key, event))
        return self.verdict


def make(
    verdict: Delivered = "applied", *keys: str, require: bool = False, limit: int = 1000
) -> tuple[Ingress, list[tuple[str, str, Event]]]:
    deliveries = Deliveries(verdict)
    reader = WebhookReader(URLS, Verifier(keys, require=require), limit)
    return Ingress(reader, cast(Registry, deliveries)), deliveries.delivered


def body(**payload: object) -> bytes:
    return msgspec.json.encode(payload)


@pytest.mark.parametrize("verdict", ["applied", "duplicate", "late", "early", "unknown"])
def test_what_is_authentic_is_200(verdict: str) -> None:
    ingress, delivered = make(verdict)
    reply = ingress.accept_now(PATH, {}, body(control_id="x", state="playing"))
    assert (reply.status, reply.body, reply.verdict) == (200, b"", verdict)
    assert [(kind, key) for kind, key, _ in delivered] == [("play", "x")]
    assert ingress.verdicts == {verdict: 1}


@pytest.mark.parametrize(
    ("path", "content", "status", "verdict"),
    [
        (PATH[:-1], body(state="playing"), 403, "forged"),
        ("/swcalls", body(state="playing"), 403, "forged"),
        ("", body(state="playing"), 403, "forged"),
        ("/swcalls/" + "x/" * 5000, body(state="playing"), 403, "forged"),
        (PATH, body(control_id="y", state="playing"), 403, "foreign"),
        (PATH, b"[", 400, "malformed"),
        (PATH, b"[]", 400, "malformed"),
        (PATH, b"x" * 1001, 413, "oversized"),
        (PATH[:-1], b"x" * 1001, 413, "oversized"),
    ],
)
def test_what_is_not_is_refused_and_delivered_to_nobody(path: str, content: bytes, status: int, verdict: str) -> None:
    ingress, delivered = make()
    reply = ingress.accept_now(path, {}, content)
    assert (reply.status, reply.body, reply.verdict) == (status, b"", verdict)
    assert not delivered


def test_nothing_is_parsed_before_it_is_known_to_be_genuine() -> None:
    ingress, _ = make("applied", "key")
    assert ingress.accept_now(PATH, {"X-SignalWire-Signature": "0" * 40}, b"[").verdict == "forged"
    assert ingress.accept_now(PATH[:-1], {}, b"[").verdict == "forged"


def test_a_signature_is_of_the_url_that_was_handed_out() -> None:
    ingress, delivered = make("applied", "key", require=True)
    content = body(state="playing")
    signed = ("https://hooks.example.com" + PATH).encode() + content
    headers = {"X-SignalWire-Signature": hmac.new(b"key", signed, hashlib.sha1).hexdigest()}
    assert ingress.accept_now(PATH + "?added=by&a=proxy", headers, content).verdict == "applied"
    assert ingress.accept_now(PATH, {}, content).verdict == "forged"
    assert len(delivered) == 1


def test_a_payload_without_a_control_id_is_believed_for_its_url() -> None:
    ingress, delivered = make()
    assert ingress.accept_now(PATH, {}, body(state="playing")).verdict == "applied"
    assert delivered[0][1] == "x"


def test_a_control_id_is_compared_only_where_the_key_is_one() -> None:
    ingress, _ = make()
    path = URLS.mint("refer", "random").removeprefix("https://hooks.example.com")
    assert ingress.accept_now(path, {}, body(control_id="other", state="success")).verdict == "applied"


def test_a_kind_that_is_newer_than_this_version_is_200_and_unknown() -> None:
    ingress, delivered = make()
    path = URLS.mint("hologram", "x").removeprefix("https://hooks.example.com")
    receipts: list[Receipt] = []
    ingress.observers.append(receipts.append)
    for _ in range(2):
        assert ingress.accept_now(path, {}, body(a=1)).status == 200
    assert not delivered
    assert [receipt.new_shape for receipt in receipts] == [True, False]


def test_observers_are_told_of_each_request() -> None:
    ingress, _ = make("unknown")
    receipts: list[Receipt] = []
    ingress.observers.append(receipts.append)
    for state in ("humming", "humming", "buzzing"):
        ingress.accept_now(PATH, {}, body(state=state))
    ingress.accept_now("/forged", {}, b"{}")
    ingress.refuse("oversized")
    assert [(r.verdict, r.kind, r.new_shape) for r in receipts] == [
        ("unknown", "play", True),
        ("unknown", "play", False),
        ("unknown", "play", True),
        ("forged", None, False),
        ("oversized", None, False),
    ]


@given(
    path=st.text(max_size=50) | st.just(PATH),
    headers=st.dictionaries(st.text(), st.text()),
    content=st.binary(max_size=100),
)
def test_whatever_comes_there_is_an_answer_and_never_a_500(path: str, headers: dict[str, str], content: bytes) -> None:
    ingress, _ = make("applied", "key")
    assert ingress.accept_now(path, headers, content).status in (200, 400, 403)
