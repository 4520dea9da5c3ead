"""``connect``: dial somebody, have them confirm, and bridge both calls until one of them hangs up.

Source: SWML wire facts, section 2.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, Protocol, TypeVar

from swcalls.commands import Dial

from ..calls import SimulatedCall
from ..clock import TimerGroup, cancel_all
from .line import Bridge
from .rules import Connect, Destination

T = TypeVar("T")
RING_TIMEOUT = 60
_REASONS = {"noAnswer": "no_answer", "decline": "declined"}


class Runner(Protocol):
    """The document that runs the step."""

    call: SimulatedCall

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """Await something that takes simulated time."""
        ...

    def set(self, **variables: Any) -> None:
        """Set variables of the call."""
        ...

    def expanded(self, value: Any) -> Any:
        """Return *value* with its variables replaced."""
        ...

    def place_call(self, dial: Dial) -> SimulatedCall:
        """Dial somebody."""
        ...

    async def until(self, calls: Sequence[SimulatedCall], *states: str) -> None:
        """Return once one of *calls* is in one of *states*, or all have ended."""
        ...

    async def confirmed(self, leg: SimulatedCall, steps: list[Any]) -> bool:
        """Run *steps* on *leg*, and say whether it is still up then."""
        ...


class Dialling:
    """One ``connect``, from the first ring to the end of the bridge."""

    def __init__(self, runner: Runner, step: Connect) -> None:
        self._runner = runner
        self._call = runner.call
        self._step = step
        self._reason = "no_answer"

    async def run(self) -> None:
        """Dial the groups one after the other, until one of their parties has answered and confirmed."""
        self._post("connecting")
        is_over = False
        try:
            for group in self._step.groups():
                leg = await self._ring(group)
                if leg is not None:
                    is_over = True
                    self._runner.set(connect_result="connected", connect_failed_reason="")
                    await self._bridge(leg)
                    return
            is_over = True
            self._fail()
        finally:
            if not is_over:
                self._reason = "canceled"
                self._fail()

    async def _ring(self, group: list[Destination]) -> SimulatedCall | None:
        """Ring everybody in *group*, and return the call that is to be bridged."""
        legs = {leg: destination for destination in group if (leg := self._dial(destination)) is not None}
        chosen: SimulatedCall | None = None
        try:
            await self._runner.wait(self._runner.until(list(legs), "answered"))
            answered = next((leg for leg in legs if leg.state == "answered"), None)
            if answered is None:
                ended_by = next((leg.end_reason for leg in legs if leg.end_reason), "noAnswer")
                self._reason = _REASONS.get(ended_by, ended_by)
                return None
            for leg in legs:
                if leg is not answered:
                    leg.end("cancel")
            confirm = legs[answered].confirm or self._step.confirm
            if isinstance(confirm, list) and not await self._runner.confirmed(answered, confirm):
                self._reason = "confirm_failed"
                return None
            chosen = answered
            return chosen
        finally:
            for leg in legs:
                if leg is not chosen:
                    leg.end("cancel")

    async def _bridge(self, peer: SimulatedCall) -> None:
        bridge = Bridge(self._call, peer)
        timers: TimerGroup = set()
        sides = ("from_number", "to_number") if peer.device_type == "phone" else ("from", "to")
        device = {"type": peer.device_type, "params": dict(zip(sides, (peer.from_, peer.to), strict=True))}
        told = {"call_id": peer.id, "node_id": peer.wire.node_id, "device": device}
        self._post("connected", peer=told)
        if self._step.max_duration is not None:
            peer.clock.later(self._step.max_duration, peer.hang_up, timers)
        try:
            await self._runner.wait(bridge.over.wait())
        finally:
            cancel_all(timers)
            bridge.leave(self._call)
            if not bridge.was_parted:
                peer.end("hangup")
            self._post("disconnected", peer=told)

    def _dial(self, destination: Destination) -> SimulatedCall | None:
        """Dial *destination*; ``None`` for a kind of address that is not played here (a queue, a stream)."""
        step = self._step
        expanded = self._runner.expanded
        try:
            dial = Dial(
                from_=expanded(destination.from_ or step.from_ or self._call.from_),
                to=expanded(destination.to),
                swml={},
                timeout=min(destination.timeout or step.timeout or RING_TIMEOUT, 600),
                status_url=expanded(destination.call_state_url or step.call_state_url),
                status_events=destination.call_state_events or step.call_state_events or ["ended"],
            )
        except (TypeError, ValueError):
            return None
        leg = self._runner.place_call(dial)
        leg.parent_id = self._call.id
        return leg

    def _fail(self) -> None:
        self._runner.set(connect_result="failed", connect_failed_reason=self._reason)
        self._post("failed", failed_reason=self._reason)

    def _post(self, state: str, **more: Any) -> None:
        call = self._call
        if state in ("failed", "disconnected") and call.wire.dice.happens("lost_results"):
            return
        params = {
            "call_id": call.id,
            "node_id": call.wire.node_id,
            "segment_id": call.id,
            "connect_state": state,
            **more,
        }
        call.wire.post(self._runner.expanded(self._step.status_url), "calling.call.connect", params)
