"""Output of the commands: lines to a stream whose reader may close it, HTML pages to files, and the time of day."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from typing import TextIO

from .failure import Failure, reason


def print_line(text: str, stream: TextIO | None = None) -> bool:
    """Write *text* and a newline to *stream* (default: standard output), and flush it.

    Return False if the reader has closed the stream.

    Raises:
        Failure: The stream cannot be written to, for example since the disk is full.
    """
    stream = stream or sys.stdout
    try:
        # One write for text and newline, also if the stream is not buffered.
        print(f"{text}\n", end="", file=stream, flush=True)
    except OSError as error:
        # The interpreter flushes the stream when it exits, which would raise once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if isinstance(error, BrokenPipeError):
            return False
        raise Failure(f"cannot write the output: {reason(error)}") from error
    return True


def local_time() -> str:
    """Return the time of day on this machine, to the millisecond."""
    return datetime.now().astimezone().strftime("%H:%M:%S.%f")[:-3]


def write_page(file: str, page: str) -> None:
    """Write *page* to *file*, with mode 600, since the page contains what callers said and pressed.

    Raises:
        Failure: The file cannot be written.
    """
    try:
        with open(file, "w", encoding="utf-8", opener=_private) as stream:
            stream.write(page)
    except OSError as error:
        raise Failure(f"cannot write {file}: {reason(error)}") from error


def _private(file: str, flags: int) -> int:
    return os.open(file, flags, 0o600)
