"""SWML documents on simulated calls: which are refused, and what their steps do. Knows no HTTP server."""

from .line import Bridge
from .rules import check_swml
from .scripts import Scripts

__all__ = ["Bridge", "Scripts", "check_swml"]
