"""The base classes of commands and of their parts, and the request that carries a command."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

import msgspec
from msgspec import Struct

from ._checks import Checked
from ._types import HttpUrl, Name

T = TypeVar("T")


def always_sent(default: T) -> T:
    """Declare a field whose default is sent, too: ``omit_defaults`` leaves out other defaults, not a factory's."""
    field: T = msgspec.field(default_factory=lambda: default)
    return field


class Value(Checked, Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A part of a command that a user builds. It is immutable, so any number of commands can share it."""


class Item(Value, frozen=True):
    """What is put around a value that a user has built, for the wire. The value was checked when it was built."""

    def __post_init__(self) -> None:
        """Check nothing again."""


class Params(Checked, Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The ``params`` of a command, or a part of them that users do not build.

    A field has the name, the type and the bounds of the parameter on the wire. ``None`` means "not given"; it is not
    sent.
    """


class Command(Params, kw_only=True):
    """The ``params`` of one command. Each subclass sets ``command``, the command's name on the wire."""


class StartCommand(Command, kw_only=True):
    """A command that starts an operation, whose events go to a callback URL."""

    @property
    def needs_url(self) -> bool:
        """Whether the command needs a callback URL and has none yet."""
        return False

    def report_to(self, url: str) -> None:
        """Set the callback URL to *url*, unless it is set already."""


class StatusCommand(StartCommand, kw_only=True):
    """A command whose callback URL is its ``status_url``."""

    secret: ClassVar[frozenset[str]] = frozenset({"status_url"})

    status_url: HttpUrl | None = None

    @property
    def needs_url(self) -> bool:
        return self.status_url is None

    def report_to(self, url: str) -> None:
        self.status_url = self.status_url or url


class KeyedCommand(StatusCommand, kw_only=True):
    """A command that starts an operation with a ``control_id``."""

    control_id: Name


class Control(Params, kw_only=True):
    """The ``params`` of a command that only names a running operation, such as ``calling.play.stop``."""

    control_id: Name


class Bare(Params, kw_only=True):
    """The ``params`` of a command that has no parameters."""


class Request(Struct, omit_defaults=True):
    """The body of a POST. *id* is the call's id; ``dial`` and ``update`` have none here."""

    command: str
    id: str | None = None
    params: Any = msgspec.UNSET
