"""Helpers for commands that run a server (``simulate``, ``listen``, ``doctor``): errors of the address, and signals."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .failure import Failure, reason


@contextmanager
def bind_errors_as_failure(host: str, port: int) -> Iterator[None]:
    """Turn the error of a server that cannot listen on its address into a one-line `Failure`."""
    try:
        yield
    except (OSError, UnicodeError) as error:
        raise Failure(f"cannot listen on {host}:{port}: {reason(error)}", "choose another --host or --port") from error


def shutdown_event() -> asyncio.Event:
    """Return an event that is set when the process gets SIGINT (Ctrl-C) or SIGTERM."""
    shutdown = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # On Windows, loops support no signal handlers: Ctrl-C cancels the main task, and asyncio.run raises
        # KeyboardInterrupt.
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, shutdown.set)
    return shutdown
