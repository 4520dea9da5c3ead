"""``swcalls demo``: makes one simulated call, shows each command and event, draws the timeline, checks the result."""

from __future__ import annotations

import asyncio
import sys
import traceback
from typing import Any

import msgspec

from swcalls import Client, SwcallsError, Timeline
from swcalls.testing import Callee, Simulator
from swcalls.timeline.page import page
from swcalls.timeline.terminal_style import TerminalStyle, escaped
from swcalls.timeline.text import legend, picture

from . import demo_flow
from .demo_checks import Check, check
from .live_log import LiveLog
from .output import print_line, write_page

PERSON = Callee(presses="1234#")
TALKER = Callee(presses="1234#", sound="speech")
"""The person who is called when somebody listens."""
TIMEOUT = 60.0
"""The call may take so many seconds of real time, plus as many of simulated time; it takes seven simulated ones."""


async def demo(
    speed: float,
    callee: Callee | None = None,
    *,
    html: str | None = None,
    as_json: bool = False,
    listens: bool = False,
) -> int:
    """Make the call, and print what happens; return the exit status.

    Args:
        speed: Simulated seconds per second.
        callee: The person who is called; ``None``: one who does what the flow expects.
        html: A file to write an HTML page with the timeline to.
        as_json: Whether to print one JSON object at the end, and nothing else.
        listens: Whether to hear the call meanwhile.
    """
    flow = demo_flow.take_a_message_and_listen if listens else demo_flow.take_a_message
    callee = callee or (TALKER if listens else PERSON)
    terminal = TerminalStyle.of(sys.stdout)

    def show(text: str) -> None:
        if not as_json:
            print_line(text)

    async with (
        Simulator(callee=callee, speed=speed, signing_key="demo") as space,
        Client("project", "token", space.url, signing_key="demo", require_signature=True) as client,
        client.receiver.serve() as server,
    ):
        show(_introduction(space.url, server.url, speed, flow.__name__, terminal))
        live_log = LiveLog(client, show, terminal)
        visit, failure = None, ""
        try:
            async with asyncio.timeout(TIMEOUT + TIMEOUT / speed):
                visit = await flow(client)
        except (SwcallsError, TimeoutError) as error:
            failure = f"{_where(error)}: {type(error).__name__}: {error}".rstrip(": ")
        finally:
            # The last webhooks belong in the timeline, also after an interruption.
            await space.settled()

    show(f"\n{picture(live_log.timeline.marks, terminal)}\n\n{legend(terminal)}\n")
    if html is not None:
        write_page(html, page([live_log.timeline], "swcalls demo", ["A simulated call: no real call was made."]))
        show(f"The timeline as an HTML page: {html}\n")
    if as_json:
        checks = [] if visit is None else check(visit, live_log.timeline)
        print_line(msgspec.json.encode(_document(live_log.timeline, checks, failure)).decode())
        return 0 if checks and all(one.passed for one in checks) else 1
    if visit is None:
        print_line(f"Failed: {escaped(failure)}")
        return 1
    return _print_checks(visit, check(visit, live_log.timeline), terminal)


def _document(timeline: Timeline, checks: list[Check], failure: str) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    start = timeline.marks[0].at if timeline.marks else 0.0
    names = ("took", "what", "kind", "key", "word", "verdict", "detail")
    return {
        "call_id": timeline.call_id,
        "failure": failure or None,
        "checks": [{"what": one.what, "passed": one.passed, "got": one.got} for one in checks],
        "timeline": [
            {"time": round(mark.at - start, 6), **{name: getattr(mark, name) for name in names}} for mark in timeline
        ],
    }


def _introduction(space: str, receiver: str, speed: float, flow: str, terminal: TerminalStyle) -> str:
    pace = "" if speed == 1 else f", {speed:g} times as fast as real time"
    return "\n".join(
        (
            terminal.paint("This is a simulation: no real call is made, and nothing leaves this machine.", "bold"),
            f"  space     {space} (swcalls.testing.Simulator{pace})",
            f"  webhooks  {receiver}",
            f"  flow      {demo_flow.__name__}.{flow}",
            "",
        )
    )


def _where(error: BaseException) -> str:
    """Return the line of the flow in which *error* was raised."""
    lines = [frame.line for frame in traceback.extract_tb(error.__traceback__) if frame.filename == demo_flow.__file__]
    return (lines[-1] or "").partition("  #")[0] if lines else "the call"


def _print_checks(visit: demo_flow.Visit, checks: list[Check], terminal: TerminalStyle) -> int:
    """Print each check, and a summary; return the exit status."""
    passed, failed = terminal.paint(terminal.glyphs.passed, "green"), terminal.paint(terminal.glyphs.failed, "red")
    for one in checks:
        print_line(f"  {passed if one.passed else failed} {one.what}: {escaped(one.got)}")
    print_line(f"\n  recording {escaped(visit.recording.url or 'none')}\n")
    wrong = [one.what for one in checks if not one.passed]
    print_line(f"Failed: {'; '.join(wrong)}" if wrong else "Every step worked as expected.")
    return 1 if wrong else 0
