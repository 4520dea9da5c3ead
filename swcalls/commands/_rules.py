"""What an annotation allows, in words: the end of the message "… must be …"."""

from __future__ import annotations

from typing import Any

from msgspec import inspect

from ._types import FLOAT_MAX


def rule_of(annotation: Any) -> str:
    """Say which values *annotation* allows."""
    return _words(inspect.type_info(annotation), "")


def _words(kind: inspect.Type, description: str) -> str:
    match kind:
        case inspect.Metadata():
            return _words(kind.type, (kind.extra_json_schema or {}).get("description", ""))
        case inspect.UnionType():
            return " or ".join(_words(option, "") for option in kind.types if not isinstance(option, inspect.NoneType))
        case inspect.IntType() | inspect.FloatType():
            return _number(kind, unit=description)
        case inspect.StrType():
            return description or ("a string that is not empty" if kind.min_length else "a string")
        case inspect.BoolType():
            return "True or False"
        case inspect.LiteralType():
            return "one of " + ", ".join(map(repr, kind.values))
        case inspect.ListType():
            shortest = "a list that is not empty and" if kind.min_length else "a list"
            return description or f"{shortest} in which each item is {_words(kind.item_type, '')}"
        case inspect.DictType(value_type=inspect.AnyType()):
            return "a dict with string keys"
        case inspect.DictType():
            return f"a dict with string keys, in which each value is {_words(kind.value_type, '')}"
        case inspect.StructType():
            return f"a {kind.cls.__name__}"
        case _:
            raise AssertionError(f"no words for {kind}")


def _number(kind: inspect.IntType | inspect.FloatType, unit: str) -> str:
    """Describe a number; *unit* is what it counts."""
    is_unlimited = kind.le is None or kind.le == FLOAT_MAX
    noun = "a whole number" if isinstance(kind, inspect.IntType) else "a finite number" if is_unlimited else "a number"
    bounds = (("greater than", kind.gt), ("at least", kind.ge), ("at most", None if is_unlimited else kind.le))
    words = " and ".join(f"{word} {bound}" for word, bound in bounds if bound is not None)
    return ", ".join(filter(None, (f"{noun} of {unit}" if unit else noun, words)))
