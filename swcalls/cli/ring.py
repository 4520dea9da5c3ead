"""``swcalls ring``: makes a simulated inbound call to an application, whose space this command serves meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from swcalls.testing import Callee, NotAnswered, Simulator
from swcalls.testing.deliveries import Delivery
from swcalls.testing.received import ReceivedCommand

from .failure import Failure
from .output import print_line
from .serving import shutdown_event
from .simulate import logged


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
        try:
            call = await space.call(to, from_, url=url, callee=callee, headers=headers, status_url=url)
        except NotAnswered as refusal:
            raise Failure(str(refusal)) from None
        # The application ends the call, or the caller hangs up, or the user has heard enough.
        waits = [asyncio.create_task(event.wait()) for event in (ended, shutdown)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
            with suppress(asyncio.CancelledError):
                await wait
        if not ended.is_set():
            call.hang_up()
            await space.settled()
        print_line(f"ended: {call.end_reason}")
    return 0
