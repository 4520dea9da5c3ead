"""``swcalls demo``: one simulated call, told while it happens, drawn when it is over, and judged."""

from __future__ import annotations

import asyncio
import sys
import traceback

from swcalls import Client, SwcallsError
from swcalls.testing import Callee, Simulator
from swcalls.timeline.look import Look, escaped
from swcalls.timeline.page import page
from swcalls.timeline.text import legend, picture

from . import flow
from .checks import Check, check
from .output import say, write_page
from .story import Story

PERSON = Callee(presses="1234#")
PATIENCE = 60.0
"""Seconds, simulated ones on top of real ones, after which the call is given up: it takes seven."""


async def demo(speed: float, callee: Callee = PERSON, *, html: str | None = None) -> int:
    """Make the call, and tell of it on standard output; return the exit status.

    Args:
        html: Draw the call on a page that is written to this file.
    """
    look = Look.of(sys.stdout)
    async with (
        Simulator(callee=callee, speed=speed, signing_key="demo") as space,
        Client("project", "token", space.url, signing_key="demo", require_signature=True) as client,
        client.receiver.serve() as server,
    ):
        say(_introduction(space.url, server.url, speed, look))
        story = Story(client, say, look)
        visit, failure = None, ""
        try:
            async with asyncio.timeout(PATIENCE + PATIENCE / speed):
                visit = await flow.take_a_message(client)
        except (SwcallsError, TimeoutError) as error:
            failure = f"{_where(error)}: {type(error).__name__}: {error}".rstrip(": ")
        finally:
            # The last webhooks are part of the story, also when it is interrupted.
            await space.settled()

    say(f"\n{picture(story.timeline.marks, look)}\n\n{legend(look)}\n")
    if html is not None:
        write_page(html, page([story.timeline], "swcalls demo", ["A simulated call: nobody's phone rang."]))
        say(f"The same as a page: {html}\n")
    if visit is None:
        say(f"Failed: {escaped(failure)}")
        return 1
    return _judge(visit, check(visit, story.timeline), look)


def _introduction(space: str, receiver: str, speed: float, look: Look) -> str:
    pace = "" if speed == 1 else f", {speed:g} times as fast as real time"
    return "\n".join(
        (
            look.paint("This is a simulation: no real call is made, and nothing leaves this machine.", "bold"),
            f"  space     {space} (swcalls.testing.Simulator{pace})",
            f"  webhooks  {receiver}",
            f"  flow      {flow.__name__}.{flow.take_a_message.__name__}",
            "",
        )
    )


def _where(error: BaseException) -> str:
    """Return the line of the flow in which *error* was raised."""
    lines = [frame.line for frame in traceback.extract_tb(error.__traceback__) if frame.filename == flow.__file__]
    return (lines[-1] or "").partition("  #")[0] if lines else "the call"


def _judge(visit: flow.Visit, checks: list[Check], look: Look) -> int:
    """Say which steps did what they should, and whether all did."""
    passed, failed = look.paint(look.glyphs.passed, "green"), look.paint(look.glyphs.failed, "red")
    for one in checks:
        say(f"  {passed if one.passed else failed} {one.what}: {escaped(one.got)}")
    say(f"\n  recording {escaped(visit.recording.url or 'none')}\n")
    wrong = [one.what for one in checks if not one.passed]
    say(f"Failed: {'; '.join(wrong)}" if wrong else "Every step did what it should.")
    return 1 if wrong else 0
