"""Which operation a command is about, and what a 404 for it proves."""

from __future__ import annotations

import pytest

from swcalls._core.command_target import not_found_means_call_gone, target_of
from swcalls._core.operation import CallOperation, Operation
from swcalls.commands import TTS, Bare, Control, Play, media_item


@pytest.mark.parametrize(
    ("command", "params", "proves"),
    [
        ("calling.play", Play(control_id="x", play=[media_item(TTS("Hi"))]), True),
        ("calling.end", Bare(), True),
        ("calling.denoise", Bare(), True),
        ("calling.play.stop", Control(control_id="x"), False),
        ("calling.play.pause", Control(control_id="x"), False),
        ("calling.denoise.stop", Bare(), False),
        ("calling.ai_hold", Bare(), False),
        ("calling.live_transcribe", Bare(), False),
    ],
)
def test_a_404_proves_that_the_call_is_gone_unless_something_else_may_be(
    command: str, params: object, proves: bool
) -> None:
    assert not_found_means_call_gone(command, params) is proves


def test_a_command_is_about_the_action_that_it_names_or_about_the_call() -> None:
    call = CallOperation("the-call", "call-1")
    for kind, key in (("play", "x"), ("ai_sidecar", "s")):
        call.actions[key] = Operation(kind, key, call)
    assert target_of(call, "calling.play.stop", Control(control_id="x")) == ("play", "x")
    assert target_of(call, "calling.play.stop", {"control_id": "unknown"}) == ("play", "unknown")
    assert target_of(call, "calling.ai_sidecar.stop", Bare()) == ("ai_sidecar", "s")
    assert target_of(call, "calling.end", Bare()) == ("call", "the-call")
