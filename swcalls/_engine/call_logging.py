"""Logs what happens on calls, and gives log records structured attributes.

Loggers are ``swcalls.*``; records about calls and actions have ``call_id``, ``kind`` and ``control_id`` as attributes.
"""

from __future__ import annotations

import logging
from functools import cache

from .._core.operation import CallOperation, Operation
from ..commands import is_without_plus
from ..timeline import Journal, Mark

log: logging.Logger = logging.getLogger("swcalls.calls")


def about(operation: Operation) -> dict[str, str | None]:
    """Return the attributes of a log record about *operation*, for the argument ``extra`` of a logger's method."""
    call = operation if isinstance(operation, CallOperation) else operation.call
    return {
        "call_id": None if call is None else call.id,
        "kind": operation.kind,
        "control_id": None if operation is call else operation.key,
    }


def log_address(command: str, name: str, address: object) -> None:
    """Log a warning if *address*, the parameter *name* of *command*, is a phone number without ``+``; once for each."""
    if is_without_plus(address):
        _warn_of_missing_plus(command, name)


@cache
def _warn_of_missing_plus(command: str, name: str) -> None:
    log.warning(
        "%s: %s is a phone number without '+', and not every space converts it to E.164: pass +<country><number>;"
        " logged once",
        *(command, name),
    )


def log_mark(journal: Journal, mark: Mark) -> None:
    """Log an entry of a timeline. Level INFO: states of a call, and ends without a webhook; DEBUG: all other entries.

    The text of what a party said or pressed is never logged.

    Attributes: ``call_id``, ``kind``, ``control_id``, ``what``, ``word``, ``verdict``.
    """
    # The state only: pressed digits and spoken text are private.
    word = getattr(mark.event, "state", "inbound") if mark.what == "event" else mark.word
    level = logging.INFO if _is_news(mark) else logging.DEBUG
    if not log.isEnabledFor(level):
        return
    name = mark.kind if mark.key is None else f"{mark.kind} {mark.key}"
    verdict = f" ({mark.verdict})" if mark.verdict else ""
    took = "" if mark.took is None else f" after {mark.took:.3f} s"
    log.log(
        level,
        "call %s: %s: %s %s%s%s",
        *(journal.call_id, name, mark.what, word, verdict, took),
        extra={
            "call_id": journal.call_id,
            "kind": mark.kind,
            "control_id": mark.key,
            "what": mark.what,
            "word": word,
            "verdict": mark.verdict,
        },
    )


def _is_news(mark: Mark) -> bool:
    if mark.what == "settled":
        return mark.kind == "call" or mark.verdict not in ("callback", "closed")
    return mark.what == "event" and mark.kind == "call" and mark.verdict in ("applied", "reconciled")
