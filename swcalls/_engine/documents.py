"""Runs SWML documents on calls: one at a time on each call, after the call was answered. The SWML verbs use it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from msgspec.structs import replace

from .._core.callback_urls import CallbackUrls
from .._core.decoding import LEG, READERS
from .._core.lifecycle import LIVE_WORDS
from .._core.operation import CallOperation, Operation, call_of
from .._core.registry import Registry
from .._core.swml_lifecycles import SWML_LIFECYCLES, bridged_with
from ..call_leg import CallLeg, Leg
from ..commands import StartCommand, Transfer, Update
from ..commands.swml import PARK, AnyStep, DocumentStart, RunDocument, document, step_objects, tail, variables_of
from ..errors import CallNotFound, CommandNotSent, CommandRejected, InvalidParams

Post = Callable[[CallOperation, str, object, Operation], Coroutine[Any, Any, dict[str, Any]]]
"""Sends a command that starts an action."""


class CallbackAddresses:
    """The callback URLs that the steps of one document may name."""

    def __init__(self, urls: CallbackUrls, action: Operation) -> None:
        self._urls = urls
        self._action = action

    @property
    def status(self) -> str:
        """Where the events of the document's main step go."""
        return self._urls.mint(self._action.kind, self._action.key)

    @property
    def leg(self) -> str:
        """Where the states of the legs go that it dials."""
        return self._urls.mint(LEG, self._action.key)

    @property
    def tail(self) -> str:
        """Where the document's last request goes."""
        kind = self._action.kind
        return self._urls.mint(f"{kind}.tail" if f"{kind}.tail" in READERS else kind, self._action.key)


class Host(Protocol):
    """The part of the engine that documents use."""

    registry: Registry
    urls: CallbackUrls

    async def start(
        self,
        action: Operation,
        command: StartCommand,
        deadline: float | None,
        post: Callable[[], Coroutine[Any, Any, dict[str, Any]]] | None = None,
    ) -> Any:
        """Follow *action*, have *post* send what starts it, and return the action's handle."""
        ...

    def new_call(self, call_id: str | None = None) -> Any:
        """Make the handle of a call that is not followed yet."""
        ...

    def handle_of(self, call: CallOperation) -> Any:
        """Return the handle of *call*."""
        ...

    async def send(
        self, call: CallOperation, command: str, params: object, leaving: Callable[[], object] | None = None
    ) -> Leg:
        """Send *command* to *call*, and return the call's leg."""
        ...

    def keep(self, operation: Operation) -> None:
        """Store *operation* on the backplane, if there is one."""
        ...

    def follow(self, call: CallOperation) -> None:
        """Follow a call that is up."""
        ...


Build = Callable[[CallbackAddresses], Iterable[AnyStep]]
"""Makes the steps of a document, but for those that each document ends with."""


