"""A client in a Django project on an ASGI server. The receiver listens on a port of its own."""

from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from swcalls import Client


def views(client: Client) -> tuple[Any, ...]:
    @csrf_exempt
    async def ring(request: HttpRequest) -> JsonResponse:
        async with client.dial(to=request.GET["to"], from_="+12069708643") as call:
            await call.answered(timeout=30)
            await call.say("Your table is ready.").finished(timeout=60)
        return JsonResponse({"answered": True})

    return (path("ring", ring),)


def make_app(**more: str) -> Any:
    client = Client.from_env(**more)
    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=views(client))
    django = get_asgi_application()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        # Django does not support the lifespan protocol: it is handled here, to open and close the client.
        if scope["type"] != "lifespan":
            await django(scope, receive, send)
            return
        await receive()
        # An ASGI server stops listening before the lifespan ends. A receiver on a port of its own still gets webhooks
        # until the running calls have ended. SWCALLS_PUBLIC_URL must lead to that port.
        async with client, client.receiver.serve(port=8081):
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    return app
