"""What goes wrong on purpose: the settings, and the dice that decide. Knows neither HTTP nor calls."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from random import Random, SystemRandom
from typing import Any, NoReturn

from msgspec import Struct

Span = float | tuple[float, float]
"""Simulated seconds: at most so many, or from the least to the most."""

_CHANCES = (
    "drop", "duplicate", "reorder", "early", "forge", "nulls", "unknown",
    "unanswered", "reset_before", "reset_after", "hangs_up", "lost_requests", "lost_results", "killed",
)  # fmt: skip
HANGS_UP_WITHIN = 2.0
"""Simulated seconds."""
HELD_FOR = 1.0
"""Simulated seconds for which a webhook that is to change places waits for another one to change with."""


class Faults(Struct, frozen=True, kw_only=True):
    """How a simulated platform and network misbehave. A chance is a number from 0 (never) to 1 (always).

    The same seed and the same order of requests make the same faults; how concurrent requests interleave is up to the
    machine, though.
    """

    drop: float = 0
    """Chance of a webhook to be lost."""
    duplicate: float = 0
    """Chance of a webhook to be posted twice."""
    reorder: float = 0
    """Chance of a webhook to change places with the next one of its call."""
    delay: Span = 0
    """How late a webhook comes, in simulated seconds; others overtake it."""
    early: float = 0
    """Chance of a command's answer to come after the webhooks that it caused."""
    forge: float = 0
    """Chance of a webhook to be preceded by one that was forged: its URL is not quite right, and it claims an end."""
    nulls: float = 0
    """Chance of a webhook to have ``null`` for one of its parameters, other than its ids."""
    unknown: float = 0
    """Chance of a webhook to be preceded by one with a state that nobody knows."""
    status: int | Mapping[int, float] = {}
    """The HTTP status (400 to 599) with which each command is refused unprocessed; or the chance of each status."""
    retry_after: float | None = 1
    """Seconds that a refusal with 429 or 503 asks to wait for; ``None`` to say nothing of that."""
    unanswered: float = 0
    """Chance of a command to be processed, and answered with 502 or 504."""
    reset_before: float = 0
    """Chance of a connection to be reset before its command is processed."""
    reset_after: float = 0
    """The same, but after that."""
    slow: Span = 0
    """How long the answer to a command takes, in simulated seconds."""
    hangs_up: float = 0
    """Chance of the far end to hang up soon (within two simulated seconds) after a command."""
    lost_requests: float = 0
    """Chance of a ``request`` step of a SWML document, its tail for example, to be lost; the document goes on."""
    lost_results: float = 0
    """Chance of the last event of a ``connect`` (``failed``, ``disconnected``) or of a conference to be lost."""
    killed: float = 0
    """Chance of a SWML document to be killed in the middle, after its first step: the call ends with ``error``."""
    redirects_count: bool = False
    """``update`` and ``calling.transfer`` count as transfers too, of which a call has 32; documents say so of steps."""
    log_status: int | None = None
    """The HTTP status (400 to 599) with which each question to the voice log is refused."""
    seed: int | None = None
    """What the dice start from; by default they choose, and ``Simulator.seed`` says what."""

    def __post_init__(self) -> None:
        for name in _CHANCES:
            if not _is_chance(getattr(self, name)):
                self._refuse(name, "a number from 0 to 1")
        for name in ("delay", "slow"):
            value = getattr(self, name)
            span = value if isinstance(value, tuple) and len(value) == 2 else (0, value)
            if not all(_is_duration(limit) for limit in span) or span[0] > span[1]:
                self._refuse(name, "seconds from 0, or a pair of them, the smaller first")
        chances = self.status if isinstance(self.status, Mapping) else {self.status: 1}
        if not all(_is_refusal(status) and _is_chance(chance) for status, chance in chances.items()):
            self._refuse("status", "an HTTP status from 400 to 599, or a mapping of such to chances")
        if sum(chances.values()) > 1:
            self._refuse("status", "a mapping whose chances add up to at most 1")
        if self.retry_after is not None and not _is_duration(self.retry_after):
            self._refuse("retry_after", "None, or seconds from 0")
        if not isinstance(self.redirects_count, bool):
            self._refuse("redirects_count", "True or False")
        if self.log_status is not None and not _is_refusal(self.log_status):
            self._refuse("log_status", "None, or an HTTP status from 400 to 599")
        if self.seed is not None and (isinstance(self.seed, bool) or not isinstance(self.seed, int)):
            self._refuse("seed", "None, or a whole number")

    def _refuse(self, name: str, rule: str) -> NoReturn:
        raise ValueError(f"Faults: {name}={getattr(self, name)!r} must be {rule}")


