"""What the commands that serve something share: where they do it, and until when."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class CannotListen(Exception):
    """The address is not to be had; the message says why."""


@contextmanager
def opening(host: str, port: int) -> Iterator[None]:
    """Say in one line why a server that the block starts does not get its address."""
    try:
        yield
    except (OSError, UnicodeError) as error:
        raise CannotListen(f"cannot listen on {host}:{port}: {_reason(error)}") from error


def interruption() -> asyncio.Event:
    """Return what is set as soon as the process is asked to end, by SIGINT (Ctrl-C) or SIGTERM."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Where loops take no signals (Windows), Ctrl-C cancels the main task, and becomes KeyboardInterrupt.
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, asked.set)
    return asked


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError):
        return "not the name of a host"
    # The message of asyncio repeats the address; that of a name that is not known is in `strerror` only.
    known = error.errno and not isinstance(error, socket.gaierror)
    return os.strerror(error.errno or 0) if known else error.strerror or str(error)
