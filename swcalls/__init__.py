"""Drive phone calls from asyncio over the SignalWire Calling REST API.

A ``Client`` sends commands and returns actions; its webhook receiver settles them as the platform's callbacks arrive::

    async with Client.from_env() as client, client.receiver.serve(port=8080):
        async with client.dial(to="+15550198765", from_="+12069708643") as call:
            await call.answered(timeout=30)
            await call.play(TTS("Welcome.")).finished()

Every wait ends with a result, or with an error that says why there is none.

Where to look:

- ``Client`` dials, attaches to calls and takes settings: ``Limits``, ``Retry``, ``Reconcile``; it counts ``Stats``.
- ``Call`` has a method for each command. To play: ``TTS``, ``Audio``, ``Silence``, ``Ringtone``; to collect:
  ``Digits``, ``Speech``; to detect: ``DetectMachine``, ``DetectFax``, ``DetectDigit``.
- A method that starts an action gives an ``Action``, such as ``PlayAction`` or ``RecordAction``. It yields events, such
  as ``PlayEvent``, and has a result, such as ``Playback`` or ``CollectResult``, and an ``Outcome``.
- ``call.listen()`` gives a ``CallAudio``: the call's ``AudioFrame``s, digits, and a WAV file.
- ``call.ask(…)`` repeats a prompt until the input is accepted, and gives an ``AskResult``; ``call.wait_for_beep()``
  tells a person from a machine, and returns when a message can be left.
- Errors are ``SwcallsError``: for commands ``CommandError``, for actions ``ActionError``, for calls ``CallEnded``.
- ``WebhookReceiver`` receives webhooks in a process without a client; ``setup`` and ``CLIENT`` are for aiohttp.
- ``dashboard`` adds a page with the calls that are up to an aiohttp application.
- ``call.timeline`` is a ``Timeline`` of ``Mark``s: everything that happened on the call.
- ``swcalls.words`` has the types of states, end reasons and kinds of input.
- ``swcalls.swml`` has the steps of SWML documents, for `Call.run_swml` and the other methods that send documents.
- ``swcalls.testing`` simulates a space, ``swcalls.backplane`` connects processes, ``swcalls.otel`` traces calls.
"""

from typing import TYPE_CHECKING, Any

from . import swml, words
from ._core.audio_frame import AudioFormat, AudioFrame
from ._core.limits import Limits
from ._core.log_queries import Reconcile
from ._core.retries import Retry
from ._core.webhooks import Reply
from .actions import (
    Action,
    ActionStart,
    AskAction,
    AudioStart,
    CallAudio,
    CollectAction,
    ConferenceAction,
    ConnectAction,
    DetectAction,
    LiveTranscribeAction,
    LiveTranslateAction,
    PlayAction,
    PromptAction,
    ReceiveFaxAction,
    RecordAction,
    ReferAction,
    ResultStart,
    SendDigitsAction,
    SendFaxAction,
    SidecarAction,
    StreamAction,
    SummaryAction,
    SwmlAction,
    TapAction,
    TranscribeAction,
)
from .call import Call, CallStart
from .call_leg import CallLeg, ChargeDetail, FabricDeviceLeg, Leg
from .client import Client, Stats
from .commands import (
    TTS,
    Audio,
    DetectDigit,
    DetectFax,
    DetectMachine,
    Digits,
    Reset,
    Ringtone,
    RtpDevice,
    SidecarParams,
    SidecarPermissions,
    Silence,
    Speech,
    WsDevice,
)
from .errors import (
    ActionError,
    ActionExpired,
    ActionFailed,
    AudioNotStarted,
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
    Replaced,
    ServerFault,
    SwcallsError,
    Unauthorized,
)
from .events import (
    CallEvent,
    CollectEvent,
    ConferenceEvent,
    ConnectEvent,
    DenoiseEvent,
    DetectEvent,
    Event,
    FaxEvent,
    InboundCall,
    PlayEvent,
    RecordEvent,
    ReferEvent,
    SidecarEvent,
    SpeechEvent,
    StreamEvent,
    SwmlEvent,
    TapEvent,
    TranscribeEvent,
    UnknownEvent,
)
from .outcome import Outcome
from .results import (
    AskResult,
    CollectResult,
    ConferenceResult,
    ConnectResult,
    Detection,
    FaxResult,
    Playback,
    Recording,
    ReferResult,
    Result,
    SendDigitsResult,
    SidecarAnswer,
    SidecarResult,
    SidecarStatus,
    SpeechResult,
    StreamResult,
    Summary,
    SwmlResult,
    TapResult,
    Transcript,
)
from .timeline import Mark, Timeline

