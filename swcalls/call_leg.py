"""The call leg in the platform's response to a command; `_core.responses` decodes it."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class ChargeDetail(Struct, frozen=True, kw_only=True):
    """One line of a leg's charge, in USD."""

    description: str | None = None
    charge: float | None = None


class FabricDeviceLeg(Struct, frozen=True, kw_only=True):
    """A leg to a subscriber's device: it has no status and no durations. Anything but ``id`` may be missing.

    Source: ``Calling.CallResponse``.
    """

    id: str
    from_: str | None = None
    to: str | None = None
    direction: str | None = None
    """``inbound``, ``outbound`` or ``outbound-api``; others are kept as they came."""
    source: str | None = None
    url: str | None = None
    charge: float | None = None
    """USD."""
    charge_details: tuple[ChargeDetail, ...] = ()
    created_at: str | None = None
    """ISO 8601, UTC."""
    type: str | None = None
    status: str | None = None
    raw: dict[str, Any]
    """The response as received."""

    def __repr__(self) -> str:
        names = (name for name in self.__struct_fields__ if name != "raw")
        shown = (f"{name}={value!r}" for name in names if (value := getattr(self, name)) not in (None, ()))
        return f"{type(self).__name__}({', '.join(shown)})"


class CallLeg(FabricDeviceLeg, frozen=True, kw_only=True):
    """A leg over PSTN, SIP or WebRTC, or of a type newer than this library."""

    duration: int | None = None
    """Seconds."""
    duration_ms: int | None = None
    billing_ms: int | None = None
    parent_id: str | None = None


Leg = CallLeg | FabricDeviceLeg
