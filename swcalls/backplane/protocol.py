"""What a backplane does, for whoever writes another one: the `Backplane` protocol, and what goes through it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Protocol, runtime_checkable

from msgspec import Struct

from ..errors import SwcallsError


class BackplaneError(SwcallsError):
    """The backplane did not do what it was asked to."""


class BackplaneUnavailable(BackplaneError):
    """It cannot be reached, or has no room: what was to be published is not kept, and its sender must try again."""


class OwnerTaken(BackplaneError):
    """Another process that is alive has this owner's name."""


class Delivery(Struct, frozen=True, kw_only=True):
    """A webhook that was verified, on its way to the process that waits for it."""

    owner: str
    """Whose it is, as its URL says."""
    kind: str
    key: str
    body: bytes
    """As received: a JSON object."""


class Memo(Struct, frozen=True, kw_only=True):
    """What is remembered of an action, or of a call (``kind="call"``), until it is over. No secrets, and no media."""

    kind: str
    key: str
    call_key: str
    call_id: str | None
    due: float | None = None
    """When it must be over, in Unix seconds by the backplane's own clock."""
    options: dict[str, Any] = {}
    """What its command asked for that decides which event is its end."""


Receive = Callable[[Delivery], Awaitable[bool]]
"""Takes a delivery; says whether it is done with, and may be forgotten. It does not raise."""


@runtime_checkable
class Backplane(Protocol):
    """What a client needs of whatever connects the processes of a project.

    Deliveries are kept until the process that owns them has dealt with them, through crashes of either side, and may be
    delivered more than once; their order does not matter. What is remembered is kept until it is forgotten, or expires
    when nobody has come back for it. A process that only receives never opens it: ``publish``, ``announce_call``,
    ``find_call`` and ``taker`` work without that, and ``offer`` may be called before ``open``. All methods are for one
    event loop.

    When a method is cancelled, or raises ``BackplaneUnavailable``, what it was to do may or may not have been done.
    """

    @property
    def owner(self) -> str:
        """The name of this process: letters, digits, ``_``, ``-`` and ``.``; it stands in callback URLs."""
        ...

    def holds(self, owner: str) -> bool:
        """Say whether this process takes the deliveries of *owner*: itself, or one that it has claimed."""
        ...

    async def open(self, project: str, receive: Receive, lost: Callable[[str], object]) -> None:
        """Take the name, and begin to hand deliveries to *receive*, old ones first.

        Call *lost* if another process takes one of the names over, as it may when this one seems dead. When it fails,
        or is cancelled, nothing is left open; it may be called again, as it may after ``close``.

        Raises:
            OwnerTaken: Another process that is alive has the name.
            BackplaneUnavailable: It cannot be reached.
        """
        ...

    async def close(self) -> None:
        """Write what is still to be written, give the names up, and let go of everything. Deliveries stay.

        A second call returns when the first has finished.
        """
        ...

    async def publish(self, project: str, delivery: Delivery) -> None:
        """Keep *delivery* where a crash of this process cannot lose it, for its owner.

        Raises:
            BackplaneUnavailable: It is not kept.
        """
        ...

    async def remember(self, memo: Memo, *, owner: str | None = None) -> None:
        """Keep *memo* for *owner* (default: this process), in place of an earlier one; if not now, then soon.

        It does not fail.
        """
        ...

    def forget(self, kind: str, key: str, *, owner: str | None = None) -> None:
        """Let go of a memo, soon."""
        ...

    async def remembered(self, owner: str) -> Sequence[Memo]:
        """Return what is remembered for *owner*; nothing that `forget` was called for before."""
        ...

    async def claim(self, owner: str) -> None:
        """Take over the name, the deliveries and the memos of an owner that is dead. One claimer wins.

        Raises:
            OwnerTaken: It is alive, or another process was faster.
            BackplaneUnavailable: It cannot be reached.
        """
        ...

    def release(self, owner: str) -> None:
        """Give a name up that was claimed, soon: another process may claim it then."""
        ...

    async def dead(self) -> Sequence[str]:
        """Return the owners that left something behind, and are not alive."""
        ...

    def redeliver(self, owner: str) -> None:
        """Hand over the deliveries of *owner*, one of those held, once more: what they are about is there now."""
        ...

    async def announce_call(self, project: str, call_id: str, seconds: float) -> str | None:
        """Let the first process that asks for it have a call that comes in, for *seconds* from now.

        Return whose the call is, if it has an owner that is alive: then nothing changes. That of a dead owner is
        announced anew.
        """
        ...

    async def take_call(self, project: str, call_id: str, owner: str) -> str | None:
        """Give a call that is announced to *owner*; return whose it is.

        ``None``: nobody's, since it is not announced, or not any more. One owner gets it, however many ask at once;
        when that one asks again, it gets the same answer.
        """
        ...

    async def find_call(self, project: str, call_id: str, *, wait: float = 0.0) -> str | None:
        """Return whose a call is that came in; while it is only announced, wait up to *wait* seconds for an owner."""
        ...

    def offer(self, *, takes_calls: bool) -> None:
        """Say whether this process takes calls that come in, where another one was told of them.

        Before ``open`` this is only noted; ``close`` ends it.
        """
        ...

    async def taker(self, project: str, *, besides: Collection[str] = ()) -> str | None:
        """Choose a process that takes calls, but none of *besides*; ``None``: there is none."""
        ...

    def now(self) -> float:
        """Tell the backplane's time, in Unix seconds."""
        ...
