"""What goes wrong on purpose with the audio of a call: the settings. Knows neither sockets nor calls."""

from __future__ import annotations

from msgspec import Struct

from .argument_checks import is_duration, refuse
from .audio_codecs import encoding


class AudioFaults(Struct, frozen=True, kw_only=True):
    """How a simulated platform misbehaves on the WebSocket of a stream. Times are simulated seconds."""

    no_connection: bool = False
    """The platform does not connect."""
    wrong_bearer: bool = False
    """The bearer token is not the one that was asked for."""
    second_connection: bool = False
    """A second connection is tried while the first one is up."""
    start_delay: float = 0
    """How long after the connection the start message comes; audio comes before it."""
    no_start: bool = False
    """The start message never comes; audio does."""
    no_stop: bool = False
    """At the end there is neither a stop message nor a close."""
    drops_after: float | None = None
    """How long after the start the connection is reset."""
    stalls: tuple[float, float] | None = None
    """When, after the start, nothing comes any more, and for how long; then all of it comes at once."""
    loses_every: int | None = None
    """Which frames never come: every third for 3. Their numbers are missing."""
    silence_is_no_frames: bool = False
    """While there is nothing to hear, no frames come."""
    codec: str | None = None
    """The codec in which audio comes, whatever was asked for: ``PCMU``, ``PCMA``, ``L16@16000h``, ``L16@24000h``."""
    big_endian: bool = False
    """The samples of L16 come in the other byte order."""
    frame_ms: int = 20
    """The length of a frame in milliseconds (10 to 120, by 10)."""

    def __post_init__(self) -> None:
        for name in ("start_delay", "drops_after"):
            value = getattr(self, name)
            if value is not None and not is_duration(value):
                refuse(self, name, "a number of seconds (>= 0)")
        stalls = self.stalls
        is_pair = isinstance(stalls, tuple) and len(stalls) == 2 and all(map(is_duration, stalls))
        if stalls is not None and not is_pair:
            refuse(self, "stalls", "None, or a pair of numbers of seconds (>= 0)")
        if self.loses_every is not None and not (_is_whole(self.loses_every) and self.loses_every >= 1):
            refuse(self, "loses_every", "None, or a whole number (>= 1)")
        if self.codec is not None and encoding(self.codec) is None:
            refuse(self, "codec", "None, 'PCMU', 'PCMA', 'L16@16000h' or 'L16@24000h'")
        if not (_is_whole(self.frame_ms) and self.frame_ms in range(10, 121, 10)):
            refuse(self, "frame_ms", "10 to 120, by 10")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
