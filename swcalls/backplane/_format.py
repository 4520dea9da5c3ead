"""The version of what backplanes store."""

from __future__ import annotations

FORMAT = 1
"""The version of the stored format. A process reads this one and all older ones.

A new version is necessary when a process of the version before would misread a delivery or a memo. Version 1 is not
written into deliveries and memos; any later one is, as ``v``.
"""
