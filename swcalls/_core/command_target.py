"""Which operation a command is about: the call, or one of its actions."""

from __future__ import annotations

from collections.abc import Mapping

from ..commands import KeyedCommand
from ..commands.swml import RunDocument
from .operation import CallOperation


def target_of(call: CallOperation, command: str, params: object) -> tuple[str, str]:
    """Return kind and key of the operation that *command* is about: an action of *call*, or the call itself."""
    family = command.removeprefix("calling.")
    key = params.get("control_id") if isinstance(params, Mapping) else getattr(params, "control_id", None)
    if isinstance(key, str):
        action = call.actions.get(key)
        return family.partition(".")[0] if action is None else action.kind, key
    # Of the kinds that the platform knows by no id, a call has only one action.
    for action in call.actions.values():
        if family.startswith(f"{action.kind}."):
            return action.kind, action.key
    return call.kind, call.key


def can_only_miss_the_call(command: str, params: object) -> bool:
    """Say whether "not found" can mean nothing but the call: no operation of it, no session, nothing to stop."""
    if isinstance(params, KeyedCommand):
        return True
    if isinstance(params, RunDocument):
        return False  # What the platform answers to a document in the wrong state of the call is not documented.
    is_about_more = command.startswith(("calling.ai", "calling.live_")) or command.endswith(".stop")
    return not is_about_more and not hasattr(params, "control_id")
