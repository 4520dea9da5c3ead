"""What can go wrong, sorted by what the caller can do next.

SwcallsError
├─ ConfigurationError (ValueError)   a setting is missing or wrong
├─ CommandError            .command .call_id .request_id
│   ├─ CommandNotSent       nothing left the process: safe to send again
│   ├─ CommandUnconfirmed   it may have arrived (no answer, or a 502 or 504): not safe; a callback may still settle
│   │                        its action (.action)
│   └─ CommandRejected      .status .errors
│       ├─ InvalidParams (400, 422)   ├─ Unauthorized (401, 403)   ├─ CallNotFound (404, 410), also a CallEnded
│       ├─ Conflict (409)             ├─ RateLimited (429, .retry_after)
│       └─ ServerFault (500, 503 and other 5xx)
└─ ActionError             .action .outcome
    ├─ ActionFailed   ├─ CallEnded (.reason)   ├─ ActionExpired   └─ ClientClosed

A bad argument is none of these: it is a ``ValueError`` or a ``TypeError``. A wait that takes too long is the builtin
``TimeoutError``. A client that is not open yet raises ``RuntimeError``. No message here ever holds a credential.
"""

from __future__ import annotations

import reprlib
from typing import Any

from .outcome import Identified, Outcome


class SwcallsError(Exception):
    """Base of all errors of this library."""


class ConfigurationError(SwcallsError, ValueError):
    """A setting is missing or wrong; the message names it."""


class CommandError(SwcallsError):
    """A command did not succeed. Base of what sending one can raise."""

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
    """The command may have arrived: sending it again may do it twice.

    ``action`` is the action that it was to start (``call`` the call that it was to dial): it is kept for a while, and a
    callback may still settle it. ``status`` is the HTTP status of an answer, if one came: a gateway's 502 or 504, or a
    2xx that could not be understood.
    """

    action: Identified | None = None
    call: Any = None
    status: int | None = None


class CommandRejected(CommandError):
    """The platform refused the command. ``errors`` holds its reasons, as far as it gave any.

    ``retry_after`` is the wait that it asked for, in seconds, if it did.
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
    """409: the call's state forbids it, for example a second transcription."""


class RateLimited(CommandRejected):
    """429: too much at once; nothing was processed."""


class ServerFault(CommandRejected):
    """5xx, but for 502 and 504: the platform failed.

    Unless it was a 503 with ``Retry-After``, the command may have been processed.
    """


class ActionError(SwcallsError):
    """An action has ended without a result."""

    def __init__(self, message: str, *, action: Identified | None = None) -> None:
        super().__init__(message)
        self.action = action
        self.outcome: Outcome[Any] | None = None


class ActionFailed(ActionError):
    """The platform reported an error, or the action ended without the state that was waited for."""


class Replaced(ActionFailed):
    """Another SWML document runs on the call now: a call has one at a time."""


class CallEnded(ActionError):
    """The call has ended. ``reason`` is its end reason, ``None`` when the platform gave none.

    What waited for an action gets it, and every command to a call that is known to have ended, which is then not sent.
    """

    def __init__(self, message: str, *, reason: str | None = None, action: Identified | None = None) -> None:
        super().__init__(message, action=action)
        self.reason = reason


class ActionExpired(ActionError):
    """The action's ``deadline`` passed without its end being reported."""


class ClientClosed(ActionError):
    """The client was closed first, or is closed."""


class CallNotFound(CommandRejected, CallEnded):
    """404 or 410: the project has no such call, or the call is over. ``except CallEnded`` catches it too."""


_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 80


def shown(value: object) -> str:
    """Return *value* as a message shows it: cut where it is long, and without an error of its own."""
    try:
        return _repr.repr(value)
    except ValueError:
        return f"<{type(value).__name__}>"  # It holds a number that is too long to be written.
