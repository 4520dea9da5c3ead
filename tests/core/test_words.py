"""The types of the platform's words list what the rules know, and do not bind what comes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, get_args

import pytest

from swcalls import CollectResult, words
from swcalls._core import lifecycle, swml_lifecycles
from swcalls._core.decoding import _END_REASONS, read

(UNLISTED,) = get_args(words.Unlisted)


def listed(word_type: Any) -> set[str]:
    """Return the words of a type, without the one that stands for all others."""
    return {word for part in get_args(word_type) for word in (get_args(part) or (part,))} - {UNLISTED}


@pytest.mark.parametrize(
    ("word_type", "known"),
    [
        (words.CallState, lifecycle.CALL),
        (words.EndedBy, set(_END_REASONS.values())),
        (words.PlayState, lifecycle.PLAY),
        (words.RecordState, lifecycle.RECORD),
        (words.CollectEventType, lifecycle.COLLECT),
        (words.CollectState, {*lifecycle.COLLECT, "collecting"}),
        (words.DetectState, {*lifecycle.DETECT, *"0123456789ABCD*#"}),
        (words.TapState, lifecycle.TAP),
        (words.StreamState, lifecycle.STREAM),
        (words.TranscribeState, lifecycle.TRANSCRIBE),
        (words.ConnectState, swml_lifecycles.CONNECT),
    ],
)
def test_each_word_that_the_rules_know_is_listed_and_no_other(word_type: Any, known: Collection[str]) -> None:
    assert listed(word_type) == set(known)


def test_results_list_a_part_of_what_events_do() -> None:
    assert listed(words.CollectType) < listed(words.CollectEventType)
    assert listed(words.Detected) < listed(words.DetectState)
    assert listed(words.RecordEnd) < listed(words.RecordState)


@pytest.mark.parametrize("kind", ["call", "play", "record", "collect", "tap", "stream", "refer", "connect"])
def test_a_word_that_is_not_listed_is_kept_as_it_came(kind: str) -> None:
    raw = {"call_state" if kind == "call" else "state" if kind != "connect" else "connect_state": "brand_new"}
    assert read(kind, raw).state == "brand_new"


def test_a_result_takes_a_word_that_is_not_listed() -> None:
    event: Any = read("collect", {"result": {"type": "haptic"}})
    assert (event.type, event.state) == ("haptic", "haptic")
    assert str(CollectResult(type=event.type, payload={}).type) == "haptic"
