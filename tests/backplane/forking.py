"""Processes of the tests, forked off one that has imported what they need: a new interpreter takes half a second."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import runpy
import sys
import warnings
from multiprocessing.connection import Connection
from pathlib import Path

_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(["aiohttp.web", "redis.asyncio", "swcalls", "swcalls.backplane.redis"])

HERE = Path(__file__).parent


class Process:
    """A program of this folder, which runs in a process of its own, with its standard streams as pipes."""

    def __init__(self, script: str, argument: str) -> None:
        theirs, self._stdin = _forking.Pipe(duplex=False)
        self._stdout, output = _forking.Pipe(duplex=False)
        self._stderr, errors = _forking.Pipe(duplex=False)
        self._process = _forking.Process(target=_run, args=(script, argument, theirs, output, errors), daemon=True)
        self._process.start()
        for end in (theirs, output, errors):
            end.close()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    async def first_line(self) -> str:
        """Wait for the first line that it prints."""
        return await asyncio.to_thread(_line, self._stdout)

    def end_input(self) -> None:
        """Close its standard input."""
        self._stdin.close()

    async def wait(self) -> int | None:
        """Wait for its end, and return its exit status."""
        await asyncio.to_thread(self._process.join)
        return self.returncode

    async def errors(self) -> bytes:
        """Wait for its end, and return what it wrote to its standard error."""
        found = await asyncio.to_thread(_rest, self._stderr)
        await self.wait()
        return found

    def close(self) -> None:
        """Close the pipes."""
        for end in (self._stdin, self._stdout, self._stderr):
            end.close()


def _line(pipe: Connection) -> str:
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(pipe.fileno(), 1)):
        line += byte
    return line.decode().strip()


def _rest(pipe: Connection) -> bytes:
    found = b""
    while part := os.read(pipe.fileno(), 65536):
        found += part
    return found


def _run(script: str, argument: str, *streams: Connection) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), number)
        stream.close()
    sys.stdin, sys.argv = os.fdopen(0), [script, argument]  # multiprocessing gives a process no input
    sys.path.insert(0, str(HERE))
    warnings.simplefilter("error")
    runpy.run_path(str(HERE / script), run_name="__main__")
