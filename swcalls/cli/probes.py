"""Test webhooks (probes) that ``swcalls doctor`` posts to its own receiver through the public URL."""

from __future__ import annotations

import secrets
import uuid

import msgspec
from aiohttp import web
from msgspec import Struct
from yarl import URL

from swcalls import WebhookReceiver
from swcalls._core.webhooks import Receipt
from swcalls._engine.server import ReceiverServer
from swcalls.testing.deliveries import signatures, split_credentials

from .http_request import NoResponse, Response, send_request

KIND = "probe"
"""The kind in the callback URLs of probes; no action has it."""


class ProbeResult(Struct, frozen=True):
    """What happened to a probe."""

    answer: Response | NoResponse
    receipt: Receipt | None
    """The receiver's verdict on it; ``None``: it did not arrive, or its URL was changed on the way."""
    received_as: str | None
    """Method and path, with the MAC masked, with which it arrived at the server; ``None``: it did not arrive."""


class Probes:
    """Serves *receiver* and sends probes to it; the receiver must not be used for anything else."""

    def __init__(self, receiver: WebhookReceiver, signing_key: str | None) -> None:
        self.is_signed: bool = signing_key is not None
        self._key = (signing_key or "").encode()
        self._receiver = receiver
        self._urls = receiver._ingress.reader.urls
        self._probe = ""
        self._receipt: Receipt | None = None
        self._received_as: str | None = None
        # Replaces the receiver's own observers, which would log the probe as an unknown kind of event.
        receiver._ingress.observers[:] = [self._on_receipt]

    def serve(self, host: str, port: int) -> ReceiverServer:
        """Return the receiver's server; use it in ``async with``."""
        return ReceiverServer(self._handle, self._urls, host, port)

    async def send(self, *, forged: bool = False) -> ProbeResult:
        """Post one probe to the public URL, signed if there is a key; with *forged*, signed with a wrong key."""
        self._probe, self._receipt, self._received_as = uuid.uuid4().hex, None, None
        url, authorization = split_credentials(self._urls.mint(KIND, self._probe))
        body = msgspec.json.encode({KIND: self._probe})
        headers = {"Content-Type": "application/json"}
        if authorization is not None:
            headers["Authorization"] = authorization
        if self.is_signed or forged:
            headers |= signatures(secrets.token_bytes() if forged else self._key, url, body)
        answer: Response | NoResponse
        try:
            answer = await send_request("POST", URL(url, encoded=True), headers, body)
        except NoResponse as error:
            answer = error
        return ProbeResult(answer, self._receipt, self._received_as)

    def _on_receipt(self, receipt: Receipt) -> None:
        if (receipt.kind, receipt.key) == (KIND, self._probe):
            self._receipt = receipt

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        before, found, _ = request.raw_path.partition(self._probe)
        if found:
            self._received_as = f"{request.method} {before}{found}/***"
        return await self._receiver._handle_any(request)
