"""Which input `Call.ask` accepts: one of some strings, what matches a pattern, or what a function says."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection
from typing import Any, NoReturn

from ..errors import shown

Accept = Collection[str] | re.Pattern[str] | Callable[[str], object]
"""What `Call.ask` takes as ``accept``. A string is a regular expression, not a collection of characters."""

KEYS = "0123456789ABCD*#"
_RULE = "strings, a regular expression, or a function that takes a string"
_EDGES = re.compile(r"^[\W_]+|[\W_]+\Z")


class Acceptance:
    """Decides whether an input is accepted.

    Raises:
        TypeError: *accept* is nothing of the kind.
        ValueError: *accept* is empty, or no valid regular expression.
    """

    def __init__(self, accept: Accept | None) -> None:
        self._accept = accept
        self._matches: Callable[[str], object] | None = None
        self._strings: frozenset[str] | None = None
        self._plain: dict[str, str] = {}
        """The strings by what is left of them without case and without punctuation around them."""
        if accept is None:
            return
        if isinstance(accept, str):
            self._matches = _pattern(accept).fullmatch
        elif isinstance(accept, re.Pattern):
            if not isinstance(accept.pattern, str):
                _refuse(accept, "a regular expression for strings, not for bytes")
            self._matches = accept.fullmatch
        elif isinstance(accept, Collection) and not isinstance(accept, bytes | bytearray | memoryview):
            given = _strings(accept)
            self._strings = frozenset(given)
            self._plain = {plain: one for one in reversed(given) if (plain := _plain(one))}
        elif callable(accept):
            if inspect.iscoroutinefunction(accept):
                _refuse(accept, "a function that is no coroutine function")
            self._matches = accept
        else:
            _refuse(accept, _RULE)

    def check_one_key(self) -> None:
        """Check that at least one input of a single key is accepted. A function is not called.

        Raises:
            ValueError: No key is accepted.
        """
        is_known = self._strings is not None or isinstance(self._accept, str | re.Pattern)
        if is_known and all(self.accepted(key) is None for key in ("", *KEYS)):
            raise ValueError(
                f"ask: accept={shown(self._accept)} must accept at least one key, since digits.max is 1 (a string is a"
                " regular expression: for the keys 1 and 2, pass {'1', '2'} or '[12]')"
            )

    def accepted(self, text: str | None, *, spoken: bool = False) -> str | None:
        """Return what *text*, an input, is accepted as; ``None``: it is not accepted.

        An accepted input is returned as it came. Only of strings, the one is returned that was meant.

        Args:
            spoken: *text* was said: case and punctuation are the recogniser's, and do not count among strings.
        """
        if text is None:
            return None
        if self._strings is not None:
            return text if text in self._strings else self._plain.get(_plain(text)) if spoken else None
        if self._matches is None:
            return text or None
        says = self._matches(text)
        if inspect.isawaitable(says):
            if inspect.iscoroutine(says):
                says.close()
            raise TypeError("ask: accept must be a function that returns True or False, and it returned an awaitable")
        return text if says else None


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(f"ask: accept={shown(text)} must be a valid regular expression: {error}") from None


def _strings(accept: Collection[Any]) -> tuple[str, ...]:
    given = tuple(accept)
    for one in given:
        if not isinstance(one, str):
            raise TypeError(f"ask: accept={shown(accept)} must have strings only, and has {shown(one)}")
    if not given:
        raise ValueError(f"ask: accept={shown(accept)} must have at least one string")
    return given


def _plain(text: str) -> str:
    """Return *text* without its case, and without spaces and punctuation around it."""
    return _EDGES.sub("", text.casefold())


def _refuse(accept: object, rule: str) -> NoReturn:
    raise TypeError(f"ask: accept={shown(accept)} must be {rule}")
