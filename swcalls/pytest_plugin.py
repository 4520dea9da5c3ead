"""The pytest plugin: fixtures for a simulated space and a client, and timelines in the report of a failed test.

pytest loads it by the entry point ``swcalls``. The fixtures are asynchronous: they need pytest-asyncio, or the plugin
of anyio.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest

from .timeline import Journal, Mark, Timeline

if TYPE_CHECKING:
    # Imported in the fixtures, so that test runs without them do not load these modules.
    from .client import Client
    from .testing import Simulator

SPEED = 100.0
"""Simulated seconds per second, unless the setting ``swcalls_speed`` says otherwise."""
CALLS_SHOWN = 8
"""The most calls in the report of a failed test; the calls that began last are shown."""
LINES_SHOWN = 120
"""The most lines of a timeline in a report; the last lines are shown."""
MIN_PERIOD = 0.5
"""The least grace period of the client, in seconds, whatever the speed: machines that run tests can be slow."""

_FIXTURES = ("swcalls_client", "swcalls_space")

F = TypeVar("F", bound=Callable[..., Any])


def _asynchronous(function: F) -> F:
    """Make *function* an asynchronous fixture: of pytest-asyncio if it is installed, else of anyio."""
    if find_spec("pytest_asyncio") is not None:
        import pytest_asyncio

        return cast(F, pytest_asyncio.fixture(function))
    return cast(F, pytest.fixture(function))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("swcalls_speed", f"simulated seconds per second of swcalls_space ({SPEED:g})")


def pytest_configure(config: pytest.Config) -> None:
    for line in (
        "callee(number=None, **behaviour): the callee of swcalls_space, or of one number: see swcalls.testing.Callee",
        "faults(**faults): the faults of swcalls_space: see swcalls.testing.Faults",
        "swcalls(**settings): speed, signing_key, shape, … of swcalls_space: see swcalls.testing.Simulator",
    ):
        config.addinivalue_line("markers", line)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test that uses the fixtures, but is not asynchronous, or has no plugin that can run it."""
    wanted = [name for name in _FIXTURES if name in getattr(item, "fixturenames", ())]
    if not wanted:
        return
    if not any(item.config.pluginmanager.hasplugin(name) for name in ("asyncio", "anyio")):
        pytest.fail(f"{wanted[0]} is an asynchronous fixture: install pytest-asyncio", pytrace=False)
    if not inspect.iscoroutinefunction(getattr(item, "obj", None)):
        pytest.fail(f"{wanted[0]} runs in an event loop: make the test an async def", pytrace=False)
    is_run = any(item.get_closest_marker(name) for name in ("asyncio", "anyio"))
    modes = [item.config.getoption("asyncio_mode", None)]
    modes += [_setting(item.config, name) for name in ("asyncio_mode", "anyio_mode")]
    if not is_run and "auto" not in modes:
        hint = "set asyncio_mode = auto in the settings of pytest, or mark the test with @pytest.mark.asyncio"
        pytest.fail(f"no plugin runs this async def, which uses {wanted[0]}: {hint}", pytrace=False)


def _setting(config: pytest.Config, name: str) -> Any:
    """Return a setting of pytest; ``None`` if no plugin knows it."""
    try:
        return config.getini(name)
    except (KeyError, ValueError):
        return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add timelines, refused commands and faults to the report of a failed test."""
    report = yield
    recorder = item.stash.get(_RECORDER, None)
    if recorder is not None and report.failed and report.when == "call":
        report.sections.extend(recorder.sections())
    return report


@pytest.fixture
def swcalls_settings() -> dict[str, Any]:
    """Additional arguments of ``Client`` for ``swcalls_client``: override this fixture to return some."""
    return {}


@_asynchronous
async def swcalls_space(request: pytest.FixtureRequest) -> AsyncIterator[Simulator]:
    """A simulated space, a hundred times faster than real time, with the callees and faults of the test's markers."""
    from .testing import Callee, Faults, Simulator

    settings = {"speed": _speed(request.config), **_keywords(request, "swcalls")}
    faults = _keywords(request, "faults")
    callees: dict[str | None, Callee] = {}
    for number, behaviour in _callees(request).items():
        callees[number] = _build("callee", Callee, behaviour)
    space = _build(
        "swcalls",
        Simulator,
        {"callee": callees.pop(None, Callee()), "faults": _build("faults", Faults, faults), **settings},
    )
    space.callees.update({number: callee for number, callee in callees.items() if number is not None})
    request.node.stash[_RECORDER] = _TimelineRecorder(space)
    async with space:
        yield space


