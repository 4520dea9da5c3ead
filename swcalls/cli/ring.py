"""``swcalls ring``: makes a simulated inbound call to an application, whose space this command serves meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from swcalls.testing import Callee, NotAnswered, Simulator
from swcalls.testing.deliveries import Delivery
from swcalls.testing.received import ReceivedCommand

from .failure import Failure
from .output import print_line
from .serving import shutdown_event
from .simulate import logged

T = TypeVar("T")


async def ring(
    url: str,
    *,
    host: str,
    port: int,
    project: str,
    token: str,
    signing_key: str | None,
    speed: float,
    from_: str,
    to: str,
    callee: Callee,
    headers: Sequence[tuple[str, str]],
) -> int:
    """Call the application whose SWML webhook is *url*; return the exit status when the call has ended.

    Args:
        callee: How the caller behaves.
        headers: SIP headers of the call.

    Raises:
        Failure: The call was not answered, or the space cannot be served.
    """
    shutdown, ended = shutdown_event(), asyncio.Event()
    space = Simulator(project, token, host=host, port=port, signing_key=signing_key, speed=speed)

    def watch(what: ReceivedCommand | Delivery) -> None:
        if isinstance(what, Delivery) and what.payload.get("params", {}).get("call_state") == "ended":
            ended.set()

    space.observers.append(watch)
    async with logged(space, host, port) as log:
        log(f"calling {url}; the application's SIGNALWIRE_SPACE must be {space.url}")
        calling = space.call(to, from_, url=url, callee=callee, headers=headers, status_url=url)
        try:
            call = await _unless(shutdown, calling)
        except NotAnswered as refusal:
            raise Failure(str(refusal)) from None
        if call is None:
            raise Failure("interrupted before the call was answered")
        # The application ends the call, or the caller hangs up, or the user has heard enough.
        if await _unless(shutdown, ended.wait()) is None:
            call.hang_up()
            await space.settled()
        print_line(f"ended: {call.end_reason}")
    return 0


async def _unless(shutdown: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Return the result of *work*; cancel it and return ``None`` if *shutdown* is set first."""
    working, told = asyncio.create_task(work), asyncio.create_task(shutdown.wait())
    try:
        await asyncio.wait((working, told), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, told):
            task.cancel()
        await asyncio.gather(working, told, return_exceptions=True)