class Dice:
    """Decides what goes wrong, and counts it."""

    def __init__(self, faults: Faults) -> None:
        self.seed: int = SystemRandom().randrange(2**32) if faults.seed is None else faults.seed
        self.thrown: Counter[str] = Counter()
        """How often each fault has happened."""
        self.faults = faults
        self._random = Random(self.seed)  # noqa: S311 - the same faults again is the point

    def fall(self, fault: str) -> bool:
        """Decide whether *fault*, a chance, happens now."""
        chance: float = getattr(self.faults, fault)
        if not chance or self._random.random() >= chance:
            return False
        self.thrown[fault] += 1
        return True

    def seconds(self, fault: str) -> float:
        """Decide how long *fault*, a span, takes now."""
        span: Span = getattr(self.faults, fault)
        least, most = span if isinstance(span, tuple) else (0.0, span)
        seconds = self.between(least, most) if most else 0.0
        if seconds:
            self.thrown[fault] += 1
        return seconds

    def between(self, least: float, most: float) -> float:
        """Choose a number of seconds."""
        return self._random.uniform(least, most)

    def refusal(self) -> int | None:
        """Decide whether a command is refused unprocessed, and with which status."""
        status = self.faults.status
        if isinstance(status, int):
            self.thrown["status"] += 1
            return status
        point = self._random.random() if status else 1.0
        for candidate, chance in status.items():
            if point < chance:
                self.thrown["status"] += 1
                return candidate
            point -= chance
        return None

    def retry_after(self, status: int, wall_clock: float) -> dict[str, str]:
        """Make the header that says when to ask again, where a refusal says that: now in seconds, now as a date."""
        seconds = self.faults.retry_after
        if seconds is None or status not in (429, 503):
            return {}
        if seconds >= 1 and self._random.random() < 0.5:
            return {"Retry-After": format_datetime(datetime.fromtimestamp(wall_clock + seconds, UTC), usegmt=True)}
        return {"Retry-After": f"{seconds:g}"}

    def lost_answer(self) -> int:
        """Choose the status of an answer that hides what was done."""
        return self._random.choice((502, 504))

    def with_null(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Return *payload* with ``null`` for one of its parameters."""
        params = params_of(payload)
        names = [name for name in params if name not in ("control_id", "call_id", "params", "event_type")]
        return _with_params(payload, {self._random.choice(names): None}) if names else payload


def with_state(payload: dict[str, Any], state: str) -> dict[str, Any]:
    """Return *payload* with another word for what has happened."""
    return _with_params(payload, {"call_state" if "call_state" in params_of(payload) else "state": state})


def altered(url: str) -> str:
    """Return *url* with its last character changed."""
    return url[:-1] + ("A" if url[-1] != "A" else "B")


def params_of(payload: dict[str, Any]) -> dict[str, Any]:
    """Return what an envelope holds, or *payload* itself if it is none."""
    params = payload.get("params")
    return params if isinstance(params, dict) else payload


def _with_params(payload: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    params = params_of(payload)
    return {**payload, **changes} if params is payload else {**payload, "params": {**params, **changes}}


def _is_chance(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _is_duration(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _is_refusal(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599
