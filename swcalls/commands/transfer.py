"""Commands that send a call, or an event about it, elsewhere: ``transfer``, ``refer``, ``user_event``."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from ._base import Command, Params, StatusCommand, Value
from ._types import Document, Name, SipUri
from .addresses import DESTINATION_RULE, is_destination


class Transfer(Command, kw_only=True):
    """*dest* is a phone number, an address, the URL of a SWML document, or a SWML document."""

    command: ClassVar[str] = "calling.transfer"

    dest: Name | Document

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_destination(self.dest):
            self._refuse("dest", DESTINATION_RULE)


class ReferTo(Params, kw_only=True):
    command: ClassVar[str] = "calling.refer"
    secret: ClassVar[frozenset[str]] = frozenset({"password"})

    to: SipUri
    from_: SipUri | None = msgspec.field(name="from", default=None)
    username: Name | None = None
    password: str | None = None


class SipItem(Value, frozen=True, tag_field="type", tag="sip"):
    params: ReferTo


class Refer(StatusCommand, kw_only=True):
    command: ClassVar[str] = "calling.refer"

    device: SipItem


class UserEvent(Command, kw_only=True):
    """*event* is any JSON object."""

    command: ClassVar[str] = "calling.user_event"

    event: Document
