"""`Failure`: an error that ends a command with a one-line message and exit status 1."""

from __future__ import annotations

import os
import socket


class Failure(Exception):
    """A command cannot do its work; ``main`` prints the message, and the *advice*, which says what to do about it."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


def reason(error: OSError | UnicodeError) -> str:
    """Return in a few words why the operating system refused a file, an address or a connection."""
    if isinstance(error, UnicodeError):
        return "not the name of a host"
    # asyncio's message repeats the address, so the text for errno is shorter. gaierror has numbers of its own.
    has_errno = error.errno and not isinstance(error, socket.gaierror)
    return os.strerror(error.errno or 0) if has_errno else error.strerror or str(error)
