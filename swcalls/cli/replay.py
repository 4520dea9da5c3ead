"""``swcalls replay``: processes the deliveries of a recording again, and prints the results."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from swcalls import Outcome
from swcalls.recording import RecordingError
from swcalls.testing import Replay, Replayed, replay
from swcalls.timeline.page import page
from swcalls.timeline.terminal_style import TerminalStyle, escaped, quoted

from .failure import Failure, reason
from .listen import receipt_line
from .output import print_line, write_page


async def replay_file(file: str, *, as_json: bool, html: str | None = None) -> int:
    """Print a line for each delivery of *file*, and for each of its actions and calls; return the exit status.

    Args:
        file: The recording.
        as_json: Whether to print one JSON object instead of lines.
        html: A file to write an HTML page with the timelines of its calls to.
    """
    try:
        found = replay(file)
    except OSError as error:
        raise Failure(f"cannot read {file}: {reason(error)}") from error
    except RecordingError as error:
        raise Failure(escaped(str(error))) from error
    if html is not None:
        timelines = [call.timeline for call in found.calls.values()]
        write_page(html, page(timelines, "Replay of a recording", [f"{len(found.deliveries)} deliveries."]))
    if as_json:
        print_line(msgspec.json.encode(document(found)).decode())
        return 0
    terminal = TerminalStyle.of(sys.stdout)
    lines = [delivery_line(delivery, terminal) for delivery in found.deliveries]
    last = _last_states(found)
    ends = [
        *(
            action_line(kind, key, outcome, last.get((kind, key)), terminal)
            for (kind, key), outcome in found.actions.items()
        ),
        *(call_line(name, found, terminal) for name in found.calls),
    ]
    for text in (*lines, *([""] if ends else []), *ends):
        if not print_line(text):
            break
    return 0


def delivery_line(delivery: Replayed, terminal: TerminalStyle) -> str:
    """Return a line for one delivery; it ends with the recorded verdict if that was another one."""
    then = f" (then {quoted(delivery.recorded)})" if delivery.recorded != delivery.verdict else ""
    return receipt_line(delivery, f"{delivery.time:10.3f} s", terminal) + then


def action_line(kind: str, key: str, outcome: Outcome[Any] | None, last: str | None, terminal: TerminalStyle) -> str:
    """Return a line that says how an action settled, or that it did not; *last* is the state in its last event."""
    last_event = f"last event: {quoted(last)}" if last else "no event"
    if outcome is None:
        return _end_line("?", "yellow", kind, key, f"not settled; {last_event}", terminal)
    error = outcome.error
    came_to = f"{type(error).__name__}: {error}" if error is not None else repr(outcome.result)
    mark, style = (terminal.glyphs.passed, "green") if error is None else (terminal.glyphs.failed, "red")
    return _end_line(mark, style, kind, key, f"{outcome.settled_by}: {escaped(came_to)}; {last_event}", terminal)


def call_line(name: str, found: Replay, terminal: TerminalStyle) -> str:
    """Return a line with the last state of a call."""
    call = found.calls[name]
    state = quoted(call.state) if call.state else "no event with its state"
    reason = f": {quoted(call.end_reason)}" if call.end_reason else ""
    mark, style = ("?", "yellow") if call.outcome is None else (terminal.glyphs.passed, "green")
    return _end_line(mark, style, "call", name, state + reason, terminal)


def document(found: Replay) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    last = _last_states(found)
    return {
        "deliveries": [
            {
                "line": delivery.line,
                "time": round(delivery.time, 6),
                "verdict": delivery.verdict,
                "recorded": delivery.recorded,
                "kind": delivery.kind,
                "key": delivery.key,
                "state": _state(delivery),
                "new_shape": delivery.new_shape,
            }
            for delivery in found.deliveries
        ],
        "actions": [
            {"kind": kind, "key": key, "last_event": last.get((kind, key))} | _settled(outcome)
            for (kind, key), outcome in found.actions.items()
        ],
        "calls": [
            {"call_id": name, "state": call.state, "end_reason": call.end_reason, "ended": call.outcome is not None}
            for name, call in found.calls.items()
        ],
    }


def _settled(outcome: Outcome[Any] | None) -> dict[str, Any]:
    if outcome is None:
        return {"settled_by": None, "result": None, "error": None}
    result = None if outcome.result is None else msgspec.to_builtins(outcome.result)
    if result is not None:
        # The payload is in the recording.
        del result["payload"]
    error = outcome.error
    error_fields = None if error is None else {"type": type(error).__name__, "message": str(error)}
    return {"settled_by": outcome.settled_by, "result": result, "error": error_fields}


def _last_states(found: Replay) -> dict[tuple[str, str], str]:
    """Return the state in the last event of each action that was applied."""
    return {
        (delivery.kind, delivery.key): state
        for delivery in found.deliveries
        if delivery.kind is not None and delivery.key is not None
        if delivery.verdict in ("applied", "unknown") and (state := _state(delivery))
    }


def _state(delivery: Replayed) -> str | None:
    return delivery.event.state or None if delivery.event is not None else None


def _end_line(mark: str, style: str, kind: str, key: str, text: str, terminal: TerminalStyle) -> str:
    width = max(len(terminal.glyphs.passed), len(terminal.glyphs.failed))
    return f"{terminal.paint(f'{mark:<{width}}', style)}  {quoted(kind):<9}  {quoted(key):<36}  {text}"