@_asynchronous
async def swcalls_client(
    request: pytest.FixtureRequest, swcalls_space: Simulator, swcalls_settings: dict[str, Any]
) -> AsyncIterator[Client]:
    """An open client of ``swcalls_space`` with a running receiver; its grace periods are divided by the speed."""
    from .client import Client

    marked = _keywords(request, "swcalls")
    account = (marked.get("project", "project"), marked.get("token", "token"), swcalls_space.url)
    settings = {
        **_scaled_settings(marked.get("speed", _speed(request.config))),
        "signing_key": marked.get("signing_key"),
    }
    client = Client(*account, **{**settings, **swcalls_settings})
    request.node.stash[_RECORDER].observe(client)
    async with client, client.receiver.serve():
        yield client


class _TimelineRecorder:
    """Collects what happens in a space, for the report of a failed test."""

    def __init__(self, space: Simulator) -> None:
        self._space = space
        self._journals: dict[int, Journal] = {}

    def observe(self, client: Client) -> None:
        """Collect the timelines of *client*."""
        client._engine.observers.append(self._add)

    def sections(self) -> Iterator[tuple[str, str]]:
        """Yield the sections of the report, as (heading, text)."""
        for journal in self._journals.values():
            timeline = Timeline.of(journal)
            lines = timeline.text(width=100).splitlines()
            left_out = [f"… {len(lines) - LINES_SHOWN} earlier lines"] if len(lines) > LINES_SHOWN else []
            yield f"swcalls: call {timeline.call_id or 'without an id'}", "\n".join([*left_out, *lines[-LINES_SHOWN:]])
        refused = [f"{sent.command} {sent.status}" for sent in self._space.commands if sent.status != 200]
        if refused:
            yield "swcalls: commands that were refused", "\n".join(refused[-LINES_SHOWN:])
        if self._space.faulted:
            happened = ", ".join(f"{count} {fault}" for fault, count in sorted(self._space.faulted.items()))
            yield (
                "swcalls: faults",
                f"seed={self._space.seed} (use it in the faults marker to get the same faults): {happened}",
            )

    def _add(self, journal: Journal, mark: Mark) -> None:
        if id(journal) not in self._journals:
            self._journals[id(journal)] = journal
            if len(self._journals) > CALLS_SHOWN:
                del self._journals[next(iter(self._journals))]


_RECORDER = pytest.StashKey[_TimelineRecorder]()


def _speed(config: pytest.Config) -> float:
    text = config.getini("swcalls_speed")
    try:
        return float(text) if text else SPEED
    except ValueError:
        raise pytest.UsageError(f"swcalls_speed={text!r} must be a number greater than 0") from None


def _keywords(request: pytest.FixtureRequest, name: str) -> dict[str, Any]:
    """Return the arguments of all markers *name*; a marker closer to the test overrides others."""
    found: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers(name))):
        if marker.args:
            pytest.fail(f"marker {name}: {marker.args[0]!r} must be given by name", pytrace=False)
        found.update(marker.kwargs)
    return found


def _callees(request: pytest.FixtureRequest) -> dict[str | None, dict[str, Any]]:
    """Return the arguments of the callee markers by number; ``None`` stands for all other numbers."""
    found: dict[str | None, dict[str, Any]] = {}
    for marker in reversed(list(request.node.iter_markers("callee"))):
        behaviour = dict(marker.kwargs)
        number = marker.args[0] if marker.args else behaviour.pop("number", None)
        if len(marker.args) > 1 or not isinstance(number, str | None):
            pytest.fail(f"marker callee: {marker.args!r} must be one number, the rest given by name", pytrace=False)
        found.setdefault(number, {}).update(behaviour)
    return found


def _build(name: str, factory: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    try:
        return factory(**arguments)
    except (TypeError, ValueError) as error:
        fault = str(error)
    # Outside the except block, so that the report is one line without the exception.
    pytest.fail(f"marker {name}: {fault}", pytrace=False)


def _scaled_settings(speed: float) -> dict[str, Any]:
    """Return limits whose periods are divided by *speed*, so that a test with a lost webhook does not wait long."""
    from . import Limits, Reconcile

    limits, reconcile = Limits(), Reconcile()
    return {
        "limits": Limits(
            **{
                name: max(getattr(limits, name) / speed, MIN_PERIOD)
                for name in ("grace", "long_grace", "transcript_grace", "margin", "unconfirmed")
            }
        ),
        "reconcile": Reconcile(
            **{
                name: max(getattr(reconcile, name) / speed, MIN_PERIOD)
                for name in ("patience", "sweep", "longest_sweep")
            }
        ),
    }
