"""Deliveries on disk: written as they come, one JSON object a line, and read again. Knows neither servers nor rules."""

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
"""What of a request's headers is recorded."""

LIMIT = 100 * 1024 * 1024
"""How many bytes a recording comes to have, unless it is said."""

MASK = "***"
"""Stands for the MAC of a callback URL: whoever has a recording can post nothing with it."""

_LARGEST_UNVERIFIED = 16 * 1024
"""Bytes of a body that nobody has vouched for; a larger one would let anybody fill the file."""
_LONGEST_LINE = 64 * 1024 * 1024
"""Bytes; a longer line is none that was written here."""

_NAMES = {name.lower(): name for name in HEADERS}

_log = logging.getLogger("swcalls.recording")


class RecordingError(ValueError):
    """What was read is no recording of deliveries; the message names the file, the line, and what is wrong."""


class Recorded(Struct, frozen=True, kw_only=True):
    """One delivery, as it was recorded."""

    line: int
    """Where in the file it is, from 1."""
    time: float
    """Unix seconds."""
    path: str
    """As sent, but for the MAC and any query."""
    headers: dict[str, str]
    body: bytes | None
    """``None``: it was not read to its end, or too large to be kept unverified."""
    verdict: str
    status: int


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
    """Writes each delivery to a file until it is closed; made by ``WebhookReceiver.record``, a context manager.

    Each is on its way to the disk before it is answered. A disk that fails is logged once, and disturbs no answer.
    """

    def __init__(self, ingress: Ingress, file: str | os.PathLike[str], *, limit: int = LIMIT) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit <= 0:
            raise ValueError(f"limit={limit!r} must be a whole number greater than 0")
        self.written: int = 0
        """How many deliveries were written."""
        self.dropped: int = 0
        """How many were not: the disk failed, or the file is as large as it may be."""
        self._ingress = ingress
        self._name = os.fspath(file)
        self._limit = limit
        self._complained = False
        self._is_full = False
        self._file = open(file, "ab+", buffering=0, opener=_open_private)  # noqa: SIM115 - closed by `close`
        try:
            self._size = os.fstat(self._file.fileno()).st_size
            # Whoever wrote before may have been stopped in the middle of a line.
            self._is_torn = self._size > 0 and not self._ends_with_a_line()
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
        """Record nothing more, and close the file. A second call does nothing."""
        if self._record in self._ingress.recorders:
            self._ingress.recorders.remove(self._record)
        self._file.close()

    def _record(self, path: str, headers: Mapping[str, str], body: bytes | None, reply: Reply) -> None:
        if body is not None and reply.verdict in ("forged", "oversized") and len(body) > _LARGEST_UNVERIFIED:
            body = None
        text = None if body is None else _text(body)
        line = _Line(
            time=time.time(),
            path=_clean(self._masked(path)),
            headers=_that_matter(headers),
            body=text,
            body_base64=body if text is None else None,
            verdict=reply.verdict,
            status=reply.status,
        )
        try:
            self._write(_encode(line) + b"\n")
        except OSError as error:
            self.dropped += 1
            self._complain(f"{error.strerror or error}; deliveries are lost to it while that is so")
        else:
            self.written += not self._is_full
            self.dropped += self._is_full

    def _write(self, line: bytes) -> None:
        data = b"\n" + line if self._is_torn else line
        if self._size + len(data) > self._limit:
            # For good, so that what is there has no gaps but at its end.
            self._is_full = True
            self._complain(f"full: it may have {self._limit} bytes, and what comes now is dropped")
        if self._is_full:
            return
        count = self._file.write(data) or 0
        self._size += count
        if count < len(data):
            self._is_torn = count > 0 or self._is_torn
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._is_torn = False

    def _complain(self, what: str) -> None:
        if not self._complained:
            self._complained = True
            _log.warning("recording %r: %s", self._name, what)

    def _ends_with_a_line(self) -> bool:
        self._file.seek(-1, os.SEEK_END)
        return self._file.read(1) == b"\n"

    def _masked(self, path: str) -> str:
        """Mask the MAC; of a path that may have it in another place, whatever may be it."""
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
        RecordingError: A line is none of a recording.
    """
    name = os.fspath(file)
    with Path(file).open("rb") as lines:
        number = 0
        while line := lines.readline(_LONGEST_LINE):
            number += 1
            if line.strip():
                yield _recorded(name, number, line)


def _recorded(name: str, number: int, line: bytes) -> Recorded:
    try:
        found = _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        torn = "" if line.endswith(b"\n") else "; it has no end, so delete it to read what is before it"
        raise RecordingError(f"{name}, line {number}: not a delivery: {error}{torn}") from None
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


def _that_matter(headers: Mapping[str, str]) -> dict[str, str]:
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
    """Escape what UTF-8 has no bytes for: headers may come with any."""
    return text.encode("utf-8", "backslashreplace").decode()


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
