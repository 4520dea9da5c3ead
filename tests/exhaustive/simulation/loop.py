"""An event loop whose clock jumps to the next timer, and a task that is cancelled at a chosen step.

Nothing real is waited for: no socket, no thread, no time. So a run is as fast as the code in it, and always the same.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Literal
from unittest.mock import patch

STARTED = 1_800_000_000.0
"""The Unix time at which every run begins."""
UPTIME = 100_000.0
"""What the monotonic clock shows then."""
TURNS = 2_000_000
"""How many turns of the loop a run may take, unless it is told: more, and it goes round in circles."""


class Stuck(BaseException):
    """The run will not end: nothing is ready and no timer is set, or it takes too long. Says what is pending."""


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop on which time passes only when there is nothing to do."""

    def __init__(self, uptime: float = UPTIME) -> None:
        super().__init__()
        self.now = uptime
        self.until = float("inf")
        """The moment after which the run counts as stuck."""
        self.turns = 0
        self.most_turns = TURNS
        self.complaints: list[str] = []
        """What was reported to the exception handler."""
        self._uptime = uptime
        self._selector = self
        self._clock_resolution = 1e-6
        self.set_exception_handler(self._complain)

    def time(self) -> float:
        return self.now

    def wall(self) -> float:
        """Tell the Unix time."""
        return STARTED + self.now - self._uptime

    def select(self, timeout: float | None) -> list[Any]:
        """Let time pass, as a selector would that has no sockets to watch."""
        self.turns += 1
        if self.turns > self.most_turns:
            raise Stuck(f"more than {self.most_turns} turns of the loop")
        if timeout is None:
            raise Stuck("nothing is ready and no timer is set")
        if timeout > 0:
            self.now += timeout
            if self.now > self.until:
                raise Stuck("it takes too long")
        return []

    def timers(self) -> list[asyncio.TimerHandle]:
        """Return the timers that are set."""
        return [timer for timer in self._scheduled if not timer.cancelled()]

    def run_in_executor(self, *_: Any) -> Any:
        raise AssertionError("a thread is not deterministic")

    def _process_events(self, event_list: list[Any]) -> None:
        """Do nothing: no sockets, no events."""

    def _write_to_self(self) -> None:
        """Do nothing: there is no other thread that would have to wake this one."""

    def _complain(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        fault = context.get("exception")
        self.complaints.append(f"{context['message']}: {fault!r}" if fault else context["message"])


When = Literal["at once", "too late"]
"""``at once``: the step has just begun to wait. ``too late``: what it waited for has come, but it has not gone on."""


class Victim(Coroutine[Any, Any, Any]):
    """A coroutine that counts how often it is suspended, and has something done to it at some of these steps.

    Args:
        strike_at: Step (the first is 1), and when exactly.
        strike: What is done then; by default its task is cancelled.
    """

    def __init__(
        self,
        inner: Coroutine[Any, Any, Any],
        strike_at: Mapping[int, When],
        strike: Callable[[], object] | None = None,
    ) -> None:
        self.steps = 0
        self.struck_at: list[str] = []
        """Where it was then."""
        self._inner = inner
        self._strike_at = dict(strike_at)
        self._strike = strike or self._cancel
        self._task: asyncio.Task[Any] | None = None

    def send(self, value: Any) -> Any:
        return self._suspended(self._inner.send(value))

    def throw(self, *error: Any) -> Any:
        return self._suspended(self._inner.throw(*error))

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def _suspended(self, awaited: Any) -> Any:
        self.steps += 1
        when = self._strike_at.get(self.steps)
        if when is not None:
            self._task = asyncio.current_task()
            self.struck_at.append(stack_of(self._inner))
            if when == "at once" or awaited is None:
                self._strike()
            else:
                # Before the task's own callback, which is added when this returns.
                awaited.add_done_callback(lambda _: self._strike())
        return awaited

    def _cancel(self) -> None:
        assert self._task is not None
        self._task.cancel()


def stack_of(coroutine: Any) -> str:
    """Say where *coroutine* waits, from the outermost to the innermost frame."""
    places = []
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "ag_frame", None)
        frame = frame or getattr(coroutine, "gi_frame", None)
        if frame is not None:
            name = frame.f_code.co_filename.rpartition("/")[2]
            places.append(f"{name}:{frame.f_lineno} {frame.f_code.co_name}")
        awaited = getattr(coroutine, "cr_await", None) or getattr(coroutine, "ag_await", None)
        coroutine = awaited or getattr(coroutine, "gi_yieldfrom", None)
    return " > ".join(places)


