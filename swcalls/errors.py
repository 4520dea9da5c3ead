"""The errors of the library, sorted by what the caller can do next.

SwcallsError
├─ ConfigurationError (ValueError)   a setting is missing or wrong
├─ CommandError            .command .call_id .request_id
│   ├─ CommandNotSent       nothing left the process: safe to send again
│   ├─ CommandUnconfirmed   it may have arrived (no response, or a 502 or 504): not safe; a webhook may still settle
│   │                        its action (.action)
│   └─ CommandRejected      .status .errors
│       ├─ InvalidParams (400, 422)   ├─ Unauthorized (401, 403)   ├─ CallNotFound (404, 410), also a CallEnded
│       ├─ Conflict (409)             ├─ RateLimited (429, .retry_after)
│       └─ ServerFault (500, 503 and other 5xx)
└─ ActionError             .action .outcome
    ├─ ActionFailed   ├─ CallEnded (.reason)   ├─ ActionExpired   ├─ AudioNotStarted   └─ ClientClosed

A bad argument raises ``ValueError`` or ``TypeError`` instead. A wait that takes too long raises the builtin
``TimeoutError``. A client that is not open yet raises ``RuntimeError``. No message here ever holds a credential.
"""

from __future__ import annotations

import reprlib
from typing import Any, cast

from .outcome import Identified, Outcome
from .words import EndedBy


class SwcallsError(Exception):
    """Base of all errors of this library."""


class ConfigurationError(SwcallsError, ValueError):
    """A setting is missing or wrong; the message names it."""


class CommandError(SwcallsError):
    """A command did not succeed. Base of the errors of sending a command.

    ``command`` is its name on the wire, and ``call_id`` the call that it was sent to. ``request_id`` is the platform's
    id of the request; ``None``: there is none.
    """

    def __init__(
        self, message: str, *, command: str, call_id: str | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(f"{command}: {message}")
        self.command = command
        self.call_id = call_id
        self.request_id = request_id


class CommandNotSent(CommandError):
    """Nothing left the process, so it is safe to send the command again."""


class CommandUnconfirmed(CommandError):
    """The command may have arrived: sending it again may execute it twice.

    ``action`` is the action that the command starts (``call``: the call that it dials). The action is kept for a while,
    and a webhook may still settle it. ``status`` is the HTTP status of the response, if one came: a 502 or 504, or a
    2xx whose body could not be decoded.
    """

    action: Identified | None = None
    call: Any = None
    status: int | None = None


class CommandRejected(CommandError):
    """The platform refused the command. ``errors`` holds the reasons that the platform gave.

    ``retry_after`` is the wait that the platform asked for, in seconds; ``None``: it asked for none.
    """

    retry_after: float | None = None

    def __init__(
        self,
        message: str,
        *,
        status: int,
        errors: tuple[dict[str, Any], ...] = (),
        command: str,
        call_id: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, command=command, call_id=call_id, request_id=request_id)
        self.status = status
        self.errors = errors


class InvalidParams(CommandRejected):
    """400 or 422: a parameter was refused; ``errors`` says which and why."""


class Unauthorized(CommandRejected):
    """401 or 403: wrong credentials, or the token lacks the Voice scope."""


class Conflict(CommandRejected):
    """409: the state of the call forbids the command, for example a second transcription."""


class RateLimited(CommandRejected):
    """429: too many commands at once; the command was not processed."""


class ServerFault(CommandRejected):
    """5xx, except 502 and 504: the platform failed.

    Unless it was a 503 with ``Retry-After``, the command may have been processed.
    """


class ActionError(SwcallsError):
    """An action has ended without a result."""

    def __init__(self, message: str, *, action: Identified | None = None) -> None:
        super().__init__(message)
        self.action = action
        self.outcome: Outcome[Any] | None = None


class ActionFailed(ActionError):
    """The platform reported an error, or the action ended without reaching the awaited state.

    ``action`` is the handle. ``outcome`` has the latest event, with the platform's payload in ``outcome.event.raw``.
    """


class Replaced(ActionFailed):
    """Another SWML document runs on the call now: a call has one at a time."""


class CallEnded(ActionError):
    """The call has ended. ``reason`` is the end reason, ``None`` when the platform gave none.

    Raised by waits for actions of the call, and by commands to a call that is known to have ended; these are not sent.
    """

    def __init__(self, message: str, *, reason: str | None = None, action: Identified | None = None) -> None:
        super().__init__(message, action=action)
        self.reason: EndedBy | None = cast("EndedBy | None", reason)


class ActionExpired(ActionError):
    """The action's ``deadline``, or its duration limit, passed before its end was reported."""


class AudioNotStarted(ActionError):
    """A stream that ``Call.listen`` asked for did not begin in time; the message says how far it came."""


class ClientClosed(ActionError):
    """The client was closed before the action or call ended, or before the command was sent."""


class CallNotFound(CommandRejected, CallEnded):
    """404 or 410: the project has no such call, or the call is over. ``except CallEnded`` catches it too."""


_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 80


def shown(value: object) -> str:
    """Return the repr of *value* for a message, shortened if it is long."""
    try:
        return _repr.repr(value)
    except ValueError:
        return f"<{type(value).__name__}>"  # *value* holds an integer with too many digits for `repr`.
