"""Checks the settings of clients and receivers. Messages never show the value of a secret."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from yarl import URL

from ._core.limits import check_number
from .commands import is_loopback
from .errors import ConfigurationError, shown

_ENVIRONMENT = {
    "project": "SIGNALWIRE_PROJECT_ID",
    "token": "SIGNALWIRE_API_TOKEN",
    "space": "SIGNALWIRE_SPACE",
}
_OPTIONAL_ENVIRONMENT = {
    "signing_key": "SIGNALWIRE_SIGNING_KEY",
    "public_url": "SWCALLS_PUBLIC_URL",
}
_SPACE = re.compile(r"[\w-]+\Z")
_HOST = re.compile(r"[\w-]{1,63}(\.[\w-]{1,63})*\.?\Z")
_BLANK = re.compile(r"[\s\x00-\x1f\x7f]")
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+\Z")


class Identity(Struct, frozen=True):
    """The project, its token, and the settings by which webhooks are verified."""

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
    """Check and return the settings that a client and a receiver have in common.

    Raises:
        ConfigurationError: A setting is wrong; the message names it, and does not show the value of a secret.
    """
    _check_text("project", project, shown(project))
    _check_text("token", token, "***")
    if ":" in project:
        raise ConfigurationError(
            f"project={shown(project)} must have no ':', since HTTP authentication does not allow it"
        )
    if not isinstance(path, str) or not _PATH.match(path):
        raise ConfigurationError(f"path={shown(path)} must be like '/swcalls': segments of letters, digits and . _ ~ -")
    keys = signing_keys(signing_key)
    if not isinstance(require_signature, bool):
        raise ConfigurationError(f"require_signature={shown(require_signature)} must be True or False")
    if require_signature and not keys:
        raise ConfigurationError("require_signature=True must have a signing_key to check signatures with")
    return Identity(project, token, path, keys, require_signature)


def signing_keys(signing_key: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return one key, several or none as a tuple."""
    if signing_key is None:
        return ()
    rule = "a string that is not empty, or several of them"
    if not isinstance(signing_key, str | Sequence):
        raise ConfigurationError(f"signing_key=*** must be {rule}")
    keys = (signing_key,) if isinstance(signing_key, str) else tuple(signing_key)
    for key in keys:
        _check_text("signing_key", key, "***", rule)
    return keys


def _check_text(name: str, value: object, shown_as: str, rule: str = "a string that is not empty") -> None:
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{name}={shown_as} must be {rule}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"{name}={shown_as} must be text that UTF-8 can encode") from None


def check_settings(
    *,
    timeout: float,
    max_connections: int,
    rates: Mapping[str, float | None],
    session: object,
    kinds: Mapping[str, tuple[object, type]],
    optional: Mapping[str, tuple[object, type]],
) -> None:
    """Check the settings of a client that a receiver does not have.

    Args:
        rates: The rate limits by name: a number a second, or ``None``.
        session: Any object with the methods of an ``aiohttp.ClientSession``, or ``None``.
        kinds: Further settings by name: the value, and the class or protocol that it must have.
        optional: The same for settings that may be ``None``.

    Raises:
        ConfigurationError: A setting is wrong; the message names the setting, its value and the rule.
    """
    try:
        check_number("timeout", timeout, above=0, finite=True, unit="seconds")
        check_number("max_connections", max_connections, least=1, whole=True)
        for name, rate in rates.items():
            if rate is not None:
                check_number(name, rate, above=0, finite=True, unit="commands a second")
    except (TypeError, ValueError) as error:
        raise ConfigurationError(str(error)) from None
    if session is not None and (
        isinstance(session, type) or not (hasattr(session, "get") and hasattr(session, "post"))
    ):
        raise ConfigurationError(f"session={shown(session)} must be an aiohttp.ClientSession, or None")
    for name, (value, kind) in {**kinds, **optional}.items():
        may_be_none = name in optional
        # A class itself would pass as well: it has the methods of the protocol.
        if (value is not None or not may_be_none) and (isinstance(value, type) or not isinstance(value, kind)):
            raise ConfigurationError(
                f"{name}={shown(value)} must be a {kind.__name__}{', or None' if may_be_none else ''}"
            )


def check_webhook(path: object, headers: object, body: object) -> None:
    """Check the parts of a webhook that another server received.

    Raises:
        TypeError: A part has the wrong type. The value is not shown, since a webhook may hold secrets.
    """
    if not isinstance(path, str):
        raise TypeError(f"path=<{type(path).__name__}> must be a string")
    # The headers of some servers behave like a `Mapping`, and are none.
    if not hasattr(headers, "items"):
        raise TypeError(f"headers=<{type(headers).__name__}> must be a mapping of names to values")
    if not isinstance(body, bytes | bytearray | memoryview):
        raise TypeError(f"body=<{type(body).__name__}> must be bytes, as they came")


def space_url(space: str) -> URL:
    """Return the base URL of *space*: a space's name, its host, or a URL.

    Raises:
        ConfigurationError: *space* is none of these.
    """
    name = space.rstrip("/") if isinstance(space, str) else ""
    if "://" in name:
        url = base_url("space", space)
    elif "." in name or ":" in name:
        url = base_url("space", space, f"https://{name}")
    elif _SPACE.match(name):
        url = base_url("space", space, f"https://{name}.signalwire.com")
    else:
        raise ConfigurationError(f"space={shown(space)} must be a space's name, its host, or a URL")
    if url.user is not None or url.password is not None:
        # The message must not show the value: it has a password in it.
        raise ConfigurationError("space must have no user and no password: pass them as project and token")
    return url


def base_url(name: str, value: str, written_out: str | None = None) -> URL:
    """Return the setting *name* with this *value* as an http(s) URL that a path can be appended to, or raise an error.

    Args:
        written_out: The URL that *value* is short for; ``None``: *value* itself.
    """
    text = value if written_out is None else written_out
    try:
        url = URL(text.rstrip("/"))
    except (ValueError, TypeError, AttributeError):
        url = URL()
    if (
        url.scheme not in ("http", "https")
        or not _is_host(url.raw_host or "")
        or url.query_string
        or url.fragment
        or _BLANK.search(text)
    ):
        shown_as = "***" if isinstance(text, str) and "@" in text else shown(value)
        raise ConfigurationError(f"{name}={shown_as} must be an http(s) URL with a host, with no query and no spaces")
    return url


def audio_base_url(value: str) -> str:
    """Check that *value*, the setting ``audio_url``, is a WebSocket URL that a path can be appended to.

    Raises:
        ConfigurationError: It is none; or a plain ``ws://`` URL of another machine.
    """
    scheme, separator, rest = value.partition("://") if isinstance(value, str) else ("", "", "")
    if separator and (scheme.lower() == "wss" or (scheme.lower() == "ws" and is_loopback(value))):
        try:
            base_url("audio_url", f"https://{rest}")
        except ConfigurationError:
            pass
        else:
            return value.rstrip("/")
    told = "***" if isinstance(value, str) and "@" in value else shown(value)
    raise ConfigurationError(
        f"audio_url={told} must be a wss:// URL with a host, no query and no spaces, or a ws:// URL of this machine"
    )


def _is_host(host: str) -> bool:
    if ":" in host:
        return True  # An IPv6 address, which the URL's parser has checked.
    return len(host) <= 253 and _HOST.match(host) is not None


def from_environment(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return *overrides*, completed by settings of the environment.

    Raises:
        ConfigurationError: A required variable is not set, or is empty; the message names it.
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
