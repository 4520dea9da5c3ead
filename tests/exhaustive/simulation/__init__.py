"""A client, a platform and a user's program on one event loop whose time is virtual: any run can be made again."""

import sys
from pathlib import Path

# Where the backplane in memory is.
sys.path.append(str(Path(__file__).parents[2] / "backplane"))
