"""The platform's words as types: states, end reasons, kinds of input. A checker finds the typo in ``== "digits"``.

Each type lists the words that are documented, and `Unlisted`, which stands for all others. At run time a word is a
plain ``str``, and what the platform sends is kept as it came, listed or not; nothing is checked or converted.

- A comparison with a word that is not listed is never true as far as a checker knows: mypy says so with
  ``strict_equality`` (part of ``--strict``), pyright with ``reportUnnecessaryComparison`` (part of ``strict``).
- After all listed words have been handled, ``case _`` and ``else`` are still reachable, because of `Unlisted`.
- For a word that is newer than this version, compare the string: ``str(result.type) == "brand_new"``.

Other ways do not find the typo: ``Literal[...] | str`` is ``str`` to a checker; a ``StrEnum``, or another subclass of
``str``, may equal any string; an overload of ``__eq__`` that takes the listed words only is of no use, since
``str.__eq__``, which takes any object, is tried from the other side. ``Literal[...]`` alone would find the typo, but
checkers would take the handling of unlisted words for unreachable.
"""

from __future__ import annotations

from typing import Literal

Unlisted = Literal["(a word that this version does not list)"]
"""Stands for every word that is not listed. No value equals it; do not compare with it."""

CallState = Literal[
    "queued", "initiated", "created", "ringing", "answered", "in-progress", "joined", "ending",
    "ended", "completed", "failed", "canceled", "busy", "no-answer",
] | Unlisted  # fmt: skip
"""Webhooks bring created, ringing, answered, ending, ended; responses to commands the others."""

EndedBy = Literal[
    "hangup", "cancel", "busy", "noAnswer", "decline", "error", "abandoned", "max_duration", "not_found", "timeout",
] | Unlisted  # fmt: skip
"""Why a call has ended."""

PlayState = Literal["playing", "paused", "finished", "error"] | Unlisted
RecordState = Literal["recording", "paused", "finished", "no_input", "error"] | Unlisted
RecordEnd = Literal["finished", "no_input"] | Unlisted

CollectType = Literal["digit", "speech", "no_input", "no_match", "finished"] | Unlisted
"""What a collect came to; ``finished``: a continuous one was stopped."""
CollectEventType = Literal["digit", "speech", "no_input", "no_match", "start_of_input", "finished", "error"] | Unlisted
CollectState = CollectEventType | Literal["collecting"]

Key = Literal["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "A", "B", "C", "D", "*", "#"]
Detector = Literal["machine", "fax", "digit"] | Unlisted
Detected = Literal["HUMAN", "MACHINE", "UNKNOWN", "CED", "CNG"] | Key | Unlisted
"""Who or what was detected; a key, for a detector of digits."""
DetectState = Detected | Literal["READY", "NOT_READY", "finished", "error"]

TapState = Literal["tapping", "finished", "error"] | Unlisted
StreamState = Literal["streaming", "finished", "error"] | Unlisted
TranscribeState = Literal["transcribing", "finished", "completed", "failed"] | Unlisted
ReferState = Literal["inProgress", "success", "cancel", "busy", "noAnswer", "error"] | Unlisted
FaxState = Literal["page", "finished", "error"] | Unlisted
ConnectState = Literal["connecting", "connected", "disconnected", "failed", "finished"] | Unlisted
ConferenceEnd = Literal["left", "ended", "finished"] | Unlisted
