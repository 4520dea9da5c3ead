"""`replay`: processes a recording of webhooks with the rules of this version, without network and event loop.

Tests use it to reproduce an incident, and ``swcalls replay`` to analyse one.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

from msgspec import Struct

from swcalls._core.callback_urls import Address, CallbackUrls
from swcalls._core.deadlines import SLOT
from swcalls._core.decoding import LEG, READERS, MalformedBody, parse, read, read_inbound
from swcalls._core.limits import Limits
from swcalls._core.operation import CallOperation, Operation
from swcalls._core.registry import Registry
from swcalls._core.signature import Verifier
from swcalls._core.webhooks import HOLD, INBOUND, Receipt, Shapes, Verdict, WebhookReader
from swcalls.events import Event, InboundCall
from swcalls.outcome import Outcome
from swcalls.recording import Recorded, RecordingError, read_recording
from swcalls.timeline import Journal, Timeline

_REFUSED = ("forged", "foreign", "oversized")
"""Recorded verdicts that are kept: a recording lacks the signed URL, the owner and the body to decide again."""


class Replayed(Struct, frozen=True, kw_only=True):
    """One delivery of a recording, with its recorded verdict and the one of this replay."""

    line: int
    """The number of its line in the recording, from 1."""
    time: float
    """Seconds since the first delivery."""
    verdict: Verdict
    """The verdict of this replay."""
    recorded: Verdict
    """The recorded verdict."""
    kind: str | None
    """The kind in its URL; ``None``: the URL cannot be read."""
    key: str | None
    """The key in its URL, which is the ``control_id`` of an action; ``None``: the URL cannot be read."""
    event: Event | None
    """``None``: it has no event, or was refused."""
    new_shape: bool = False
    """Whether its payload has a form that swcalls does not know."""


class ReplayedCall(Struct, frozen=True, kw_only=True):
    """A call of a recording, after the last delivery."""

    state: str | None
    """Its last state; ``None``: no delivery has one."""
    end_reason: str | None
    outcome: Outcome[Any] | None
    """``None``: it has not ended."""
    timeline: Timeline
    """Its events and outcomes; a recording contains no commands and no waits."""


class Replay(Struct, frozen=True, kw_only=True):
    """The result of `replay`."""

    deliveries: list[Replayed]
    """All deliveries, in the order in which they came."""
    actions: dict[tuple[str, str], Outcome[Any] | None]
    """The outcome of each action, by kind and key; ``None``: it has not settled."""
    calls: dict[str, ReplayedCall]
    """By call id, or by the key in the URL where no payload has a call id."""


def replay(file: str | os.PathLike[str], *, limits: Limits = Limits()) -> Replay:
    """Process a recording of ``WebhookReceiver.record`` or ``swcalls listen --record`` with the rules of this version.

    For each action in a delivery, the replay assumes that it was started before its first delivery, on the call that
    its payloads name. Time is simulated from the recorded times, with all grace periods, and goes on after the last
    delivery until they have passed. Limits of the replay:

    - Signatures are not checked, since a recording lacks the full URLs. Deliveries that were refused as forged, foreign
      or oversized keep that verdict.
    - The parameters of commands are unknown (``continuous``, a stop, a deadline).
    - A ``control_id`` that was used twice counts as one action.

    Args:
        file: The recording.
        limits: The limits of the client, for example its grace periods.

    Raises:
        OSError: The file cannot be read.
        RecordingError: The file is not a recording; the message names the line.
    """
    return _Replayer(file, list(read_recording(file)), limits).run()


class _Replayer:
    """Runs one replay: a registry and an inbox as in a receiver, with operations derived from the recording."""

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
        """The key of a call's operation, by the key in the URL for the call's states."""
        self._actions: dict[tuple[str, str], Operation] = {}
        self._now = 0.0
        self._receipt: Receipt
        self._takes_calls = True
        self._taken: set[str] = set()

    def run(self) -> Replay:
        """Process all deliveries; return the result."""
        self._set_up()
        deliveries = [
            self._replayed(delivery, address)
            for delivery, address in zip(self._recording, self._addresses, strict=True)
        ]
        # All grace periods pass, but not the time after which a call without events would count as lost.
        limits = self._registry.limits
        self._advance(self._now + max(limits.grace, limits.long_grace, limits.transcript_grace, limits.margin) + SLOT)
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
        """Register an operation for each action and each call of the deliveries."""
        found: dict[tuple[str, str], str | None] = {}
        for delivery, address in zip(self._recording, self._addresses, strict=True):
            target = None if address is None or delivery.verdict in _REFUSED else _target(delivery, address)
            if target is not None:
                kind, key, call_id = target
                found[kind, key] = found.get((kind, key)) or call_id
        for (kind, key), call_id in found.items():
            if kind == "call":
                # The key of an inbound call is its id, whatever the key in the URL for its states is.
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
            # Two kinds may have used the same id one after the other: the second cannot start before the first ends.
            with suppress(ValueError):
                self._registry.expect(action, self._now)
                action.stage = "accepted"

    def _replayed(self, delivery: Recorded, address: Address | None) -> Replayed:
        # If the recording machine's clock was set back, the simulated time stands still.
        self._advance(max(self._now, delivery.time - self._recording[0].time))
        kind, key = address[:2] if address is not None else (None, None)
        then = cast(Verdict, delivery.verdict)
        event = None if address is None or then != "foreign" else _event(delivery, address.kind)
        self._receipt = Receipt(then, kind, key, event)
        if address is not None and delivery.body is not None and then not in _REFUSED:
            action = self._actions.get((_about(address.kind), address.key))
            if action is not None:
                self._expect(action)
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

    def _advance(self, now: float) -> None:
        """Set the time to *now*, after processing each deadline up to then at its own time."""
        while (due := self._registry.deadlines.next) is not None and due <= now:
            self._registry.expire(due)
        self._now = now

    def _deliver(self, delivery: Recorded, body: bytes) -> Receipt:
        found = self._reader.read(self._signed(_tail(delivery)), delivery.headers, body)
        if isinstance(found, Receipt):
            return found
        kind, key, event = found.kind, found.key, found.event
        if kind == HOLD:
            return Receipt("applied", HOLD, key)
        if isinstance(event, InboundCall):
            return Receipt("inbound" if self._take_call(event) else "busy", INBOUND, key)
        own_key = self._keys.get(key, key) if kind == "call" else key
        verdict = self._registry.deliver(kind, own_key, event, len(body), self._now)
        return Receipt(verdict, kind, key, event)

    def _take_call(self, inbound: InboundCall) -> bool:
        """Accept an inbound call if it was accepted when it was recorded: the program decided that, not a rule."""
        if self._takes_calls and inbound.call_id not in self._taken:
            self._taken.add(inbound.call_id)
            call = self._calls[inbound.call_id]
            if call.observer is not None:
                call.observer.event("call", call.key, inbound, "applied", self._now)
            self._registry.adopt(call, self._now)
        return self._takes_calls

    def _address(self, delivery: Recorded) -> Address | None:
        """Return kind and key from the path of *delivery*; None for a refused request whose path has none.

        Raises:
            RecordingError: The request was not refused, but its path has no kind and key.
        """
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
        """Return a path with a valid MAC."""
        return f"{self._urls.prefix}{tail}/{self._urls._sign(tail)}"


def _tail(delivery: Recorded) -> str:
    """Return the two segments of the path with kind and key; the segment after them is the masked MAC."""
    return "/".join(delivery.path.split("/")[-3:-1])


def _target(delivery: Recorded, address: Address) -> tuple[str, str, str | None] | None:
    """Return kind, key and call id of the operation that *delivery* belongs to; None: it belongs to none."""
    kind, key = address[:2]
    raw = _payload(delivery)
    if kind == INBOUND:
        inbound = read_inbound(raw)
        if inbound is not None:
            return INBOUND, inbound.call_id, inbound.call_id
        call_id = read("call", raw).call_id
        return None if call_id is None else ("call", call_id, call_id)
    if kind not in READERS:
        return None
    # The states of a dialled leg name the leg, not the call that the connect runs on.
    return _about(kind), key, None if kind == LEG else read(kind, raw).call_id


def _about(kind: str) -> str:
    """Return the kind of the operation that deliveries to a URL of *kind* belong to."""
    return READERS[kind].about or kind if kind in READERS else kind


def _event(delivery: Recorded, kind: str) -> Event | None:
    return read(kind, _payload(delivery)) if kind in READERS else None


def _payload(delivery: Recorded) -> dict[str, Any]:
    try:
        return parse(delivery.body or b"")
    except MalformedBody:
        return {}
