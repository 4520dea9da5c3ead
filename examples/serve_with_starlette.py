"""A client in a Starlette application; for FastAPI, use the same lifespan. The receiver listens on its own port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from swcalls import Call, Client


async def greet(call: Call) -> None:
    await call.say("Hello. Please hold the line.").finished(timeout=60)
    await call.say("Nobody is here. Goodbye.").finished(timeout=60)


async def ring(request: Request) -> JSONResponse:
    client: Client = request.app.state.client
    async with client.dial(to=request.query_params["to"], from_="+12069708643") as call:
        await call.answered(timeout=30)
        await call.say("Your table is ready.").finished(timeout=60)
    return JSONResponse({"answered": True})


def make_app(**settings: str) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        # An ASGI server stops listening before the lifespan ends. A receiver on a port of its own still gets webhooks
        # until the running calls have ended. SWCALLS_PUBLIC_URL must lead to that port.
        async with Client.from_env(**settings) as client, client.receiver.serve(port=8081):
            client.receiver.on_call(greet)
            print("SWML webhook for your number:", client.receiver.inbound_url, flush=True)
            app.state.client = client
            yield

    return Starlette(routes=[Route("/ring", ring, methods=["POST"])], lifespan=lifespan)
