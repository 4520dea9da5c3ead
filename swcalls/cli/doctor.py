"""``swcalls doctor``: checks settings, space, clock, public URL, signatures and backplane before a first call."""

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
from .finding import Finding, Report, finding_line, skipped
from .output import print_line
from .probes import Probes
from .receiver_checks import check_public_url, check_signature
from .serving import bind_errors_as_failure
from .settings_check import Settings, check_environment
from .space_checks import check_clock, check_credentials, check_space


async def doctor(
    *, host: str, port: int, public_url: str | None, path: str, as_json: bool, backplane: str | None = None
) -> int:
    """Run all checks, and print a line for each; return 1 if anything is wrong, else 0.

    Args:
        host: The address that the receiver listens on.
        port: Its port; 0 for any free port.
        public_url: Overrides SWCALLS_PUBLIC_URL.
        path: The path of the receiver below the public URL.
        as_json: Whether to print one JSON object at the end, and nothing else.
        backplane: The URL of a backplane; overrides SWCALLS_BACKPLANE. Without either, no backplane is checked.

    Raises:
        ConfigurationError: *path* is not a path.
    """
    identity("project", "token", path, None)
    terminal = TerminalStyle.of(sys.stdout)
    findings: list[Finding] = []

    def report(finding: Finding) -> None:
        findings.append(finding)
        if not as_json:
            print_line(finding_line(finding, terminal))

    finding, settings = check_environment(os.environ, public_url)
    report(finding)
    await _check_space(settings, report)
    await _check_receiver(settings, host, port, path, report)
    backplane = backplane or os.environ.get("SWCALLS_BACKPLANE")
    if backplane:
        if backplane.startswith(("postgresql://", "postgres://")):
            from .postgres_checks import check_postgres as check
        else:
            from .backplane_checks import check_backplane as check
        await check(backplane, report)
    wrong = [finding.name for finding in findings if finding.level == "wrong"]
    if as_json:
        print_line(msgspec.json.encode({"ok": not wrong, "checks": findings}).decode())
    else:
        print_line(f"\nWrong: {', '.join(wrong)}." if wrong else "\nNothing is wrong.")
    return 1 if wrong else 0


async def _check_space(settings: Settings, report: Report) -> None:
    answer = None
    if settings.space is None:
        report(skipped("space", "a usable SIGNALWIRE_SPACE"))
    else:
        finding, answer = await check_space(settings.space, settings.project, settings.token)
        report(finding)
    if answer is None:
        report(skipped("credentials", "a response from the space"))
        report(skipped("clock", "a response from the space"))
        return
    if settings.project is None or settings.token is None:
        report(skipped("credentials", "project and token"))
    else:
        report(check_credentials(answer))
    report(check_clock(answer))


async def _check_receiver(settings: Settings, host: str, port: int, path: str, report: Report) -> None:
    if settings.project is None or settings.token is None:
        report(skipped("public URL", "project and token, from which callback URLs are made"))
    elif "public_url" in settings.faulty:
        report(skipped("public URL", "a usable SWCALLS_PUBLIC_URL"))
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
                advice = "Stop the process that listens there, or choose another --host or --port"
                report(Finding(name="public URL", level="wrong", what=str(failure), advice=advice))
            else:
                own = URL(server.url)
                finding = await check_public_url(probes, own, settings, path)
                report(finding)
                if finding.level != "wrong":
                    report(await check_signature(probes, own, path))
                    return
    report(skipped("signature", "a receiver that can be reached"))
