"""`Board`: the calls as all viewers see them. It observes the calls only while there are viewers.

What happens on a call only marks its card as stale, and wakes the viewers. A viewer asks the board to refresh itself
before it sends. This happens at most `RATE` times a second, whatever the number of viewers and events, and each refresh
draws for a limited time.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
from msgspec import Struct

from ..timeline import Journal, Mark
from .cards import Card, Facts
from .sources import Counter, Source

RATE = 4
"""Refreshes a second, at most."""
SHARE = 0.1
"""The share of the event loop's time that refreshes may take: after a long one, the next one comes later."""
DRAWING = 0.02
"""Seconds after which a refresh draws no further picture; the next one goes on with those that are left."""
GROWTH = 1.0
"""Seconds after which the picture of a call that is up is drawn again, to show that time passes."""
MOST_GROWING = 10
"""With more calls than this on the page, a picture is only drawn again when something has happened on its call."""
MOST_CALLS = 50
"""How many calls are shown at most, of those that are up."""
MOST_ENDED = 10
"""How many calls that have ended are shown in addition."""
LINGER = 20.0
"""Seconds for which a call is still shown after its end."""


class Seen(Struct):
    """What one viewer has been sent."""

    order: tuple[int, ...] = ()
    versions: dict[int, tuple[int, int]] = {}
    """By the number of a call: the versions of its facts and its picture."""
    counters: list[Counter] | None = None
    up: int = -1


class Message(Struct, omit_defaults=True):
    """What has changed since the last message to a viewer; the page makes itself of these."""

    now: float
    """Unix seconds."""
    up: int
    """How many calls are up, also those that are not shown."""
    order: tuple[int, ...]
    """The calls to show, by number."""
    calls: list[Facts] = []
    pictures: dict[int, str] = {}
    """By the number of the call: an ``<svg>`` element."""
    counters: list[Counter] = []


class Board:
    """The cards of the calls of *source*, and its counters.

    Args:
        source: Where to read.
        private: Whether to show numbers, and what parties press and say.
        more_counters: Returns counters of the page itself.
    """

    def __init__(self, source: Source, *, private: bool, more_counters: Callable[[], list[Counter]]) -> None:
        self.next_refresh: float = 0.0
        """The time (monotonic seconds) before which a refresh does nothing."""
        self.has_news: bool = False
        """Whether something has happened that the last refresh did not take up, or did not have the time to draw."""
        self._source = source
        self._private = private
        self._more_counters = more_counters
        self._viewers: set[Callable[[], object]] = set()
        self._cards: dict[Journal, Card] = {}
        """By the journal of the call, which does not keep the call alive."""
        self._counters: list[Counter] = []
        self._up = 0
        self._last_number = 0

    def add_viewer(self, wake: Callable[[], object]) -> None:
        """Observe the calls for a viewer: *wake* is called when something has happened."""
        if not self._viewers:
            self._source.observers.append(self._on_mark)
        self._viewers.add(wake)

    def remove_viewer(self, wake: Callable[[], object]) -> None:
        """Forget a viewer. Without viewers, nothing is observed and nothing is kept."""
        self._viewers.remove(wake)
        if not self._viewers:
            self._source.observers.remove(self._on_mark)
            self._cards.clear()
            self.next_refresh = 0.0

    def refresh(self) -> None:
        """Read the calls again, and draw the pictures that have changed, unless the last refresh was just now."""
        now = time.monotonic()
        if now < self.next_refresh:
            return
        self.has_news = False
        self._choose(now)
        for card in self._cards.values():
            card.look(now)
        self._draw(now)
        self._counters = self._source.counters() + self._more_counters()
        end = time.monotonic()
        self.next_refresh = end + max(1 / RATE, (end - now) / SHARE)

    def message(self, seen: Seen) -> bytes | None:
        """Return what has changed since *seen*, as JSON, and note in *seen* that it is sent; ``None``: nothing has."""
        # The newest call first.
        cards = sorted(self._cards.values(), key=lambda card: (card.since or 0.0, card.number), reverse=True)
        order = tuple(card.number for card in cards)
        calls, pictures, versions = [], {}, {}
        for card in cards:
            facts_version, picture_version = seen.versions.get(card.number, (0, 0))
            if card.facts is not None and card.facts_version != facts_version:
                calls.append(card.facts)
            if card.picture_version != picture_version:
                pictures[card.number] = card.picture
            versions[card.number] = card.facts_version, card.picture_version
        counters = [] if self._counters == seen.counters else self._counters
        if (order, self._up) == (seen.order, seen.up) and not (calls or pictures or counters):
            return None
        seen.order, seen.up, seen.versions, seen.counters = order, self._up, versions, self._counters
        message = Message(now=time.time(), up=self._up, order=order, calls=calls, pictures=pictures, counters=counters)
        return msgspec.json.encode(message)

    def _choose(self, now: float) -> None:
        """Choose the calls to show: those that were shown before, as long as they are up and a little longer."""
        up = {
            call.observer: call
            for call in self._source.calls()
            if not call.has_ended and isinstance(call.observer, Journal)
        }
        self._up = len(up)
        ended = [card for card in self._cards.values() if card.ended_at is not None]
        for number, card in enumerate(reversed(ended)):
            if number >= MOST_ENDED or now - (card.ended_at or now) >= LINGER:
                del self._cards[card.journal]
        room = MOST_CALLS - sum(card.ended_at is None for card in self._cards.values())
        for journal, call in up.items():
            if room <= 0:
                break
            if journal not in self._cards:
                self._last_number += 1
                self._cards[journal] = Card(call, self._last_number, private=self._private)
                room -= 1

    def _draw(self, now: float) -> None:
        """Draw the pictures that have changed, those first that were drawn first, until the time is up."""
        is_growing = len(self._cards) <= MOST_GROWING
        cards = [
            card
            for card in self._cards.values()
            if card.is_stale or (is_growing and card.ended_at is None and now - card.drawn_at >= GROWTH)
        ]
        cards.sort(key=lambda card: card.drawn_at)
        left = iter(cards)
        for card in left:
            card.draw(now)
            if time.monotonic() - now >= DRAWING:
                break
        if any(card.is_stale for card in left):
            self.has_news = True

    def _on_mark(self, journal: Journal, mark: Mark) -> None:
        self.has_news = True
        card = self._cards.get(journal)
        if card is not None:
            card.is_stale = True
        for wake in self._viewers:
            wake()
