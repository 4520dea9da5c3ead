"""A pytest plugin: a simulated space for each test, a client of it, and the timelines of a test that failed.

Loaded by the entry point ``swcalls``. The fixtures are asynchronous: they need pytest-asyncio, or anyio's own plugin.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest

from .timeline import Journal, Mark, Timeline

if TYPE_CHECKING:
    # A run that uses none of this pays for none of it.
    from .client import Client
    from .testing import Simulator

SPEED = 100.0
"""Simulated seconds per second, unless the setting ``swcalls_speed`` says otherwise."""
CALLS_SHOWN = 8
"""Of how many calls the timeline is shown when a test has failed: those that began last."""
LINES_SHOWN = 120
"""Of each timeline; the beginning is left out."""
SHORTEST = 0.5
"""Seconds that no grace of the client falls below, however fast the space is: machines that run tests can be slow."""

_FIXTURES = ("swcalls_client", "swcalls_space")

F = TypeVar("F", bound=Callable[..., Any])


def _asynchronous(function: F) -> F:
    """Make an asynchronous fixture, in the way of the plugin that is there."""
    if find_spec("pytest_asyncio") is not None:
        import pytest_asyncio

        return cast(F, pytest_asyncio.fixture(function))
    return cast(F, pytest.fixture(function))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("swcalls_speed", f"simulated seconds per second of swcalls_space ({SPEED:g})")


def pytest_configure(config: pytest.Config) -> None:
    for line in (
        "callee(number=None, **behaviour): who answers in swcalls_space, or at a number of it: swcalls.testing.Callee",
        "faults(**faults): what goes wrong in swcalls_space: swcalls.testing.Faults",
        "swcalls(**settings): of swcalls_space: speed, signing_key, shape: swcalls.testing.Simulator",
    ):
        config.addinivalue_line("markers", line)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Say in a line what a test lacks that cannot use the fixtures."""
    wanted = [name for name in _FIXTURES if name in getattr(item, "fixturenames", ())]
    if not wanted:
        return
    if not any(item.config.pluginmanager.hasplugin(name) for name in ("asyncio", "anyio")):
        pytest.fail(f"{wanted[0]} is an asynchronous fixture: install pytest-asyncio", pytrace=False)
    if not inspect.iscoroutinefunction(getattr(item, "obj", None)):
        pytest.fail(f"{wanted[0]} runs in an event loop: make the test an async def", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a failed test what happened in its space."""
    report = yield
    story = item.stash.get(_STORY, None)
    if story is not None and report.failed and report.when == "call":
        report.sections.extend(story.sections())
    return report


@pytest.fixture
def swcalls_settings() -> dict[str, Any]:
    """Settings of ``swcalls_client``, beside those that it needs: override it, and return arguments of ``Client``."""
    return {}


@_asynchronous
async def swcalls_space(request: pytest.FixtureRequest) -> AsyncIterator[Simulator]:
    """A space on this machine, a hundred times faster than real time, with the callees and faults of the markers."""
    from .testing import Callee, Faults, Simulator

    settings = {"speed": _speed(request.config), **_keywords(request, "swcalls")}
    faults = _keywords(request, "faults")
    callees: dict[str | None, Callee] = {}
    for number, behaviour in _callees(request).items():
        callees[number] = _made("callee", Callee, behaviour)
    space = _made(
        "swcalls",
        Simulator,
        {"callee": callees.pop(None, Callee()), "faults": _made("faults", Faults, faults), **settings},
    )
    space.callees.update({number: callee for number, callee in callees.items() if number is not None})
    request.node.stash[_STORY] = _Story(space)
    async with space:
        yield space


@_asynchronous
async def swcalls_client(
    request: pytest.FixtureRequest, swcalls_space: Simulator, swcalls_settings: dict[str, Any]
) -> AsyncIterator[Client]:
    """An open client of ``swcalls_space``, whose receiver is being served; its graces are as fast as the space is."""
    from .client import Client

    marked = _keywords(request, "swcalls")
    who = (marked.get("project", "project"), marked.get("token", "token"), swcalls_space.url)
    settings = {**_hurried(marked.get("speed", _speed(request.config))), "signing_key": marked.get("signing_key")}
    client = Client(*who, **{**settings, **swcalls_settings})
    request.node.stash[_STORY].listen_to(client)
    async with client, client.receiver.serve():
        yield client


class _Story:
    """What happens in a space, for the report of a test that fails."""

    def __init__(self, space: Simulator) -> None:
        self._space = space
        self._journals: dict[int, Journal] = {}

    def listen_to(self, client: Client) -> None:
        client._engine.observers.append(self._note)

    def sections(self) -> Iterator[tuple[str, str]]:
        """Yield headings, and what stands below them."""
        for journal in self._journals.values():
            timeline = Timeline.of(journal)
            lines = timeline.text(width=100).splitlines()
            left_out = [f"… {len(lines) - LINES_SHOWN} lines before"] if len(lines) > LINES_SHOWN else []
            yield f"swcalls: call {timeline.call_id or 'without an id'}", "\n".join([*left_out, *lines[-LINES_SHOWN:]])
        refused = [f"{sent.command} {sent.status}" for sent in self._space.commands if sent.status != 200]
        if refused:
            yield "swcalls: commands that were refused", "\n".join(refused[-LINES_SHOWN:])
        if self._space.faulted:
            happened = ", ".join(f"{count} {fault}" for fault, count in sorted(self._space.faulted.items()))
            yield (
                "swcalls: faults",
                f"seed={self._space.seed} (give it to the faults to have the same again): {happened}",
            )

    def _note(self, journal: Journal, mark: Mark) -> None:
        if id(journal) not in self._journals:
            self._journals[id(journal)] = journal
            if len(self._journals) > CALLS_SHOWN:
                del self._journals[next(iter(self._journals))]


_STORY = pytest.StashKey[_Story]()


def _speed(config: pytest.Config) -> float:
    text = config.getini("swcalls_speed")
    try:
        return float(text) if text else SPEED
    except ValueError:
        raise pytest.UsageError(f"swcalls_speed={text!r} must be a number greater than 0") from None


def _keywords(request: pytest.FixtureRequest, name: str) -> dict[str, Any]:
    """Put together the arguments of all markers of a *name*: what is nearer to the test wins."""
    found: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers(name))):
        if marker.args:
            pytest.fail(f"marker {name}: {marker.args[0]!r} must be given by name", pytrace=False)
        found.update(marker.kwargs)
    return found


def _callees(request: pytest.FixtureRequest) -> dict[str | None, dict[str, Any]]:
    """Put together how each number behaves, and those without a marker of their own (``None``)."""
    found: dict[str | None, dict[str, Any]] = {}
    for marker in reversed(list(request.node.iter_markers("callee"))):
        behaviour = dict(marker.kwargs)
        number = marker.args[0] if marker.args else behaviour.pop("number", None)
        if len(marker.args) > 1 or not isinstance(number, str | None):
            pytest.fail(f"marker callee: {marker.args!r} must be one number, the rest given by name", pytrace=False)
        found.setdefault(number, {}).update(behaviour)
    return found


def _made(name: str, made: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    try:
        return made(**arguments)
    except (TypeError, ValueError) as error:
        fault = str(error)
    # Outside, so that the report is a line, without what was caught.
    pytest.fail(f"marker {name}: {fault}", pytrace=False)


def _hurried(speed: float) -> dict[str, Any]:
    """Make a client as impatient as its space is fast, so that a lost webhook costs a test no minute."""
    from . import Limits, Reconcile

    limits, reconcile = Limits(), Reconcile()
    return {
        "limits": Limits(
            **{
                name: max(getattr(limits, name) / speed, SHORTEST)
                for name in ("grace", "long_grace", "transcript_grace", "margin", "unconfirmed")
            }
        ),
        "reconcile": Reconcile(
            **{name: max(getattr(reconcile, name) / speed, SHORTEST) for name in ("patience", "sweep", "longest_sweep")}
        ),
    }
