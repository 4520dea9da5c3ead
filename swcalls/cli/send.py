"""``swcalls send``: sends one command with unchecked JSON parameters, and prints the response as JSON."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from swcalls import Client, CommandError, CommandNotSent, InvalidParams, Unauthorized

from .failure import Failure
from .output import print_line

_MAX_INPUT = 1024 * 1024
"""Characters that are read from standard input."""


async def send(command: str, params: str, call_id: str | None) -> int:
    """Send *command*, and print the response; return the exit status.

    Args:
        command: The name of the command on the wire.
        params: A JSON object, or ``-`` to read it from standard input.
        call_id: The call that the command is for; ``None`` for ``dial`` and ``update``.
    """
    given = _object(sys.stdin.read(_MAX_INPUT) if params == "-" else params)
    async with Client.from_env() as client:
        try:
            answer = await client.execute(command, call_id=call_id, params=given)
        except CommandError as error:
            raise Failure(f"{type(error).__name__}: {error}", _advice(error, call_id)) from error
        except (TypeError, ValueError) as error:
            raise Failure(str(error)) from error
    print_line(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())
    return 0


def _advice(error: CommandError, call_id: str | None) -> str:
    """Return what the user should do about *error*."""
    match error:
        case Unauthorized() | CommandNotSent():
            return "swcalls doctor checks space and credentials"
        case InvalidParams() if call_id is None and error.command not in ("dial", "update"):
            return "--call-id names the call that a command is for"
        case _:
            return ""


def _object(text: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = msgspec.json.decode(text or "{}", type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise Failure(f"PARAMS must be a JSON object: {error}") from error
    return found
