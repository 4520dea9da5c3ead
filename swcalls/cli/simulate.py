"""``swcalls simulate``: runs a simulated space for any client of the API, and logs its commands and webhooks."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec.structs import replace

from swcalls._core.decoding import READERS, read
from swcalls.testing import Callee, Faults, Simulator
from swcalls.testing.deliveries import Delivery
from swcalls.testing.received import ReceivedCommand
from swcalls.timeline.terminal_style import TerminalStyle, quoted

from .output import local_time, print_line
from .serving import bind_errors_as_failure, shutdown_event

ANYBODY = Callee(presses="1234", says="Hello, this is a test.")
"""The default callee: answers, presses digits and says a sentence."""


async def simulate(
    *,
    project: str,
    token: str,
    host: str,
    port: int,
    signing_key: str | None,
    speed: float,
    callee: Callee | None = None,
    audio: str | None = None,
    faults: Faults | None = None,
    dial_rate: float | None = None,
) -> int:
    """Serve until the process gets SIGINT or SIGTERM; return the exit status. The arguments are the simulator's.

    Args:
        audio: The ``sound`` of the callee.
    """
    callee = callee or ANYBODY
    if audio is not None:
        callee = replace(callee, sound=audio)
    shutdown = shutdown_event()
    space = Simulator(
        project,
        token,
        host=host,
        port=port,
        signing_key=signing_key,
        speed=speed,
        callee=callee,
        faults=faults or Faults(),
        dial_rate=dial_rate,
    )
    async with logged(space, host, port) as log:
        print_line(space.url)
        log(f"a simulated space for project {quoted(project)}: no real call is made; Ctrl-C ends it")
        if faults is not None:
            log(f"faults are enabled: seed={space.seed}")
        await shutdown.wait()
    return 0


@asynccontextmanager
async def logged(space: Simulator, host: str, port: int) -> AsyncIterator[Callable[[str], None]]:
    """Serve *space*, and log its commands and webhooks to standard error; give what logs a line to the block.

    Raises:
        Failure: *space* cannot listen on its address.
    """
    terminal = TerminalStyle.of(sys.stderr)

    def log(line: str) -> None:
        print_line(f"{terminal.paint(local_time(), 'dim')}  {line}", sys.stderr)

    # The simulator's own log of lost webhooks would repeat what `delivery_line` shows.
    logging.getLogger("swcalls.testing").addHandler(logging.NullHandler())

    def log_traffic(what: ReceivedCommand | Delivery) -> None:
        log(command_line(what, terminal) if isinstance(what, ReceivedCommand) else delivery_line(what, terminal))

    space.observers.append(log_traffic)
    async with AsyncExitStack() as stack:
        with bind_errors_as_failure(host, port):
            await stack.enter_async_context(space)
        yield log


def command_line(command: ReceivedCommand, terminal: TerminalStyle) -> str:
    """Return a line for a command: its name, its control_id or call id, and the status of its response."""
    key = command.params.get("control_id") or command.call_id or "-"
    arrow = terminal.paint(terminal.glyphs.sent, "cyan")
    return _line(arrow, quoted(command.command or "-"), key, command.status, "", terminal)


def delivery_line(delivery: Delivery, terminal: TerminalStyle) -> str:
    """Return a line for a webhook: its kind and state, its control_id or call id, and the status of its response."""
    event_type = str(delivery.payload.get("event_type", "request" if "op" in delivery.payload else ""))
    kind = event_type.removeprefix("calling.call.").replace("state", "call").replace("calling.conference", "conference")
    event = read(kind, delivery.payload) if kind in READERS else None
    key = (event and (event.control_id or event.call_id)) or "-"
    what = quoted(kind or "-") + (f" {quoted(event.state)}" if event is not None and event.state else "")
    tries = f" at attempt {delivery.attempts}" if delivery.attempts > 1 else ""
    return _line(terminal.paint(terminal.glyphs.webhook, "green"), what, key, delivery.status, tries, terminal)


def _line(arrow: str, what: str, key: object, status: int | None, tries: str, terminal: TerminalStyle) -> str:
    answer = terminal.paint(f"{status or 'no answer'}{tries}", "" if status is not None and status < 300 else "red")
    return f"{arrow}  {what:<24}  {quoted(key):<36}  {answer}"
