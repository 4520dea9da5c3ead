"""Signatures, by the vendor's published vectors and by what must never pass."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from swcalls._core.signature import Verifier

KEY = "PSKtest1234567890abcdef"
URL = "https://example.ngrok.io/webhook"
BODY = b'{"event":"call.state","params":{"call_id":"abc-123","state":"answered"}}'
SHA1 = "c3c08c1fefaf9ee198a100d5906765a6f394bf0f"
SHA256 = "2a29f8a92b11df39da80c3b185fd62173d49c294184da585ff951eae4433571c"

VERIFIER = Verifier([KEY])
SHA1_NAME, SHA256_NAME = "X-SignalWire-Signature", "X-SignalWire-SHA256-Signature"


@pytest.mark.parametrize(
    "headers",
    [
        {SHA1_NAME: SHA1},
        {SHA256_NAME: SHA256},
        {SHA1_NAME: SHA1, SHA256_NAME: SHA256},
        {"x-signalwire-signature": SHA1},
        {"X-Signalwire-Signature": SHA1, "X-Signalwire-SHA256-Signature": SHA256},
    ],
)
def test_the_published_vector_passes(headers: dict[str, str]) -> None:
    assert VERIFIER.verify(URL, BODY, headers)
    assert Verifier([KEY], require=True).verify(URL, BODY, headers)


def digest(signed: bytes, key: str = KEY, algorithm: str = "sha1") -> bytes:
    return hmac.digest(key.encode(), signed, algorithm)


@pytest.mark.parametrize(
    "headers",
    [
        {SHA1_NAME: SHA1[:-1] + "e"},
        {SHA1_NAME: SHA1.upper()},
        {SHA1_NAME: SHA1 + "0"},
        {SHA1_NAME: SHA1[:-1]},
        {SHA1_NAME: ""},
        {SHA1_NAME: "ü" * 40},
        {SHA1_NAME: "a" * 100_000},
        {SHA1_NAME: SHA256},
        {SHA256_NAME: SHA1},
        {SHA1_NAME: SHA1, SHA256_NAME: "0" * 64},
        {SHA1_NAME: "0" * 40, SHA256_NAME: SHA256},
        {SHA1_NAME: digest(URL.encode()).hex()},
        {SHA1_NAME: digest(BODY).hex()},
        {SHA1_NAME: digest(URL.encode() + BODY, "another key").hex()},
        {SHA1_NAME: digest(URL.encode() + BODY + b" ").hex()},
        {SHA1_NAME: digest(URL.encode() + b"/" + BODY).hex()},
        {SHA1_NAME: base64.b64encode(digest(URL.encode() + BODY)).decode()},
        {SHA1_NAME: base64.b64encode(digest(URL.encode())).decode()},
    ],
)
def test_anything_else_is_refused(headers: dict[str, str]) -> None:
    assert not VERIFIER.verify(URL, BODY, headers)


def test_the_form_scheme_is_never_accepted() -> None:
    # The vendor's own vectors for it: base64 over the URL and form parameters, and with a hash of the body in the URL.
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    form = b"CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212"
    assert not Verifier(["12345"]).verify(url, form, {SHA1_NAME: "RSOYDt4T1cUTdK1PDd93/VVr8B8="})
    body = b'{"event":"call.state"}'
    url = f"{URL}?bodySHA256={hashlib.sha256(body).hexdigest()}"
    assert not VERIFIER.verify(url, body, {SHA1_NAME: "dfO9ek8mxyFtn2nMz24plPmPfIY="})


def test_any_of_several_keys_will_do() -> None:
    assert Verifier(["new", KEY]).verify(URL, BODY, {SHA1_NAME: SHA1})
    assert not Verifier(["new", "newer"]).verify(URL, BODY, {SHA1_NAME: SHA1})


def test_a_missing_signature_passes_unless_one_is_required() -> None:
    assert VERIFIER.verify(URL, BODY, {})
    assert not VERIFIER.verify(URL, BODY, {}, required=True)
    assert not Verifier([KEY], require=True).verify(URL, BODY, {})


def test_without_keys_there_is_nothing_to_check() -> None:
    assert Verifier().verify(URL, BODY, {SHA1_NAME: "wrong"}, required=True)


def test_without_a_url_no_signature_is_right() -> None:
    assert not VERIFIER.verify(None, BODY, {SHA1_NAME: SHA1})


def test_credentials_are_no_part_of_what_is_signed() -> None:
    assert VERIFIER.verify("https://user:secret@example.ngrok.io/webhook", BODY, {SHA1_NAME: SHA1})
