"""A recording of deliveries, fed to the same core that a receiver has: an incident becomes a test. Needs no loop."""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Sequence
from typing import Any, cast

from msgspec import Struct

from swcalls._core.callbacks import Address, CallbackUrls
from swcalls._core.decoding import READERS, MalformedBody, parse, read, read_inbound
from swcalls._core.inbox import INBOUND, Inbox, Receipt, Verdict
from swcalls._core.limits import Limits
from swcalls._core.operation import CallOperation, Operation
from swcalls._core.registry import Registry
from swcalls._core.signature import Verifier
from swcalls._core.transitions import Delivered
from swcalls.events import Event, InboundCall
from swcalls.outcome import Outcome
from swcalls.recording import Recorded, RecordingError, read_recording

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
    the first of them. Time goes as it went then, graces included, and after the last delivery on until nothing is due;
    it takes none. Signatures are not checked, since the URLs are not known any more: what was refused then as forged,
    foreign or oversized is shown as it was. Of what was asked for (``continuous``, a stop, a deadline) nothing is known,
    and a ``control_id`` that was used again counts as one action.

    Raises:
        OSError: The file cannot be read.
        RecordingError: It is no recording; the message names the line.
    """
    return _Stage(file, list(read_recording(file)), limits).play()


class _Stage:
    """The core of a receiver, with operations that a recording tells of in the place of a client's."""

    def __init__(self, file: str | os.PathLike[str], recording: Sequence[Recorded], limits: Limits) -> None:
        self._urls = CallbackUrls("replay", secrets.token_hex(), "/replay", "http://replay")
        self._registry = Registry(limits)
        self._inbox = Inbox(self._urls, Verifier(), self._deliver, limit=limits.body)
        self._inbox.observers.append(self._note)
        self._inbox.ring = self._ring
        self._file = os.fspath(file)
        self._recording = recording
        self._now = 0.0
        self._receipt = Receipt("malformed")
        self._addresses = [self._address(delivery) for delivery in recording]
        self._calls: dict[str, CallOperation] = {}
        self._actions: dict[tuple[str, str], Operation] = {}

    def play(self) -> Replay:
        self._set_up()
        deliveries = []
        for delivery, address in zip(self._recording, self._addresses, strict=True):
            # A clock that was set back in the meantime stands still.
            self._pass(max(self._now, delivery.time - self._recording[0].time))
            deliveries.append(self._feed(delivery, address))
        self._pass(math.inf)
        return Replay(
            deliveries=deliveries,
            actions={about: action.settled for about, action in self._actions.items()},
            calls={
                name: ReplayedCall(state=call.state, end_reason=call.end_reason, outcome=call.settled)
                for name, call in self._calls.items()
            },
        )

    def _set_up(self) -> None:
        """Expect what the deliveries are about, each on its call."""
        announced = set()
        on: dict[tuple[str, str], str | None] = {}
        for delivery, address in zip(self._recording, self._addresses, strict=True):
            if address is None or delivery.verdict in _REFUSED:
                continue
            kind, key, call_id = _about(delivery, address)
            if kind == INBOUND:
                announced.add(key)
            elif kind is not None:
                on[kind, key] = on.get((kind, key)) or call_id
        for (kind, key), call_id in on.items():
            if kind == "call":
                call = self._calls.setdefault(call_id or key, CallOperation(key))
                if key not in announced:
                    self._registry.expect_call(call)
        for (kind, key), call_id in on.items():
            if kind != "call":
                self._actions[kind, key] = Operation(kind, key, self._call(call_id))
        for call_id in announced:
            self._call(call_id)
        for name, call in self._calls.items():
            call.stage = "accepted"
            self._registry.identify(call, name)
        for action in self._actions.values():
            self._expect(action)

    def _call(self, call_id: str | None) -> CallOperation:
        if call_id is None:
            return CallOperation("")
        return self._calls.setdefault(call_id, CallOperation(call_id))

    def _expect(self, action: Operation) -> None:
        # Two kinds may have used one id in turn: the second has to wait until the first is over.
        if action.stage == "not_sent" and action.key not in self._registry.actions:
            self._registry.expect(action, self._now)
            action.stage = "accepted"
