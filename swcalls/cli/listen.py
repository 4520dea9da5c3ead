"""``swcalls listen``: runs a webhook receiver and prints a line for each delivery."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack

from swcalls import Recorder
from swcalls._core.webhooks import Receipt
from swcalls.config import from_environment
from swcalls.receiver import ObservingReceiver
from swcalls.testing import Replayed
from swcalls.timeline.terminal_style import TerminalStyle, quoted

from .failure import Failure, reason
from .listened_calls import ListenedCalls
from .output import local_time, print_line
from .page_server import page_token, served_page
from .serving import bind_errors_as_failure, shutdown_event


async def listen(
    *,
    host: str,
    port: int,
    public_url: str | None,
    path: str,
    record: str | None = None,
    web: int | None = None,
    show_private: bool = False,
) -> int:
    """Serve until the process gets SIGINT or SIGTERM, or its output is closed; return the exit status.

    Args:
        host: The address to listen on.
        port: The port; 0 for any free port.
        public_url: Overrides SWCALLS_PUBLIC_URL.
        path: The path of the receiver below the public URL.
        record: A file to record the deliveries in, for ``swcalls replay``.
        web: The port of a page that shows the calls; ``None``: there is no page.
        show_private: Whether the page shows numbers, and what parties press and say.
    """
    shutdown = shutdown_event()
    settings = _settings(public_url)
    receiver = ObservingReceiver(
        settings["project"],
        settings["token"],
        public_url=settings.get("public_url"),
        path=path,
        signing_key=settings.get("signing_key"),
    )
    terminal = TerminalStyle.of(sys.stdout)

    def show(text: str) -> None:
        if not print_line(text):
            shutdown.set()

    # Replaces the receiver's own observers, which would log the same deliveries.
    receiver._ingress.observers[:] = [lambda receipt: show(receipt_line(receipt, local_time(), terminal))]
    calls, token = ListenedCalls(), None if web is None else page_token(sys.stderr)
    recorder = None if record is None else _recorder(receiver, record)
    async with AsyncExitStack() as stack:
        if web is not None and token is not None:
            receiver._ingress.observers.append(calls.take)
            page = served_page(calls, web, token, show_private=show_private)
            url = await stack.enter_async_context(page)
        if recorder is not None:
            stack.enter_context(recorder)
        with bind_errors_as_failure(host, port):
            server = await stack.enter_async_context(receiver.serve(host, port))
        show(f"listening on {server.url}{path}/; Ctrl-C ends it")
        if web is not None:
            show(f"the calls are shown at {url}")
        await shutdown.wait()
    if recorder is not None:
        lost = f"; {recorder.dropped} could not be written" if recorder.dropped else ""
        show(f"recorded {recorder.written} deliveries in {record}{lost}")
    return 0


def _recorder(receiver: ObservingReceiver, file: str) -> Recorder:
    try:
        return receiver.record(file)
    except OSError as error:
        raise Failure(f"cannot record in {file}: {reason(error)}") from error


def receipt_line(receipt: Receipt | Replayed, time: str, terminal: TerminalStyle) -> str:
    """Return a line for one delivery: time, verdict, kind, key, state."""
    event = receipt.event
    state = quoted(event.state) if event is not None and event.state else "-"
    return "  ".join(
        (
            terminal.paint(time, "dim"),
            terminal.paint(f"{receipt.verdict:<9}", _STYLES.get(receipt.verdict, "red")),
            f"{quoted(receipt.kind or '-'):<8}",
            f"{quoted(receipt.key or '-'):<36}",
            state + (" (a new shape)" if receipt.new_shape else ""),
        )
    )


_STYLES = {"applied": "green", "early": "green", "duplicate": "dim", "late": "dim", "unknown": "yellow"}


def _settings(public_url: str | None) -> dict[str, str]:
    """Read the receiver's settings from the environment; it needs no space, since it sends no commands."""
    overrides = {"space": ""} if public_url is None else {"space": "", "public_url": public_url}
    settings: dict[str, str] = from_environment(overrides)
    del settings["space"]
    return settings
