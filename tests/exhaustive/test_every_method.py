"""Every public method in every state: it returns or raises what is documented, soon, and sends nothing that is in vain."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable

import pytest
from simulation import cells, methods
from simulation.cells import Prepare
from simulation.flows import AUDIO
from simulation.methods import Row, Table

import swcalls
from swcalls.actions import HANDLES


def names(*classes: type) -> set[str]:
    """Return the public methods and properties of *classes*."""
    return {
        name
        for one in classes
        for name in dir(one)
        if not name.startswith("_")
        and (callable(getattr(one, name)) or isinstance(inspect.getattr_static(one, name), property))
    }


def wrong(table: Table, states: dict[str, Prepare], **settings: object) -> list[str]:
    """Try each row of *table* in each of *states*, and tell what came out otherwise than expected."""
    return [
        told
        for state, prepare in states.items()
        for name, rows in table.items()
        for number, row in enumerate(rows)
        if (told := _wrong(f"{name} ({number})", row, state, prepare, settings)) is not None
    ]


def _wrong(name: str, row: Row, state: str, prepare: Prepare, settings: dict[str, object]) -> str | None:
    outcome = cells.try_out(prepare, row.act, **settings)
    if outcome is None or (row.expects(state)(outcome) and not outcome.trouble):
        return None
    return f"{name}, {state}: {outcome}"


@pytest.fixture
def tell() -> Callable[[Iterable[str]], None]:
    def tell(wrong: Iterable[str]) -> None:
        lines = [*wrong]
        assert not lines, "\n".join([f"{len(lines)} cells are wrong:", *lines])

    return tell


def test_each_public_method_has_a_row() -> None:
    table = {
        swcalls.Client: {*methods.CLIENT, *methods.CLIENT_ATTRIBUTES},
        swcalls.Call: {*methods.CALL, *methods.CALL_ATTRIBUTES},
        swcalls.WebhookReceiver: {*methods.RECEIVER},
    }
    for one, rows in table.items():
        assert names(one) - rows == set(), f"methods of {one.__name__} without a row"
    every = {*methods.ACTION, *methods.ACTION_ATTRIBUTES, *methods.CONTROLS, "playback", "ask_id"}
    assert names(*HANDLES.values(), swcalls.PromptAction, swcalls.AskAction, swcalls.SummaryAction) - every == set()
    assert HANDLES.keys() - methods.KINDS.keys() == set(), "kinds that are not tried"


@pytest.mark.parametrize("state", cells.CLIENTS)
def test_client(state: str, tell: Callable[[Iterable[str]], None]) -> None:
    states = {state: cells.CLIENTS[state]}
    tell(wrong(methods.CLIENT | methods.RECEIVER, states, limits=cells.LONG_DRAIN))


@pytest.mark.parametrize("state", cells.CALLS)
def test_call(state: str, tell: Callable[[Iterable[str]], None]) -> None:
    tell(wrong(methods.CALL, {state: cells.CALLS[state]}, limits=cells.LONG_DRAIN, **AUDIO))


@pytest.mark.parametrize("kind", methods.KINDS)
def test_action(kind: str, exhaustive: bool, tell: Callable[[Iterable[str]], None]) -> None:
    handle = swcalls.PromptAction if kind == "prompt" else HANDLES.get(kind, swcalls.SummaryAction)
    table = {name: rows for name, rows in methods.CONTROLS.items() if hasattr(handle, name)}
    if exhaustive or kind == "play":
        table |= methods.ACTION
    tell(wrong(table, cells.actions(kind, methods.KINDS[kind]), limits=cells.LONG_DRAIN))
