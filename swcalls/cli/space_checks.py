"""The checks of ``swcalls doctor`` for the space: whether it responds, accepts the credentials, has the same time."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC
from email.utils import parsedate_to_datetime
from ipaddress import ip_address

from yarl import URL

from swcalls._core.decoding import MalformedBody, parse
from swcalls.timeline.terminal_style import escaped

from .finding import Finding, Level
from .http_request import NoResponse, Response, send_request

SKEW_TO_WARN, SKEW_TO_FAIL = 30.0, 300.0
"""Seconds between the two clocks from which there is a warning, and an error."""


async def check_space(space: URL, project: str | None, token: str | None) -> tuple[Finding, Response | None]:
    """Request one line of the voice log of *space*; return whether it responded, and the response."""
    headers = {"Accept": "application/json"}
    if project is not None and token is not None:
        headers["Authorization"] = "Basic " + b64encode(f"{project}:{token}".encode()).decode()
    try:
        answer = await send_request("GET", space.joinpath("api/voice/logs").with_query(page_size=1), headers)
    except NoResponse as error:
        advice = {
            "name": "Check SIGNALWIRE_SPACE, and whether this machine is online",
            "certificate": "Check SIGNALWIRE_SPACE, and the clock and the certificates of this machine",
        }.get(error.failed_step, "Check SIGNALWIRE_SPACE, and whether a firewall blocks the connection")
        return Finding(name="space", level="wrong", what=str(error), advice=advice), None
    if space.scheme == "http" and not is_local(space):
        what = f"{space} answers, but commands to it are not encrypted"
        return Finding(name="space", level="warning", what=what, advice="Use https"), answer
    return Finding(name="space", level="ok", what=f"{space} answers"), answer


def check_credentials(answer: Response) -> Finding:
    """Return whether project and token were accepted, from the *answer* to the request for the voice log."""
    status = answer.status
    match status:
        case 200 if _is_log(answer.body):
            return Finding(name="credentials", level="ok", what="project and token are accepted, for the voice log")
        case 200:
            what = "the answer is not that of a voice log"
            advice = "Check SIGNALWIRE_SPACE, and whether a proxy answers in place of the space"
        case 401 | 403:
            what = f"refused ({status}): project or token is wrong, or the token lacks the Voice scope"
            advice = "Compare SIGNALWIRE_PROJECT_ID and SIGNALWIRE_API_TOKEN with the space's page of API credentials"
        case 404:
            what = f"there is no voice log ({status})"
            advice = "Check SIGNALWIRE_SPACE"
        case 429:
            what = f"not checked: too many requests ({status})"
            advice = "Try again later"
        case _ if 300 <= status < 400:
            what = f"the space redirects ({status}) to {host_of(answer)}"
            advice = "Set SIGNALWIRE_SPACE to the final address: commands do not follow redirects"
        case _ if status >= 500:
            what = f"not checked: the space failed ({status})"
            advice = "Try again later"
        case _:
            what = f"the space answered {status}"
            advice = "Check SIGNALWIRE_SPACE"
    return Finding(name="credentials", level="wrong", what=what, advice=advice)


def check_clock(answer: Response) -> Finding:
    """Compare this machine's clock with the ``Date`` header of the *answer*."""
    try:
        date = parsedate_to_datetime(answer.headers.get("Date", ""))
    except ValueError:
        return Finding(name="clock", level="skipped", what="not checked: the space's answer has no Date header")
    ahead = answer.at - (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    if abs(ahead) <= SKEW_TO_WARN:
        return Finding(name="clock", level="ok", what=f"within {SKEW_TO_WARN:g} s of the space's clock")
    what = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the space's clock"
    level: Level = "warning" if abs(ahead) <= SKEW_TO_FAIL else "wrong"
    return Finding(name="clock", level=level, what=what, advice="Synchronise the clock of this machine (NTP)")


def is_local(url: URL) -> bool:
    """Return whether the host of *url* is this machine."""
    host = url.host or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def host_of(answer: Response) -> str:
    """Return the host that a redirect leads to, without the rest of its URL, which may be secret."""
    try:
        return escaped(URL(answer.headers.get("Location", "")).host or "another path")
    except ValueError:
        return "nowhere"


def _is_log(body: bytes) -> bool:
    try:
        return isinstance(parse(body).get("data"), list)
    except MalformedBody:
        return False
