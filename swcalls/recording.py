"""Recordings of webhooks: `Recorder` appends each delivery to a file as a JSON line, `read_recording` reads them.

``WebhookReceiver.record`` and ``swcalls listen --record`` write recordings; `swcalls.testing.replay` reads them.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Annotated, Self

import msgspec
from msgspec import Meta, Struct

from ._core.signature import SHA1_HEADER, SHA256_HEADER
from ._core.webhooks import Reply
from ._engine.ingress import Ingress

HEADERS = ("Content-Type", "User-Agent", SHA1_HEADER, SHA256_HEADER)
"""The request headers that are recorded."""

LIMIT = 100 * 1024 * 1024
"""The default for the greatest size of a recording, in bytes."""

MASK = "***"
"""Replaces the MAC of a callback URL, so that nobody can post webhooks with the URLs in a recording."""

_MAX_UNVERIFIED = 16 * 1024
"""The largest recorded body of a request that was refused, in bytes; larger ones would let anybody fill the file."""
_MAX_LINE = 64 * 1024 * 1024
"""The longest line that is read, in bytes."""

_NAMES = {name.lower(): name for name in HEADERS}

_log = logging.getLogger("swcalls.recording")


class RecordingError(ValueError):
    """The file is not a recording of deliveries; the message names the file, the line, and what is wrong."""


class Recorded(Struct, frozen=True, kw_only=True):
    """One delivery of a recording."""

    line: int
    """The number of its line in the file, from 1."""
    time: float
    """When it came, in Unix seconds."""
    path: str
    """The path of the request, without the query, and with its MAC masked."""
    headers: dict[str, str]
    body: bytes | None
    """``None``: the body was not read to its end, or the request was refused and its body is large."""
    verdict: str
    """What the receiver decided."""
    status: int
    """The HTTP status of the response."""


class _Line(Struct, frozen=True, kw_only=True, omit_defaults=True):
    time: Annotated[float, Meta(ge=0)]
    path: str
    headers: dict[str, str]
    body: str | None = None
    body_base64: bytes | None = None
    verdict: str
    status: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Line).decode


class Recorder:
    """Writes each delivery to a file until it is closed. ``WebhookReceiver.record`` returns one, a context manager.

    A delivery is written before it is answered. If a write fails, a warning is logged once, and the delivery is still
    answered.
    """

    def __init__(self, ingress: Ingress, file: str | os.PathLike[str], *, limit: int = LIMIT) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit <= 0:
            raise ValueError(f"limit={limit!r} must be a whole number greater than 0")
        self.written: int = 0
        """How many deliveries were written."""
        self.dropped: int = 0
        """How many deliveries were not written: a write failed, or the file has reached its limit."""
        self._ingress = ingress
        self._name = os.fspath(file)
        self._limit = limit
        self._has_warned = False
        self._is_full = False
        self._file = open(file, "ab+", buffering=0, opener=_open_private)  # noqa: SIM115 - closed by `close`
        try:
            self._size = os.fstat(self._file.fileno()).st_size
            # The process that wrote the file before may have been stopped in the middle of a line.
            self._lacks_newline = self._size > 0 and not self._ends_with_newline()
        except BaseException:
            self._file.close()
            raise
        ingress.recorders.append(self._record)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop recording, and close the file. A second call does nothing."""
        if self._record in self._ingress.recorders:
            self._ingress.recorders.remove(self._record)
        self._file.close()

    def _record(self, path: str, headers: Mapping[str, str], body: bytes | None, reply: Reply) -> None:
        if body is not None and reply.verdict in ("forged", "oversized") and len(body) > _MAX_UNVERIFIED:
            body = None
        text = None if body is None else _text(body)
        line = _Line(
            time=time.time(),
            path=_clean(self._masked(path)),
            headers=_recorded_headers(headers),
            body=text,
            body_base64=body if text is None else None,
            verdict=reply.verdict,
            status=reply.status,
        )
        try:
            self._write(_encode(line) + b"\n")
        except OSError as error:
            self.dropped += 1
            self._warn_once(f"{error.strerror or error}; deliveries are not recorded until this is solved")
        else:
            self.written += not self._is_full
            self.dropped += self._is_full

    def _write(self, line: bytes) -> None:
        data = b"\n" + line if self._lacks_newline else line
        if self._size + len(data) > self._limit:
            # From now on nothing is written, so that the recording has no gaps.
            self._is_full = True
            self._warn_once(f"full: its limit is {self._limit} bytes; further deliveries are not recorded")
        if self._is_full:
            return
        count = self._file.write(data) or 0
        self._size += count
        if count < len(data):
            self._lacks_newline = count > 0 or self._lacks_newline
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._lacks_newline = False

    def _warn_once(self, what: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            _log.warning("recording %r: %s", self._name, what)

    def _ends_with_newline(self) -> bool:
        self._file.seek(-1, os.SEEK_END)
        return self._file.read(1) == b"\n"

    def _masked(self, path: str) -> str:
        """Return *path* with its MAC masked; if the MAC may be elsewhere in the path, mask that part, too."""
        urls = self._ingress.reader.urls
        path = path.partition("?")[0]
        relative = urls.relative(path)
        if relative.startswith(urls.prefix):
            start = len(path) - len(relative) + len(urls.prefix)
        elif urls.prefix in path:
            start = path.index(urls.prefix) + len(urls.prefix)
        else:
            return f"/{MASK}"
        segments = path[start:].split("/")
        return path[:start] + "/".join([*segments[: min(2, len(segments) - 1)], MASK])


def read_recording(file: str | os.PathLike[str]) -> Iterator[Recorded]:
    """Yield the deliveries of a recording, in the order in which they came.

    Raises:
        OSError: The file cannot be read.
        RecordingError: A line is not a recorded delivery.
    """
    name = os.fspath(file)
    with Path(file).open("rb") as lines:
        number = 0
        while line := lines.readline(_MAX_LINE):
            number += 1
            if line.strip():
                yield _recorded(name, number, line)


def _recorded(name: str, number: int, line: bytes) -> Recorded:
    try:
        found = _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        hint = "" if line.endswith(b"\n") else "; the line is incomplete: delete it to read the lines before it"
        raise RecordingError(f"{name}, line {number}: not a delivery: {error}{hint}") from None
    if found.body is not None and found.body_base64 is not None:
        raise RecordingError(f"{name}, line {number}: it has both `body` and `body_base64`")
    return Recorded(
        line=number,
        time=found.time,
        path=found.path,
        headers=found.headers,
        body=found.body_base64 if found.body is None else found.body.encode(),
        verdict=found.verdict,
        status=found.status,
    )


def _recorded_headers(headers: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for given, value in headers.items():
        name = _NAMES.get(given.lower())
        if name is not None:
            found.setdefault(name, _clean(value))
    return found


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _clean(text: str) -> str:
    """Escape characters that UTF-8 cannot encode: headers may contain any bytes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
