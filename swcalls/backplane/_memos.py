"""`Memos`: writes the memos of running actions to the store, and retries when the store was unavailable."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from . import _format
from ._queue import Done, ignore_answer
from .protocol import Memo

_log = logging.getLogger("swcalls.backplane")

MOST_UNSAVED = 100_000
"""The most changes that wait for Redis. A deletion beyond is dropped: the memo stays until it expires."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Memo).decode

Write = Callable[[str, str, bytes | None, Done], object]
"""Queues the writing of a memo: owner, field, value (``None``: delete it), and what to call with the answer."""


class _Version(msgspec.Struct):
    v: int = 1


_decode_version = msgspec.json.Decoder(_Version).decode


class _Change:
    """A change of a memo that is not written yet."""

    __slots__ = ("done", "is_posted", "value")

    def __init__(self, value: bytes | None, done: Done) -> None:
        self.value = value
        """``None``: the memo is to be deleted."""
        self.done = done
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
        self._under_way: set[tuple[str, str]] = set()
        """Fields with a command that is not answered: the next one waits, so that none overtakes another."""
        self._is_warned_of: set[str] = set()
        """Owners with memos of a newer format that were logged."""
        self.dropped: int = 0
        """How many deletions were dropped, for the number of those that wait."""

    async def put(self, owner: str, memo: Memo) -> None:
        """Write *memo*, and wait until it is written, but at most ``patience`` seconds.

        While the store is unavailable, return at once: `catch_up` writes the memo later. It is also written if `put` is
        cancelled, unless it is dropped.
        """
        written = asyncio.Event()
        was_away = self._is_away
        self._change(owner, f"{memo.kind}/{memo.key}", _encoded(memo), lambda _: written.set())
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
                self._write(place, change)

    def abandon(self, owner: str) -> None:
        """Forget the unwritten changes for *owner*."""
        for place in [place for place in self._unsaved if place[0] == owner]:
            del self._unsaved[place]

    def read(self, owner: str, found: Mapping[bytes, bytes]) -> list[Memo]:
        """Decode the memos of *owner* without those that were dropped; delete those that cannot be decoded.

        Memos of a newer format are left alone.
        """
        memos = []
        for field, value in found.items():
            name = field.decode(errors="replace")
            change = self._unsaved.get((owner, name))
            if change is not None and change.value is None:
                continue
            try:
                version = _decode_version(value).v
                if version > _format.FORMAT:
                    self._warn_of(owner, version)
                else:
                    memos.append(_decode(value))
            except msgspec.MsgspecError:
                _log.warning("owner %s: a memo cannot be decoded, and is deleted", owner)
                self.drop(owner, name)
        return memos

    def _warn_of(self, owner: str, version: int) -> None:
        if owner not in self._is_warned_of:
            self._is_warned_of.add(owner)
            text = "owner %s: memos of format %d are left alone: this version of swcalls reads format %d and older"
            _log.error(text, owner, version, _format.FORMAT)

    def _change(self, owner: str, field: str, value: bytes | None, done: Done) -> None:
        place = owner, field
        if value is None and place not in self._unsaved and len(self._unsaved) >= MOST_UNSAVED:
            self.dropped += 1
            return
        change = _Change(value, done)
        earlier = self._unsaved.pop(place, None)
        if earlier is not None and not earlier.is_posted:
            # It is replaced before it was sent; whoever waits for it need not wait longer.
            earlier.done(None)
        self._unsaved[place] = change
        self._write(place, change)

    def _write(self, place: tuple[str, str], change: _Change) -> None:
        if place in self._under_way:
            return

        def written(answer: Any) -> None:
            self._under_way.discard(place)
            self._is_away = isinstance(answer, Exception)
            change.is_posted = False
            latest = self._unsaved.get(place)
            if latest is not None and latest is not change:
                self._write(place, latest)
            elif latest is change and not self._is_away:
                del self._unsaved[place]
            change.done(answer)

        change.is_posted = True
        self._under_way.add(place)
        self._write_to_store(*place, change.value, written)


def _encoded(memo: Memo) -> bytes:
    encoded = _encode(memo)
    return encoded if _format.FORMAT == 1 else b'{"v":%d,' % _format.FORMAT + encoded[1:]
