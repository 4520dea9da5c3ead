"""Which peers are here. They are the extra ``bench``; one that is missing is skipped, and named."""

from __future__ import annotations

from importlib.util import find_spec

UVLOOP = "uvloop"
DISTRIBUTION_OF = {"signalwire": "signalwire-sdk", "httpx_aiohttp": "telnyx[aiohttp]"}


def installed(*modules: str) -> bool:
    """Say whether all of *modules* can be imported."""
    return all(find_spec(module) is not None for module in modules)


def lacks(modules: tuple[str, ...]) -> str:
    """Say what is missing of *modules*, in words; nothing if all are here."""
    missing = [DISTRIBUTION_OF.get(module, module) for module in modules if not installed(module)]
    return f"needs {', '.join(missing)}" if missing else ""
