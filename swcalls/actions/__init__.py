"""What can be going on on a call, a family a module: the handle that a user holds, and the methods that start it.

Handles wait on the loop; nothing here opens a socket.
"""

from typing import Any

from ._base import Action
from ._line import Line, Sender, check_seconds
from ._start import ActionStart
from .collect import CollectAction, CollectVerbs
from .detect import DetectAction, DetectVerbs
from .play import PlayAction, PlayVerbs
from .record import RecordAction, RecordVerbs
from .stream import StreamAction, StreamVerbs


class Verbs(PlayVerbs, RecordVerbs, CollectVerbs, DetectVerbs, StreamVerbs):
    """Everything that can be started on a call."""

    __slots__ = ()


HANDLES: dict[str, type[Action[Any]]] = {
    handle.family.removeprefix("calling."): handle
    for handle in (PlayAction, RecordAction, CollectAction, DetectAction, StreamAction)
}
"""Every handle, by the kind that ``call.action`` takes."""

__all__ = [
    "HANDLES",
    "Action",
    "ActionStart",
    "CollectAction",
    "DetectAction",
    "Line",
    "PlayAction",
    "RecordAction",
    "Sender",
    "StreamAction",
    "Verbs",
    "check_seconds",
]
