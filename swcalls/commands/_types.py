"""The types that several commands use. msgspec checks their bounds and patterns; errors quote their descriptions."""

from __future__ import annotations

import sys
from typing import Annotated, Any

from msgspec import Meta

INT32_MAX = 2**31 - 1
FLOAT_MAX = sys.float_info.max
"""The upper bound of a number that has no other one: without a bound, msgspec would allow infinity and NaN."""

_AUTHORITY = r"(?:[^\s/?#@]*@)?(?:[^\s/?#@:\[\]]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?(?:[/?#]\S*)?"
HTTP_URL = rf"(?i:https?)://{_AUTHORITY}"
HttpUrl = Annotated[str, Meta(pattern=rf"^{HTTP_URL}\Z", description="an http:// or https:// URL")]
LOOPBACK = r"(?i:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::\d{1,5})?(?:[/?#]\S*)?"
StreamUrl = Annotated[
    str,
    Meta(
        pattern=rf"^(?:(?i:wss)://{_AUTHORITY}|(?i:ws)://{LOOPBACK})\Z",
        description="a wss:// URL, or a ws:// URL of this machine",
    ),
]
WsUrl = Annotated[str, Meta(pattern=rf"^(?i:wss?)://{_AUTHORITY}\Z", description="a ws:// or wss:// URL")]
SipUri = Annotated[str, Meta(pattern=r"^sip:\S+\Z", description="a sip: address")]
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
Ipv4 = Annotated[
    str, Meta(pattern=rf"^{_OCTET}(?:\.{_OCTET}){{3}}\Z", description="an IPv4 address, such as 198.51.100.42")
]
Dtmf = Annotated[str, Meta(pattern=r"^[0-9A-D*#]*\Z", description="a string of the characters 0-9 A-D * #")]
Name = Annotated[str, Meta(min_length=1)]
Seconds = Annotated[float, Meta(ge=0, le=FLOAT_MAX, description="seconds")]
PositiveSeconds = Annotated[float, Meta(gt=0, le=FLOAT_MAX, description="seconds")]
Document = dict[str, Any]
"""A JSON object with any content."""