if TYPE_CHECKING:
    from .aiohttp_app import CLIENT, setup
    from .receiver import WebhookReceiver
    from .recording import Recorder
    from .web import dashboard

__version__ = "0.1.0"

_SERVER_SIDE = {
    "CLIENT": "aiohttp_app",
    "Recorder": "recording",
    "WebhookReceiver": "receiver",
    "dashboard": "web",
    "setup": "aiohttp_app",
}


if not TYPE_CHECKING:  # For a type checker, there would be no name that is not here.

    def __getattr__(name: str) -> Any:
        # These need, or serve, aiohttp's server, which a process that only sends commands never loads.
        if name not in _SERVER_SIDE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(f".{_SERVER_SIDE[name]}", __name__), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "CLIENT",
    "TTS",
    "Action",
    "ActionError",
    "ActionExpired",
    "ActionFailed",
    "ActionStart",
    "AskAction",
    "AskResult",
    "Audio",
    "AudioFormat",
    "AudioFrame",
    "AudioNotStarted",
    "AudioStart",
    "Call",
    "CallAudio",
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
    "ConferenceAction",
    "ConferenceEvent",
    "ConferenceResult",
    "ConfigurationError",
    "Conflict",
    "ConnectAction",
    "ConnectEvent",
    "ConnectResult",
    "DenoiseEvent",
    "DetectAction",
    "DetectDigit",
    "DetectEvent",
    "DetectFax",
    "DetectMachine",
    "Detection",
    "Digits",
    "Event",
    "FabricDeviceLeg",
    "FaxEvent",
    "FaxResult",
    "InboundCall",
    "InvalidParams",
    "Leg",
    "Limits",
    "LiveTranscribeAction",
    "LiveTranslateAction",
    "Mark",
    "Outcome",
    "PlayAction",
    "PlayEvent",
    "Playback",
    "PromptAction",
    "RateLimited",
    "ReceiveFaxAction",
    "Reconcile",
    "RecordAction",
    "RecordEvent",
    "Recorder",
    "Recording",
    "ReferAction",
    "ReferEvent",
    "ReferResult",
    "Replaced",
    "Reply",
    "Reset",
    "Result",
    "ResultStart",
    "Retry",
    "Ringtone",
    "RtpDevice",
    "SendDigitsAction",
    "SendDigitsResult",
    "SendFaxAction",
    "ServerFault",
    "SidecarAction",
    "SidecarAnswer",
    "SidecarEvent",
    "SidecarParams",
    "SidecarPermissions",
    "SidecarResult",
    "SidecarStatus",
    "Silence",
    "Speech",
    "SpeechEvent",
    "SpeechResult",
    "Stats",
    "StreamAction",
    "StreamEvent",
    "StreamResult",
    "Summary",
    "SummaryAction",
    "SwcallsError",
    "SwmlAction",
    "SwmlEvent",
    "SwmlResult",
    "TapAction",
    "TapEvent",
    "TapResult",
    "Timeline",
    "TranscribeAction",
    "TranscribeEvent",
    "Transcript",
    "Unauthorized",
    "UnknownEvent",
    "WebhookReceiver",
    "WsDevice",
    "dashboard",
    "setup",
    "swml",
    "words",
]
