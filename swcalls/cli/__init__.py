"""The program ``swcalls``: parses the command line, runs one command, and turns its errors into exit statuses."""

from __future__ import annotations

import argparse
import asyncio
import io
import math
import sys
from collections.abc import Coroutine, Sequence
from typing import Any

from swcalls import __version__
from swcalls.errors import ConfigurationError

from . import arguments
from .failure import Failure
from .output import print_line

MAX_SPEED = 10_000.0
"""The greatest ``--speed``: a faster clock would soon leave the range of dates."""

MAX_AUDIO_SPEED = 50.0
"""The greatest ``--speed`` with ``--audio``: the simulator sends 50 frames of each track in a simulated second."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program with the arguments *argv* (default: ``sys.argv``); return the exit status."""
    try:
        options = _parser().parse_args(argv)
    except Failure as error:
        print(f"swcalls: {error}", file=sys.stderr)
        return 1
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status: int = asyncio.run(options.run(options))
    except KeyboardInterrupt:
        status = options.interrupted
    except (Failure, ConfigurationError) as error:
        advice = f"; {error.advice}" if isinstance(error, Failure) and error.advice else ""
        print(f"swcalls {options.command}: {error}{advice}", file=sys.stderr)
        status = 2 if isinstance(error, ConfigurationError) else 1
    return status


def _demo(options: argparse.Namespace) -> Coroutine[None, None, int]:
    from .demo import demo

    if options.audio and options.speed > MAX_AUDIO_SPEED:
        raise ConfigurationError(f"--speed={options.speed:g} must be at most {MAX_AUDIO_SPEED:g} with --audio")
    return demo(options.speed, html=options.html, as_json=options.json, listens=options.audio)


def _simulate(options: argparse.Namespace) -> Coroutine[None, None, int]:
    from .simulate import simulate

    return simulate(
        project=options.project,
        token=options.token,
        host=options.host,
        port=options.port,
        signing_key=options.signing_key,
        speed=options.speed,
        callee=options.callee,
        audio=options.audio,
        faults=options.faults,
        dial_rate=options.dial_rate,
    )


def _ring(options: argparse.Namespace) -> Coroutine[None, None, int]:
    from swcalls.testing import Callee

    from .ring import ring

    try:
        caller = Callee(presses=options.presses, says=options.says, hangs_up_after=options.hangs_up_after)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(str(error)) from None
    return ring(
        options.url,
        host=options.host,
        port=options.port,
        project=options.project,
        token=options.token,
        signing_key=options.signing_key,
        speed=options.speed,
        from_=options.from_,
        to=options.to,
        callee=caller,
        headers=options.sip_header,
    )


def _listen(options: argparse.Namespace) -> Coroutine[None, None, int]:
    from .listen import listen

    return listen(
        host=options.host,
        port=options.port,
        public_url=options.public_url,
        path=options.path,
        record=options.record,
        web=options.web,
        show_private=options.show_private,
    )


def _replay(options: argparse.Namespace) -> Coroutine[None, None, int]:
    from .replay import replay_file

    return replay_file(options.file, as_json=options.json, html=options.html)


def _send(options: argparse.Namespace) -> Coroutine[None, None, int]:
    from .send import send

    return send(options.wire_command, options.params, options.call_id)


def _doctor(options: argparse.Namespace) -> Coroutine[None, None, int]:
    from .doctor import doctor

    return doctor(
        host=options.host,
        port=options.port,
        public_url=options.public_url,
        path=options.path,
        as_json=options.json,
        backplane=options.backplane,
    )


