"""Every public name says what it is; whoever sends a command says which."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

import swcalls
import swcalls.backplane
import swcalls.otel
import swcalls.testing
from swcalls import commands
from swcalls.actions import Verbs

MODULES = [swcalls, swcalls.backplane, swcalls.testing, swcalls.otel]
PUBLIC = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in MODULES
    for name in getattr(module, "__all__", [n for n in vars(module) if n in ("instrument", "Instrumentation")])
}
WIRE = {
    cls.command
    for cls in vars(commands).values()
    if inspect.isclass(cls) and issubclass(cls, commands.Command) and cls.command
}


def members(cls: type) -> Iterator[tuple[str, Any]]:
    for name, member in inspect.getmembers(cls):
        if name.startswith("_") or not getattr(member, "__module__", "swcalls").startswith("swcalls"):
            continue
        if inspect.isfunction(member) or inspect.ismethod(member) or isinstance(member, property):
            yield name, member


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_has_a_docstring_that_begins_with_one_line(name: str) -> None:
    what = PUBLIC[name]
    if not inspect.isclass(what) and not callable(what):
        return
    if getattr(what, "__module__", "").partition(".")[0] != "swcalls":
        return
    doc = inspect.getdoc(what)
    assert doc, name
    assert len(doc.splitlines()[0]) <= 120
    assert not doc.startswith(f"{what.__name__}("), "that is what msgspec makes up"


@pytest.mark.parametrize("name", [name for name, what in PUBLIC.items() if inspect.isclass(what)])
def test_so_do_its_methods_and_properties(name: str) -> None:
    missing = [member for member, what in members(PUBLIC[name]) if not inspect.getdoc(what)]
    assert not missing


def test_whoever_sends_a_command_names_it() -> None:
    """Each command of the platform is named by the docstring of a method of a call, of a handle, or of the client."""
    handles = [what for what in PUBLIC.values() if inspect.isclass(what)]
    told = "\n".join(inspect.getdoc(what) or "" for cls in (*handles, Verbs) for _, what in members(cls))
    # What is the same for all, as to stop, is told once.
    shared = re.compile(r"calling\..*\.(stop|pause|resume)")
    missing = {command for command in WIRE if f"``{command}``" not in told and not shared.fullmatch(command)}
    assert not missing


def test_what_waits_says_what_it_raises() -> None:
    for cls in (swcalls.PlayAction, swcalls.Call):
        for name in ("finished", "reached", "answered", "ended"):
            method = getattr(cls, name, None)
            if method is not None:
                assert "Raises:" in (inspect.getdoc(method) or ""), f"{cls.__name__}.{name}"
                assert "TimeoutError" in (inspect.getdoc(method) or ""), f"{cls.__name__}.{name}"


def test_help_has_a_map_of_the_names() -> None:
    doc = inspect.getdoc(swcalls) or ""
    named = set(re.findall(r"``(\w[\w.]*)``", doc))
    assert {"Client", "Call", "TTS", "Digits", "Limits", "Retry", "WebhookReceiver", "CallEnded"} <= named
    assert all(hasattr(swcalls, name.removeprefix("swcalls.")) for name in named - {"call.timeline"})


EXAMPLE = re.compile(r"::\n\n((?:[ ]{4}.*\n|\n)+)")


def examples(doc: str) -> list[str]:
    return [textwrap.dedent(found) for found in EXAMPLE.findall(f"{doc}\n")]


def test_the_methods_that_users_begin_with_have_an_example() -> None:
    call = ("play", "record", "collect", "prompt", "ask", "detect", "wait_for_beep", "connect", "events")
    begins = [getattr(swcalls.Call, name) for name in call]
    begins += [swcalls.Client, swcalls.Client.dial, swcalls.Client.call, swcalls.WebhookReceiver.on_call, swcalls.Call]
    missing = [what.__qualname__ for what in begins if not examples(inspect.getdoc(what) or "")]
    assert not missing


@pytest.mark.parametrize("name", PUBLIC)
def test_the_examples_are_code_that_calls_what_there_is(name: str) -> None:
    what = PUBLIC[name]
    documented = [(name, what), *(members(what) if inspect.isclass(what) else ())]
    for named, one in documented:
        for code in examples(inspect.getdoc(one) or ""):
            # The flag lets `await` and `async with` stand outside of a function.
            tree = compile(code, named, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    check_call(node.func, node)


def check_call(method: ast.Attribute, node: ast.Call) -> None:
    """Check that a method of a call or a client is there, and takes the arguments by name that an example gives."""
    owner = {"call": swcalls.Call, "client": swcalls.Client}.get(getattr(method.value, "id", ""))
    if owner is not None:
        parameters = inspect.signature(getattr(owner, method.attr)).parameters
        assert {keyword.arg for keyword in node.keywords} <= parameters.keys(), ast.unparse(node)


def test_all_public_names_are_completed_before_they_are_used() -> None:
    assert set(swcalls.__all__) <= set(dir(swcalls))
