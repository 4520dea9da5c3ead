"""The base class of the verbs: it makes the ``ActionStart`` that a method such as ``call.play`` returns.

The module of each family has the handle, and a class with the methods that start it. ``Call`` inherits all of them.
"""

from __future__ import annotations

from functools import partial
from typing import Any, TypeVar

from msgspec.structs import replace

from .._core.limits import check_seconds
from .._core.operation import PLAIN, Options
from .._engine.ids import new_id
from ..commands import KeyedCommand, StartCommand
from ..errors import shown
from .action import Action
from .call_base import CallBase
from .start import ActionStart

A = TypeVar("A", bound=Action[Any])


class VerbBase(CallBase):
    """A call on which actions can be started."""

    __slots__ = ()

    def _start(
        self,
        handle: type[A],
        command: StartCommand,
        deadline: float | None,
        options: Options = PLAIN,
        *,
        key: str | None = None,
        name: str | None = None,
    ) -> ActionStart[A, Any]:
        """Return the ``ActionStart`` that sends *command* when it is awaited.

        Args:
            key: The id of the action, if the command has no ``control_id``; ``None``: a new id.
            name: The method's name, if it differs from the kind.
        """
        check_seconds("deadline", deadline)
        control_id = command.control_id if isinstance(command, KeyedCommand) else given(key)
        if deadline is not None and options.bound is not None:
            options = replace(options, bound=None)
        action = handle(self, control_id, options)
        run = partial(self._engine.start, action._operation, command, deadline)
        return ActionStart(f"Call.{name or action.kind}", action, run, deadline)


def given(control_id: str | None) -> str:
    """Return *control_id* after a check, or a new id for ``None``."""
    if control_id is None:
        return new_id()
    check_text("control_id", control_id)
    return control_id


def check_text(name: str, value: object) -> None:
    """Raise an error if *value* is not a string, is empty, or cannot be encoded with UTF-8."""
    if not isinstance(value, str):
        raise TypeError(f"{name}={shown(value)} must be a string")
    if not value:
        raise ValueError(f"{name}={value!r} must be a string that is not empty")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{name}={shown(value)} must be text that UTF-8 can encode") from None
