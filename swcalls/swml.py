"""The steps of a SWML document, for ``call.run_swml`` and for the ``confirm`` of ``call.connect``.

A plain dict stands for any step that has no class here: ``{"play": {"url": "say:Hello."}}``.
"""

from .commands.swml import (
    Answer,
    AnyStep,
    Connect,
    Hangup,
    JoinConference,
    Request,
    SendDigits,
    Sleep,
    Step,
    Switch,
    document,
)

__all__ = [
    "Answer",
    "AnyStep",
    "Connect",
    "Hangup",
    "JoinConference",
    "Request",
    "SendDigits",
    "Sleep",
    "Step",
    "Switch",
    "document",
]
