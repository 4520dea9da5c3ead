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
    backplane = keeper.backplane
    name = owner or backplane.owner
    if not backplane.holds(name):
        await backplane.claim(name)
    memos = await backplane.remembered(name)
    calls: dict[str, Call] = {}
    for memo in memos:
        if memo.kind == "call":
            calls[memo.key] = _call(switchboard, keeper, memo, name)
    actions = []
    for memo in memos:
        action = None if memo.kind == "call" else _action(switchboard, keeper, calls, memo, name)
        if action is not None:
            actions.append(action)
    # What came for them in the meantime was left where it was.
    backplane.redeliver(name)
    return actions


def _call(switchboard: Switchboard, keeper: Keeper, memo: Memo, owner: str) -> Call:
    known = switchboard.registry.calls.get(memo.call_id or "")
    if isinstance(known, Call):
        return known
    call = Call(switchboard, memo.call_id)
    keeper.adopt(memo, owner)
    switchboard.resume_call(call, memo.key)
    return call


def _action(
    switchboard: Switchboard, keeper: Keeper, calls: dict[str, Call], memo: Memo, owner: str
) -> Action[Any] | None:
    handle = HANDLES.get(memo.kind)
    call = calls.get(memo.call_key)
    if call is None and memo.call_id is not None:
        call = calls[memo.call_key] = _call(switchboard, keeper, memo, owner)
    if handle is None or call is None:
        _log.warning("owner %s: %s %s cannot be taken up, and is forgotten", owner, memo.kind, memo.key)
        keeper.backplane.forget(memo.kind, memo.key, owner=owner)
        return None
    action = handle(call, memo.key)
    action.options = msgspec.convert(memo.options, Options)
    keeper.adopt(memo, owner)
    seconds = None if memo.due is None else max(0.0, memo.due - keeper.backplane.now())
    try:
        return switchboard.attach(action, seconds)
    except ValueError:
        return None  # It is followed here already.
