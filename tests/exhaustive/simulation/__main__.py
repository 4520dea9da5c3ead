"""Run one case, and tell all that is known of it: ``PYTHONPATH=.:tests/exhaustive python -m simulation CASE``."""

from __future__ import annotations

import sys

from . import flows
from .stage import Case, perform

assert flows.FLOW_COUNT
report = perform(Case.read(sys.argv[1]), debug=True)
lines = [f"{report.case}: {report.steps} steps; {dict(report.counts)}"]
lines += [f"  {line}" for line in report.log]
lines += [f"struck in {where}" for where in report.where]
lines += [f"WRONG: {trouble}" for trouble in report.trouble] or ["nothing wrong"]
sys.stdout.write("\n".join(lines) + "\n")
