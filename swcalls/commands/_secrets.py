"""Which values of a command are secret: neither an error nor a log line shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from ..errors import shown


def secret_values(params: object) -> Iterator[str]:
    """Yield every secret in *params*, at any depth.

    These are the fields that a Struct lists as ``secret``, and what a document has under a name with "password" or
    "token" in it, or as a callback URL: its MAC is what keeps others from posting there.
    """
    if isinstance(params, Struct):
        listed: frozenset[str] = getattr(params, "secret", frozenset())
        for name in params.__struct_fields__:
            yield from _secrets_of(getattr(params, name), is_secret=name in listed)
    elif isinstance(params, Mapping):
        for name, value in params.items():
            yield from _secrets_of(value, is_secret=isinstance(name, str) and _is_secret(name))
            if name == "request" and isinstance(value, Mapping):
                yield from _secrets_of(value.get("url"), is_secret=True)
    elif isinstance(params, list):
        for item in params:
            yield from secret_values(item)


_CALLBACKS = frozenset({"status_url", "call_state_url", "status_callback"})


def _is_secret(name: str) -> bool:
    return name in _CALLBACKS or "password" in name or "token" in name


def _secrets_of(value: object, *, is_secret: bool) -> Iterator[str]:
    if is_secret and isinstance(value, str):
        yield value
    else:
        yield from secret_values(value)


def shown_without_secrets(value: object) -> str:
    """Return *value* as a message shows it, or ``***`` if a secret is in it."""
    try:
        has_secret = next(secret_values(value), None) is not None
    except RecursionError:
        has_secret = True  # A value that contains itself cannot be searched to its end.
    return "***" if has_secret else shown(value)
