"""What the commands that serve something share: where they do it, and until when."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .failure import Failure, reason


@contextmanager
def bind_errors_as_failure(host: str, port: int) -> Iterator[None]:
    """Say in one line why a server that the block starts does not get its address."""
    try:
        yield
    except (OSError, UnicodeError) as error:
        raise Failure(f"cannot listen on {host}:{port}: {reason(error)}") from error


def shutdown_event() -> asyncio.Event:
    """Return what is set as soon as the process is asked to end, by SIGINT (Ctrl-C) or SIGTERM."""
    shutdown = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Where loops take no signals (Windows), Ctrl-C cancels the main task, and becomes KeyboardInterrupt.
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, shutdown.set)
    return shutdown
