"""What can be going on on a call, a family a module: the handle that a user holds, and the methods that start it.

Handles wait on the loop; nothing here opens a socket.
"""

from typing import Any

from ._base import Action, Sender
from ._line import Line, check_text
from ._start import ActionStart, Start
from .ai import AIVerbs
from .call_audio import CallAudio
from .collect import CollectAction, CollectVerbs
from .detect import DetectAction, DetectVerbs
from .fax import FaxVerbs, ReceiveFaxAction, SendFaxAction
from .listen import AudioStart, ListenVerbs
from .live import LiveTranscribeAction, LiveTranslateAction, LiveVerbs
from .play import PlayAction, PlayVerbs
from .prompt import PromptAction, PromptVerbs
from .record import RecordAction, RecordVerbs
from .sidecar import AskAction, SidecarAction, SidecarVerbs, SummaryAction
from .stream import StreamAction, StreamVerbs
from .tap import TapAction, TapVerbs
from .transcribe import TranscribeAction, TranscribeVerbs
from .transfer import ReferAction, TransferVerbs


class Verbs(
    PlayVerbs,
    RecordVerbs,
    CollectVerbs,
    PromptVerbs,
    DetectVerbs,
    TapVerbs,
    StreamVerbs,
    ListenVerbs,
    TranscribeVerbs,
    TransferVerbs,
    LiveVerbs,
    SidecarVerbs,
    AIVerbs,
    FaxVerbs,
):
    """Everything that can be said to a call."""

    __slots__ = ()


HANDLES: dict[str, type[Action[Any]]] = {
    handle.family.removeprefix("calling."): handle
    for handle in (
        PlayAction,
        RecordAction,
        CollectAction,
        DetectAction,
        TapAction,
        StreamAction,
        TranscribeAction,
        ReferAction,
        LiveTranscribeAction,
        LiveTranslateAction,
        SidecarAction,
        SendFaxAction,
        ReceiveFaxAction,
    )
}
"""Every handle, by the kind that ``call.action`` takes."""

__all__ = [
    "HANDLES",
    "Action",
    "ActionStart",
    "AskAction",
    "AudioStart",
    "CallAudio",
    "CollectAction",
    "DetectAction",
    "Line",
    "LiveTranscribeAction",
    "LiveTranslateAction",
    "PlayAction",
    "PromptAction",
    "ReceiveFaxAction",
    "RecordAction",
    "ReferAction",
    "SendFaxAction",
    "Sender",
    "SidecarAction",
    "Start",
    "StreamAction",
    "SummaryAction",
    "TapAction",
    "TranscribeAction",
    "Verbs",
    "check_text",
]
