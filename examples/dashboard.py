"""An application that calls people, and a page at /swcalls-dashboard that shows the calls while they run.

Without an account: ``swcalls simulate --port 8123 &``, SIGNALWIRE_SPACE=http://127.0.0.1:8123, and
SWCALLS_PUBLIC_URL=http://127.0.0.1:8080.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import web

import swcalls

NUMBERS = [f"+1555019{number:04}" for number in range(40)]


async def ask(client: swcalls.Client, to: str) -> None:
    async with client.dial(to=to, from_="+12069708643") as call:
        await call.answered(timeout=60)
        async with call.record():
            question = swcalls.TTS("Please enter the number of your order, and press the hash key.")
            await call.prompt(question, digits=swcalls.Digits(max=4, terminators="#")).finished(timeout=60)
            await call.say("Thank you. We will call you when you can pick it up.").finished(timeout=60)


async def ask_everybody(client: swcalls.Client) -> None:
    at_once = asyncio.Semaphore(4)
    async with asyncio.TaskGroup() as calls:
        for to in NUMBERS:
            await at_once.acquire()
            task = calls.create_task(ask(client, to))
            task.add_done_callback(lambda _: at_once.release())


async def calling(app: web.Application) -> AsyncIterator[None]:
    task = asyncio.create_task(ask_everybody(app[swcalls.CLIENT]))
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def make_app(token: str, **settings: str) -> web.Application:
    app, client = web.Application(), swcalls.Client.from_env(**settings)
    swcalls.setup(app, client)
    swcalls.dashboard(app, client, token=token)
    app.cleanup_ctx.append(calling)
    return app


if __name__ == "__main__":
    token = os.environ.get("DASHBOARD_TOKEN") or secrets.token_urlsafe()
    print(f"http://127.0.0.1:8080/swcalls-dashboard, token: {token}")
    web.run_app(make_app(token), port=8080)
