"""The timeline of a call: a journal records it, `Timeline` shows it as marks, text, SVG or HTML.

`Call.timeline` returns it to users; logging, tracing and the command line observe its marks. Nothing here does I/O, and
the only clock is the one that is given to a `Journal`.
"""

from .._core.observer import EventVerdict
from .entries import Mark, Verdict, What
from .journal import Journal, Tell
from .timeline import Timeline

__all__ = ["EventVerdict", "Journal", "Mark", "Tell", "Timeline", "Verdict", "What"]
