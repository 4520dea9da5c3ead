"""What ends an action: the tables, word by word, and what they look at beside the word."""

from __future__ import annotations

from typing import Any

import pytest

from swcalls._core.decoding import READERS, read
from swcalls._core.lifecycle import LIFECYCLES, step_of
from swcalls._core.limits import Limits
from swcalls._core.operation import CallOperation, Operation, Options
from swcalls._core.registry import Registry
from swcalls._core.steps import Ends
from swcalls.results import CollectResult, Detection

NOTHING, WAIT, RUN, FAILED = Ends.NOTHING, Ends.WAIT, Ends.RUN, Ends.FAILED


def ends(kind: str, payload: dict[str, Any], *, stopping: bool = False, **options: bool) -> Ends | None:
    operation = Operation(kind, "x", None, Options(**options))
    operation.stopping = stopping
    step = step_of(operation, read(kind, payload))
    return None if step is None else step.ends


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("play", {"playing": NOTHING, "paused": NOTHING, "finished": RUN, "error": FAILED}),
        ("record", {"recording": NOTHING, "paused": NOTHING, "finished": RUN, "no_input": RUN, "error": FAILED}),
        ("tap", {"tapping": NOTHING, "finished": RUN, "error": FAILED}),
        ("stream", {"streaming": NOTHING, "finished": RUN, "error": FAILED}),
        (
            "refer",
            {
                "inProgress": NOTHING,
                "success": RUN,
                "busy": FAILED,
                "cancel": FAILED,
                "noAnswer": FAILED,
                "odd": FAILED,
            },
        ),
    ],
)
def test_states(kind: str, words: dict[str, Ends]) -> None:
    for word, expected in words.items():
        assert ends(kind, {"state": word}) is expected, word
    assert ends(kind, {"state": None}) is None
    if kind != "refer":
        assert ends(kind, {"state": "humming"}) is None


@pytest.mark.parametrize(
    ("word", "expected"),
    [(w, NOTHING) for w in ("queued", "initiated", "created", "ringing", "answered", "in-progress", "joined", "ending")]
    + [(w, RUN) for w in ("ended", "completed", "failed", "canceled", "busy", "no-answer")]
    + [("levitating", None)],
)
def test_call_states(word: str, expected: Ends | None) -> None:
    assert ends("call", {"call_id": "c", "call_state": word}) is expected
    assert ends("call", {"call_id": "c", "status": word}) is expected


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"result": {"type": "digit"}}, RUN),
        ({"result": {"type": "speech"}, "final": True}, RUN),
        ({"result": {"type": "speech"}, "final": False}, NOTHING),
        ({"result": {"type": "no_input"}}, RUN),
        ({"result": {"type": "no_match"}}, RUN),
        ({"result": {"type": "start_of_input"}}, NOTHING),
        ({"result": {"type": "error"}}, FAILED),
        ({"result": {"type": "finished"}}, RUN),
        ({"result": {"type": "digit"}, "state": "finished", "final": True}, RUN),
        ({"result": {"type": "digit"}, "state": "collecting", "final": True}, NOTHING),
        ({"result": {"type": "no_input"}, "state": "collecting"}, NOTHING),
        ({"result": {"type": "error"}, "state": "error", "final": True}, FAILED),
        ({"result": {"type": "riddle"}}, None),
        ({"result": None}, None),
    ],
)
def test_collect(payload: dict[str, Any], expected: Ends | None) -> None:
    assert ends("collect", payload) is expected


@pytest.mark.parametrize("type_", ["digit", "speech", "no_input", "no_match"])
def test_a_continuous_collect_goes_on_after_each_result(type_: str) -> None:
    assert ends("collect", {"result": {"type": type_}, "final": True}, continuous=True) is NOTHING
    assert ends("collect", {"result": {"type": type_}, "state": "finished"}, continuous=True) is RUN
    assert ends("collect", {"result": {"type": "finished"}}, continuous=True) is RUN


def test_after_our_stop_the_next_event_ends_a_collect_but_no_partial_ever_does() -> None:
    for payload in ({"result": {"type": "digit"}, "state": "collecting"}, {"result": {"type": "riddle"}}):
        assert ends("collect", payload, stopping=True, continuous=True) is RUN
    for payload in ({"result": {"type": "start_of_input"}}, {"result": {"type": "digit"}, "final": False}):
        assert ends("collect", payload, stopping=True) is NOTHING


