"""Re-attaches the unfinished operations of an owner: first the calls, then their actions. `Client.recover` calls it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from .._core.operation import CallOperation, Options
from .._engine.engine import Engine
from ..actions import HANDLES, Action
from .member import Member
from .protocol import Memo

_log = logging.getLogger("swcalls.recovery")


async def recover(engine: Engine, member: Member, owner: str | None) -> Sequence[Action[Any]]:
    """Re-attach the unfinished actions of *owner* (default: this process's own name) that this process lacks."""
    engine.lifetime.check("recover")
    name = owner or member.backplane.owner
    async with member.left_by(name) as memos:
        calls = {memo.key: _call(engine, member, memo.key, memo.call_id, name) for memo in memos if memo.kind == "call"}
        found = [_action(engine, member, calls, memo, name) for memo in memos if memo.kind != "call"]
        # Webhooks that came before the actions were attached have stayed on the backplane.
        member.backplane.redeliver(name)
    return [action for action in found if action is not None]


def _call(engine: Engine, member: Member, key: str, call_id: str | None, owner: str) -> Any:
    """Register the call of a memo, unless it is registered, and return its handle."""
    registry = engine.registry
    followed = registry.calls.with_key(key)
    if followed is not None:
        return engine.handle_of(followed)
    known = registry.calls.with_id(call_id or "")
    if known is not None and known.has_ended and not _was_lost(known):
        return engine.handle_of(known)
    handle = engine.handle_of(known) if known is not None and not known.has_ended else engine.new_call(call_id)
    call: CallOperation = handle._operation
    member.adopt("call", key, owner)
    engine.resume_call(call, key)
    if call_id is None:
        # Stored again, so that the id is stored when a webhook brings it.
        member.keep_soon(call)
    return handle


def _was_lost(call: CallOperation) -> bool:
    """Return whether *call* was settled only because another process had taken it over."""
    return call.outcome is not None and call.outcome.settled_by == "closed"


def _action(engine: Engine, member: Member, calls: dict[str, Any], memo: Memo, owner: str) -> Action[Any] | None:
    """Attach the action of *memo* and return its handle; ``None`` if it is attached already, or cannot be."""
    handle = HANDLES.get(memo.kind)
    call = calls.get(memo.call_key)
    options = _options(memo)
    if handle is None or options is None or (call is None and memo.call_id is None):
        _log.warning("owner %s: %s %s cannot be re-attached, and is forgotten", owner, memo.kind, memo.key)
        member.backplane.forget(memo.kind, memo.key, owner=owner)
        return None
    if engine.registry.follows(memo.key):
        return None
    if call is None:
        call = calls[memo.call_key] = _call(engine, member, memo.call_key, memo.call_id, owner)
    member.adopt(memo.kind, memo.key, owner)
    seconds = None if memo.due is None else max(0.0, memo.due - member.backplane.now())
    action = handle(call, memo.key, options)
    engine.attach(action._operation, seconds, is_kept=True)
    return action


def _options(memo: Memo) -> Options | None:
    """Return the options of the action; ``None`` if they cannot be decoded."""
    try:
        return msgspec.convert(memo.options, Options)
    except msgspec.ValidationError:
        return None
