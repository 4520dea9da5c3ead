"""Python programs in processes of their own, forked off one that has imported what they need.

A new interpreter takes half a second to import it, and the tests start more than a hundred programs.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import runpy
import signal
import sys
import warnings
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(
    ["aiohttp.web", "redis.asyncio", "swcalls.backplane.redis", "swcalls.cli", "swcalls.receiver", "swcalls.testing"]
)


class Process:
    """A running program, with the methods of ``asyncio.subprocess.Process``."""

    def __init__(self, process: multiprocessing.process.BaseProcess, stdin: Connection | None) -> None:
        self._process = process
        self.stdin = stdin
        self.stdout: asyncio.StreamReader | None = None
        self.stderr: asyncio.StreamReader | None = None

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()

    async def wait(self) -> int | None:
        await asyncio.to_thread(self._process.join)
        return self.returncode

    async def communicate(self) -> tuple[bytes, bytes]:
        """Close its standard input, and return what it writes until it ends."""
        if self.stdin is not None:
            self.stdin.close()
        output = b"" if self.stdout is None else await self.stdout.read()
        errors = b"" if self.stderr is None else await self.stderr.read()
        await self.wait()
        return output, errors


async def python(
    *arguments: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int = DEVNULL,
    stdout: int = PIPE,
    stderr: int = PIPE,
) -> Process:
    """Run ``python`` with *arguments*: ``-W error`` first, if at all; then ``-c CODE``, ``-m MODULE`` or a file."""
    theirs, ours = _forking.Pipe(duplex=False) if stdin == PIPE else (_opened(stdin), None)
    readers: list[Connection | None] = []
    writers: list[Connection] = []
    for stream in (stdout, stderr):
        reader, writer = _forking.Pipe(duplex=False) if stream == PIPE else (None, _opened(stream))
        readers.append(reader)
        writers.append(writer)
    streams = (theirs, *writers)
    process = _forking.Process(target=_run, args=(arguments, dict(os.environ if env is None else env), cwd, *streams))
    process.daemon = True
    # The first one starts the process that all others are forked off.
    await asyncio.to_thread(process.start)
    for end in streams:
        end.close()
    program = Process(process, ours)
    program.stdout, program.stderr = [None if reader is None else await _reading(reader) for reader in readers]
    return program


def _opened(stream: int) -> Connection:
    return Connection(os.open(os.devnull, os.O_RDWR) if stream == DEVNULL else os.dup(stream))


async def _reading(pipe: Connection) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    file = os.fdopen(os.dup(pipe.fileno()), "rb", buffering=0)
    pipe.close()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
    return reader


def _run(arguments: tuple[str, ...], environment: dict[str, str], cwd: Path | None, *streams: Connection) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), number)
        stream.close()
    os.environ.clear()
    os.environ.update(environment)
    encoding = environment.get("PYTHONIOENCODING", "utf-8")
    sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w", encoding=encoding)
    sys.stderr = os.fdopen(2, "w", encoding=encoding, errors="backslashreplace", buffering=1)
    if cwd is not None:
        os.chdir(cwd)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if arguments[:2] == ("-W", "error"):
        warnings.simplefilter("error")
        arguments = arguments[2:]
    how, *rest = arguments
    try:
        if how == "-c":
            sys.argv = ["-c", *rest[1:]]
            exec(compile(rest[0], "<string>", "exec"), sys.modules["__main__"].__dict__ | {"__name__": "__main__"})
        elif how == "-m":
            sys.argv = rest
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        else:
            sys.argv = list(arguments)
            sys.path.insert(0, str(Path(how).parent))
            runpy.run_path(how, run_name="__main__")
    finally:
        gc.collect()  # What was left open is reported, as it is when an interpreter ends.
