"""What can be said to a call: the wire contract's requests as Structs. No I/O, no state."""

from ._base import Bare, Command, Control, Request, StartCommand
from .calls import PARKED, STATUS_EVENTS, Codec, Dial, End, EndReason, StatusEvent, Update
from .collect import Collect, Digits, Engine, Speech
from .detect import Detect, DetectDigit, DetectFax, DetectMachine, Detector, detector_item
from .play import (
    TTS,
    Audio,
    Direction,
    Gender,
    Media,
    Play,
    PlayVolume,
    Ringtone,
    RingtoneName,
    Silence,
    media_item,
)
from .record import Format, PauseBehavior, Record, RecordAudio, RecordParams, RecordPause
from .stream import Method, Stream, Track, as_strings

__all__ = [
    "PARKED",
    "STATUS_EVENTS",
    "TTS",
    "Audio",
    "Bare",
    "Codec",
    "Collect",
    "Command",
    "Control",
    "Detect",
    "DetectDigit",
    "DetectFax",
    "DetectMachine",
    "Detector",
    "Dial",
    "Digits",
    "Direction",
    "End",
    "EndReason",
    "Engine",
    "Format",
    "Gender",
    "Media",
    "Method",
    "PauseBehavior",
    "Play",
    "PlayVolume",
    "Record",
    "RecordAudio",
    "RecordParams",
    "RecordPause",
    "Request",
    "Ringtone",
    "RingtoneName",
    "Silence",
    "Speech",
    "StartCommand",
    "StatusEvent",
    "Stream",
    "Track",
    "Update",
    "as_strings",
    "detector_item",
    "media_item",
]
