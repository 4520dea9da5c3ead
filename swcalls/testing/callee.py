"""`Callee`: how the called person, machine or fax of a simulated call behaves. Users give it to the `Simulator`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from .argument_checks import is_dtmf, is_duration, is_text, refuse
from .audio_sounds import is_sound


class Callee(Struct, frozen=True, kw_only=True):
    """How the other end of a simulated call behaves. Durations are simulated seconds."""

    answers: bool | str = True
    """True; False to ring until the dial's ``timeout``; or the end reason of a refusal (``"busy"``, ``"decline"``)."""
    presses: str | Sequence[str] = ""
    """Digits (``0-9 A-D * #``) to press each time a collect, or a digit detector, starts to listen for digits.

    A single string is pressed every time. The strings of a sequence are pressed in turn, then none.
    """
    says: str | Sequence[str] = ""
    """Text to say each time a collect starts to listen for speech; a sequence works as for ``presses``.

    A recording ends as if the next text was said to it. A transcript has the next text, as far as
    there was time to say it, if the callee said nothing else meanwhile. A collect gets that text all the same.
    """
    is_machine: bool | None = False
    """What a machine detector finds: True for MACHINE, False for HUMAN, None for UNKNOWN."""
    hangs_up_after: float | None = None
    """Seconds from the answer until the callee hangs up; None: it does not hang up."""
    rings_for: float = 1.0
    """Seconds of ringing before the callee answers or refuses."""
    reacts_after: float = 0.5
    """Seconds before the callee presses the first digit, or says the first word."""
    fax_tone: Literal["CED", "CNG"] | None = None
    """The tone that a fax detector finds; None: no tone."""
    refers: str = "success"
    """The final state of a REFER: success, cancel, busy, noAnswer or error."""
    transcription_fails: bool = False
    """Whether ``calling.transcribe`` ends in ``failed``."""
    sound: str = "silence"
    """The sound of the callee in the audio of a call: silence, tone, speech, or the path of a WAV file.

    What the callee says and presses is heard in addition.
    """
    knows: str = "I have listened, and that is what was said."
    """The sidecar's answer to each question."""

    def __post_init__(self) -> None:
        if not isinstance(self.answers, bool) and not (isinstance(self.answers, str) and self.answers):
            refuse(self, "answers", "True, False or an end reason")
        if not all(is_dtmf(item) for item in _items(self.presses)):
            refuse(self, "presses", "a string, or strings, made of the characters 0-9 A-D * #")
        if not all(is_text(item) for item in _items(self.says)):
            refuse(self, "says", "a string, or strings, that UTF-8 can encode")
        if self.is_machine is not None and not isinstance(self.is_machine, bool):
            refuse(self, "is_machine", "True, False or None")
        if self.hangs_up_after is not None and not is_duration(self.hangs_up_after):
            refuse(self, "hangs_up_after", "None, or a number of seconds (>= 0)")
        for name in ("rings_for", "reacts_after"):
            if not is_duration(getattr(self, name)):
                refuse(self, name, "a number of seconds (>= 0)")
        if not is_text(self.refers) or not self.refers:
            refuse(self, "refers", "a string that is not empty and that UTF-8 can encode")
        if not is_text(self.knows):
            refuse(self, "knows", "a string that UTF-8 can encode")
        if not is_sound(self.sound):
            refuse(self, "sound", "silence, tone, speech, or the path of a WAV file of 16-bit samples")
        if self.fax_tone not in (None, "CED", "CNG"):
            refuse(self, "fax_tone", "None, 'CED' or 'CNG'")


class Script:
    """The inputs of a callee on one call, for ``presses`` or ``says``: `next` returns one after the other."""

    def __init__(self, lines: str | Sequence[str]) -> None:
        self.repeats: bool = isinstance(lines, str)
        self._lines = [lines] if isinstance(lines, str) else list(lines)

    @property
    def first(self) -> str:
        """The next input, without taking it; ``""``: none is left."""
        return self._lines[0] if self._lines else ""

    def next(self) -> str:
        """Take the next input: a single string each time, the strings of a sequence in turn, then ``""``."""
        if self.repeats:
            return self.first
        return self._lines.pop(0) if self._lines else ""


def _items(value: object) -> Sequence[object]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
