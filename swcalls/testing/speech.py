"""How fast people, and voices made by machines, speak."""

from __future__ import annotations

WORDS_PER_SECOND = 2.5


def speaking_time(text: str) -> float:
    """Tell how many seconds it takes to say *text*."""
    return max(1, len(text.split())) / WORDS_PER_SECOND


def heard_within(text: str, seconds: float) -> str:
    """Cut *text* to the words that can be said in *seconds*: at least one."""
    words = text.split()
    return text if speaking_time(text) <= seconds else " ".join(words[: max(1, int(seconds * WORDS_PER_SECOND))])
