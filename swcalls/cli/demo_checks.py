"""The checks at the end of ``swcalls demo``: whether each step of its call had the expected result."""

from __future__ import annotations

from msgspec import Struct

from swcalls import Timeline
from swcalls.timeline.rows import rows

from .demo_flow import Visit

QUIET = 500
"""A level that a voice exceeds."""
KEYS = ["1", "12", "123", "1234", "1234#"]


class Check(Struct, frozen=True):
    """The result of one check."""

    what: str
    """What should be the case."""
    passed: bool
    got: str
    """What was found."""


def check(visit: Visit, timeline: Timeline) -> list[Check]:
    """Return a check for each step, from the results of the call (*visit*) and the events in its *timeline*."""
    events = {row.name: [point.word for point in row.points if point.word] for row in rows(timeline.marks)}
    call, welcome, prompt, keys = (events.get(name, []) for name in ("call", "play", "play #2", "collect"))
    sent = [mark for mark in timeline if mark.what == "command"]
    accepted = [mark for mark in sent if mark.verdict == "accepted"]
    is_stopped = any(mark.word == "calling.play.stop" for mark in accepted)
    pin, recording = visit.pin, visit.recording
    heard = {track: round(level) for track, level in (visit.loudest or {}).items()}
    both_heard = Check("both sides were heard", len(heard) == 2 and min(heard.values()) > QUIET, f"levels {heard}")
    return [
        Check("it rang and was answered", call[:3] == ["created", "ringing", "answered"], ", ".join(call[:3])),
        Check("a person answered", visit.who.event == "HUMAN", str(visit.who.event)),
        Check("the welcome was played", welcome == ["playing", "finished"], ", ".join(welcome)),
        Check("the keys came one by one", keys == KEYS, ", ".join(keys)),
        Check("the PIN is right", (pin.digits, pin.terminator) == ("1234", "#"), str(pin.digits)),
        Check("the prompt was stopped early", is_stopped and prompt == ["playing", "finished"], ", ".join(prompt)),
        Check("the answer was recorded", bool(recording.url), f"{recording.state}, {recording.duration} s"),
        Check("we hung up", visit.end_reason == "hangup", str(visit.end_reason)),
        *([both_heard] if visit.loudest is not None else []),
        Check("every command was accepted", len(accepted) == len(sent), f"{len(accepted)} of {len(sent)}"),
    ]
