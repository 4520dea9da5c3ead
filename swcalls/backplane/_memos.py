"""The memos of a process: written in the background, and again when Redis was away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ._batch import Batch, Done
from .protocol import Memo

_log = logging.getLogger("swcalls.backplane")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Memo).decode


class Memos:
    """Puts memos into a hash for each owner, and takes them out."""

    def __init__(self, batch: Batch, name_of: Callable[[str], str]) -> None:
        self._batch = batch
        self._name_of = name_of
        self._unsaved: dict[tuple[str, str], bytes | None] = {}
        """What is not written yet, by owner and field; ``None``: to be taken out."""

    async def put(self, owner: str, memo: Memo) -> None:
        """Write *memo*, and return when that is done, or has failed for now."""
        place = (owner, f"{memo.kind}/{memo.key}")
        is_behind = bool(self._unsaved)
        self._unsaved[place] = _encode(memo)
        written = asyncio.Event()
        self._write(place, lambda _: written.set())
        if not is_behind:
            await written.wait()

    def drop(self, owner: str, field: str) -> None:
        """Take a memo out, soon."""
        self._unsaved[owner, field] = None
        self._write((owner, field), lambda _: None)

    def catch_up(self) -> None:
        """Write again what could not be written."""
        for place in list(self._unsaved):
            self._write(place, lambda _: None)

    def read(self, owner: str, found: Mapping[bytes, bytes]) -> list[Memo]:
        """Read the memos of *owner*; what cannot be read is taken out."""
        memos = []
        for field, value in found.items():
            try:
                memos.append(_decode(value))
            except msgspec.MsgspecError:
                _log.warning("owner %s: a memo cannot be read, and is forgotten", owner)
                self.drop(owner, field.decode(errors="replace"))
        return memos

    def _write(self, place: tuple[str, str], done: Done) -> None:
        owner, field = place
        value, name = self._unsaved[place], self._name_of(owner)

        def command(pipeline: Any) -> None:
            if value is None:
                pipeline.hdel(name, field)
            else:
                pipeline.hset(name, field, value)

        def written(answer: Any) -> None:
            # Unless something newer is to be written there by now.
            if not isinstance(answer, Exception) and self._unsaved.get(place, b"") == value:
                del self._unsaved[place]
            done(answer)

        self._batch.post(command, written)
