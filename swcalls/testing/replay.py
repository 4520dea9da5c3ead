"""A recording of deliveries, fed to the same core that a receiver has: an incident becomes a test. Needs no loop."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

from msgspec import Struct

from swcalls._core.callback_urls import Address, CallbackUrls
from swcalls._core.deadlines import SLOT
from swcalls._core.decoding import READERS, MalformedBody, parse, read, read_inbound
from swcalls._core.limits import Limits
from swcalls._core.operation import CallOperation, Operation
from swcalls._core.registry import Registry
from swcalls._core.signature import Verifier
from swcalls._core.webhooks import INBOUND, Receipt, Shapes, Verdict, WebhookReader
from swcalls.events import Event, InboundCall
from swcalls.outcome import Outcome
from swcalls.recording import Recorded, RecordingError, read_recording
from swcalls.timeline import Journal, Timeline

_REFUSED = ("forged", "foreign", "oversized")
"""What was refused for what a recording no longer shows, or for whom it was about, stays refused."""


class Replayed(Struct, frozen=True, kw_only=True):
    """One delivery of a recording, then and now."""

    line: int
    """Where in the recording it is, from 1."""
    time: float
    """Seconds since the first."""
    verdict: Verdict
    """What became of it now."""
    recorded: Verdict
    """What became of it then."""
    kind: str | None
    """What its URL says that it is about; ``None``: it says nothing that can be read."""
    key: str | None
    event: Event | None
    """``None``: it tells of none, or cannot be believed."""
    new_shape: bool = False


class ReplayedCall(Struct, frozen=True, kw_only=True):
    """What became of a call."""

    state: str | None
    """The last one; ``None``: nothing told of it."""
    end_reason: str | None
    outcome: Outcome[Any] | None
    """``None``: it has not ended."""
    timeline: Timeline
    """What was told of it, and what that came to; a recording knows nothing of commands, and of who waited."""


class Replay(Struct, frozen=True, kw_only=True):
    """What came of a recording."""

    deliveries: list[Replayed]
    """In the order in which they came."""
    actions: dict[tuple[str, str], Outcome[Any] | None]
    """By kind and key: how each settled; ``None``: it did not."""
    calls: dict[str, ReplayedCall]
    """By call id (that of their URL, where no payload has one)."""


def replay(file: str | os.PathLike[str], *, limits: Limits = Limits()) -> Replay:
    """Feed what ``WebhookReceiver.record`` or ``swcalls listen --record`` has written to the rules of this version.

    Each action that a delivery is about is taken for one that was started, on the call that its payloads name, before
    the first of them. Time goes as it went then, graces included, and after the last delivery until nothing is due any
    more; it takes none. Signatures are not checked, since the URLs are not known any more: what was refused then as
    forged, foreign or oversized is shown as it was. Nothing is known of what was asked for (``continuous``, a stop, a
    deadline), and a ``control_id`` that was used again counts as one action.

    Raises:
        OSError: The file cannot be read.
        RecordingError: It is no recording; the message names the line.
    """
    return _Stage(file, list(read_recording(file)), limits).play()


class _Stage:
    """The core of a receiver, with operations that a recording tells of in the place of a client's."""

    def __init__(self, file: str | os.PathLike[str], recording: Sequence[Recorded], limits: Limits) -> None:
        self._file = os.fspath(file)
        self._recording = recording
        self._urls = CallbackUrls("replay", secrets.token_hex(), "/replay")
        self._registry = Registry(limits)
        self._reader = WebhookReader(self._urls, Verifier(), limits.body)
        self._shapes = Shapes()
        self._addresses = [self._address(delivery) for delivery in recording]
        self._calls: dict[str, CallOperation] = {}
        self._keys: dict[str, str] = {}
        """By the key of a URL for the states of a call: that of the call."""
        self._actions: dict[tuple[str, str], Operation] = {}
        self._now = 0.0
        self._receipt: Receipt
        self._takes_calls = True
        self._taken: set[str] = set()

    def play(self) -> Replay:
        """Feed it everything, and say what came of it."""
        self._set_up()
        deliveries = [
            self._replayed(delivery, address)
            for delivery, address in zip(self._recording, self._addresses, strict=True)
        ]
        # Every grace passes, but not the silence after which a call that did not end would be given up.
        limits = self._registry.limits
        self._pass(self._now + max(limits.grace, limits.long_grace, limits.transcript_grace, limits.margin) + SLOT)
        return Replay(
            deliveries=deliveries,
            actions={about: action.outcome for about, action in self._actions.items()},
            calls={
                name: ReplayedCall(
                    state=call.state,
                    end_reason=call.end_reason,
                    outcome=call.outcome,
                    timeline=Timeline.of(cast(Journal | None, call.observer)),
                )
                for name, call in self._calls.items()
            },
        )

    def _set_up(self) -> None:
        """Expect what the deliveries are about, each on its call."""
        found: dict[tuple[str, str], str | None] = {}
        for delivery, address in zip(self._recording, self._addresses, strict=True):
            about = None if address is None or delivery.verdict in _REFUSED else _about(delivery, address)
            if about is not None:
                kind, key, call_id = about
                found[kind, key] = found.get((kind, key)) or call_id
        for (kind, key), call_id in found.items():
            if kind == "call":
                # One that came in has its id for a key, wherever its states were posted.
                own = call_id if call_id is not None and (INBOUND, call_id) in found else key
                self._keys[key] = self._calls.setdefault(call_id or key, self._operation(own)).key
        for (kind, key), call_id in found.items():
            if kind == INBOUND:
                self._call(key)
            elif kind != "call":
                self._actions[kind, key] = Operation(kind, key, self._call(call_id))
        for name, call in self._calls.items():
            self._registry.identify(call, name)
            if (INBOUND, name) not in found:
                self._registry.expect_call(call, self._now)
        for action in self._actions.values():
            self._expect(action)

    def _call(self, call_id: str | None) -> CallOperation:
        return CallOperation("") if call_id is None else self._calls.setdefault(call_id, self._operation(call_id))

    def _operation(self, key: str) -> CallOperation:
        limit = self._registry.limits.timeline
        journal = Journal(limit, lambda: self._now, self._recording[0].time, []) if limit else None
        return CallOperation(key, observer=journal)

    def _expect(self, action: Operation) -> None:
        if action.stage == "not_sent":
            # Two kinds may have had one id in turn: the second has to wait until the first is over.
            with suppress(ValueError):
                self._registry.expect(action, self._now)
                action.stage = "accepted"

    def _replayed(self, delivery: Recorded, address: Address | None) -> Replayed:
        # A clock that was set back in the meantime stands still.
        self._pass(max(self._now, delivery.time - self._recording[0].time))
        kind, key = address[:2] if address is not None else (None, None)
        then = cast(Verdict, delivery.verdict)
        event = None if address is None or then != "foreign" else _event(delivery, address.kind)
        self._receipt = Receipt(then, kind, key, event)
        if address is not None and delivery.body is not None and then not in _REFUSED:
            if address[:2] in self._actions:
                self._expect(self._actions[address[:2]])
            self._takes_calls = then != "busy"
            self._receipt = self._shapes.mark(self._deliver(delivery, delivery.body))
        return Replayed(
            line=delivery.line,
            time=self._now,
            verdict=self._receipt.verdict,
            recorded=then,
            kind=self._receipt.kind,
            key=self._receipt.key,
            event=self._receipt.event,
            new_shape=self._receipt.new_shape,
        )

    def _pass(self, now: float) -> None:
        """Let everything happen that is due until *now*, each at its time."""
        while (due := self._registry.deadlines.next) is not None and due <= now:
            self._registry.expire(due)
        self._now = now

    def _deliver(self, delivery: Recorded, body: bytes) -> Receipt:
        found = self._reader.read(self._signed(_tail(delivery)), delivery.headers, body)
        if isinstance(found, Receipt):
            return found
        kind, key, event = found.kind, found.key, found.event
        if isinstance(event, InboundCall):
            return Receipt("inbound" if self._take_call(event) else "busy", INBOUND, key)
        own_key = self._keys.get(key, key) if kind == "call" else key
        verdict = self._registry.deliver(kind, own_key, event, len(body), self._now)
        return Receipt(verdict, kind, key, event)

    def _take_call(self, inbound: InboundCall) -> bool:
        """Take a call if one was taken then; that is not a matter of rules."""
        if self._takes_calls and inbound.call_id not in self._taken:
            self._taken.add(inbound.call_id)
            call = self._calls[inbound.call_id]
            if call.observer is not None:
                call.observer.event("call", call.key, inbound, "applied", self._now)
            self._registry.adopt(call, self._now)
        return self._takes_calls

    def _address(self, delivery: Recorded) -> Address | None:
        """Read what the path says; ``None``: nothing, as that of a refused request may."""
        address = None
        tail = _tail(delivery)
        with suppress(ValueError):
            address = self._urls.parse(self._signed(tail))
        if address is not None and address.kind and address.key:
            return address
        if delivery.body is not None and delivery.verdict not in _REFUSED:
            raise RecordingError(f"{self._file}, line {delivery.line}: its path names no kind and key")
        return None

    def _signed(self, tail: str) -> str:
        """Make the path of a genuine URL."""
        return f"{self._urls.prefix}{tail}/{self._urls._sign(tail)}"


def _tail(delivery: Recorded) -> str:
    """Return the segments of the path that name kind and key; the last one is the MAC, or what masks it."""
    return "/".join(delivery.path.split("/")[-3:-1])


def _about(delivery: Recorded, address: Address) -> tuple[str, str, str | None] | None:
    """Say which operation *delivery* is about, by kind and key, and on which call; ``None``: none."""
    kind, key = address[:2]
    raw = _payload(delivery)
    if kind == INBOUND:
        inbound = read_inbound(raw)
        if inbound is not None:
            return INBOUND, inbound.call_id, inbound.call_id
        call_id = read("call", raw).call_id
        return None if call_id is None else ("call", call_id, call_id)
    return (kind, key, read(kind, raw).call_id) if kind in READERS else None


def _event(delivery: Recorded, kind: str) -> Event | None:
    return read(kind, _payload(delivery)) if kind in READERS else None


def _payload(delivery: Recorded) -> dict[str, Any]:
    try:
        return parse(delivery.body or b"")
    except MalformedBody:
        return {}
