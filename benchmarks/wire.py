"""What goes over the wire: answers to commands, webhooks, and a session that answers without any wire."""

from __future__ import annotations

import hashlib
import hmac
import random
import time
import uuid
from types import TracebackType
from typing import Any, NamedTuple, Self

import aiohttp
import msgspec

PROJECT, TOKEN, SIGNING_KEY = "4d0d6f16-5881-4fcc-92a4-02c51a91954d", "PTbenchmark", "PSKbenchmark"
SPEECH = "Welcome. Please listen carefully, as our options have changed."
ANYWHERE = "http://127.0.0.1:9"
"""A space that nobody talks to."""

# The vendor's own example of an answer, around the id of the call.
_LEG = (
    b'","from":"+12069708643","to":"+15550198765","direction":"outbound-api","source":"realtime_api","url":null,'
    b'"charge":0,"created_at":"2024-05-06T12:20:00Z","charge_details":[{"description":"Outbound Voice",'
    b'"charge":0.004}],"status":"answered","duration":null,"duration_ms":null,"billing_ms":null,'
    b'"type":"relay_pstn_call","parent_id":null}'
)
_EVENT = (
    b'{"event_type":"calling.call.%b","event_channel":"swml:%b","timestamp":%.6f,"project_id":"' + PROJECT.encode() +
    b'","space_id":"451ed9ff-e568-4222-8af9-4f9ab7428d09","params":{"control_id":"%b","call_id":"%b",'
    b'"node_id":"a0d4e6e5-5d07-413d-9668-55542992eec0",%b}}'
)  # fmt: skip
_ENDS = {
    "play": b'"state":"finished"',
    "collect": b'"final":true,"result":{"type":"digit","params":{"digits":"42","terminator":"#"}}',
    "record": (
        b'"state":"finished","url":"https://example.signalwire.com/recordings/6e9a1c1e-8d53-4b7d-a1c5-0c4ef1e5a9d1.wav",'
        b'"duration":7.24,"size":115840,"record":{"audio":{"format":"wav","direction":"both","stereo":false}}'
    ),
}


class _Params(msgspec.Struct):
    control_id: str
    status_url: str


class _Command(msgspec.Struct):
    id: str
    params: _Params


read_command = msgspec.json.Decoder(_Command).decode
"""Read what a webhook needs from the body of a command."""


class Target(NamedTuple):
    """Where the webhook about an action goes."""

    url: str
    control_id: str
    call_id: str

    @classmethod
    def of(cls, body: bytes) -> Self:
        """Read the body of a command."""
        command = read_command(body)
        return cls(command.params.status_url, command.params.control_id, command.id)

    def event(self) -> bytes:
        """Say that the action has finished, now. Its kind is in its URL; it is a playback if not."""
        parts = self.url.rsplit("/", 3)
        kind = parts[1] if len(parts) == 4 and parts[1] in _ENDS else "play"
        call_id = self.call_id.encode()
        return _EVENT % (kind.encode(), call_id, time.time(), self.control_id.encode(), call_id, _ENDS[kind])

    def request(self, *, signed: bool = False) -> bytes:
        """Return the whole HTTP request that says so."""
        body = self.event()
        host, slash, path = self.url.partition("://")[2].partition("/")
        signature = f"X-SignalWire-Signature: {self._sign(body)}\r\n" if signed else ""
        head = (
            f"POST {slash}{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: SignalWire\r\nAccept: */*\r\n"
            f"Content-Type: application/json\r\n{signature}Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def _sign(self, body: bytes) -> str:
        return hmac.digest(SIGNING_KEY.encode(), self.url.encode() + body, hashlib.sha1).hex()


def leg_for(body: bytes) -> bytes:
    """Answer a command with the leg of the call that it names."""
    start = body.find(b'"id":"') + 6
    return b'{"id":"' + body[start : body.find(b'"', start)] + _LEG


def call_ids(count: int) -> list[str]:
    """Make ids of calls."""
    return [str(uuid.uuid4()) for _ in range(count)]


class Sent(NamedTuple):
    """One command, as it was about to leave."""

    url: Any
    body: bytes
    headers: Any


class Unsent:
    """Stands in for a client's `aiohttp.ClientSession`: every command is accepted, and none leaves the process.

    So actions are made the way they always are, by the thousand, and no internals are needed for it.
    """

    closed = False

    def __init__(self, *, keep: float = 1.0) -> None:
        self.sent: list[Sent] = []
        """Which commands there were: *keep* of them, drawn by chance, since some benchmarks make a million."""
        self.keep = keep

    def post(self, url: Any, *, data: bytes, headers: Any = None, **_: Any) -> _Answer:
        """Accept a command."""
        if self.keep >= 1 or random.random() < self.keep:
            self.sent.append(Sent(url, data, headers))
        return _Answer(data)

    def get(self, url: Any, **_: Any) -> Any:
        """Fail: there is no voice log."""
        raise aiohttp.ClientConnectionError("nothing is behind this session")

    def targets(self) -> list[Target]:
        """Say where the webhooks go that the commands since the last time ask for."""
        sent, self.sent = self.sent, []
        return [Target.of(command.body) for command in sent]

    async def close(self) -> None:
        """Do nothing: nothing is open."""


class _Answer:
    status = 200
    ok = True
    headers: dict[str, str] = {}

    def __init__(self, command: bytes) -> None:
        self._command = command

    def __await__(self) -> Any:
        return self
        yield

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def read(self) -> bytes:
        return leg_for(self._command)
