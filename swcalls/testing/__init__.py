"""Testing without an account: `Simulator` is a SignalWire space on this machine; `replay` processes recordings."""

from .audio_faults import AudioFaults
from .callee import Callee
from .faults import Faults
from .inbound import NotAnswered
from .replay import Replay, Replayed, ReplayedCall, replay
from .simulator import Simulator

__all__ = [
    "AudioFaults",
    "Callee",
    "Faults",
    "NotAnswered",
    "Replay",
    "Replayed",
    "ReplayedCall",
    "Simulator",
    "replay",
]
