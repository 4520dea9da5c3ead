"""The shape of the package: who may import whom. Read from the source, so that nothing hides behind TYPE_CHECKING."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import swcalls

ROOT = Path(swcalls.__file__).parent
CONTRIBUTING = (ROOT.parent / ".github/CONTRIBUTING.md").read_text()
MODULES = {
    ".".join(("swcalls", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}

# Lower layers know nothing of higher ones; within a row anything goes, but for cycles. A room may be named as a whole,
# or module by module where its modules stand on different floors.
LAYERS = [
    ("errors", "outcome", "call_leg", "events", "results", "words", "commands", "swml"),
    ("_core",),
    ("timeline",),
    ("config", "_engine.call_logging", "_engine.command_trace", "_engine.ids", "_engine.tasks", "_engine.transport"),
    ("backplane.protocol", "backplane"),
    ("backplane.handover", "backplane.member"),
    ("_engine",),
    ("actions", "recording"),
    ("call", "receiver", "backplane.recovery"),
    ("client",),
    ("aiohttp_app", "otel", "web"),
    ("testing",),
    ("cli", "pytest_plugin"),
    ("__main__",),
]
PUBLIC = {
    "__init__", "__main__", "aiohttp_app", "call", "call_leg", "client", "config", "errors", "events", "otel", "outcome",
    "pytest_plugin", "receiver", "recording", "results", "swml", "words",
}  # fmt: skip
"""The modules at the top of the package: what users import, and nothing else."""
FORBIDDEN_IN_CORE = {"asyncio", "aiohttp", "time", "random", "secrets", "os", "logging", "uuid", "socket", "threading"}


FLOORS = {name: number for number, row in enumerate(LAYERS) for name in row}


def layer(module: str) -> int:
    inner = module.partition(".")[2]
    if not inner:
        return len(LAYERS)  # the package itself re-exports everything but testing and cli
    parts = inner.split(".")
    return FLOORS[next(name for n in (2, 1) if (name := ".".join(parts[:n])) in FLOORS)]


@cache
def parsed(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


@cache
def imports(module: str) -> frozenset[str]:
    """Every import of *module*, wherever in the file it is, as absolute names."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            name = ".".join(filter(None, (base, node.module)))
            found.update(full if (full := f"{name}.{alias.name}") in MODULES else name for alias in node.names)
    return frozenset(found)


def internal(module: str) -> set[str]:
    return {name for name in imports(module) if name in MODULES and name != module}


def imports_upwards(module: str) -> set[str]:
    mine = layer(module)
    wrong = {other for other in internal(module) if layer(other) > mine and other != "swcalls"}
    # The program and the kit stand above the package, and may use its public face.
    if mine < LAYERS.index(("testing",)) and module != "swcalls":
        wrong |= {other for other in internal(module) if other == "swcalls"}
    return wrong


def test_imports_point_downwards() -> None:
    assert not {module: wrong for module in MODULES if (wrong := imports_upwards(module))}


def test_there_is_no_import_cycle() -> None:
    # A package's own __init__ gathers its modules; that is no dependency of theirs on it.
    graph = {module: internal(module) for module in MODULES}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " → ".join((*path, module))
        if module in done:
            return
        for other in graph[module]:
            visit(other, (*path, module))
        done.add(module)

    for module in MODULES:
        visit(module, ())


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("swcalls._core")])
def test_the_core_does_no_io(module: str) -> None:
    assert not {name.partition(".")[0] for name in imports(module)} & FORBIDDEN_IN_CORE


def test_the_core_knows_no_timeline() -> None:
    core = {name for module in MODULES if module.startswith("swcalls._core") for name in internal(module)}
    assert not {name for name in core if name.startswith("swcalls.timeline")}


def test_the_top_of_the_package_holds_what_users_import() -> None:
    assert {path.stem for path in ROOT.glob("*.py")} == PUBLIC


def test_the_ways_that_are_drawn_are_those_of_the_code() -> None:
    drawn = re.findall(r"`(swcalls/\S+\.py)` `([\w.]+)` \|$", CONTRIBUTING, re.MULTILINE)
    assert len(drawn) == 20
    for path, name in drawn:
        *owner, last = name.split(".")
        body: list[ast.stmt] = ast.parse((ROOT.parent / path).read_text()).body
        for one in owner:
            (body,) = (node.body for node in body if isinstance(node, ast.ClassDef) and node.name == one)
        kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        assert any(isinstance(node, kinds) and node.name == last for node in body), f"{path} has no {name}"


def test_a_module_is_one_idea_and_not_too_long() -> None:
    lines = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    assert not {module: count for module, count in lines.items() if count > 400}


def test_a_module_says_what_it_is() -> None:
    first = {module: (ast.get_docstring(parsed(module)) or "").partition("\n")[0] for module in MODULES}
    assert not {module: line for module, line in first.items() if not 0 < len(line) <= 120}


def test_importing_the_package_loads_no_http_no_kit_and_no_program() -> None:
    import subprocess
    import sys

    check = "import sys, swcalls; print([m for m in sys.modules if m in ('aiohttp', 'swcalls.testing', 'swcalls.cli')])"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout == "[]\n"
