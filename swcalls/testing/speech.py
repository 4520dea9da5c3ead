"""How long speech takes in the simulation; plays, recordings and collects use it."""

from __future__ import annotations

WORDS_PER_SECOND = 2.5


def speaking_time(text: str) -> float:
    """Return how many seconds it takes to say *text*."""
    return max(1, len(text.split())) / WORDS_PER_SECOND


def heard_within(text: str, seconds: float) -> str:
    """Return the words of *text* that can be said in *seconds*, at least one."""
    words = text.split()
    return text if speaking_time(text) <= seconds else " ".join(words[: max(1, int(seconds * WORDS_PER_SECOND))])
