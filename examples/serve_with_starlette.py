"""The receiver in an ASGI application, here Starlette's; FastAPI's takes the same routes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from swcalls import Client


async def webhook(request: Request) -> Response:
    client: Client = request.app.state.client
    path = request.scope["raw_path"].decode("ascii")
    reply = await client.accept(path=path, headers=request.headers, body=await request.body())
    return Response(reply.body, reply.status, headers=dict(reply.headers), media_type=reply.content_type)


async def ring(request: Request) -> Response:
    client: Client = request.app.state.client
    async with client.dial(to=request.query_params["to"], from_="+12069708643") as call:
        await call.answered(timeout=30)
        await call.say("Your table is ready.").finished(timeout=60)
    return JSONResponse({"answered": True})


def make_app(**settings: str) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with Client.from_env(**settings) as app.state.client:
            yield

    routes = [Route("/swcalls/{callback:path}", webhook, methods=["POST"]), Route("/ring", ring, methods=["POST"])]
    return Starlette(routes=routes, lifespan=lifespan)
