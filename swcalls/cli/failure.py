"""What ends a command before its time, told in one line."""

from __future__ import annotations

import os
import socket


class Failure(Exception):
    """What was asked for cannot be done; the message says why."""


def reason(error: OSError | UnicodeError) -> str:
    """Put in a few words why the system refused a file, an address or a connection."""
    if isinstance(error, UnicodeError):
        return "not the name of a host"
    # The message of asyncio repeats the address; that of a name that is not known is in `strerror` only.
    known = error.errno and not isinstance(error, socket.gaierror)
    return os.strerror(error.errno or 0) if known else error.strerror or str(error)
