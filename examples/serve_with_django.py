"""The receiver in a Django project, as an asynchronous view; any ASGI server serves it."""

from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from swcalls import Client


def views(client: Client) -> tuple[Any, ...]:
    @csrf_exempt
    async def webhook(request: HttpRequest, callback: str) -> HttpResponse:
        raw_path = request.scope["raw_path"].decode("ascii")
        reply = await client.accept(path=raw_path, headers=request.headers, body=request.body)
        return HttpResponse(reply.body, reply.content_type, reply.status, headers=dict(reply.headers))

    @csrf_exempt
    async def ring(request: HttpRequest) -> HttpResponse:
        async with client.dial(to=request.GET["to"], from_="+12069708643") as call:
            await call.answered(timeout=30)
            await call.say("Your table is ready.").finished(timeout=60)
        return JsonResponse({"answered": True})

    return path("swcalls/<path:callback>", webhook), path("ring", ring)


def make_app(**more: str) -> Any:
    client = Client.from_env(**more)
    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=views(client))
    django = get_asgi_application()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        # Django itself knows no lifespan; the client has one, that of the server.
        if scope["type"] != "lifespan":
            await django(scope, receive, send)
            return
        await receive()
        async with client:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    return app
