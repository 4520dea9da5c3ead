"""`Memos`: writes the memos of running actions to the store, and retries when the store was unavailable."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from ._queue import Done, ignore_answer
from .protocol import Memo

_log = logging.getLogger("swcalls.backplane")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Memo).decode

Write = Callable[[str, str, bytes | None, Done], object]
"""Queues the writing of a memo: owner, field, value (``None``: delete it), and what to call with the answer."""


class _Change:
    """A change of a memo that is not written yet."""

    __slots__ = ("is_posted", "value")

    def __init__(self, value: bytes | None) -> None:
        self.value = value
        """``None``: the memo is to be deleted."""
        self.is_posted = False
        """Whether the change was queued, and is not answered yet."""


class Memos:
    """Sets and deletes the memos of owners; each memo is a field, ``kind/key``, of its owner."""

    def __init__(self, write: Write, patience: float) -> None:
        self._write_to_store = write
        self._patience = patience
        self._unsaved: dict[tuple[str, str], _Change] = {}
        """By owner and field."""
        self._is_away = False
        """Whether the last write failed."""

    async def put(self, owner: str, memo: Memo) -> None:
        """Write *memo*, and wait until it is written, but at most ``patience`` seconds.

        While the store is unavailable, return at once: `catch_up` writes the memo later. It is also written if `put` is
        cancelled, unless it is dropped.
        """
        written = asyncio.Event()
        was_away = self._is_away
        self._change(owner, f"{memo.kind}/{memo.key}", _encode(memo), lambda _: written.set())
        if not was_away:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    await written.wait()

    def drop(self, owner: str, field: str) -> None:
        """Queue the deletion of a memo."""
        self._change(owner, field, None, ignore_answer)

    def catch_up(self) -> None:
        """Retry the changes that could not be written."""
        for place, change in list(self._unsaved.items()):
            if not change.is_posted:
                self._write(place, change, ignore_answer)

    def abandon(self, owner: str) -> None:
        """Forget the unwritten changes for *owner*."""
        for place in [place for place in self._unsaved if place[0] == owner]:
            del self._unsaved[place]

    def read(self, owner: str, found: Mapping[bytes, bytes]) -> list[Memo]:
        """Decode the memos of *owner* without those that were dropped; delete those that cannot be decoded."""
        memos = []
        for field, value in found.items():
            name = field.decode(errors="replace")
            change = self._unsaved.get((owner, name))
            if change is not None and change.value is None:
                continue
            try:
                memos.append(_decode(value))
            except msgspec.MsgspecError:
                _log.warning("owner %s: a memo cannot be decoded, and is deleted", owner)
                self.drop(owner, name)
        return memos

    def _change(self, owner: str, field: str, value: bytes | None, done: Done) -> None:
        change = self._unsaved[owner, field] = _Change(value)
        self._write((owner, field), change, done)

    def _write(self, place: tuple[str, str], change: _Change, done: Done) -> None:
        def written(answer: Any) -> None:
            self._is_away = isinstance(answer, Exception)
            change.is_posted = False
            # Unless there is a newer change of the same field by now.
            if not self._is_away and self._unsaved.get(place) is change:
                del self._unsaved[place]
            done(answer)

        change.is_posted = True
        self._write_to_store(*place, change.value, written)
