# mypy: enable-error-code="unused-awaitable"
"""What mypy says of a forgotten ``await``. Nothing here runs.

A start is a subclass of ``Coroutine``, since it also has ``finished()`` and is an ``async with`` block. By default mypy and
pyright look at ``Coroutine`` itself alone, and no declaration has both. With mypy's ``unused-awaitable`` a start is
flagged, too; pyright has no such rule. At run time, a ``RuntimeWarning`` names the method.
"""

from __future__ import annotations

from swcalls import TTS, Call, Client, Digits


async def forgotten(client: Client, call: Call) -> None:
    call.end()  # type: ignore[unused-coroutine]
    call.say("Hi").finished()  # type: ignore[unused-coroutine]
    call.say("Hi")  # type: ignore[unused-awaitable]
    call.ask(TTS("PIN?"), digits=Digits(max=4))  # type: ignore[unused-awaitable]
    call.wait_for_beep()  # type: ignore[unused-awaitable]
    client.dial(to="+15550198765", from_="+12069708643")  # type: ignore[unused-awaitable]
