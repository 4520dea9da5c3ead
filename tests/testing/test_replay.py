"""A recording, fed to the rules again: what each delivery comes to, how each action settles, and at which time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from swcalls import (
    TTS,
    ActionFailed,
    CallEnded,
    Client,
    CollectResult,
    Digits,
    Limits,
    Playback,
    Recording,
    Transcript,
)
from swcalls.receiver import ObservingReceiver
from swcalls.recording import RecordingError
from swcalls.testing import Replay, replay

CALL = "2e1e66e5-5d07-413d-9668-55542992eec0"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "incident.jsonl"


def delivery(
    at: float, kind: str, key: str, payload: object = None, *, verdict: str = "early", **params: Any
) -> dict[str, Any]:
    """A line of a recording that began at 1000, by Unix time; a bare payload of *params*, unless one is given."""
    body = payload if payload is not None else {"call_id": CALL, **params}
    return {
        "time": 1000 + at,
        "path": f"/swcalls/{kind}/{key}/***",
        "headers": {"Content-Type": "application/json"},
        "body": body if isinstance(body, str) else msgspec.json.encode(body).decode(),
        "verdict": verdict,
        "status": 200,
    }


def told(at: float, kind: str, key: str, state: str, **params: Any) -> dict[str, Any]:
    """The same, enveloped: with a timestamp, which is not when it came."""
    timestamp = params.pop("timestamp", at)
    inner = {"call_id": CALL, "control_id": key, "state": state, **params}
    return delivery(at, kind, key, {"event_type": f"calling.call.{kind}", "timestamp": timestamp, "params": inner})


def run(file: Path, *lines: dict[str, Any], **settings: Any) -> Replay:
    file.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    return replay(file, **settings)


def verdicts(found: Replay) -> list[str]:
    return [one.verdict for one in found.deliveries]


def ended(at: float, reason: str = "hangup") -> dict[str, Any]:
    return delivery(at, "call", "dialled", call_state="ended", end_reason=reason)


# An incident


def test_an_incident_with_a_lost_a_duplicated_and_an_out_of_order_event(file: Path) -> None:
    found = run(
        file,
        delivery(0.0, "call", "dialled", call_state="answered"),
        told(1.0, "play", "p1", "playing"),
        told(1.1, "play", "p1", "playing", timestamp=1.0),
        told(2.0, "play", "p1", "finished"),
        told(3.0, "play", "p2", "paused", timestamp=2.9),
        told(3.1, "play", "p2", "playing", timestamp=2.5),
        delivery(4.0, "collect", "c1", result={"type": "start_of_input"}),
        ended(5.0),
        told(6.0, "record", "r1", "finished", url="https://example.com/r1.mp3"),
        told(11.0, "play", "p2", "finished", timestamp=4.0),
    )
    assert verdicts(found) == [
        *("applied", "applied", "duplicate", "applied"),
        *("applied", "applied", "applied", "applied", "applied", "late"),
    ]
    assert [one.time for one in found.deliveries] == pytest.approx([0, 1, 1.1, 2, 3, 3.1, 4, 5, 6, 11])
    assert list(found.actions) == [("play", "p1"), ("play", "p2"), ("collect", "c1"), ("record", "r1")]
    played, paused = found.actions["play", "p1"], found.actions["play", "p2"]
    collected, recorded = found.actions["collect", "c1"], found.actions["record", "r1"]
    assert played is not None
    assert (played.settled_by, type(played.result), played.stage) == ("callback", Playback, "accepted")
    assert recorded is not None
    assert isinstance(recorded.result, Recording)
    assert recorded.result.url == "https://example.com/r1.mp3"
    for lost in (paused, collected):
        assert lost is not None
        assert lost.settled_by == "call_ended"
        assert isinstance(lost.error, CallEnded)
        assert lost.error.reason == "hangup"
    call = found.calls[CALL]
    assert (call.state, call.end_reason) == ("ended", "hangup")


async def test_what_a_client_lived_through_is_what_a_replay_shows(space, connect, file: Path) -> None:
    client: Client = await connect(limits=Limits(grace=3600))
    with client.receiver.record(file):
        call = await client.dial(to="+15550198765", from_="+12069708643")
        await space.tell_call("answered")
        lost = await call.play(TTS("Lost"))
        await space.tell("calling.play", state="playing")
        twice = await call.collect(digits=Digits(max=1))
        for _ in range(2):
            await space.tell("calling.collect", result={"type": "digit", "params": {"digits": "1"}})
        late = await call.record()
        await space.tell_call("ended", end_reason="busy")
        await space.tell("calling.record", state="finished", url="https://example.com/r")
        await space.tell("calling.record", state="recording")
        await twice
        await late
    found = replay(file)
    assert [one.verdict for one in found.deliveries] == [one.recorded for one in found.deliveries]
    assert verdicts(found) == ["applied", "applied", "applied", "late", "applied", "applied", "late"]
    for action in (twice, late):
        outcome = found.actions[action.kind, action.control_id]
        assert outcome is not None
        assert (outcome.result, outcome.settled_by) == (action.result(), "callback")
    # It would have had an hour; a replay has the limits that it is given, and the time that they take.
    assert not lost.done()
    outcome = found.actions["play", lost.control_id]
    assert outcome is not None
    assert outcome.settled_by == "call_ended"
    assert found.calls[call.id].end_reason == "busy"


# Time


@pytest.mark.parametrize(
    ("kind", "last", "grace"),
    [
        ("play", {"state": "finished"}, 5),
        ("record", {"state": "finished"}, 60),
        ("transcribe", {"state": "completed"}, 600),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_graces_are_replayed(file: Path, kind: str, last: dict[str, Any], grace: float, late: bool) -> None:
    if kind == "transcribe":
        payload = {"event_type": "calling.transcript.completed", "params": {"call_id": CALL, "text": "Yes."}}
    else:
        payload = {"call_id": CALL, **last}
    after = 10 + grace + (0.5 if late else -0.5)
    found = run(file, ended(10), delivery(after, kind, "k", payload))
    outcome = found.actions[kind, "k"]
    assert outcome is not None
    assert (verdicts(found)[-1], outcome.settled_by) == (("late", "call_ended") if late else ("applied", "callback"))
    assert isinstance(outcome.result, Playback | Recording | Transcript) is not late


def test_the_limits_are_settings(file: Path) -> None:
    lines = (ended(10), told(18, "play", "k", "finished"))
    assert verdicts(run(file, *lines))[-1] == "late"
    assert verdicts(run(file, *lines, limits=Limits(grace=10)))[-1] == "applied"


def test_a_clock_that_was_set_back_stands_still(file: Path) -> None:
    found = run(file, told(100, "play", "k", "playing"), told(-50, "play", "k", "paused", timestamp=200), ended(101))
    assert [one.time for one in found.deliveries] == [0, 0, 1]
    assert verdicts(found) == ["applied"] * 3


def test_what_did_not_end_has_not_settled(file: Path) -> None:
    found = run(file, told(0, "play", "k", "playing"))
    assert found.actions == {("play", "k"): None}
    assert found.calls[CALL].outcome is None
    assert found.calls[CALL].state is None


def test_an_empty_recording_comes_to_nothing(file: Path) -> None:
    assert run(file) == Replay(deliveries=[], actions={}, calls={})


# What belongs together


def test_each_action_is_on_the_call_that_its_payloads_name(file: Path) -> None:
    other = {"call_id": "other", "control_id": "o", "state": "playing"}
    found = run(file, told(0, "play", "k", "playing"), delivery(0, "play", "o", other), ended(1))
    assert found.actions["play", "k"] is not None
    assert found.actions["play", "o"] is None
    assert set(found.calls) == {CALL, "other"}


def test_an_action_without_a_call_is_nobody_elses(file: Path) -> None:
    found = run(file, delivery(0, "play", "k", {"state": "playing"}), ended(1))
    assert found.actions["play", "k"] is None
    assert set(found.calls) == {CALL}


def test_a_later_payload_may_name_the_call(file: Path) -> None:
    found = run(file, delivery(0, "play", "k", {"state": "playing"}), told(1, "play", "k", "paused"), ended(2))
    outcome = found.actions["play", "k"]
    assert outcome is not None
    assert outcome.settled_by == "call_ended"


def test_an_earlier_payload_may_name_the_call(file: Path) -> None:
    found = run(file, told(0, "play", "k", "playing"), delivery(1, "play", "k", {"state": "paused"}), ended(2))
    outcome = found.actions["play", "k"]
    assert outcome is not None
    assert outcome.settled_by == "call_ended"


def test_a_call_that_is_not_named_goes_by_its_key(file: Path) -> None:
    found = run(file, delivery(0, "call", "dialled", {"call_state": "ended"}))
    assert verdicts(found) == ["applied"]
    assert found.calls["dialled"].state == "ended"


def test_one_id_may_have_been_used_by_two_kinds_in_turn(file: Path) -> None:
    found = run(
        file,
        told(0, "play", "k", "playing"),
        told(1, "play", "k", "finished"),
        told(2, "record", "k", "finished"),
        told(3, "tap", "k", "tapping"),
    )
    assert verdicts(found) == ["applied"] * 4
    assert found.actions["record", "k"] is not None
    assert found.actions["tap", "k"] is None


def test_a_key_that_had_to_be_encoded_is_itself_again(file: Path) -> None:
    receiver = ObservingReceiver("project", "token", public_url="http://hooks")
    key = "a key/ü"
    with receiver.record(file):
        path = receiver._ingress.reader.urls.mint("play", key).removeprefix("http://hooks")
        receiver._ingress.accept_now(path, {}, msgspec.json.encode({"control_id": key, "state": "finished"}))
    assert list(replay(file).actions) == [("play", key)]


def test_states_of_a_call_at_two_urls_are_of_one_call(file: Path) -> None:
    found = run(
        file,
        delivery(0, "call", "dialled", call_state="answered"),
        told(1, "play", "k", "playing"),
        delivery(2, "call", "updated", call_state="ended"),
    )
    assert verdicts(found) == ["applied"] * 3
    outcome = found.actions["play", "k"]
    assert outcome is not None
    assert outcome.settled_by == "call_ended"


# Calls that came in

INBOUND = {"call": {"call_id": CALL, "from": "+1", "to": "+2"}, "vars": {}}


def test_a_call_that_came_in(file: Path) -> None:
    found = run(
        file,
        delivery(0, "inbound", "calls", INBOUND, verdict="inbound"),
        delivery(0.5, "inbound", "calls", INBOUND, verdict="inbound"),
        told(1, "play", "k", "playing"),
        delivery(2, "inbound", "calls", call_state="ended", end_reason="hangup"),
    )
    assert verdicts(found) == ["inbound", "inbound", "applied", "applied"]
    assert found.calls[CALL].end_reason == "hangup"
    assert found.actions["play", "k"] is not None


def test_a_call_that_nobody_took_is_not_taken_now(file: Path) -> None:
    state = delivery(1, "inbound", "calls", call_state="ended")
    found = run(file, delivery(0, "inbound", "calls", INBOUND, verdict="busy"), state)
    assert verdicts(found) == ["busy", "early"]
    assert found.calls[CALL].state is None


def test_states_of_a_call_that_came_in_may_be_told_elsewhere(file: Path) -> None:
    found = run(
        file,
        delivery(0, "inbound", "calls", INBOUND, verdict="inbound"),
        delivery(1, "call", "updated", call_state="ended", end_reason="busy"),
    )
    assert verdicts(found) == ["inbound", "applied"]
    assert found.calls[CALL].end_reason == "busy"


def test_a_recording_may_begin_in_the_middle_of_a_call_that_came_in(file: Path) -> None:
    found = run(
        file,
        told(1, "play", "k", "playing"),
        delivery(2, "inbound", "calls", call_state="ended", end_reason="hangup"),
        delivery(3, "inbound", "calls", {"nothing": "known"}),
    )
    assert verdicts(found) == ["applied", "applied", "malformed"]
    assert found.actions["play", "k"] is not None


# Verdicts


@pytest.mark.parametrize("verdict", ["forged", "foreign", "oversized"])
def test_what_was_refused_is_shown_as_it_was_and_changes_nothing(file: Path, verdict: str) -> None:
    refused = told(1, "play", "k", "finished") | {"verdict": verdict, "status": 403}
    found = run(file, told(0, "play", "k", "playing"), refused)
    last = found.deliveries[-1]
    assert (last.verdict, last.recorded, last.kind, last.key) == (verdict, verdict, "play", "k")
    assert (last.event is not None) is (verdict == "foreign")
    assert found.actions == {("play", "k"): None}


def test_what_was_refused_alone_is_no_action(file: Path) -> None:
    lines = [told(0, "play", "k", "finished") | {"verdict": "forged"}, delivery(0, "a", "b", "", verdict="oversized")]
    found = run(file, *lines, {**lines[0], "path": "/***"}, {**lines[0], "path": "/swcalls/play/~A/***"})
    assert (found.actions, found.calls) == ({}, {})
    assert [one.kind for one in found.deliveries] == ["play", "a", None, None]


def test_what_was_malformed_is_read_again(file: Path) -> None:
    good = told(0, "play", "k", "finished") | {"verdict": "malformed"}
    found = run(file, delivery(0, "play", "k", "[", verdict="malformed"), good)
    assert verdicts(found) == ["malformed", "applied"]
    assert found.actions["play", "k"] is not None


def test_what_was_not_read_to_its_end_is_shown_as_it_was(file: Path) -> None:
    aborted = {name: value for name, value in delivery(0, "play", "k").items() if name != "body"}
    found = run(file, aborted | {"verdict": "malformed"}, aborted | {"verdict": "oversized", "path": "/x"})
    assert verdicts(found) == ["malformed", "oversized"]


def test_what_is_not_known_is_unknown_and_no_action(file: Path) -> None:
    found = run(file, delivery(0, "weather", "w", {"sun": True}), told(0, "play", "k", "humming"))
    assert verdicts(found) == ["unknown", "unknown"]
    assert [one.new_shape for one in found.deliveries] == [True, True]
    assert list(found.actions) == [("play", "k")]


def test_a_failure_is_an_outcome(file: Path) -> None:
    outcome = run(file, told(0, "play", "k", "error")).actions["play", "k"]
    assert outcome is not None
    assert isinstance(outcome.error, ActionFailed)


def test_an_answer_settles_once(file: Path) -> None:
    found = run(
        file,
        delivery(0, "collect", "k", result={"type": "digit", "params": {"digits": "1"}}),
        delivery(1, "collect", "k", result={"type": "digit", "params": {"digits": "2"}}),
    )
    outcome = found.actions["collect", "k"]
    assert outcome is not None
    assert isinstance(outcome.result, CollectResult)
    assert outcome.result.digits == "1"
    assert verdicts(found) == ["applied", "late"]


# What is no recording


@pytest.mark.parametrize("path", ["/***", "/play/***", "/swcalls/play//***", "/swcalls/play/~A/***", "/a/ü/***"])
def test_a_path_that_names_nothing_is_said_with_its_line(file: Path, path: str) -> None:
    with pytest.raises(RecordingError, match=r"incident\.jsonl, line 2: its path names no kind and key"):
        run(file, ended(0), delivery(1, "play", "k") | {"path": path})


def test_a_line_that_is_none_is_said(file: Path) -> None:
    with pytest.raises(RecordingError, match=r"incident\.jsonl, line 1: not a delivery"):
        run(file, {"time": 1})
