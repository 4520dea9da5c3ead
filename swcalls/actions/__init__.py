"""The actions of a call, one family a module: the handle that a user holds, and the methods of ``Call`` that start it.

Handles wait in the event loop, and send commands through the engine; nothing here opens a socket.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from .._core.operation import Operation
from .action import Action
from .ai import AIVerbs
from .ask import AskVerbs
from .call_audio import CallAudio
from .call_base import CallBase
from .collect import CollectAction, CollectVerbs
from .detect import DetectAction, DetectVerbs
from .fax import FaxVerbs, ReceiveFaxAction, SendFaxAction
from .listen import AudioStart, ListenVerbs
from .live import LiveTranscribeAction, LiveTranslateAction, LiveVerbs
from .play import PlayAction, PlayVerbs
from .prompt import PromptAction, PromptVerbs
from .record import RecordAction, RecordVerbs
from .sidecar import AskAction, SidecarAction, SidecarVerbs, SummaryAction
from .start import ActionStart, ResultStart, Start
from .stream import StreamAction, StreamVerbs
from .swml import ConferenceAction, ConnectAction, SendDigitsAction, SwmlAction, SwmlVerbs
from .tap import TapAction, TapVerbs
from .transcribe import TranscribeAction, TranscribeVerbs
from .transfer import ReferAction, TransferVerbs
from .verb_base import check_text


class Verbs(
    PlayVerbs,
    RecordVerbs,
    CollectVerbs,
    AskVerbs,
    PromptVerbs,
    DetectVerbs,
    TapVerbs,
    StreamVerbs,
    ListenVerbs,
    TranscribeVerbs,
    TransferVerbs,
    SwmlVerbs,
    LiveVerbs,
    SidecarVerbs,
    AIVerbs,
    FaxVerbs,
):
    """The methods of a ``Call`` that send commands, of all families."""

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
        ConnectAction,
        ConferenceAction,
        SendDigitsAction,
        SwmlAction,
    )
}
"""The class of each handle, by the kind that ``call.action`` takes."""


class ActionsView(Mapping[str, Action[Any]]):
    """The handles of running operations, by ``control_id``: a read-only view, which ``Client.actions`` returns."""

    __slots__ = ("_operations",)

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self._operations = operations

    def __getitem__(self, control_id: str) -> Action[Any]:
        return cast(Action[Any], self._operations[control_id].handle)

    def __iter__(self) -> Iterator[str]:
        return iter(self._operations)

    def __len__(self) -> int:
        return len(self._operations)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self)!r})"


__all__ = [
    "HANDLES",
    "Action",
    "ActionStart",
    "ActionsView",
    "AskAction",
    "AudioStart",
    "CallAudio",
    "CallBase",
    "CollectAction",
    "ConferenceAction",
    "ConnectAction",
    "DetectAction",
    "LiveTranscribeAction",
    "LiveTranslateAction",
    "PlayAction",
    "PromptAction",
    "ReceiveFaxAction",
    "RecordAction",
    "ReferAction",
    "ResultStart",
    "SendDigitsAction",
    "SendFaxAction",
    "SidecarAction",
    "Start",
    "StreamAction",
    "SummaryAction",
    "SwmlAction",
    "TapAction",
    "TranscribeAction",
    "Verbs",
    "check_text",
]
