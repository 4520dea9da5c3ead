"""The handles that a user holds: one class a kind of action. They wait on the loop; they open no socket."""

from typing import Any

from ._base import Action, ActionStart
from .collect import CollectAction
from .detect import DetectAction
from .play import PlayAction
from .record import RecordAction
from .stream import StreamAction

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
    "PlayAction",
    "RecordAction",
    "StreamAction",
]
