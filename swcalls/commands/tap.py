"""``calling.tap``: copy the call's audio to an RTP or a WebSocket endpoint."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from ..errors import shown
from ._base import Item, KeyedCommand, Value
from ._types import Ipv4, WsUrl
from .play import Direction

TapCodec = Literal["PCMA", "PCMU", "pcma", "pcmu", "OPUS", "opus"]
Ptime = Literal[10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120]


class RtpDevice(Value, frozen=True):
    """An RTP endpoint: an IPv4 *addr* and its *port*. *ptime* is in milliseconds (10, 20, … 120).

    The platform allows public addresses only, and refuses others itself.
    """

    addr: Ipv4
    port: Annotated[int, Meta(ge=1, le=65535)]
    codec: TapCodec | None = None
    ptime: Ptime | None = None


class WsDevice(Value, frozen=True):
    """A WebSocket endpoint: a ``ws://`` or ``wss://`` *uri*."""

    uri: WsUrl
    codec: TapCodec | None = None


class RtpItem(Item, frozen=True, tag_field="type", tag="rtp"):
    params: RtpDevice


class WsItem(Item, frozen=True, tag_field="type", tag="ws"):
    params: WsDevice


Device = RtpDevice | WsDevice
DeviceItem = RtpItem | WsItem


def device_item(device: Device) -> DeviceItem:
    """Return *device* in the form of the wire's ``device``."""
    if isinstance(device, RtpDevice):
        return RtpItem(params=device)
    if isinstance(device, WsDevice):
        return WsItem(params=device)
    raise TypeError(f"calling.tap: device={shown(device)} must be RtpDevice or WsDevice")


class TapDirection(Value, frozen=True):
    command: ClassVar[str] = "calling.tap"

    direction: Direction


class TapAudio(Value, frozen=True, tag_field="type", tag="audio"):
    params: TapDirection


class Tap(KeyedCommand, kw_only=True):
    command: ClassVar[str] = "calling.tap"

    tap: TapAudio
    device: DeviceItem
