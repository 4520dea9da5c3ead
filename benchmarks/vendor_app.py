"""A FastAPI application with the vendor's signature check as a dependency, as its documentation shows it."""

import asyncio
from typing import Any

from fastapi import Depends, FastAPI, Response
from pydantic import BaseModel
from signalwire.core.security.webhook_middleware import make_webhook_validation_dependency


class Params(BaseModel):
    """What is said about a playback."""

    control_id: str
    call_id: str
    node_id: str
    state: str


class PlayWebhook(BaseModel):
    """A webhook about a playback."""

    event_type: str
    timestamp: float
    params: Params


def make_app(path: str, signing_key: str, pending: dict[str, asyncio.Future[Any]]) -> FastAPI:
    """Make an application that resolves the future of a playback that has ended."""
    app = FastAPI()

    @app.post(path, dependencies=[Depends(make_webhook_validation_dependency(signing_key))])
    async def webhook(event: PlayWebhook) -> Response:
        if event.params.state in ("finished", "error"):
            pending.pop(event.params.control_id).set_result(event)
        return Response(status_code=200)

    return app
