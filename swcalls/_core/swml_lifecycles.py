"""The lifecycles of what a SWML document does: ``connect``, ``conference``, ``digits``, and a document of the user's.

Each ends with its own event or with the tail of its document, whichever comes first; either may be lost. A connect that
nobody answered is a result, not a failure.

Source: SWML wire facts, sections 2 to 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from msgspec.structs import replace

from ..events import CallEvent, ConferenceEvent, ConnectEvent, Event, SwmlEvent
from ..results import ConferenceResult, ConnectResult, Result, SendDigitsResult, SwmlResult
from ..words import ConferenceEnd
from .operation import Operation
from .steps import Ends, Lifecycle, Step, by_word

_NEWS = Step(-1)
"""An event about another call: it changes no state."""
_DONE = Step(9, Ends.RUN)
_FAILED = Step(9, Ends.FAILED)

CONNECT = {
    "connecting": Step(1),
    "connected": Step(2),
    "disconnected": _DONE,
    "failed": _DONE,
    "finished": _DONE,
}
CONFERENCE = {"joined": Step(2), "left": _DONE, "ended": _DONE, "finished": _DONE, "failed": _FAILED}
DIGITS = {"finished": _DONE, "failed": _FAILED}
SWML = {"finished": _DONE}

_OWN = {"participant-join": "joined", "participant-leave": "left"}
_IN_CONFERENCE = frozenset({
    "conference-start", "participant-join", "participant-leave", "participant-mute", "participant-unmute",
    "participant-hold", "participant-unhold", "participant-modify", "participant-speech-start",
    "participant-speech-stop", "record-start", "record-stop", "announcement-start", "announcement-end",
})  # fmt: skip


def _connect_step(operation: Operation, event: Event) -> Step | None:
    """Return the step of the bridge. A state of a dialled leg (created, ringing, …) is a step of the leg only."""
    return _NEWS if isinstance(event, CallEvent) else CONNECT.get(event.state)


def _conference_step(operation: Operation, event: Event) -> Step | None:
    return _NEWS if event.state in _IN_CONFERENCE else CONFERENCE.get(event.state)


def _conference_view(operation: Operation, event: Event) -> Event:
    """Give events of our own call the states of the action. Events of other members come to the same URL."""
    if not isinstance(event, ConferenceEvent):
        return event
    if event.state == "conference-end":
        return replace(event, state="ended")
    call_id = None if operation.call is None else operation.call.id
    if event.call_id is None or event.call_id != call_id:
        return event
    return replace(event, state=_OWN.get(event.state, event.state))


def peer_of(operation: Operation) -> str | None:
    """Return the id of the call that a connect was answered by, as far as its events tell.

    When the ``connected`` event was lost, the dialled leg's own ``answered`` tells too.
    """
    heard = operation.history or ()
    told = (event.peer_id for event in heard if isinstance(event, ConnectEvent) and event.peer_id)
    answered = (event.call_id for event in heard if isinstance(event, CallEvent) and event.state == "answered")
    return operation.options.peer or operation.options.answered_by or next(told, None) or next(answered, None)


def bridged_with(operation: Operation) -> str | None:
    """Return the id of the call that a connect has bridged with its own; ``None``: it is not known, or not bridged."""
    options = operation.options
    if options.peer is None and options.answered_by is None:
        is_bridged = "connected" in operation.states_reached or options.at_once
        return peer_of(operation) if is_bridged else None
    return options.peer or options.answered_by


def _connected(operation: Operation, event: Event) -> Result:
    heard = [*(operation.history or ()), event]
    reasons = [
        event.failed_reason if isinstance(event, ConnectEvent) else event.variables.get("connect_failed_reason")
        for event in heard
        if isinstance(event, ConnectEvent | SwmlEvent)
    ]
    answered = any(event.state in ("connected", "disconnected") for event in heard)
    return ConnectResult(
        answered=answered,
        reason=None if answered else next((reason for reason in reversed(reasons) if reason), None),
        peer_id=peer_of(operation) if answered else None,
        payload=event.payload,
    )


def _conferred(operation: Operation, event: Event) -> Result:
    heard = [*(operation.history or ()), event]
    ids = (event.conference_id for event in heard if isinstance(event, ConferenceEvent) and event.conference_id)
    reason = event.reason if isinstance(event, ConferenceEvent) else None
    state = cast(ConferenceEnd, event.state)
    return ConferenceResult(state=state, conference_id=next(ids, None), reason=reason, payload=event.payload)


def _run(operation: Operation, event: Event) -> Result:
    variables = event.variables if isinstance(event, SwmlEvent) else {}
    return SwmlResult(variables=variables, payload=event.payload)


SWML_LIFECYCLES: Mapping[str, Lifecycle] = {
    "connect": Lifecycle(_connect_step, _connected),
    "conference": Lifecycle(_conference_step, _conferred, view=_conference_view),
    "digits": Lifecycle(by_word(DIGITS), lambda _, event: SendDigitsResult(payload=event.payload)),
    "swml": Lifecycle(by_word(SWML), _run),
}