class Documents:
    """Runs the documents of a client's calls."""

    def __init__(self, host: Host, post: Post, check: Callable[[CallOperation, str], object]) -> None:
        self._host = host
        self._registry = host.registry
        self._urls = host.urls
        self._post = post
        self._check = check
        self._turns: WeakKeyDictionary[CallOperation, asyncio.Lock] = WeakKeyDictionary()

    async def start(self, action: Operation, build: Build, deadline: float | None) -> Any:
        """Follow *action*, run on its call the document that *build* makes, and return the action's handle."""
        self._check(call_of(action), Update.command)
        return await self._host.start(
            action, DocumentStart(), deadline, partial(self.put, action, self.made(action, build))
        )

    def made(self, action: Operation, build: Build) -> dict[str, Any]:
        """Make the document of *action*: its steps, the request that tells how they ended, and what parks the call.

        Raises:
            ConfigurationError: There is no public URL.
        """
        addresses = CallbackAddresses(self._urls, action)
        steps = step_objects(build(addresses))
        return document([*steps, tail(addresses.tail, action.key, variables_of(steps)), *PARK])

    async def put(self, action: Operation, swml: dict[str, Any]) -> dict[str, Any]:
        """Have *swml* run on the call of *action*, which replaces what runs there, and return the answer.

        It waits for the call to be up, and for its turn. When ``update`` is refused, ``calling.transfer`` is tried:
        which of the two the platform takes, and in which state of the call, is not documented for certain.
        """
        call = call_of(action)
        await self._until_up(call, action)
        async with self.turn(call):
            try:
                answer = await self._post(call, Update.command, self._update(call, swml), action)
            except (CallNotFound, InvalidParams):
                try:
                    answer = await self._post(call, Transfer.command, Transfer(dest=swml), action)
                except CommandRejected as refusal:
                    refusal.args = (f"{refusal}; as far as is known, the call was {call.state or 'in no state'}",)
                    raise
            self._registry.replaced(call, action)
            return answer

    async def replace(self, call: CallOperation, command: str, params: object) -> Leg:
        """Send *command*, by which the user has something else run on *call*, in its turn; return the call's leg."""
        async with self.turn(call):
            leg = await self._host.send(call, command, params)
            self._registry.replaced(call, None)
            return leg

    def turn(self, call: CallOperation) -> asyncio.Lock:
        """Return the lock that is held while a command is sent that replaces what runs on *call*.

        If two such commands were sent at once, the platform could run the first one's document last.
        """
        return self._turns.setdefault(call, asyncio.Lock())

    def update_of(self, action: Operation, steps: Iterable[AnyStep]) -> RunDocument:
        """Make the command that replaces the document of *action* by *steps*, its own tail, and what parks the call."""
        return self._update(call_of(action), self.made(action, lambda _: steps))

    def peer(self, connect: Operation, call_id: str, from_: str | None, to: str | None) -> Any:
        """Follow the call *call_id* that *connect* has bridged with its own, and return the handle."""
        known = self._registry.calls.with_id(call_id)
        handle = self._host.new_call(call_id) if known is None else self._host.handle_of(known)
        peer: CallOperation = handle._operation
        if peer.leg is None:
            peer.leg = CallLeg(id=call_id, from_=from_, to=to, status="answered", raw={})
        if not (peer.has_ended or self._registry.calls.follows(peer)):
            self._host.follow(peer)
        peer.bridged_by = connect.key
        if connect.options.peer is None and connect.outcome is None:
            # A process that takes the connect over has not seen the events that named the call.
            connect.options = replace(connect.options, peer=call_id)
            self._host.keep(connect)
        return handle

    def is_replaced(self, action: Operation) -> bool:
        """Return whether the document of another action runs on the call now: then that of *action* does not."""
        return any(
            other is not action and other.kind in SWML_LIFECYCLES and other.stage != "not_sent"
            for other in call_of(action).actions.values()
        )

    async def end_peer(self, connect: Operation, call_id: str) -> Leg | None:
        """Hang up the call at the other end of *connect*, which ends the bridge; ``None``: it was gone."""
        was_stopping, connect.stopping = connect.stopping, True
        try:
            leg: Leg | None = await self._host.new_call(call_id).end()
        except CallNotFound:
            leg = None
        except (CommandRejected, CommandNotSent):
            connect.stopping = was_stopping
            raise
        self._registry.stopped(connect, time.monotonic())
        return leg

    def bridge_of(self, call: CallOperation) -> Operation | None:
        """Return the connect that bridges *call* now, from either end."""
        connects = [*call.actions.values(), self._registry.actions.get(call.bridged_by or "")]
        return next((connect for connect in connects if connect is not None and _is_bridge(connect)), None)

    def _update(self, call: CallOperation, swml: dict[str, Any]) -> RunDocument:
        # Whether an update without a URL keeps the one of the dial is not documented.
        status_url = self._urls.mint("call", call.key) if self._registry.calls.follows(call) else None
        return RunDocument(id=call.id or call.key, swml=swml, status_url=status_url)

    async def _until_up(self, call: CallOperation, action: Operation) -> None:
        """Wait until *call* is answered, or has ended; or until *action* has expired."""
        if call.state is None:
            return  # It was started elsewhere: only the platform knows.

        def is_decided() -> bool:
            is_up = not LIVE_WORDS.isdisjoint(call.states_reached)
            return is_up or call.outcome is not None or action.outcome is not None

        if is_decided():
            return
        waiter = asyncio.get_running_loop().create_future()

        def look() -> None:
            if not waiter.done() and is_decided():
                waiter.set_result(None)

        call.watch(look)
        action.watch(look)
        try:
            await waiter
        finally:
            call.unwatch(look)
            action.unwatch(look)


def _is_bridge(action: Operation) -> bool:
    if action.kind != "connect" or action.outcome is not None:
        return False
    # A process that has taken the connect over may have seen no event.
    return action.state == "connected" or (action.state is None and bridged_with(action) is not None)
