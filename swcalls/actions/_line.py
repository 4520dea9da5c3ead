"""The line to a call: what every family of commands needs to be sent on it.

Each family's module has its handle and, beside it, a mixin with the methods that start it; a `Call` is all of them.
"""

from __future__ import annotations

import os
import random
from functools import partial
from typing import Any, TypeVar

from msgspec.structs import replace

from .._core.operation import PLAIN, CallOperation, Options
from ..commands import KeyedCommand, StartCommand
from ..errors import shown
from ..events import InboundCall
from ..legs import Leg
from ..timeline import Journal
from ._base import Action, Sender
from ._seconds import check_seconds
from ._start import ActionStart

A = TypeVar("A", bound=Action[Any])


_VERSION_4 = 0x4 << 76 | 0x2 << 62
_RANDOM_BITS = (1 << 128) - 1 ^ (0xF << 76 | 0x3 << 62)
_chance = random.Random()  # noqa: S311 - see `new_id`
if hasattr(os, "register_at_fork"):
    # A child would make the ids of its parent.
    os.register_at_fork(after_in_child=_chance.seed)


class Line(CallOperation):
    """A call that commands can be sent to."""

    __slots__ = ("_released", "_sender", "inbound", "leg")

    def __init__(self, sender: Sender, call_id: str | None = None) -> None:
        super().__init__(new_id(), call_id)
        self._sender = sender
        self.journal: Journal | None = sender.journal()
        if self.journal is not None:
            self.journal.call_id = call_id
        self.leg: Leg | None = None
        """The last response to a command; ``None`` before the first."""
        self.inbound: InboundCall | None = None
        """How the platform announced it, for a call that came in."""
        self._released = False
        """It was told to end, or something else drives it now: whoever leaves it has nothing more to do."""

    async def send(self, command: str, params: object) -> Leg:
        """Send a command whose *params* are one of the Structs of ``swcalls.commands``; return the call's leg."""
        self.leg = await self._sender.send(self, command, params)
        return self.leg

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
        """Prepare *command*; it is sent when the ``ActionStart`` is awaited.

        Args:
            key: Stands in for a ``control_id``, where the command has none.
            name: The method's, where it is not that of the kind.
        """
        check_seconds("deadline", deadline)
        control_id = command.control_id if isinstance(command, KeyedCommand) else given(key)
        if deadline is not None and options.bound is not None:
            options = replace(options, bound=None)
        action = handle(self, control_id, options)
        run = partial(self._sender.start, action, command, deadline)
        return ActionStart(f"Call.{name or action.kind}", action, run, deadline)


def new_id() -> str:
    """Make an id that nobody else has: a random UUID (RFC 9562, version 4).

    It is no secret, since the MAC of the callback URL guards it. `uuid.uuid4` asks the system each time, which takes a
    twentieth of what a command costs.
    """
    digits = f"{_chance.getrandbits(128) & _RANDOM_BITS | _VERSION_4:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def given(control_id: str | None) -> str:
    """Return the id that a user gave, or else a new one."""
    if control_id is None:
        return new_id()
    check_text("control_id", control_id)
    return control_id


def check_text(name: str, value: object) -> None:
    """Refuse what is no string, or one that is empty or that UTF-8 cannot encode."""
    if not isinstance(value, str):
        raise TypeError(f"{name}={shown(value)} must be a string")
    if not value:
        raise ValueError(f"{name}={value!r} must be a string that is not empty")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{name}={shown(value)} must be text that UTF-8 can encode") from None
