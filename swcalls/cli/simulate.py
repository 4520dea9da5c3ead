"""``swcalls simulate``: a simulated space that any client of the API can talk to."""

from __future__ import annotations

import logging
import sys
from contextlib import AsyncExitStack
from datetime import datetime

from swcalls._core.decoding import READERS, read
from swcalls.testing import Callee, Faults, Simulator
from swcalls.testing.deliveries import Delivery
from swcalls.testing.received import ReceivedCommand
from swcalls.timeline.look import Look, quoted

from .output import say
from .serving import interruption, opening

ANYBODY = Callee(presses="1234", says="Hello, this is a test.")
"""Who answers every number: somebody who has something to say to whatever listens."""


async def simulate(
    *,
    project: str,
    token: str,
    host: str,
    port: int,
    signing_key: str | None,
    speed: float,
    callee: Callee | None = None,
    faults: Faults | None = None,
) -> int:
    """Serve until the process is asked to end; return the exit status."""
    asked = interruption()
    space = Simulator(
        project,
        token,
        host=host,
        port=port,
        signing_key=signing_key,
        speed=speed,
        callee=callee or ANYBODY,
        faults=faults or Faults(),
    )
    look = Look.of(sys.stderr)

    def log(line: str) -> None:
        time = datetime.now().astimezone().strftime("%H:%M:%S.%f")[:-3]
        say(f"{look.paint(time, 'dim')}  {line}", sys.stderr)

    # What the simulator logs of lost webhooks is told here, with more of what they were.
    logging.getLogger("swcalls.testing").addHandler(logging.NullHandler())

    def tell(what: ReceivedCommand | Delivery) -> None:
        log(command_line(what, look) if isinstance(what, ReceivedCommand) else delivery_line(what, look))

    space.observers.append(tell)
    async with AsyncExitStack() as stack:
        with opening(host, port):
            await stack.enter_async_context(space)
        say(space.url)
        log(f"a simulated space for project {quoted(project)}: no real call is made; Ctrl-C ends it")
        if faults is not None:
            log(f"faults are on, with seed {space.seed}")
        await asked.wait()
    return 0


def command_line(command: ReceivedCommand, look: Look) -> str:
    """Tell of a command, of what it is about, and of how it was answered."""
    about = command.params.get("control_id") or command.call_id or "-"
    return _line(look.paint(look.glyphs.sent, "cyan"), quoted(command.command or "-"), about, command.status, "", look)


def delivery_line(delivery: Delivery, look: Look) -> str:
    """Tell of a webhook, of what it is about, and of how it was answered."""
    kind = str(delivery.payload.get("event_type", "")).removeprefix("calling.call.").replace("state", "call")
    event = read(kind, delivery.payload) if kind in READERS else None
    about = (event and (event.control_id or event.call_id)) or "-"
    what = quoted(kind or "-") + (f" {quoted(event.state)}" if event is not None and event.state else "")
    tries = f" at try {delivery.attempts}" if delivery.attempts > 1 else ""
    return _line(look.paint(look.glyphs.webhook, "green"), what, about, delivery.status, tries, look)


def _line(arrow: str, what: str, about: object, status: int | None, tries: str, look: Look) -> str:
    answer = look.paint(f"{status or 'no answer'}{tries}", "" if status is not None and status < 300 else "red")
    return f"{arrow}  {what:<24}  {quoted(about):<36}  {answer}"
