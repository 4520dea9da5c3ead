"""What the doctor checks of the receiver: that the public URL leads to it, and what it makes of signatures."""

from __future__ import annotations

from ipaddress import ip_address

from yarl import URL

from swcalls.timeline.terminal_style import quoted

from .finding import Finding, Level
from .http_request import NoResponse, Response
from .probes import ProbeResult, Probes
from .settings_check import Settings
from .space_checks import host_of, is_local

Fault = tuple[str, str]
"""What is wrong, and what to do."""


async def check_public_url(probes: Probes, own: URL, settings: Settings, path: str) -> Finding:
    """Send a probe through the public URL to the receiver, whose *own* address it is where none is set."""
    given = settings.public_url
    public = own if given is None else URL(given).with_user(None)
    fault = _fault(await probes.send(), path, own.authority)
    if fault is not None:
        return _finding("wrong", f"{public}: {fault[0]}", fault[1])
    if given is None:
        what = f"not set: callbacks will go to this receiver's own address, {public}, where it was reached"
        return _finding("warning", what, "Set SWCALLS_PUBLIC_URL to where SignalWire reaches it")
    reached = f"{public} reaches this receiver, at {own.authority}"
    if _is_private(public) and settings.space is not None and not is_local(settings.space):
        what = f"{reached}, but only from within: its host has no public address"
        return _finding("warning", what, "Set SWCALLS_PUBLIC_URL to where SignalWire reaches it")
    if public.scheme == "http" and not is_local(public):
        return _finding("warning", f"{reached}, but whatever is sent to it can be read on the way", "Use https")
    return _finding("ok", reached)


async def check_signature(probes: Probes, own: URL, path: str) -> Finding:
    """Send a probe with a signature by another key; one with the right signature has been accepted before."""
    name = "signature"
    if not probes.is_signed:
        what = "not checked, since SIGNALWIRE_SIGNING_KEY is not set; the MAC in every callback URL guards all the same"
        return Finding(name=name, level="skipped", what=what)
    sent = await probes.send(forged=True)
    receipt, answer = sent.receipt, sent.answer
    if receipt is None or receipt.verdict not in ("forged", "unknown"):
        what, advice = _fault(sent, path, own.authority) or ("", "")
        return Finding(name=name, level="wrong", what=f"the second probe failed: {what}", advice=advice)
    if receipt.verdict == "unknown":
        what = "a wrong one was accepted: no signature arrives here"
        advice = "Have the proxy pass on the headers X-SignalWire-Signature and X-SignalWire-SHA256-Signature"
        return Finding(name=name, level="wrong", what=what, advice=advice)
    if isinstance(answer, NoResponse) or answer.status != 403:
        came_back = (
            f"did not come back: {answer}" if isinstance(answer, NoResponse) else f"came back as {answer.status}"
        )
        what = f"a wrong one was refused, but the answer, 403, {came_back}"
        return Finding(name=name, level="wrong", what=what, advice="Have the proxy pass answers on as they are")
    what = "the right one is accepted, a wrong one refused; that it is the platform's key too, a real call will tell"
    return Finding(name=name, level="ok", what=what)


def _fault(sent: ProbeResult, path: str, here: str) -> Fault | None:
    """Say what is wrong if a probe was not accepted here, or not answered there."""
    if sent.receipt is not None:
        return _fault_on_the_way(sent.receipt.verdict, sent.answer)
    if sent.received_as is not None:
        what = f"the probe came here, but as {quoted(sent.received_as, 200)}: path or method were changed on the way"
        return what, f"Have the proxy pass on POST {path}/ as it is, or mend SWCALLS_PUBLIC_URL or --path"
    if isinstance(sent.answer, NoResponse):
        return _fault_before_the_proxy(sent.answer)
    return _fault_elsewhere(sent.answer, path, here)


def _fault_on_the_way(verdict: str, answer: Response | NoResponse) -> Fault | None:
    """Judge a probe that came here at its own URL."""
    if verdict != "unknown":
        what = f"the probe came here, but was refused as {verdict}: its body or its signature was changed on the way"
        return what, "Have the proxy pass on body and headers as they are"
    if isinstance(answer, NoResponse):
        return f"the probe came here, but the answer did not come back: {answer}", "See what the proxy does with it"
    if answer.status != 200:
        what = f"the probe came here and was accepted, but the answer that came back was {answer.status}, not 200"
        return what, "Have the proxy pass answers on as they are"
    return None


def _fault_before_the_proxy(error: NoResponse) -> Fault:
    advice = {
        "name": "Is SWCALLS_PUBLIC_URL right, and the tunnel up?",
        "connection": "Start the tunnel or the proxy, or mend SWCALLS_PUBLIC_URL",
        "certificate": "The platform would not accept it either: mend the certificate, or is it http?",
        "time": "Is the tunnel or the proxy up, and does a firewall let it through?",
    }.get(error.why, "Is SWCALLS_PUBLIC_URL right?")
    return str(error), advice


def _fault_elsewhere(answer: Response, path: str, here: str) -> Fault:
    """Judge by its answer a probe that did not come here."""
    status = answer.status
    forward = f"make it forward POST {path}/ to {here}"
    match status:
        case _ if 200 <= status < 300:
            what = f"answered {status}, but the probe did not come here: another process or host got it"
            return what, f"Stop that one, or {forward}"
        case 401 | 407:
            return f"somebody there asks for a password ({status})", f"Leave {path}/ open: its URLs cannot be guessed"
        case 403:
            what = "refused (403) by somebody else: a receiver with another token or project, or the proxy itself"
            return what, f"Stop that one, or {forward}"
        case 502 | 503 | 504:
            return f"the proxy is up, but reaches nothing behind it ({status})", forward[0].upper() + forward[1:]
        case _ if 300 <= status < 400:
            what = f"redirects ({status}) to {host_of(answer)}"
            return what, "Give the final address as SWCALLS_PUBLIC_URL"
        case _:
            what = f"answered {status}, and the probe did not come here: the path is not forwarded"
            return what, forward[0].upper() + forward[1:]


def _finding(level: Level, what: str, advice: str = "") -> Finding:
    return Finding(name="public URL", level=level, what=what, advice=advice)


def _is_private(url: URL) -> bool:
    try:
        return not ip_address(url.host or "").is_global
    except ValueError:
        return is_local(url)
