"""`Faults`: the settings for deliberate faults of the simulator; `Dice`: decides at random when they happen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from random import Random, SystemRandom
from typing import Any

from msgspec import Struct

from .argument_checks import is_duration, refuse

Span = float | tuple[float, float]
"""Simulated seconds: a maximum, or a pair of minimum and maximum. The actual value is chosen at random."""

_CHANCES = (
    "drop", "duplicate", "reorder", "early", "forge", "nulls", "unknown",
    "unanswered", "reset_before", "reset_after", "hangs_up", "lost_requests", "lost_results", "killed",
)  # fmt: skip
HANGS_UP_WITHIN = 2.0
"""The most simulated seconds from a command to the hang-up that ``hangs_up`` causes."""
HELD_FOR = 1.0
"""The most simulated seconds for which ``reorder`` holds a webhook back."""


class Faults(Struct, frozen=True, kw_only=True):
    """The faults of a simulated platform and network. A chance is a number from 0 (never) to 1 (always).

    The same seed and the same order of requests cause the same faults. The order of concurrent requests can differ from
    run to run.
    """

    drop: float = 0
    """Chance that a webhook is lost."""
    duplicate: float = 0
    """Chance that a webhook is posted twice."""
    reorder: float = 0
    """Chance that a webhook is posted after the next one of its call."""
    delay: Span = 0
    """How late a webhook is posted, in simulated seconds; later webhooks overtake it."""
    early: float = 0
    """Chance that the webhooks caused by a command come before its response."""
    forge: float = 0
    """Chance that a forged webhook comes before a webhook: with a wrong URL, and a final state."""
    nulls: float = 0
    """Chance that one parameter of a webhook, other than its ids, is ``null``."""
    unknown: float = 0
    """Chance that a webhook with an unknown state comes before a webhook."""
    status: int | Mapping[int, float] = {}
    """The HTTP status (400 to 599) with which each command is refused unprocessed; or the chance of each status."""
    retry_after: float | None = 1
    """The ``Retry-After`` of a refusal with 429 or 503, in seconds; ``None``: no such header."""
    unanswered: float = 0
    """Chance that a command is processed, but answered with 502 or 504."""
    reset_before: float = 0
    """Chance that the connection is reset before the command is processed."""
    reset_after: float = 0
    """Chance that the connection is reset after the command was processed."""
    slow: Span = 0
    """How long the response to a command takes, in simulated seconds."""
    hangs_up: float = 0
    """Chance that the callee hangs up within two simulated seconds after a command."""
    lost_requests: float = 0
    """Chance of a ``request`` step of a SWML document, its tail for example, to be lost; the document goes on."""
    lost_results: float = 0
    """Chance of the last event of a ``connect`` (``failed``, ``disconnected``) or of a conference to be lost."""
    killed: float = 0
    """Chance of a SWML document to be killed in the middle, after its first step: the call ends with ``error``."""
    redirects_count: bool = False
    """``update`` and ``calling.transfer`` count as transfers too, of which a call has 32; documents say so of steps."""
    log_status: int | None = None
    """The HTTP status (400 to 599) with which each request to the voice log is refused."""
    seed: int | None = None
    """The seed of the random numbers; ``None``: a random one, which ``Simulator.seed`` returns."""

    def __post_init__(self) -> None:
        for name in _CHANCES:
            if not _is_chance(getattr(self, name)):
                refuse(self, name, "a number from 0 to 1")
        for name in ("delay", "slow"):
            value = getattr(self, name)
            span = value if isinstance(value, tuple) and len(value) == 2 else (0, value)
            if not all(is_duration(limit) for limit in span) or span[0] > span[1]:
                refuse(self, name, "a number of seconds (>= 0), or a pair of such numbers, the smaller one first")
        chances = self.status if isinstance(self.status, Mapping) else {self.status: 1}
        if not all(_is_refusal(status) and _is_chance(chance) for status, chance in chances.items()):
            refuse(self, "status", "an HTTP status from 400 to 599, or a mapping from statuses to chances")
        if sum(chances.values()) > 1:
            refuse(self, "status", "a mapping whose chances add up to at most 1")
        if self.retry_after is not None and not is_duration(self.retry_after):
            refuse(self, "retry_after", "None, or a number of seconds (>= 0)")
        if not isinstance(self.redirects_count, bool):
            refuse(self, "redirects_count", "True or False")
        if self.log_status is not None and not _is_refusal(self.log_status):
            refuse(self, "log_status", "None, or an HTTP status from 400 to 599")
        if self.seed is not None and (isinstance(self.seed, bool) or not isinstance(self.seed, int)):
            refuse(self, "seed", "None, or a whole number")


class Dice:
    """Decides at random which faults happen, and counts them."""

    def __init__(self, faults: Faults) -> None:
        self.seed: int = SystemRandom().randrange(2**32) if faults.seed is None else faults.seed
        self.counts: Counter[str] = Counter()
        """How often each fault has happened."""
        self.faults = faults
        self._random = Random(self.seed)  # noqa: S311 - faults must be reproducible

    def happens(self, fault: str) -> bool:
        """Return whether *fault*, the name of a chance, happens now."""
        chance: float = getattr(self.faults, fault)
        if not chance or self._random.random() >= chance:
            return False
        self.counts[fault] += 1
        return True

    def seconds(self, fault: str) -> float:
        """Return how many seconds *fault*, the name of a span, takes now."""
        span: Span = getattr(self.faults, fault)
        least, most = span if isinstance(span, tuple) else (0.0, span)
        seconds = self.between(least, most) if most else 0.0
        if seconds:
            self.counts[fault] += 1
        return seconds

    def between(self, least: float, most: float) -> float:
        """Return a random number of seconds from *least* to *most*."""
        return self._random.uniform(least, most)

    def refusal(self) -> int | None:
        """Return the status with which a command is refused unprocessed; None: it is not refused."""
        status = self.faults.status
        if isinstance(status, int):
            self.counts["status"] += 1
            return status
        point = self._random.random() if status else 1.0
        for candidate, chance in status.items():
            if point < chance:
                self.counts["status"] += 1
                return candidate
            point -= chance
        return None

    def retry_after(self, status: int, wall_clock: float) -> dict[str, str]:
        """Return the ``Retry-After`` header of a refusal with *status*, if any: at random in seconds, or as a date."""
        seconds = self.faults.retry_after
        if seconds is None or status not in (429, 503):
            return {}
        if seconds >= 1 and self._random.random() < 0.5:
            return {"Retry-After": format_datetime(datetime.fromtimestamp(wall_clock + seconds, UTC), usegmt=True)}
        return {"Retry-After": f"{seconds:g}"}

    def lost_answer(self) -> int:
        """Return the status for a command that was processed, and is answered with an error (``unanswered``)."""
        return self._random.choice((502, 504))

    def with_null(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Return *payload* with ``null`` for one random parameter."""
        params = params_of(payload)
        names = [name for name in params if name not in ("control_id", "call_id", "params", "event_type")]
        return _with_params(payload, {self._random.choice(names): None}) if names else payload


def with_state(payload: dict[str, Any], state: str) -> dict[str, Any]:
    """Return *payload* with another state."""
    return _with_params(payload, {"call_state" if "call_state" in params_of(payload) else "state": state})


def altered(url: str) -> str:
    """Return *url* with its last character changed."""
    return url[:-1] + ("A" if url[-1] != "A" else "B")


def params_of(payload: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of *payload*: ``params`` of an envelope, or *payload* itself if it is bare."""
    params = payload.get("params")
    return params if isinstance(params, dict) else payload


def _with_params(payload: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    params = params_of(payload)
    return {**payload, **changes} if params is payload else {**payload, "params": {**params, **changes}}


def _is_chance(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _is_refusal(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599
