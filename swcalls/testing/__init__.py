"""A SignalWire space to test against, or to try things out on, without an account."""

from .callee import Callee
from .inbound import NotAnswered
from .simulator import Simulator

__all__ = ["Callee", "NotAnswered", "Simulator"]
