"""What a ``play`` or a ``prompt`` step plays: how long it takes, and what is said."""

from __future__ import annotations

from typing import Any

from ..operations.play import AUDIO_SECONDS
from ..speech import speaking_time


def played(params: dict[str, Any]) -> tuple[float, list[str]]:
    """Return the seconds that the sounds of a step take, and the texts that are spoken."""
    given: Any = next((params[name] for name in ("urls", "url", "play") if name in params), [])
    seconds, texts = 0.0, []
    for sound in given if isinstance(given, list) else [given]:
        kind, _, rest = str(sound).partition(":")
        if kind == "say":
            texts.append(rest)
            seconds += speaking_time(rest)
        elif kind == "silence":
            seconds += _number(rest)
        elif kind == "ring":
            seconds += _number(rest.partition(":")[0])
        else:
            seconds += AUDIO_SECONDS
    return seconds, texts


def _number(text: str) -> float:
    try:
        return max(0.0, min(float(text), 86_400.0))
    except ValueError:
        return 0.0
