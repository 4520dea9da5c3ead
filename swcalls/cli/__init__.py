"""The program ``swcalls``: its arguments, and what its commands have in common: how they end."""

from __future__ import annotations

import argparse
import asyncio
import io
import math
import sys
from collections.abc import Coroutine, Sequence
from typing import Any

import msgspec

from swcalls import __version__
from swcalls.errors import ConfigurationError

from .failure import Failure

MAX_SPEED = 10_000.0
"""Beyond, the simulated calendar would soon run out of years."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program with *argv* (default: the command line's); return the exit status."""
    options = _parser().parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status: int = asyncio.run(options.run(options))
    except KeyboardInterrupt:
        status = options.interrupted
    except (Failure, ConfigurationError) as error:
        print(f"swcalls {options.command}: {error}", file=sys.stderr)
        status = 2 if isinstance(error, ConfigurationError) else 1
    return status


def _demo(options: argparse.Namespace) -> Coroutine[None, None, int]:
    from .demo import demo

    return demo(options.speed, html=options.html, as_json=options.json)


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
        faults=options.faults,
    )


def _listen(options: argparse.Namespace) -> Coroutine[None, None, int]:
    from .listen import listen

    return listen(
        host=options.host,
        port=options.port,
        public_url=options.public_url,
        path=options.path,
        record=options.record,
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
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="swcalls",
        description="Try out swcalls and test against it without an account; check settings, and look into incidents.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"swcalls {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)

    demo = commands.add_parser(
        "demo",
        help="make a simulated call, and draw what happened",
        description="Make a simulated call: every command and webhook as it happens, then a picture of the call. "
        "No real call is made. The exit status is 0 only if every step did what it should.",
        allow_abbrev=False,
    )
    _add_speed(demo)
    _add_json(demo)
    _add_html(demo, "draw the call")
    demo.set_defaults(run=_demo, interrupted=130)

    simulate = commands.add_parser(
        "simulate",
        help="serve a simulated SignalWire space",
        description="Serve a SignalWire space on this machine, for any client of the Calling API. Its URL is the first "
        "line of standard output, as soon as it accepts connections; commands and webhooks are logged to standard "
        "error. SIGINT (Ctrl-C) and SIGTERM end it.",
        allow_abbrev=False,
    )
    _add_address(simulate, 8123)
    simulate.add_argument(
        "--project",
        type=_project,
        default="project",
        help="user name of the API's HTTP Basic authentication (%(default)s)",
    )
    simulate.add_argument("--token", type=_text, default="token", help="its password (%(default)s)")
    simulate.add_argument("--signing-key", type=_text, metavar="KEY", help="sign webhooks with this key (not signed)")
    _add_speed(simulate)
    simulate.add_argument(
        "--callee",
        type=_callee,
        metavar="JSON",
        help='who answers every number, as swcalls.testing.Callee has it: \'{"presses": "42#", "rings_for": 2}\''
        " (somebody who presses 1234, and says a sentence)",
    )
    simulate.add_argument(
        "--faults",
        type=_faults,
        metavar="JSON",
        help='what goes wrong, with the fields of swcalls.testing.Faults: \'{"drop": 0.1, "seed": 7}\' (nothing)',
    )
    simulate.set_defaults(run=_simulate, interrupted=0)

    listen = commands.add_parser(
        "listen",
        help="print the webhooks that a receiver gets",
        description="Serve a webhook receiver, and print a line for each delivery: time, verdict, kind, key, state. "
        "What it runs for is read from the environment: SIGNALWIRE_PROJECT_ID, SIGNALWIRE_API_TOKEN and, if set, "
        "SIGNALWIRE_SIGNING_KEY and SWCALLS_PUBLIC_URL. SIGINT (Ctrl-C) and SIGTERM end it.",
        epilog="Verdicts: early (genuine; no action of this process waits for it, so it is kept), unknown (genuine, of "
        "a shape never seen), forged, foreign, malformed and oversized (all of them refused).",
        allow_abbrev=False,
    )
    _add_address(listen, 8080)
    _add_public_address(listen)
    listen.add_argument(
        "--record",
        type=_text,
        metavar="FILE",
        help="write each delivery to this file as well, for swcalls replay; what is in it stays",
    )
    listen.set_defaults(run=_listen, interrupted=0)

    replay = commands.add_parser(
        "replay",
        help="feed a recording of webhooks to the rules again",
        description="Feed the deliveries of a recording (listen --record, or WebhookReceiver.record) to the rules of "
        "this version, as if every action that they are about were running. Print a line for each delivery: time since "
        "the first, verdict, kind, key, state, and the verdict then, if it was another; then a line for each action: "
        "how it settled, or that it did not; and for each call. It takes none of the time that the recording took.",
        epilog="Signatures are not checked: a recording does not have the URLs that they are made of.",
        allow_abbrev=False,
    )
    replay.add_argument("file", type=_text, metavar="FILE", help="the recording")
    _add_json(replay)
    _add_html(replay, "draw its calls")
    replay.set_defaults(run=_replay, interrupted=130)

    send = commands.add_parser(
        "send",
        help="send one command, and print the answer",
        description="Send one command as it is, and print the answer as JSON. Nothing is checked, and nobody waits for "
        "what comes of it. The project is read from the environment: SIGNALWIRE_PROJECT_ID, SIGNALWIRE_API_TOKEN and "
        "SIGNALWIRE_SPACE. The exit status is 0 only if the command was accepted.",
        epilog='For example: swcalls send calling.end \'{"reason": "hangup"}\' --call-id CALL_ID',
        allow_abbrev=False,
    )
    send.add_argument("wire_command", type=_text, metavar="COMMAND", help="dial, calling.play, calling.end, …")
    send.add_argument("params", nargs="?", default="{}", metavar="PARAMS", help="a JSON object, or - to read it ({})")
    send.add_argument("--call-id", type=_text, metavar="ID", help="the call that it is for")
    send.set_defaults(run=_send, interrupted=130)

    doctor = commands.add_parser(
        "doctor",
        help="check the settings against the world",
        description="Check, before a first call: the environment, the space and the credentials, the clock, the public "
        "URL (by serving a receiver, and posting to it through that URL), and signatures. Print a line for each: what "
        "was checked, and when it is wrong, what to do. The exit status is 0 only if nothing is wrong; warnings (!) do "
        "not count. No call is made.",
        allow_abbrev=False,
    )
    _add_address(doctor, 8080)
    _add_public_address(doctor)
    _add_json(doctor)
    doctor.set_defaults(run=_doctor, interrupted=130)
    return parser


def _add_address(parser: argparse.ArgumentParser, port: int) -> None:
    parser.add_argument("--host", type=_text, default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=_port, default=port, help="port, 0 for any that is free (%(default)s)")


def _add_public_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--public-url",
        metavar="URL",
        help="where the platform reaches the receiver (SWCALLS_PUBLIC_URL, else its own address)",
    )
    parser.add_argument("--path", default="/swcalls", help="where it is mounted below that (%(default)s)")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object instead, for programs")


def _add_html(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "--html",
        type=_text,
        metavar="FILE",
        help=f"{what} on a page, with what every webhook brought; the file is replaced",
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


def _callee(value: str) -> Any:
    from swcalls.testing import Callee

    return _built(Callee, value)


def _faults(value: str) -> Any:
    from swcalls.testing import Faults

    return _built(Faults, value)


def _built(cls: type[Any], value: str) -> Any:
    """Make a Struct of a JSON object, which may have no field that it does not know."""
    try:
        given = msgspec.json.decode(value, type=dict[str, Any])
        unknown = sorted(set(given) - set(cls.__struct_fields__))
        if unknown:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} must be one of {', '.join(cls.__struct_fields__)}")
        return msgspec.convert(given, cls, str_keys=True)
    except msgspec.MsgspecError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _project(value: str) -> str:
    if ":" in value:
        raise argparse.ArgumentTypeError(f"{value!r} must not contain ':'")
    return _text(value)