@pytest.mark.parametrize(
    ("event", "with_message_end", "without"),
    [
        ("HUMAN", WAIT, WAIT),
        ("UNKNOWN", WAIT, WAIT),
        ("MACHINE", NOTHING, WAIT),
        ("READY", WAIT, NOTHING),
        ("NOT_READY", NOTHING, NOTHING),
        ("CED", WAIT, WAIT),
        ("CNG", WAIT, WAIT),
        ("5", WAIT, WAIT),
        ("1#", WAIT, WAIT),
        ("finished", RUN, RUN),
        ("error", FAILED, FAILED),
        ("PARROT", None, None),
    ],
)
def test_detect(event: str, with_message_end: Ends | None, without: Ends | None) -> None:
    payload = {"detect": {"type": "machine", "params": {"event": event}}}
    assert ends("detect", payload, message_end=True) is with_message_end
    assert ends("detect", payload) is without


@pytest.mark.parametrize(
    ("events", "message_end", "answer"),
    [
        (["HUMAN", "finished"], True, "HUMAN"),
        (["MACHINE", "NOT_READY", "READY", "finished"], True, "MACHINE"),
        (["MACHINE", "NOT_READY", "finished"], True, "MACHINE"),
        (["MACHINE", "finished"], False, "MACHINE"),
        (["READY"], True, "MACHINE"),
        (["UNKNOWN", "finished"], True, "UNKNOWN"),
        (["finished"], True, None),
        (["PARROT", "finished"], True, None),
        (["CED", "finished"], False, "CED"),
        (["7"], False, "7"),
    ],
)
def test_the_answer_of_a_detector(events: list[str], message_end: bool, answer: str | None) -> None:
    registry = Registry(Limits())
    action = Operation("detect", "x", CallOperation("c"), Options(message_end=message_end))
    registry.expect(action, 0)
    for event in events:
        registry.deliver("detect", "x", read("detect", {"detect": {"type": "t", "params": {"event": event}}}), 1, 0)
    assert action.outcome is not None
    assert isinstance(action.outcome.result, Detection)
    assert action.outcome.result.event == answer
    assert action.closed == (events[-1] == "finished")


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"event_type": "calling.transcript.completed", "params": {"text": "x"}}, RUN),
        ({"event_type": "calling.transcript.failed", "params": {}}, FAILED),
        ({"event_type": "calling.call.transcribe", "params": {"state": "finished"}}, NOTHING),
        ({"event_type": "calling.call.transcribe", "params": {"state": "transcribing"}}, NOTHING),
        ({"state": "finished"}, NOTHING),
        ({}, None),
    ],
)
def test_only_the_transcript_ends_a_transcription(payload: dict[str, Any], expected: Ends | None) -> None:
    assert ends("transcribe", payload) is expected


@pytest.mark.parametrize("kind", ["send_fax", "receive_fax"])
@pytest.mark.parametrize(
    ("fax", "expected"),
    [
        ({"type": "page", "params": {"number": 1}}, NOTHING),
        ({"type": "finished", "params": {"success": True}}, RUN),
        ({"type": "finished", "params": {"success": False}}, FAILED),
        ({"type": "finished"}, FAILED),
        ({"type": "error"}, FAILED),
        ({"type": "smoke"}, None),
    ],
)
def test_fax(kind: str, fax: dict[str, Any], expected: Ends | None) -> None:
    assert ends(kind, {"fax": fax}) is expected


def test_only_final_ends_a_sidecar() -> None:
    for type_ in ("start", "insight", "error", "stop", "ask_answer", "something new"):
        assert ends("ai_sidecar", {"sidecar_event": {"type": type_}}) is NOTHING
    assert ends("ai_sidecar", {"sidecar_event": {"type": "final"}}) is RUN
    assert ends("ai_sidecar", {"utterance": "x"}) is None


@pytest.mark.parametrize("kind", ["live_transcribe", "live_translate"])
def test_live_speech_is_ended_by_nothing_but_a_summary_after_our_stop(kind: str) -> None:
    for payload in ({"event_type": "utterance"}, {"event_type": "summary"}, {"anything": 1}):
        assert ends(kind, payload) is NOTHING
    assert ends(kind, {"event_type": "utterance"}, stopping=True) is NOTHING
    assert ends(kind, {"event_type": "summary"}, stopping=True) is RUN
    assert ends(kind, {"ai_summary": "All is well."}, stopping=True) is RUN


def test_the_result_of_a_continuous_collect_that_was_ended() -> None:
    result = LIFECYCLES["collect"].result(
        Operation("collect", "x", None), read("collect", {"result": {"type": "finished"}, "state": "finished"})
    )
    assert isinstance(result, CollectResult)
    assert (result.type, result.digits) == ("finished", None)


def test_every_kind_that_is_read_has_a_lifecycle() -> None:
    assert LIFECYCLES.keys() - READERS.keys() == {"ai_sidecar.ask"}
    assert {reader.about or kind for kind, reader in READERS.items()} <= LIFECYCLES.keys()
