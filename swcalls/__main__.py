"""``python -m swcalls``: the same program as ``swcalls``."""

import sys

from swcalls.cli import main

if __name__ == "__main__":
    sys.exit(main())
