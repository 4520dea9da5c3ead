"""What happened on a call: the marks, the timeline that they are read as, and its pictures in text, SVG and HTML.

Everything here is pure: it knows no client, and reads no clock.
"""

from .._core.observer import EventVerdict
from .journal import Journal, Tell
from .marks import Mark, Verdict, What
from .timeline import Timeline

__all__ = ["EventVerdict", "Journal", "Mark", "Tell", "Timeline", "Verdict", "What"]
