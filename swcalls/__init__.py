"""Drive phone calls from asyncio over the SignalWire Calling REST API.

A ``Client`` sends commands and returns actions; its webhook receiver settles them as the platform's callbacks arrive::

    async with Client.from_env() as client, client.receiver.serve(port=8080):
        async with client.dial(to="+15550198765", from_="+12069708643") as call:
            await call.answered(timeout=30)
            await call.play(TTS("Welcome.")).finished()

Every wait ends: with a result, or with an error that says why.
"""

from typing import TYPE_CHECKING, Any

from ._core.inbox import Reply
from ._core.limits import Limits
from ._core.retries import Retry
from .actions import (
    Action,
    ActionStart,
    CollectAction,
    DetectAction,
    PlayAction,
    RecordAction,
    StreamAction,
)
from .call import Call, CallStart
from .client import Client, Stats
from .commands import (
    TTS,
    Audio,
    DetectDigit,
    DetectFax,
    DetectMachine,
    Digits,
    Ringtone,
    Silence,
    Speech,
)
from .errors import (
    ActionError,
    ActionExpired,
    ActionFailed,
    CallEnded,
    CallNotFound,
    ClientClosed,
    CommandError,
    CommandNotSent,
    CommandRejected,
    CommandUnconfirmed,
    ConfigurationError,
    Conflict,
    InvalidParams,
    RateLimited,
    ServerFault,
    SwcallsError,
    Unauthorized,
)
from .events import (
    CallEvent,
    CollectEvent,
    DetectEvent,
    Event,
    PlayEvent,
    RecordEvent,
    StreamEvent,
    UnknownEvent,
)
from .legs import CallLeg, ChargeDetail, FabricDeviceLeg
from .outcome import Outcome
from .results import CollectResult, Detection, Playback, Recording, Result, StreamResult

if TYPE_CHECKING:
    from .embedding import CLIENT, setup
    from .receiver import WebhookReceiver

__version__ = "0.1.0"

_SERVER_SIDE = {"CLIENT": "embedding", "setup": "embedding", "WebhookReceiver": "receiver"}


def __getattr__(name: str) -> Any:
    # These need aiohttp's server, which a process that only sends commands never loads.
    if name not in _SERVER_SIDE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_SERVER_SIDE[name]}", __name__), name)


__all__ = [
    "CLIENT",
    "TTS",
    "Action",
    "ActionError",
    "ActionExpired",
    "ActionFailed",
    "ActionStart",
    "Audio",
    "Call",
    "CallEnded",
    "CallEvent",
    "CallLeg",
    "CallNotFound",
    "CallStart",
    "ChargeDetail",
    "Client",
    "ClientClosed",
    "CollectAction",
    "CollectEvent",
    "CollectResult",
    "CommandError",
    "CommandNotSent",
    "CommandRejected",
    "CommandUnconfirmed",
    "ConfigurationError",
    "Conflict",
    "DetectAction",
    "DetectDigit",
    "DetectEvent",
    "DetectFax",
    "DetectMachine",
    "Detection",
    "Digits",
    "Event",
    "FabricDeviceLeg",
    "InvalidParams",
    "Limits",
    "Outcome",
    "PlayAction",
    "PlayEvent",
    "Playback",
    "RateLimited",
    "RecordAction",
    "RecordEvent",
    "Recording",
    "Reply",
    "Result",
    "Retry",
    "Ringtone",
    "ServerFault",
    "Silence",
    "Speech",
    "Stats",
    "StreamAction",
    "StreamEvent",
    "StreamResult",
    "SwcallsError",
    "Unauthorized",
    "UnknownEvent",
    "WebhookReceiver",
    "setup",
]
