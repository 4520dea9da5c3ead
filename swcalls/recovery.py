"""What an owner left behind, as handles again: calls first, then the actions that run on them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from ._core.operation import Options
from .actions import HANDLES, Action
from .backplane import Memo
from .call import Call
from .keeper import Keeper
from .switchboard import Switchboard

_log = logging.getLogger("swcalls.recovery")


async def recover(switchboard: Switchboard, keeper: Keeper, owner: str | None) -> Sequence[Action[Any]]:
    """Take up what *owner* (default: this process's own name) has left, unless it is followed here already."""
    switchboard.lifetime.check("recover")
    name = owner or keeper.backplane.owner
    async with keeper.left_by(name) as memos:
        calls = {
            memo.key: _call(switchboard, keeper, memo.key, memo.call_id, name) for memo in memos if memo.kind == "call"
        }
        found = [_action(switchboard, keeper, calls, memo, name) for memo in memos if memo.kind != "call"]
        # What came for them in the meantime was left where it was.
        keeper.backplane.redeliver(name)
    return [action for action in found if action is not None]


def _call(switchboard: Switchboard, keeper: Keeper, key: str, call_id: str | None, owner: str) -> Call:
    registry = switchboard.registry
    followed = registry.dialled(key)
    if isinstance(followed, Call):
        return followed
    known = registry.calls.get(call_id or "")
    if isinstance(known, Call) and known.has_ended and not _was_lost(known):
        return known
    call = known if isinstance(known, Call) and not known.has_ended else Call(switchboard, call_id)
    keeper.adopt("call", key, owner)
    switchboard.resume_call(call, key)
    if call_id is None:
        # Its id is remembered when it is known.
        keeper.keep_soon(call)
    return call


def _was_lost(call: Call) -> bool:
    """Say whether *call* has only been followed by another process in the meantime."""
    return call.settled is not None and call.settled.settled_by == "closed"


def _action(
    switchboard: Switchboard, keeper: Keeper, calls: dict[str, Call], memo: Memo, owner: str
) -> Action[Any] | None:
    handle = HANDLES.get(memo.kind)
    call = calls.get(memo.call_key)
    options = _options(memo)
    if handle is None or options is None or (call is None and memo.call_id is None):
        _log.warning("owner %s: %s %s cannot be taken up, and is forgotten", owner, memo.kind, memo.key)
        keeper.backplane.forget(memo.kind, memo.key, owner=owner)
        return None
    if switchboard.registry.follows(memo.key):
        return None
    if call is None:
        call = calls[memo.call_key] = _call(switchboard, keeper, memo.call_key, memo.call_id, owner)
    keeper.adopt(memo.kind, memo.key, owner)
    seconds = None if memo.due is None else max(0.0, memo.due - keeper.backplane.now())
    return switchboard.attach(handle(call, memo.key, options), seconds, is_kept=True)


def _options(memo: Memo) -> Options | None:
    """Return what decides which event is its end; ``None``: it cannot be read."""
    try:
        return msgspec.convert(memo.options, Options)
    except msgspec.ValidationError:
        return None
