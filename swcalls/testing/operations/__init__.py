"""The operations that run on a simulated call, a module for each family of commands.

`dispatch` starts them when a command comes; `fax` is started by tests.
"""

from . import sidecar
from .collect import Collecting
from .detect import Detecting
from .fax import ReceivingFax, SendingFax, fax
from .live import live_transcribe, live_translate
from .play import Playing
from .record import Recording
from .refer import Referring
from .stream import Streaming
from .tap import Tapping
from .transcribe import Transcribing

__all__ = [
    "Collecting",
    "Detecting",
    "Playing",
    "ReceivingFax",
    "Recording",
    "Referring",
    "SendingFax",
    "Streaming",
    "Tapping",
    "Transcribing",
    "fax",
    "live_transcribe",
    "live_translate",
    "sidecar",
]
