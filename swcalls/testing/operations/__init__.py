"""What runs on a simulated call, a family of commands each. Knows no HTTP."""

from .collect import Collecting
from .detect import Detecting
from .play import Playing
from .record import Recording
from .stream import Streaming

__all__ = ["Collecting", "Detecting", "Playing", "Recording", "Streaming"]
