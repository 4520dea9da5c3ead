"""Callback URLs: self-describing, and refused when anything about them was changed."""

from __future__ import annotations

import string

import hypothesis.strategies as st
import pytest
from hypothesis import given

from swcalls._core.callback_urls import Address, CallbackUrls
from swcalls.errors import ConfigurationError

URLS = CallbackUrls("project", "token", "/swcalls", "https://hooks.example.com")
BASE = "https://hooks.example.com"


def path_of(kind: str, key: str, urls: CallbackUrls = URLS) -> str:
    return urls.mint(kind, key).removeprefix(BASE)


@given(st.text(min_size=1, max_size=200).filter(lambda key: key.isprintable() or key.isascii()))
def test_what_is_minted_is_parsed_whatever_the_key(key: str) -> None:
    try:
        key.encode()
    except UnicodeEncodeError:
        return
    path = path_of("play", key)
    assert URLS.parse(path) == Address("play", key)
    assert path.isascii()
    assert set(path) <= set(string.ascii_letters + string.digits + "-_~/")


@pytest.mark.parametrize("key", ["..", ".", "a/b", "a%2Fb", "ü", "~", "~x", "-", "a b", "x" * 300])
def test_awkward_keys_survive(key: str) -> None:
    assert URLS.parse(path_of("record", key)) == Address("record", key)


@pytest.mark.parametrize("key", ["2e1e66e5-5d07-413d-9668-55542992eec0", "a/b"])
def test_every_change_of_one_character_is_refused(key: str) -> None:
    path = path_of("play", key)
    for position in range(len(path) + 1):
        for character in "aB3-_~/.%":
            inserted = path[:position] + character + path[position:]
            assert URLS.parse(inserted) is None, inserted
            changed = path[:position] + character + path[position + 1 :]
            assert changed == path or URLS.parse(changed) is None, changed
        if position < len(path):
            assert URLS.parse(path[:position] + path[position + 1 :]) is None


@pytest.mark.parametrize(
    "other",
    [
        CallbackUrls("project2", "token", "/swcalls", BASE),
        CallbackUrls("project", "token2", "/swcalls", BASE),
        CallbackUrls("project", "token", "/other", BASE),
    ],
)
def test_what_another_project_token_or_path_minted_is_refused(other: CallbackUrls) -> None:
    assert URLS.parse(path_of("play", "x", other)) is None


def test_every_process_of_a_project_agrees() -> None:
    assert CallbackUrls("project", "token", "/swcalls").parse(path_of("play", "x")) == Address("play", "x")


@given(st.text(max_size=100))
def test_arbitrary_paths_are_refused_without_an_error(path: str) -> None:
    assert URLS.parse(path) is None
    assert URLS.parse(f"/swcalls/{path}") is None


def test_nothing_is_minted_without_a_public_url() -> None:
    with pytest.raises(ConfigurationError, match="public_url"):
        CallbackUrls("project", "token", "/swcalls").mint("play", "x")


def test_the_secret_is_not_in_the_url_or_the_repr() -> None:
    assert "token" not in path_of("play", "x")
    assert "token" not in repr(URLS.__dict__)


def test_the_owner_stands_in_a_url_unless_any_process_may_get_it() -> None:
    urls = CallbackUrls("project", "token", "/swcalls", BASE, owner="worker-1")
    assert urls.parse(path_of("play", "x", urls)) == Address("play", "x", "worker-1")
    shared = urls.mint("inbound", "calls", shared=True).removeprefix(BASE)
    assert urls.parse(shared) == Address("inbound", "calls", "")
    assert URLS.parse(path_of("play", "x")) == Address("play", "x", "")
