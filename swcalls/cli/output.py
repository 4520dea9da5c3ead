"""Writing lines where the reader may leave at any time."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def say(text: str, stream: TextIO | None = None) -> bool:
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
