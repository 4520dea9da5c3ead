"""``swcalls doctor``: the settings, checked against the world before a first call."""

from __future__ import annotations

import os
import sys
from contextlib import AsyncExitStack

import msgspec
from yarl import URL

from swcalls.config import identity
from swcalls.receiver import ObservingReceiver
from swcalls.timeline.terminal_style import TerminalStyle

from .failure import Failure
from .finding import Finding, Tell, line, skipped
from .output import print_line
from .probes import Probes
from .receiver_checks import check_public_url, check_signature
from .serving import bind_errors_as_failure
from .settings_check import Settings, check_environment
from .space_checks import check_clock, check_credentials, check_space


async def doctor(*, host: str, port: int, public_url: str | None, path: str, as_json: bool) -> int:
    """Check everything, and print a line for each check; return 1 if anything is wrong.

    Raises:
        ConfigurationError: *path* is none.
    """
    identity("project", "token", path, None)
    terminal = TerminalStyle.of(sys.stdout)
    findings: list[Finding] = []

    def tell(finding: Finding) -> None:
        findings.append(finding)
        if not as_json:
            print_line(line(finding, terminal))

    finding, settings = check_environment(os.environ, public_url)
    tell(finding)
    await _examine_space(settings, tell)
    await _examine_receiver(settings, host, port, path, tell)
    wrong = [finding.name for finding in findings if finding.level == "wrong"]
    if as_json:
        print_line(msgspec.json.encode({"ok": not wrong, "checks": findings}).decode())
    else:
        print_line(f"\nWrong: {', '.join(wrong)}." if wrong else "\nNothing is wrong.")
    return 1 if wrong else 0


async def _examine_space(settings: Settings, tell: Tell) -> None:
    answer = None
    if settings.space is None:
        tell(skipped("space", "a usable SIGNALWIRE_SPACE"))
    else:
        finding, answer = await check_space(settings.space, settings.project, settings.token)
        tell(finding)
    if answer is None:
        tell(skipped("credentials", "an answer of the space"))
        tell(skipped("clock", "an answer of the space"))
        return
    if settings.project is None or settings.token is None:
        tell(skipped("credentials", "project and token"))
    else:
        tell(check_credentials(answer))
    tell(check_clock(answer))


async def _examine_receiver(settings: Settings, host: str, port: int, path: str, tell: Tell) -> None:
    if settings.project is None or settings.token is None:
        tell(skipped("public URL", "project and token, which callback URLs are made with"))
    elif "public_url" in settings.faulty:
        tell(skipped("public URL", "a usable SWCALLS_PUBLIC_URL"))
    else:
        receiver = ObservingReceiver(
            settings.project,
            settings.token,
            public_url=settings.public_url,
            path=path,
            signing_key=settings.signing_key,
        )
        probes = Probes(receiver, settings.signing_key)
        async with AsyncExitStack() as stack:
            try:
                with bind_errors_as_failure(host, port):
                    server = await stack.enter_async_context(probes.serve(host, port))
            except Failure as failure:
                advice = "Stop what listens there, or choose another --host or --port"
                tell(Finding(name="public URL", level="wrong", what=str(failure), advice=advice))
            else:
                own = URL(server.url)
                finding = await check_public_url(probes, own, settings, path)
                tell(finding)
                if finding.level != "wrong":
                    tell(await check_signature(probes, own, path))
                    return
    tell(skipped("signature", "a receiver that can be reached"))
