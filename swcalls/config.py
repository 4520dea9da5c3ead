"""The settings of a client: where the space is, who we are, where we are reached. Checked once, secret ever after."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from yarl import URL

from .errors import ConfigurationError

_ENVIRONMENT = {
    "project": "SIGNALWIRE_PROJECT_ID",
    "token": "SIGNALWIRE_API_TOKEN",
    "space": "SIGNALWIRE_SPACE",
}
_OPTIONAL_ENVIRONMENT = {
    "signing_key": "SIGNALWIRE_SIGNING_KEY",
    "public_url": "SWCALLS_PUBLIC_URL",
}
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+\Z")


class Identity(Struct, frozen=True):
    """Whose calls these are, and how their callbacks are known to be genuine."""

    project: str
    token: str
    path: str
    signing_keys: tuple[str, ...]
    require_signature: bool

    def __repr__(self) -> str:
        return f"Identity(project={self.project!r}, path={self.path!r})"


def identity(
    project: str,
    token: str,
    path: str,
    signing_key: str | Sequence[str] | None,
    *,
    require_signature: bool = False,
) -> Identity:
    """Check what a client and a receiver have in common.

    Raises:
        ConfigurationError: It names the setting; a secret's value is not shown.
    """
    for name, value in (("project", project), ("token", token)):
        if not isinstance(value, str) or not value:
            raise ConfigurationError(f"{name} must be a string that is not empty")
    if not isinstance(path, str) or not _PATH.match(path):
        raise ConfigurationError(f"path={path!r} must be like '/swcalls': segments of letters, digits and . _ ~ -")
    keys = (signing_key,) if isinstance(signing_key, str) else tuple(signing_key or ())
    if not all(isinstance(key, str) and key for key in keys):
        raise ConfigurationError("signing_key must be a string that is not empty, or several of them")
    if require_signature and not keys:
        raise ConfigurationError("require_signature=True needs a signing_key to check signatures with")
    return Identity(project, token, path, keys, require_signature)


def space_url(space: str) -> URL:
    """Make a base URL of a space's name, its host, or a URL.

    Raises:
        ConfigurationError: It is none of these.
    """
    if not isinstance(space, str) or not space.strip():
        raise ConfigurationError(f"space={space!r} must be a space's name, its host, or a URL")
    if "://" not in space:
        space = f"https://{space}" if "." in space or ":" in space else f"https://{space}.signalwire.com"
    url = base_url("space", space)
    if url.user is not None or url.password is not None:
        # Without the value, which has a password in it.
        raise ConfigurationError("space must have no user and no password: they are project and token")
    return url


def base_url(name: str, value: str) -> URL:
    """Check that *value*, the setting *name*, is an http(s) URL that a path can be appended to."""
    try:
        url = URL(value.rstrip("/"))
    except (ValueError, TypeError, AttributeError):
        url = URL()
    if url.scheme not in ("http", "https") or not url.host or url.query_string or url.fragment:
        raise ConfigurationError(f"{name}={value!r} must be an http(s) URL with no query")
    return url


def from_environment(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Read the settings that *overrides* leaves open from the environment.

    Raises:
        ConfigurationError: A variable that is needed is not set, or is empty; it is named.
    """
    settings = dict(overrides)
    missing = []
    for name, variable in _ENVIRONMENT.items():
        if name not in settings:
            settings[name] = os.environ.get(variable)
            if not settings[name]:
                missing.append(variable)
    if missing:
        raise ConfigurationError(f"not set in the environment: {', '.join(missing)}")
    for name, variable in _OPTIONAL_ENVIRONMENT.items():
        if name not in settings and os.environ.get(variable):
            settings[name] = os.environ[variable]
    return settings
