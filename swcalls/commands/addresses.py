"""Addresses: the ``to`` of a ``dial`` and the ``dest`` of a ``calling.transfer``.

Only what cannot be an address is refused. Whether the address exists, the platform decides.
Source: wire contract, section 0, 10.
"""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta

from ._types import HTTP_URL, LOOPBACK, Document

_PHONE = r"\+?[0-9]{7,15}"
_URI = r"(?i:sips?|verto|client):\S.*"
_FABRIC = "/.+"
_RULE = (
    "a phone number in E.164 ('+' and 7 to 15 digits), a sip:, sips:, verto: or client: address,"
    " or a fabric address such as '/public/name'"
)

Address = Annotated[str, Meta(min_length=1, pattern=rf"^(?:{_PHONE}|{_URI}|{_FABRIC})\Z", description=_RULE)]
DESTINATION_RULE: str = f"{_RULE}, the http(s) URL of a SWML document, or a SWML document, which has 'sections'"

_is_destination = re.compile(rf"(?:{_PHONE}|{_URI}|{_FABRIC}|{HTTP_URL})\Z").match
_is_loopback = re.compile(rf"[a-z]+://{LOOPBACK}\Z", re.IGNORECASE).match
_is_bare = re.compile(r"[0-9]+\Z").match


def is_without_plus(address: object) -> bool:
    """Return whether *address* is a phone number without ``+``. Some spaces accept such a number, others refuse it."""
    return isinstance(address, str) and _is_bare(address) is not None


def is_loopback(url: str) -> bool:
    """Return whether the host of *url* is this machine, by its name or its address."""
    return _is_loopback(url) is not None


def is_destination(dest: str | Document) -> bool:
    """Return whether *dest* has the form of a destination.

    This is no annotation, because msgspec 0.22 corrupts memory for ``Annotated[str, Meta(pattern=...)] | dict``.
    """
    return "sections" in dest if isinstance(dest, dict) else _is_destination(dest) is not None
