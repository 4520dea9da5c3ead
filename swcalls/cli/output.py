"""Writing lines where the reader may leave at any time, and pages into files."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from .failure import Failure, reason


def print_line(text: str, stream: TextIO | None = None) -> bool:
    """Write *text* and a line end at once; return False, and never raise, when nobody reads it any more.

    *stream* is standard output, unless it is given.
    """
    stream = stream or sys.stdout
    try:
        # In one piece, also where output is not buffered.
        print(f"{text}\n", end="", file=stream, flush=True)
    except OSError:
        # What is still buffered would raise once more when the interpreter exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return False
    return True


def write_page(file: str, page: str) -> None:
    """Write *page* into *file*, which nobody else may read, for what was said and pressed is in it.

    Raises:
        Failure: It cannot be written.
    """
    try:
        with open(file, "w", encoding="utf-8", opener=_private) as stream:
            stream.write(page)
    except OSError as error:
        raise Failure(f"cannot write {file}: {reason(error)}") from error


def _private(file: str, flags: int) -> int:
    return os.open(file, flags, 0o600)
