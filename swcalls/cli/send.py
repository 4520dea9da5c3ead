"""``swcalls send``: one raw command, JSON in, JSON out."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from swcalls import Client, CommandError

from .failure import Failure
from .output import print_line

_LARGEST = 1024 * 1024
"""Bytes of JSON that are read."""


async def send(command: str, params: str, call_id: str | None) -> int:
    """Send *command* as it is, and print the answer as it came; return the exit status.

    Args:
        params: A JSON object, or ``-`` for what is on standard input.
    """
    given = _object(sys.stdin.read(_LARGEST) if params == "-" else params)
    async with Client.from_env() as client:
        try:
            answer = await client.execute(command, call_id=call_id, params=given)
        except CommandError as error:
            raise Failure(f"{type(error).__name__}: {error}") from error
        except (TypeError, ValueError) as error:
            raise Failure(str(error)) from error
    print_line(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())
    return 0


def _object(text: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = msgspec.json.decode(text or "{}", type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise Failure(f"PARAMS must be a JSON object: {error}") from error
    return found
