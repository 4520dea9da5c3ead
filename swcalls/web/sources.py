"""Where the page reads: `ClientSource` reads a client. Reading changes nothing there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from msgspec import Struct

from .._core.operation import CallOperation
from ..client import Client
from ..timeline import Tell

_GOOD = frozenset({"applied", "early", "inbound", "forwarded"})
"""The verdicts on webhooks that are no trouble."""


class Counter(Struct, frozen=True):
    """A counter, as the page shows it."""

    name: str
    number: int
    is_trouble: bool = False
    """Whether something went wrong each time it was counted."""


class Source(Protocol):
    """The calls that the page shows."""

    @property
    def observers(self) -> list[Tell]:
        """Called with each mark of each call. The page is in this list only while somebody looks at it."""
        ...

    def calls(self) -> Iterable[CallOperation]:
        """Return the calls that are known, also those that have ended."""
        ...

    def counters(self) -> list[Counter]:
        """Return the counters, as they are now."""
        ...


class ClientSource:
    """The calls and counters of a client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def observers(self) -> list[Tell]:
        """The observers of the client's calls."""
        return self._client._engine.observers

    def calls(self) -> Iterable[CallOperation]:
        """Return the calls of the client."""
        return self._client._engine.registry.calls

    def counters(self) -> list[Counter]:
        """Return the counters of ``client.stats``."""
        stats = self._client.stats
        return [
            Counter("pending actions", stats.pending),
            Counter("requests sent", stats.sent),
            Counter("requests sent again", stats.retried, is_trouble=True),
            *(
                Counter(f"settled by {by.replace('_', ' ')}", number, by in ("deadline", "call_ended"))
                for by, number in sorted(stats.settled.items())
            ),
            *webhook_counters(stats.webhooks),
            Counter("voice log read", stats.log_questions),
            Counter("early events kept", stats.early),
            Counter("early events dropped", stats.early_dropped, is_trouble=True),
        ]


def webhook_counters(verdicts: Mapping[str, int]) -> list[Counter]:
    """Return a counter for each of *verdicts*."""
    return [
        Counter(f"webhooks {verdict}", number, verdict not in _GOOD) for verdict, number in sorted(verdicts.items())
    ]
