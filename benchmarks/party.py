"""The parties of a benchmark: each a process of its own, on a core of its own, that does what it is asked.

A party is made of a *subject*: an async context manager with coroutine methods, which `Party.ask` calls by name.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from .machine import core_of, pin

PATIENCE = 180.0
"""Seconds in which an answer must come."""

KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**20), "MALLOC_TRIM_THRESHOLD_": str(2**23)}
"""Has glibc keep what it has been given back. asyncio's own loop takes 256 KiB for every read, and whether each of them
costs two page faults, some 15 us, depends on where the heap of a process happens to end."""

_spawn = multiprocessing.get_context("spawn")

Subject = Callable[..., AbstractAsyncContextManager[Any]]


GLIBC = ", glibc's defaults"
"""Ends the name of what ran with glibc's own settings instead of `KEEP_MEMORY`."""


class PartyFailed(Exception):
    """A party raised an exception, ended, or gave no answer in time."""


class Party:
    """A process that runs ``subject(*arguments)`` in an event loop, and its methods on demand.

    Args:
        keep_memory: See `KEEP_MEMORY`; not for those whose memory is measured.
    """

    def __init__(
        self,
        subject: Subject,
        *arguments: Any,
        role: str = "subject",
        uvloop: bool = False,
        keep_memory: bool = True,
    ) -> None:
        self._name = subject.__name__
        self._connection, theirs = _spawn.Pipe()
        self._process = _spawn.Process(
            target=_run, args=(theirs, subject, arguments, core_of(role), uvloop), daemon=True
        )
        with _environment(KEEP_MEMORY if keep_memory else {}):
            self._process.start()
        theirs.close()

    def ask(self, method: str, *arguments: Any) -> Any:
        """Run a method of the subject there, and return what it returns."""
        self.tell(method, *arguments)
        return self.hear()

    def tell(self, method: str, *arguments: Any) -> None:
        """Begin to run a method of the subject; `hear` has its answer."""
        self._connection.send((method, arguments))

    def hear(self) -> Any:
        """Wait for the answer to what was told."""
        try:
            if not self._connection.poll(PATIENCE):
                raise PartyFailed(f"{self._name}: no answer in {PATIENCE:.0f} s")
            failure, answer = self._connection.recv()
        except EOFError:
            raise PartyFailed(f"{self._name}: it has ended") from None
        if failure is not None:
            raise PartyFailed(f"{self._name}: {failure}")
        return answer

    def close(self) -> None:
        """Let it end, or else end it."""
        if self._process.is_alive():
            try:
                self._connection.send(None)
            except OSError:
                self._process.kill()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._connection.close()

    def kill(self) -> None:
        """End it at once: what it holds would take long to let go of."""
        self._process.kill()
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set *variables* for the processes that are started in the block, unless they are set already."""
    missing = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(missing)
    try:
        yield
    finally:
        for name in missing:
            del os.environ[name]


class Measurable:
    """A subject whose CPU time is asked for from outside."""

    async def tidy(self) -> None:
        """Take the garbage out before it is measured, so that nobody pays for what was before."""
        gc.collect()

    async def spent(self) -> float:
        """Return the CPU seconds of this process so far, all threads and the kernel's share included."""
        return time.process_time()


def _run(connection: Connection, subject: Subject, arguments: tuple[Any, ...], core: int | None, uvloop: bool) -> None:
    pin(core)
    factory = importlib.import_module("uvloop").new_event_loop if uvloop else None
    try:
        with asyncio.Runner(debug=False, loop_factory=factory) as runner:
            runner.run(_obey(connection, subject(*arguments)))
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        pass


async def _obey(connection: Connection, subject: AbstractAsyncContextManager[Any]) -> None:
    # A thread waits for the next wish: it costs the loop nothing, and any loop can do it.
    receive = asyncio.get_running_loop().run_in_executor
    async with subject as obedient:
        while (wish := await receive(None, connection.recv)) is not None:
            method, arguments = wish
            try:
                answer: tuple[str | None, Any] = (None, await getattr(obedient, method)(*arguments))
            except Exception:  # noqa: BLE001 - it is the parent's to judge
                answer = (traceback.format_exc(), None)
            connection.send(answer)
