"""Commands about a call itself: ``dial``, ``update``, ``calling.end``."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal, get_args

import msgspec
from msgspec import Meta

from ..errors import shown
from ._base import Command
from ._types import FLOAT_MAX, Document, HttpUrl, Name
from .addresses import Address

StatusEvent = Literal["created", "ringing", "answered", "ended"]
Codec = Literal[
    "OPUS", "OPUS@48000H@20I", "OPUS@24000H@20I", "OPUS@16000H@20I", "OPUS@8000H@20I",
    "G722", "PCMU", "PCMA", "G729", "VP8", "H264",
]  # fmt: skip
Keys = Annotated[str, Meta(pattern=r"^[0-9A-D*#w,]*\Z", description="a string of the characters 0-9 A-D * # w ,")]
EndReason = Literal["hangup", "cancel", "busy", "noAnswer", "decline", "error"]

STATUS_EVENTS: tuple[StatusEvent, ...] = ("created", "ringing", "answered", "ended")

PARKED: Document = {"version": "1.0.0", "sections": {"main": [{"answer": {}}, {"sleep": -1}]}}
"""A dialplan that answers the call and then sleeps without end, so that commands can control the call."""

_CODECS: tuple[str, ...] = get_args(Codec)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_RESERVED = ("signalwire_", "sw_", "rtc_", "internal_")


class Dial(Command, kw_only=True):
    command: ClassVar[str] = "dial"
    secret: ClassVar[frozenset[str]] = frozenset({"password", "status_url"})

    from_: Name = msgspec.field(name="from")
    to: Address | None = None
    url: HttpUrl | None = None
    swml: Document | None = None
    to_script: Name | Document | None = None
    caller_id: Name | None = None
    fallback_url: HttpUrl | None = None
    status_url: HttpUrl | None = None
    status_events: Annotated[list[StatusEvent], Meta(min_length=1)] | None = None
    url_method: Literal["GET", "POST"] | None = None
    username: str | None = None
    password: str | None = None
    codecs: list[Codec] | Name | None = None
    timeout: Annotated[int, Meta(ge=1, le=600, description="seconds")] | None = None
    max_price_per_minute: Annotated[float, Meta(ge=0, le=FLOAT_MAX, description="USD")] | None = None
    send_digits: Keys | None = None
    region: Name | list[Name] | None = None
    custom_variables: dict[str, str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.url is None) == (self.swml is None):
            self._refuse("url", "given, or swml, and not both")
        if self.to is None and self.to_script is None:
            self._refuse("to", "given, unless to_script is")
        if isinstance(self.codecs, str) and not all(name.strip() in _CODECS for name in self.codecs.split(",")):
            self._refuse("codecs", f"a list, or a comma-separated string, of {', '.join(_CODECS)}")
        if self.custom_variables is not None:
            self._check_variables(self.custom_variables)

    def _check_variables(self, variables: dict[str, str]) -> None:
        if len(variables) > 20:
            self._refuse("custom_variables", "at most 20 pairs")
        for name, value in variables.items():
            if not _VARIABLE.match(name) or name.lower().startswith(_RESERVED):
                self._refuse(
                    "custom_variables",
                    f"named with letters, digits and _ only, no digit first and no prefix {', '.join(_RESERVED)};"
                    f" {shown(name)} is not",
                )
            if not 1 <= (size := len(value.encode())) <= 1024:
                self._refuse("custom_variables", f"1 to 1024 bytes in each value; {shown(name)} has {size}")


class Update(Command, kw_only=True):
    """The id of the call is one of the ``params``, not beside them."""

    command: ClassVar[str] = "update"
    secret: ClassVar[frozenset[str]] = frozenset({"status_url"})

    id: Name
    status: Literal["canceled", "completed"] | None = None
    url: HttpUrl | None = None
    swml: Document | None = None
    fallback_url: HttpUrl | None = None
    status_url: HttpUrl | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.url is not None and self.swml is not None:
            self._refuse("url", "left out when swml is given")
        if self.status is None and self.url is None and self.swml is None and self.status_url is None:
            self._refuse("status", "given, or url, swml or status_url: there is nothing to update")


class End(Command, kw_only=True):
    command: ClassVar[str] = "calling.end"

    reason: EndReason | None = None
