"""Types of command-line arguments that need more than a line: each turns a word into a value, or refuses it."""

from __future__ import annotations

import argparse
import math
import re
from typing import Any

import msgspec


def rate(value: str) -> float:
    """Return a number of calls a second."""
    try:
        given = float(value)
    except ValueError:
        given = math.nan
    if not 0 < given < math.inf:
        raise argparse.ArgumentTypeError(f"{value!r} must be a number greater than 0")
    return given


def web_url(value: str) -> str:
    """Return a URL to which a request can be posted."""
    from swcalls.commands._types import HTTP_URL

    if not re.fullmatch(HTTP_URL, value):
        raise argparse.ArgumentTypeError(f"{value!r} must be an http:// or https:// URL")
    return value


def header(value: str) -> tuple[str, str]:
    """Return name and value of a SIP header."""
    name, equals, content = value.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{value!r} must be NAME=VALUE")
    return name, content


def callee(value: str) -> Any:
    """Return a `Callee` from JSON."""
    from swcalls.testing import Callee

    return _struct_from_json(Callee, value)


def faults(value: str) -> Any:
    """Return `Faults` from JSON."""
    from swcalls.testing import Faults

    return _struct_from_json(Faults, value)


def sound(value: str) -> str:
    """Return the name of a sound that the simulator knows."""
    from swcalls.testing.audio_sounds import is_sound

    if not is_sound(value):
        raise argparse.ArgumentTypeError(
            f"{value!r} must be silence, tone, speech, or the path of a WAV file of 16-bit samples"
        )
    return value


def _struct_from_json(cls: type[Any], value: str) -> Any:
    """Return an instance of the Struct *cls* made from the JSON object *value*, which must have no unknown fields."""
    try:
        given = msgspec.json.decode(value, type=dict[str, Any])
        unknown = sorted(set(given) - set(cls.__struct_fields__))
        if unknown:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} must be one of {', '.join(cls.__struct_fields__)}")
        return msgspec.convert(given, cls, str_keys=True)
    except msgspec.MsgspecError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
