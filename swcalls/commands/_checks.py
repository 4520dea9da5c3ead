"""How a command and its parts are checked when they are built.

msgspec does the work: ``convert`` checks types, bounds, patterns and choices against the annotations, and encoding
finds what JSON cannot hold. Only when one of the two fails, each field is checked on its own, to name the wrong one.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple, NoReturn

import msgspec
from msgspec import Struct, inspect
from msgspec.structs import astuple, fields

from ._rules import rule_of
from ._secrets import shown_without_secrets
from ._types import Document

_encode = msgspec.json.Encoder().encode
_REFUSALS = (msgspec.ValidationError, TypeError, ValueError, OverflowError, RecursionError, SystemError)
"""What ``convert`` and ``_encode`` raise; ``SystemError``: msgspec 0.20, for an int that no float can hold."""


class Checked:
    """Makes a Struct refuse what its annotations do not allow, and show no secret in its repr."""

    __slots__ = ()

    __struct_fields__: ClassVar[tuple[str, ...]]
    command: ClassVar[str] = ""
    """The command that the fields belong to; ``""`` for a class that users build by its own name."""
    secret: ClassVar[frozenset[str]] = frozenset()
    """Fields whose value is never shown."""
    called: ClassVar[Mapping[str, str]] = {}
    """The parameter's name, for each field that has another name."""

    def __post_init__(self: Any) -> None:
        if _is_valid(self):
            return
        for field in _twins[type(self)].fields:
            fault = _fault(getattr(self, field.name), field)
            if fault is not None:
                raise self._error(field.name, fault)
        raise AssertionError(f"{type(self).__name__} is refused, but no field of it is")

    def _error(self, name: str, fault: _Fault) -> ValueError | TypeError:
        value = getattr(self, name)
        told = "***" if name in self.secret and value is not None else shown_without_secrets(value)
        called = self.called.get(name, name)
        return fault.error(f"{self.command or type(self).__name__}: {called}={told} must be {fault.rule}")

    def _refuse(self, name: str, rule: str) -> NoReturn:
        """Raise a ``ValueError``: the field *name* must be *rule*."""
        raise self._error(name, _Fault(rule))

    def __repr__(self) -> str:
        values = ((name, getattr(self, name)) for name in self.__struct_fields__)
        shown = (f"{name}={'***' if name in self.secret else repr(v)}" for name, v in values if v is not None)
        return f"{type(self).__name__}({', '.join(shown)})"


class _Fault(NamedTuple):
    """The rule that a value breaks, in words that complete "must be …", and the error that says so."""

    rule: str
    error: type[ValueError | TypeError] = ValueError


def _is_valid(params: Struct) -> bool:
    twin, converted, _ = _twins.get(type(params)) or _make_twin(type(params))
    values = astuple(params)
    try:
        msgspec.convert(values, twin)
        _encode(params)
    except _REFUSALS:
        return False
    for index, kind in converted:  # noqa: SIM110 - `all` and a generator take longer
        if isinstance(values[index], kind):
            return False
    return True


class _Field(NamedTuple):
    """A field, and the type that ``convert`` would convert to fit its annotation: that is sent unconverted."""

    name: str
    annotation: Any
    converted: type | None


class _Twin(NamedTuple):
    """What a class of parameters is checked with."""

    twin: type[Struct]
    """A class with the same fields, for ``convert``."""
    converted: tuple[tuple[int, type], ...]
    """For each field that has it: its index, and ``_Field.converted``."""
    fields: tuple[_Field, ...]


_twins: dict[type, _Twin] = {}


def _make_twin(cls: type[Struct]) -> _Twin:
    """Make the twin of *cls*: ``convert`` does not check an object that is of the right class already."""
    # Kept, since msgspec evaluates the annotations of a class at every call of `fields`.
    found = tuple(_Field(field.name, field.type, _converted(field.type)) for field in fields(cls))
    twin = msgspec.defstruct(cls.__name__, [field[:2] for field in found], array_like=True)
    converted = tuple((index, field.converted) for index, field in enumerate(found) if field.converted is not None)
    _twins[cls] = made = _Twin(twin, converted, found)
    return made


def _converted(annotation: Any) -> type | None:
    """Return the type that ``convert`` would convert to fit *annotation*: such a value would be sent unconverted."""
    kind = inspect.type_info(annotation)
    for option in kind.types if isinstance(kind, inspect.UnionType) else (kind,):
        plain = option.type if isinstance(option, inspect.Metadata) else option
        if isinstance(plain, inspect.StructType):
            return dict
        if isinstance(plain, inspect.FloatType):
            return Decimal
    return None


def _fault(value: object, field: _Field) -> _Fault | None:
    """Return what is wrong with *value*, as a value of *field*."""
    annotation = field.annotation
    if field.converted is not None and isinstance(value, field.converted):
        return _Fault(rule_of(annotation), TypeError)
    try:
        msgspec.convert(value, annotation)
    except _REFUSALS as error:
        # Of a wrong type msgspec says "Expected `int`, got `str`"; of a broken rule, for example "Expected `int` >= 1".
        is_of_wrong_type = str(error).startswith("Expected") and ", got `" in str(error)
        return _Fault(rule_of(annotation), TypeError if is_of_wrong_type else ValueError)
    try:
        _encode([value])  # As deep as it is in the command: too deep a document fails here, too.
    except _REFUSALS as error:
        is_of_wrong_type = isinstance(error, TypeError)
        return _Fault(f"a value that JSON can hold ({error})", TypeError if is_of_wrong_type else ValueError)
    return None


_DOCUMENT = _Field("", Document, _converted(Document))


def check_document(name: str, value: object) -> None:
    """Refuse what is no JSON object, for the parameter *name* of a method that has no command of its own."""
    fault = _fault(value, _DOCUMENT)
    if fault is not None:
        raise fault.error(f"{name}={shown_without_secrets(value)} must be {fault.rule}")
