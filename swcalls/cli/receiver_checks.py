"""The checks of ``swcalls doctor`` for the receiver: whether the public URL leads to it, and signatures work."""

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
"""What is wrong, and what the user should do."""


async def check_public_url(probes: Probes, own: URL, settings: Settings, path: str) -> Finding:
    """Send a probe through the public URL, and return whether it reached the receiver.

    Args:
        probes: Serves the receiver.
        own: The receiver's own address, which is the public URL if none is set.
        settings: The settings that the doctor has found.
        path: The path of the receiver below the public URL.
    """
    given = settings.public_url
    public = own if given is None else URL(given).with_user(None)
    fault = _fault(await probes.send(), path, own.authority)
    if fault is not None:
        return _finding("wrong", f"{public}: {fault[0]}", fault[1])
    if given is None:
        what = f"not set: callbacks will go to this receiver's own address, {public}, where it was reached"
        return _finding("warning", what, "Set SWCALLS_PUBLIC_URL to the URL at which SignalWire reaches it")
    reached = f"{public} reaches this receiver, at {own.authority}"
    if _is_private(public) and settings.space is not None and not is_local(settings.space):
        what = f"{reached}, but only from the local network: its host has no public address"
        return _finding("warning", what, "Set SWCALLS_PUBLIC_URL to the URL at which SignalWire reaches it")
    if public.scheme == "http" and not is_local(public):
        return _finding("warning", f"{reached}, but webhooks to it are not encrypted", "Use https")
    return _finding("ok", reached)


async def check_signature(probes: Probes, own: URL, path: str) -> Finding:
    """Send a probe that is signed with a wrong key; return whether the receiver refused it.

    `check_public_url` has sent one with the right signature before, and it was accepted.
    """
    name = "signature"
    if not probes.is_signed:
        what = (
            "not checked: SIGNALWIRE_SIGNING_KEY is not set; the MAC in each callback URL still protects the receiver"
        )
        return Finding(name=name, level="skipped", what=what)
    sent = await probes.send(forged=True)
    receipt, answer = sent.receipt, sent.answer
    if receipt is None or receipt.verdict not in ("forged", "unknown"):
        what, advice = _fault(sent, path, own.authority) or ("", "")
        return Finding(name=name, level="wrong", what=f"the second probe failed: {what}", advice=advice)
    if receipt.verdict == "unknown":
        what = "a wrong signature was accepted: no signature header arrives here"
        advice = "Let the proxy pass on the headers X-SignalWire-Signature and X-SignalWire-SHA256-Signature"
        return Finding(name=name, level="wrong", what=what, advice=advice)
    if isinstance(answer, NoResponse) or answer.status != 403:
        came_back = (
            f"did not come back: {answer}" if isinstance(answer, NoResponse) else f"came back as {answer.status}"
        )
        what = f"a wrong signature was refused, but the answer, 403, {came_back}"
        return Finding(name=name, level="wrong", what=what, advice="Let the proxy pass on answers unchanged")
    what = "the right signature is accepted, a wrong one refused; a real call shows whether SignalWire has the same key"
    return Finding(name=name, level="ok", what=what)


def _fault(sent: ProbeResult, path: str, here: str) -> Fault | None:
    """Return what is wrong if the probe was not accepted, or its answer did not come back; else None."""
    if sent.receipt is not None:
        return _fault_on_the_way(sent.receipt.verdict, sent.answer)
    if sent.received_as is not None:
        what = f"the probe arrived, but as {quoted(sent.received_as, 200)}: path or method were changed on the way"
        return what, f"Let the proxy pass on POST {path}/ unchanged, or correct SWCALLS_PUBLIC_URL or --path"
    if isinstance(sent.answer, NoResponse):
        return _fault_before_the_proxy(sent.answer)
    return _fault_elsewhere(sent.answer, path, here)


def _fault_on_the_way(verdict: str, answer: Response | NoResponse) -> Fault | None:
    """Return what is wrong with a probe that arrived with its own URL, or None."""
    if verdict != "unknown":
        what = f"the probe arrived, but was refused as {verdict}: its body or its signature was changed on the way"
        return what, "Let the proxy pass on body and headers unchanged"
    if isinstance(answer, NoResponse):
        return f"the probe arrived, but the answer did not come back: {answer}", "Check how the proxy passes on answers"
    if answer.status != 200:
        what = f"the probe arrived and was accepted, but the answer that came back was {answer.status}, not 200"
        return what, "Let the proxy pass on answers unchanged"
    return None


def _fault_before_the_proxy(error: NoResponse) -> Fault:
    """Return what is wrong if nothing answered at the public URL."""
    advice = {
        "name": "Check SWCALLS_PUBLIC_URL, and whether the tunnel runs",
        "connection": "Start the tunnel or the proxy, or correct SWCALLS_PUBLIC_URL",
        "certificate": "SignalWire would not accept it either: correct the certificate, or use http",
        "time": "Check whether the tunnel or the proxy runs, and whether a firewall blocks it",
    }.get(error.failed_step, "Check SWCALLS_PUBLIC_URL")
    return str(error), advice


def _fault_elsewhere(answer: Response, path: str, here: str) -> Fault:
    """Return what is wrong with a probe that did not arrive, from its answer."""
    status = answer.status
    forward = f"make it forward POST {path}/ to {here}"
    match status:
        case _ if 200 <= status < 300:
            what = f"answered {status}, but the probe did not arrive: another process or host got it"
            return what, f"Stop that server, or {forward}"
        case 401 | 407:
            what = f"the server there requires a password ({status})"
            return what, f"Allow {path}/ without a password: callback URLs cannot be guessed"
        case 403:
            what = "refused (403) by another server: a receiver with another token or project, or the proxy itself"
            return what, f"Stop that server, or {forward}"
        case 502 | 503 | 504:
            return f"the proxy runs, but does not reach this receiver ({status})", forward[0].upper() + forward[1:]
        case _ if 300 <= status < 400:
            what = f"redirects ({status}) to {host_of(answer)}"
            return what, "Set SWCALLS_PUBLIC_URL to the final address"
        case _:
            what = f"answered {status}, and the probe did not arrive: the path is not forwarded"
            return what, forward[0].upper() + forward[1:]


def _finding(level: Level, what: str, advice: str = "") -> Finding:
    return Finding(name="public URL", level=level, what=what, advice=advice)


def _is_private(url: URL) -> bool:
    try:
        return not ip_address(url.host or "").is_global
    except ValueError:
        return is_local(url)