class _Parser(argparse.ArgumentParser):
    """A parser that raises `Failure` when help or version cannot be written; argparse would go on in silence."""

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is not None and file is sys.stdout:
            print_line(message.removesuffix("\n"))
        else:
            super()._print_message(message, file)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="swcalls",
        description="Try swcalls without an account, test against a simulator, check settings, analyse recordings.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"swcalls {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)

    demo = commands.add_parser(
        "demo",
        help="make a simulated call, and draw its timeline",
        description="Make a simulated call: print each command and webhook when it happens, then the timeline as a "
        "picture. No real call is made. The exit status is 0 only if every step worked as expected.",
        allow_abbrev=False,
    )
    _add_speed(demo)
    _add_json(demo)
    _add_html(demo, "write the timeline of the call to this file")
    demo.add_argument(
        "--audio",
        action="store_true",
        help=f"hear both sides of the call meanwhile; --speed is at most {MAX_AUDIO_SPEED:g} then",
    )
    demo.set_defaults(run=_demo, interrupted=130)

    simulate = commands.add_parser(
        "simulate",
        help="serve a simulated SignalWire space",
        description="Serve a simulated SignalWire space on this machine, for any client of the Calling API. Its URL is "
        "printed to standard output once it accepts connections; commands and webhooks are logged to standard error. "
        "SIGINT (Ctrl-C) and SIGTERM end it.",
        allow_abbrev=False,
    )
    _add_space(simulate)
    simulate.add_argument(
        "--callee",
        type=arguments.callee,
        metavar="JSON",
        help="how the called person behaves, with the fields of swcalls.testing.Callee: "
        '\'{"presses": "42#", "rings_for": 2}\' (default: presses 1234, and says a sentence)',
    )
    simulate.add_argument(
        "--audio",
        type=arguments.sound,
        metavar="FILE",
        help="what a stream hears of the called person: a WAV file of 16-bit samples, or silence, tone or speech "
        "(default: silence); what they say and press is heard, too",
    )
    simulate.add_argument(
        "--faults",
        type=arguments.faults,
        metavar="JSON",
        help='faults to cause, with the fields of swcalls.testing.Faults: \'{"drop": 0.1, "seed": 7}\' (default: none)',
    )
    simulate.add_argument(
        "--dial-rate",
        type=arguments.rate,
        metavar="N",
        help="start at most N dials in a simulated second, and queue the others; SignalWire's default is 1 (default: "
        "no limit)",
    )
    simulate.set_defaults(run=_simulate, interrupted=0)

    ring = commands.add_parser(
        "ring",
        help="make a simulated inbound call to an application",
        description="Serve a simulated SignalWire space, and make an inbound call to an application that uses it. The "
        "application's SIGNALWIRE_SPACE must be the URL of this space (http://127.0.0.1:8123), and URL is its "
        "receiver.inbound_url. Commands and webhooks are logged to standard error. The call ends when the application "
        "or the caller hangs up, or with SIGINT (Ctrl-C). The exit status is 0 only if the call was answered.",
        allow_abbrev=False,
    )
    ring.add_argument("url", type=arguments.web_url, metavar="URL", help="the SWML webhook of the application")
    _add_space(ring)
    ring.add_argument("--from", dest="from_", type=_text, default="+15550198765", help="the caller (%(default)s)")
    ring.add_argument("--to", type=_text, default="+12069708643", help="the number that is called (%(default)s)")
    ring.add_argument("--presses", default="", metavar="DIGITS", help="what the caller presses when asked (nothing)")
    ring.add_argument("--says", default="", metavar="TEXT", help="what the caller says when asked (nothing)")
    ring.add_argument(
        "--hangs-up-after",
        type=float,
        metavar="SECONDS",
        help="when the caller hangs up (default: the caller does not)",
    )
    ring.add_argument(
        "--sip-header",
        type=arguments.header,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a header of the call",
    )
    ring.set_defaults(run=_ring, interrupted=0)

    listen = commands.add_parser(
        "listen",
        help="print the webhooks that a receiver gets",
        description="Serve a webhook receiver, and print a line for each delivery: time, verdict, kind, key, state. "
        "Settings are read from the environment: SIGNALWIRE_PROJECT_ID, SIGNALWIRE_API_TOKEN and, if set, "
        "SIGNALWIRE_SIGNING_KEY and SWCALLS_PUBLIC_URL. SIGINT (Ctrl-C) and SIGTERM end it.",
        epilog="Verdicts: early (accepted; it is kept, since this process has no action for it), unknown (accepted; a "
        "kind of event that swcalls does not know), and forged, foreign, malformed, oversized (refused).",
        allow_abbrev=False,
    )
    _add_address(listen, 8080)
    _add_public_address(listen)
    listen.add_argument(
        "--record",
        type=_text,
        metavar="FILE",
        help="also append each delivery to this file, for swcalls replay",
    )
    page = "also show the calls on a page of this machine (default port: 8081); SWCALLS_DASHBOARD_TOKEN opens it"
    listen.add_argument("--web", type=_port, nargs="?", const=8081, metavar="PORT", help=page)
    listen.add_argument("--show-private", action="store_true", help="numbers, digits and texts, too, on the page")
    listen.set_defaults(run=_listen, interrupted=0)

    replay = commands.add_parser(
        "replay",
        help="process the webhooks of a recording again",
        description="Process the deliveries of a recording (listen --record, or WebhookReceiver.record) again, with "
        "this version of swcalls, as if their actions were running. Print a line for each delivery: time since the "
        "first, verdict, kind, key, state, and the recorded verdict if it differs; then a line for each action: how it "
        "settled, or that it did not; then a line for each call. The time between deliveries is simulated: no waiting.",
        epilog="Signatures are not checked: they are made over the full URLs, which a recording does not contain.",
        allow_abbrev=False,
    )
    replay.add_argument("file", type=_text, metavar="FILE", help="the recording")
    _add_json(replay)
    _add_html(replay, "write the timelines of its calls to this file")
    replay.set_defaults(run=_replay, interrupted=130)

    send = commands.add_parser(
        "send",
        help="send one command, and print the response",
        description="Send one command, and print the response as JSON. Parameters are not checked, and no webhook is "
        "waited for. Settings are read from the environment: SIGNALWIRE_PROJECT_ID, SIGNALWIRE_API_TOKEN and "
        "SIGNALWIRE_SPACE. The exit status is 0 only if the command was accepted.",
        epilog='For example: swcalls send calling.end \'{"reason": "hangup"}\' --call-id CALL_ID',
        allow_abbrev=False,
    )
    send.add_argument("wire_command", type=_text, metavar="COMMAND", help="dial, calling.play, calling.end, …")
    send.add_argument(
        "params", nargs="?", default="{}", metavar="PARAMS", help="a JSON object, or - for standard input ({})"
    )
    send.add_argument("--call-id", type=_text, metavar="ID", help="the call that the command is for")
    send.set_defaults(run=_send, interrupted=130)

    doctor = commands.add_parser(
        "doctor",
        help="check the settings, the space and the public URL",
        description="Check, before a first call: the environment variables, the space, the credentials, the clock, the "
        "public URL (by posting through it to a receiver that this command serves), signatures, and the backplane, if "
        "one is named. Print a line for each check, and what to do if it fails. The exit status is 0 if no check "
        "fails; warnings (!) do not count. No call is made.",
        allow_abbrev=False,
    )
    _add_address(doctor, 8080)
    _add_public_address(doctor)
    doctor.add_argument(
        "--backplane", metavar="URL", help="Redis or PostgreSQL to check as well (default: SWCALLS_BACKPLANE)"
    )
    _add_json(doctor)
    doctor.set_defaults(run=_doctor, interrupted=130)
    return parser


