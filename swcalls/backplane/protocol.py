"""The `Backplane` protocol, and the types and errors of its methods. Implement it to use something else than Redis."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Protocol, runtime_checkable

from msgspec import Struct

from ..errors import SwcallsError


class BackplaneError(SwcallsError):
    """The backplane could not do an operation."""


class BackplaneUnavailable(BackplaneError):
    """The backplane cannot be reached, or is full: a delivery was not stored, and its sender must send it again."""


class OwnerTaken(BackplaneError):
    """Another process that is alive holds the name of this owner."""


class Delivery(Struct, frozen=True, kw_only=True):
    """A verified webhook on its way to the process that owns its action."""

    owner: str
    """The owner in its URL."""
    kind: str
    """The kind in its URL: ``call``, or that of an action."""
    key: str
    """The key in its URL: that of the call or the action."""
    body: bytes
    """The body as received: a JSON object."""


class Memo(Struct, frozen=True, kw_only=True):
    """What another process needs to continue an action, or a call (``kind="call"``). No secrets, and no media."""

    kind: str
    key: str
    call_key: str
    """The key of its call."""
    call_id: str | None
    due: float | None = None
    """Its deadline, in Unix seconds by the clock of the backplane."""
    options: dict[str, Any] = {}
    """The parameters of its command that decide which event ends it."""


Receive = Callable[[Delivery], Awaitable[bool]]
"""Processes a delivery; returns whether it is processed, so that the backplane may delete it. It must not raise."""


@runtime_checkable
class Backplane(Protocol):
    """What a client needs to share calls with the other processes of its project.

    Each process is an owner with a name. Requirements:

    - A delivery is stored until its owner has processed it, also if a process on either side crashes. It may be
      delivered more than once, and in any order.
    - A memo is stored until it is forgotten, or until it expires because no process has claimed its dead owner.
    - ``publish``, ``announce_call``, ``find_call`` and ``taker`` work before ``open``, since a process that only
      receives webhooks never opens the backplane. ``offer`` may be called before ``open``.
    - ``announce_call``, ``take_call`` and ``find_call`` take any text as the id of a call and as an owner: decisions
      on calls are stored with them, too.
    - All methods are called in one event loop.
    - If a method is cancelled, or raises ``BackplaneUnavailable``, its work may or may not have been done.
    """

    @property
    def owner(self) -> str:
        """The name of this process: letters, digits, ``_``, ``-`` and ``.``; it is part of its callback URLs."""
        ...

    def holds(self, owner: str) -> bool:
        """Return whether this process gets the deliveries of *owner*: its own name, or one that it has claimed."""
        ...

    async def open(self, project: str, receive: Receive, lost: Callable[[str], object]) -> None:
        """Take the name of this process, and begin to pass its deliveries to *receive*, stored ones first.

        If `open` fails, or is cancelled, it leaves nothing open, and may be called again, as after ``close``.

        Args:
            project: The project whose processes are connected.
            receive: Called with each delivery.
            lost: Called with the name of an owner that another process has taken over from this one, for example
                because this process was suspended and seemed dead.

        Raises:
            OwnerTaken: Another process that is alive holds the name.
            BackplaneUnavailable: The backplane cannot be reached.
        """
        ...

    async def close(self) -> None:
        """Write pending changes, release all names, and close all connections. Deliveries stay stored.

        A second call returns when the first one has finished.
        """
        ...

    async def publish(self, project: str, delivery: Delivery) -> None:
        """Store *delivery* for its owner, so that a crash of this process does not lose it.

        Raises:
            BackplaneUnavailable: The delivery is not stored.
        """
        ...

    async def remember(self, memo: Memo, *, owner: str | None = None) -> None:
        """Store *memo* for *owner* (default: this process); it replaces an earlier memo of the same kind and key.

        It does not raise: if the backplane is unavailable, the memo is stored later.
        """
        ...

    def forget(self, kind: str, key: str, *, owner: str | None = None) -> None:
        """Delete a memo; the deletion may be done after this method returns."""
        ...

    async def remembered(self, owner: str) -> Sequence[Memo]:
        """Return the memos of *owner*, without those for which `forget` was called."""
        ...

    async def claim(self, owner: str) -> None:
        """Take over the name, the deliveries and the memos of a dead owner. Only one process succeeds.

        Raises:
            OwnerTaken: The owner is alive, or another process has claimed it.
            BackplaneUnavailable: The backplane cannot be reached.
        """
        ...

    def release(self, owner: str) -> None:
        """Release a claimed name, so that another process can claim it; this may happen after the method returns."""
        ...

    async def dead(self) -> Sequence[str]:
        """Return the owners that are not alive, and may have left memos or deliveries."""
        ...

    def redeliver(self, owner: str) -> None:
        """Pass the stored deliveries of *owner* to ``receive`` again, after its actions were restored.

        *owner* is one that this process holds.
        """
        ...

    async def announce_call(self, project: str, call_id: str, seconds: float) -> str | None:
        """Announce an inbound call: for *seconds* from now, the first process to call `take_call` becomes its owner.

        If the call has an owner that is alive, change nothing, and return that owner. A call of a dead owner is
        announced again.
        """
        ...

    async def take_call(self, project: str, call_id: str, owner: str) -> str | None:
        """Make *owner* the owner of an announced call, if no other owner was faster; return the owner of the call.

        Return ``None`` if the call has no owner and is not announced, or no longer. Repeated calls return the same
        owner.
        """
        ...

    async def find_call(self, project: str, call_id: str, *, wait: float = 0.0) -> str | None:
        """Return the owner of an inbound call; while it is announced, wait up to *wait* seconds for an owner."""
        ...

    def offer(self, *, takes_calls: bool) -> None:
        """Advertise whether this process accepts inbound calls whose webhooks reach another process.

        Before ``open``, the value is only stored; ``close`` withdraws it.
        """
        ...

    async def taker(self, project: str, *, besides: Collection[str] = ()) -> str | None:
        """Return a process that accepts inbound calls, but none of *besides*; ``None``: there is none."""
        ...

    def now(self) -> float:
        """Return the time of the backplane's clock, in Unix seconds."""
        ...
