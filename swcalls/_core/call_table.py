"""The calls that the registry follows, found by call id or by the key in the URL of their state webhooks."""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakValueDictionary

from .operation import CallOperation


class CallTable:
    """Finds calls. References are weak: a call without handle and action is dropped, unless it is held."""

    def __init__(self) -> None:
        self._by_id: WeakValueDictionary[str, CallOperation] = WeakValueDictionary()
        self._by_key: WeakValueDictionary[str, CallOperation] = WeakValueDictionary()
        """Only the calls whose state webhooks come to this client."""
        self._held: dict[str, CallOperation] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[CallOperation]:
        return iter({*self._by_key.values(), *self._by_id.values()})

    def with_id(self, call_id: str) -> CallOperation | None:
        """Return the call with this id."""
        return self._by_id.get(call_id)

    def with_key(self, key: str) -> CallOperation | None:
        """Return the call whose state webhooks come to the URL with this key."""
        return self._by_key.get(key)

    def add(self, call: CallOperation) -> None:
        """Let `with_id` find *call*, which has an id."""
        assert call.id is not None
        self._by_id[call.id] = call

    def follow(self, call: CallOperation, *, hold: bool) -> None:
        """Let `with_key` find *call*; *hold*: keep a strong reference until the call ends."""
        self._by_key[call.key] = call
        if hold:
            self._held[call.key] = call

    def follows(self, call: CallOperation) -> bool:
        """Return whether state webhooks of *call* come to this client."""
        return self._by_key.get(call.key) is call

    def is_held(self, call: CallOperation) -> bool:
        """Return whether the table keeps a strong reference to *call*."""
        return call.key in self._held

    def hold(self, call: CallOperation) -> None:
        """Keep a strong reference to *call*, until `release` or `remove`."""
        self._held[call.key] = call

    def release(self, call: CallOperation) -> None:
        """Drop the strong reference to *call*. `with_key` finds the call as long as a handle refers to it."""
        self._held.pop(call.key, None)

    def remove(self, call: CallOperation) -> bool:
        """Release *call*, so that only `with_id` finds it; return whether its state webhooks came to this client."""
        self._held.pop(call.key, None)
        return self._by_key.pop(call.key, None) is not None