def _add_address(parser: argparse.ArgumentParser, port: int) -> None:
    parser.add_argument("--host", type=_text, default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=_port, default=port, help="port, 0 for any free port (%(default)s)")


def _add_public_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--public-url",
        metavar="URL",
        help="URL at which SignalWire reaches the receiver (default: SWCALLS_PUBLIC_URL, else its own address)",
    )
    parser.add_argument("--path", default="/swcalls", help="path of the receiver below the public URL (%(default)s)")


def _add_space(parser: argparse.ArgumentParser) -> None:
    _add_address(parser, 8123)
    parser.add_argument(
        "--project",
        type=_project,
        default="project",
        help="user name of the API's HTTP Basic authentication (%(default)s)",
    )
    parser.add_argument("--token", type=_text, default="token", help="its password (%(default)s)")
    parser.add_argument(
        "--signing-key", type=_text, metavar="KEY", help="sign webhooks with this key (default: they are not signed)"
    )
    _add_speed(parser)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def _add_html(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "--html",
        type=_text,
        metavar="FILE",
        help=f"{what} as an HTML page, with the payload of each webhook; an existing file is replaced",
    )


def _add_speed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--speed", type=_speed, default=1.0, help="simulated seconds per second (%(default)s)")


def _port(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 5 and int(value) <= 65535):
        raise argparse.ArgumentTypeError(f"{value!r} must be a whole number from 0 to 65535")
    return int(value)


def _speed(value: str) -> float:
    try:
        speed = float(value)
    except ValueError:
        speed = math.nan
    if not 0 < speed <= MAX_SPEED:
        raise argparse.ArgumentTypeError(f"{value!r} must be a number greater than 0, and at most {MAX_SPEED:g}")
    return speed


def _text(value: str) -> str:
    if not value or not value.isprintable():
        raise argparse.ArgumentTypeError("must be printable text that is not empty")
    return value


def _project(value: str) -> str:
    if ":" in value:
        raise argparse.ArgumentTypeError(f"{value!r} must not contain ':'")
    return _text(value)