def describe(task: asyncio.Task[Any]) -> str:
    """Say what *task* is, and where it waits."""
    coroutine = task.get_coro()
    if isinstance(coroutine, Victim):
        coroutine = coroutine._inner
    return f"{task.get_name()}: {stack_of(coroutine)}"


class Run:
    """What came of one run."""

    def __init__(self) -> None:
        self.result: Any = None
        self.stuck: str | None = None
        self.error: BaseException | None = None
        self.trouble: list[str] = []
        """What was reported to the loop, warned of, or could not be raised."""
        self.lasted = 0.0
        """Virtual seconds."""


def run(
    make: Callable[[VirtualLoop], Coroutine[Any, Any, Any]],
    *,
    longest: float = float("inf"),
    seed: int = 0,
    uptime: float = UPTIME,
    turns: int = TURNS,
    debug: bool = False,
) -> Run:
    """Run what *make* makes to its end, or until it is stuck; *longest* virtual seconds and *turns* at most."""
    report = Run()
    with virtual_time(uptime, seed) as loop, _listening(loop, report.trouble):
        loop.set_debug(debug)
        loop.until, loop.most_turns = loop.now + longest, turns
        begun = loop.now
        main = loop.create_task(make(loop))
        try:
            report.result = loop.run_until_complete(main)
        except Stuck as stuck:
            pending = sorted(describe(task) for task in asyncio.all_tasks(loop))
            report.stuck = f"{stuck}; pending: " + "; ".join(pending)
            _abort(loop)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is what the run came to
            report.error = error
        report.lasted = loop.now - begun
        _abort(loop)
        del main
    return report


@contextmanager
def virtual_time(uptime: float, seed: int) -> Iterator[VirtualLoop]:
    """Make a loop, and have all of the process's clocks and dice be the run's own while the block runs."""
    loop = VirtualLoop(uptime)
    dice = random.Random(seed)
    with (
        patch.object(time, "monotonic", loop.time),
        patch.object(time, "time", loop.wall),
        patch.object(random.SystemRandom, "random", lambda _: dice.random()),
    ):
        try:
            yield loop
        finally:
            loop.close()


@contextmanager
def _listening(loop: VirtualLoop, trouble: list[str]) -> Iterator[None]:
    """Write down what nobody could be told by an exception."""

    def note(fault: Any) -> None:
        trouble.append(f"unraisable: {fault.exc_value!r} in {fault.object!r}")

    # What the run before has left is collected; nothing that is older is looked at when this one's garbage is.
    gc.collect()
    gc.freeze()
    # A test runner keeps what is logged, and with each error all that its frames hold.
    log = logging.getLogger("swcalls")
    with (
        patch.object(sys, "unraisablehook", note),
        patch.object(log, "propagate", new=False),
        patch.object(log, "handlers", [logging.NullHandler()]),
        warnings.catch_warnings(record=True) as warned,
    ):
        warnings.simplefilter("always")
        yield
        gc.collect()
    trouble += [f"{item.category.__name__}: {item.message}" for item in warned]
    trouble += loop.complaints


def _abort(loop: VirtualLoop) -> None:
    """Cancel what is left, so that it disturbs no later run."""
    loop.until = float("inf")
    loop.most_turns += TURNS
    for _ in range(10):
        left = asyncio.all_tasks(loop)
        if not left:
            return
        for task in left:
            task.cancel()
        with suppress(Stuck):
            loop.run_until_complete(_gather(left))


async def _gather(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.wait(tasks, timeout=3600)


def shown(error: BaseException) -> str:
    """Show *error* in one line, with where it came from."""
    where = traceback.extract_tb(error.__traceback__)
    place = f" at {where[-1].filename.rpartition('/')[2]}:{where[-1].lineno}" if where else ""
    inner = getattr(error, "exceptions", ())
    more = f" [{'; '.join(shown(one) for one in inner)}]" if inner else ""
    return f"{type(error).__name__}: {error}{place}{more}"
