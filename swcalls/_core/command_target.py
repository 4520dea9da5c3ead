"""Finds the operation that a command addresses: the call, or one of its actions."""

from __future__ import annotations

from collections.abc import Mapping

from ..commands import KeyedCommand
from ..commands.swml import RunDocument
from .operation import CallOperation


def target_of(call: CallOperation, command: str, params: object) -> tuple[str, str]:
    """Return kind and key of the operation that *command* addresses: an action of *call*, or the call itself."""
    family = command.removeprefix("calling.")
    key = params.get("control_id") if isinstance(params, Mapping) else getattr(params, "control_id", None)
    if isinstance(key, str):
        action = call.actions.get(key)
        return family.partition(".")[0] if action is None else action.kind, key
    # A kind without a `control_id` has at most one action on a call.
    for action in call.actions.values():
        if family.startswith(f"{action.kind}."):
            return action.kind, action.key
    return call.kind, call.key


def not_found_means_call_gone(command: str, params: object) -> bool:
    """Return whether a 404 for *command* proves that the call is gone.

    A 404 for a command to an action or to an AI session does not: perhaps only that action or session has ended.
    """
    if isinstance(params, KeyedCommand):
        return True
    if isinstance(params, RunDocument):
        return False  # It is not documented how the platform refuses a document because of the state of the call.
    addresses_more = command.startswith(("calling.ai", "calling.live_")) or command.endswith(".stop")
    return not addresses_more and not hasattr(params, "control_id")
