"""What is still held: found by following references, so that no name of our inside has to be known here."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import types
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any

_LEAVES = (
    type, types.ModuleType, types.CodeType, types.FrameType, str, bytes, int, float, asyncio.Future,
    asyncio.AbstractEventLoop, contextvars.Context, logging.Filterer,
)  # fmt: skip
"""What leads everywhere, or nowhere."""


_OURS = ("swcalls._core", "swcalls._engine", "swcalls.actions", "swcalls.call")
_NAMES = ("Operation", "CallOperation", "Action", "Call")


def held_by(*roots: object, leave_out: Iterable[object] = ()) -> list[str]:
    """Return the calls and actions that can be reached from *roots*, but not by way of *leave_out*."""
    seen = {id(thing) for thing in leave_out}
    queue = list(roots)
    found = []
    while queue:
        thing = queue.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, _LEAVES):
            continue
        if is_operation(thing):
            found.append(repr(thing))
        # A function leads to its module, and so to everything; only what it has enclosed is its own.
        queue += thing.__closure__ or () if isinstance(thing, types.FunctionType) else gc.get_referents(thing)
    return sorted(found)


def is_operation(thing: object) -> bool:
    """Say whether *thing* is what we keep of a call or of an action, or a handle of one."""
    return _is_kind_of_operation(type(thing))


@cache
def _is_kind_of_operation(kind: type) -> bool:
    return any(base.__module__.startswith(_OURS) and base.__name__ in _NAMES for base in kind.__mro__)


def census() -> Counter[str]:
    """Count every living object of a class of ours; those that need no collector, too, where another one has them."""
    gc.collect()
    return Counter(
        kind.__qualname__ for thing in gc.get_objects() if str((kind := type(thing)).__module__).startswith("swcalls")
    )


def sizes(root: object) -> dict[str, int]:
    """Return the size of each container below *root*, by the way to it; through objects of our own classes only."""
    found: dict[str, int] = {}
    _measure(root, type(root).__name__, found, set())
    return found


def _measure(thing: Any, name: str, found: dict[str, int], seen: set[int]) -> None:
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, _CONTAINERS):
        found[name] = len(thing)
        return
    if not type(thing).__module__.startswith("swcalls"):
        return
    for key, value in _attributes(thing):
        _measure(value, f"{name}.{key}", found, seen)


_CONTAINERS = (dict, list, set, frozenset, types.MappingProxyType)


def _attributes(thing: Any) -> Iterable[tuple[str, Any]]:
    if hasattr(thing, "__len__") and not hasattr(thing, "__dict__"):
        return
    yield from vars(thing).items() if hasattr(thing, "__dict__") else ()
    for base in type(thing).__mro__:
        slots = base.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            if slot not in ("__dict__", "__weakref__") and hasattr(thing, slot):
                yield slot, getattr(thing, slot)
