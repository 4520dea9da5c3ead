"""`Readers`: reads deliveries from the Redis stream of each owner that a process holds. For `RedisBackplane`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from redis.exceptions import ResponseError

from . import _format
from ._batch import Command, Sender
from ._queue import ignore_answer, with_jitter
from ._retries import REDIS_ERRORS
from .protocol import Delivery, Receive

_log = logging.getLogger("swcalls.backplane")

MOST_SET_ASIDE = 1_000
"""The most entries in the stream of those that could not be read; older ones are deleted."""

# Moves an entry that cannot be read to a stream beside, where a person can look at it; once, if it is asked for twice.
_SET_ASIDE = """
if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', 'entry', ARGV[1], unpack(ARGV, 4))
return redis.call('PEXPIRE', KEYS[2], ARGV[3])
"""

QUIET = 4
"""After so many reads that brought nothing, the reader checks that the stream is still the one that it has read."""

Fields = dict[bytes, bytes]


class _Unreadable(Exception):
    """An entry is no delivery; the text says why."""


class _Newer(Exception):
    """An entry has a format that is newer than that of this version; the text is the number of the format."""


class Readers:
    """Runs a task for each owner that is held; it reads the stream from the beginning, then waits for new entries.

    An entry that cannot be read is moved to the stream ``rejected`` of its owner. An entry of a newer format stays, for
    a newer process of this name. Both are counted in ``set_aside``, and logged once for each owner and reason.
    """

    def __init__(self, sender: Sender, name_of: Callable[[str, str], str], patience: float, keep: float) -> None:
        self.receive: Receive | None = None
        self.received: int = 0
        self.set_aside: int = 0
        self._sender = sender
        self._name_of = name_of
        self._patience = patience
        self._keep = int(keep * 1000)
        self._by_owner: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        """All tasks that have not ended, also stopped ones."""
        self._logged: set[tuple[str, str]] = set()
        """Owner and reason."""
        self._counted: dict[tuple[str, bytes], None] = {}
        """The latest entries that were counted in `set_aside`, at most `MOST_SET_ASIDE`."""

    def __contains__(self, owner: str) -> bool:
        return owner in self._by_owner

    @property
    def owners(self) -> list[str]:
        """The owners whose streams are being read."""
        return list(self._by_owner)

    def start(self, owner: str) -> None:
        """Begin to read the stream of *owner*."""
        task = asyncio.get_running_loop().create_task(self._read(owner))
        self._by_owner[owner] = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self, owner: str) -> bool:
        """Stop reading the stream of *owner*; return whether it was being read."""
        task = self._by_owner.pop(owner, None)
        return task is not None and (task.cancel() or True)

    def restart(self, owner: str) -> None:
        """Read the stream of *owner* from the beginning again, if it is being read."""
        if self.stop(owner):
            self.start(owner)

    async def wait(self) -> None:
        """Wait until all tasks have ended; call `stop` for each owner before."""
        while self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=0.05)
            for task in left:
                task.cancel()

    async def _read(self, owner: str) -> None:
        stream, last, wait = self._name_of(owner, "deliveries"), b"0-0", 0.05
        block, quiet = max(1, int(self._patience * 1000 / 4)), 0
        # This check is needed besides the cancellation, which the Redis client may lose.
        while self._by_owner.get(owner) is asyncio.current_task():
            try:
                async with asyncio.timeout(self._patience + block / 1000):
                    found = await self._sender.read(stream, last, block)
                    quiet = 0 if found else quiet + 1
                    if quiet >= QUIET:
                        quiet = 0
                        if last != b"0-0" and not await self._is_the_same(stream, last):
                            last = b"0-0"
                wait = 0.05
            except REDIS_ERRORS as fault:
                _log.warning("owner %s: deliveries cannot be read; next attempt in %.2f s: %s", owner, wait, fault)
                await asyncio.sleep(with_jitter(wait))
                wait = min(2 * wait, self._patience)
                # From the beginning: another master may have given lower ids to new entries.
                last = b"0-0"
                continue
            done = []
            for entry, fields in _entries(found):
                last = entry
                if fields is None or await self._hand_over(owner, entry, fields):
                    done.append(entry)
            if done:
                # Deleted after the memos that the delivery changed were queued: after a crash in between, the
                # delivery is read again.
                self._sender.post(_deleting(stream, done), ignore_answer, stream)

    async def _is_the_same(self, stream: str, last: bytes) -> bool:
        """Return whether new entries of *stream* get ids above *last*.

        They do not if Redis has lost the stream, and its clock went back.
        """
        try:
            found = await self._sender.run(lambda pipeline: pipeline.xinfo_stream(stream), stream)
        except ResponseError:
            return False  # There is no such stream.
        return _order(found["last-generated-id"]) >= _order(last)

    async def _hand_over(self, owner: str, entry: bytes, fields: Fields) -> bool:
        assert self.receive is not None
        try:
            delivery = _delivery(owner, fields)
        except _Newer as newer:
            text = "deliveries of format %s stay in the stream: this version of swcalls reads format %d and older"
            self._note(owner, entry, str(newer), text, newer, _format.FORMAT)
            return False
        except _Unreadable as why:
            self._note(owner, entry, str(why), "entries of the stream are moved to the stream 'rejected': %s", why)
            self._set_aside(owner, entry, fields)
            return False
        self.received += 1
        try:
            return await self.receive(delivery)
        except Exception:  # noqa: BLE001 - the delivery stays in the stream; the others are still read
            _log.exception("owner %s: a delivery for %s/%s could not be processed", owner, delivery.kind, delivery.key)
            return False

    def _set_aside(self, owner: str, entry: bytes, fields: Fields) -> None:
        stream, beside = self._name_of(owner, "deliveries"), self._name_of(owner, "rejected")
        values = [entry, MOST_SET_ASIDE, self._keep, *_flat(fields.items())]
        self._sender.post(lambda pipeline: pipeline.eval(_SET_ASIDE, 2, stream, beside, *values), ignore_answer, stream)

    def _note(self, owner: str, entry: bytes, why: str, text: str, *values: object) -> None:
        """Count an entry that cannot be read, and log the first one of its owner and reason."""
        if (owner, entry) in self._counted:
            return
        self.set_aside += 1
        self._counted[owner, entry] = None
        if len(self._counted) > MOST_SET_ASIDE:
            del self._counted[next(iter(self._counted))]
        if (owner, why) not in self._logged and len(self._logged) < MOST_SET_ASIDE:
            self._logged.add((owner, why))
            _log.error("owner %s: " + text, owner, *values)


def _delivery(owner: str, fields: Fields) -> Delivery:
    version = fields.get(b"v", b"1")
    if not version.isdigit():
        raise _Unreadable("the version of the format is no number")
    if int(version[:9]) > _format.FORMAT:
        raise _Newer(version[:9].decode())
    try:
        kind, key, body = fields[b"kind"].decode(), fields[b"key"].decode(), fields[b"body"]
    except KeyError as missing:
        raise _Unreadable(f"the field {missing.args[0].decode()} is missing") from None
    except UnicodeDecodeError:
        raise _Unreadable("the kind or the key is not UTF-8") from None
    if not (body.lstrip()[:1] == b"{" and body.rstrip()[-1:] == b"}"):
        raise _Unreadable("the body is no JSON object, or was cut off")
    return Delivery(owner=owner, kind=kind, key=key, body=body)


def _flat(pairs: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    return [each for pair in pairs for each in pair]


def _entries(found: Any) -> Sequence[tuple[bytes, Fields | None]]:
    """Return the entries of the one stream that was read; the form of the answer depends on the Redis protocol."""
    if not found:
        return ()
    entries: Any = next(iter(found.values()))[0] if isinstance(found, dict) else found[0][1]
    return entries or ()


def _order(entry: bytes) -> tuple[int, ...]:
    """Return what orders ids of entries: milliseconds and number."""
    return tuple(map(int, entry.split(b"-")))


def _deleting(stream: str, entries: list[bytes]) -> Command:
    return lambda pipeline: pipeline.xdel(stream, *entries)
