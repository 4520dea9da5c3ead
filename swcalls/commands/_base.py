"""What every command and every part of one has in common: its rules, its repr, its place in the request.

Knows no particular command, and nothing of how one is sent.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, NoReturn, TypeVar

import msgspec
from msgspec import Meta, Struct, inspect

from ..errors import shown

T = TypeVar("T")

INT32_MAX = 2**31 - 1

_AUTHORITY = r"(?:[^\s/?#@]*@)?(?:[^\s/?#@:\[\]]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?(?:[/?#]\S*)?"
HTTP_URL = rf"(?i:https?)://{_AUTHORITY}"
HttpUrl = Annotated[str, Meta(pattern=rf"^{HTTP_URL}\Z", description="an http:// or https:// URL")]
LOOPBACK = r"(?i:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::\d{1,5})?(?:[/?#]\S*)?"
StreamUrl = Annotated[
    str,
    Meta(
        pattern=rf"^(?:(?i:wss)://{_AUTHORITY}|(?i:ws)://{LOOPBACK})\Z",
        description="a wss:// URL, or a ws:// URL of this machine",
    ),
]
WsUrl = Annotated[str, Meta(pattern=rf"^(?i:wss?)://{_AUTHORITY}\Z", description="a ws:// or wss:// URL")]
SipUri = Annotated[str, Meta(pattern=r"^sip:\S+\Z", description="a sip: address")]
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
Ipv4 = Annotated[
    str, Meta(pattern=rf"^{_OCTET}(?:\.{_OCTET}){{3}}\Z", description="an IPv4 address, such as 198.51.100.42")
]
Dtmf = Annotated[str, Meta(pattern=r"^[0-9A-D*#]*\Z", description="made of the characters 0-9 A-D * #")]
Name = Annotated[str, Meta(min_length=1)]
Document = dict[str, Any]


def always_sent(default: T) -> T:
    """Make a field default that is sent although it was not given.

    ``omit_defaults`` leaves out whatever equals its default; a factory's value it cannot know.
    """
    field: T = msgspec.field(default_factory=lambda: default)
    return field


class Checked:
    """Refuse, when built, what the annotations forbid; show no secret in a repr."""

    __slots__ = ()

    command: ClassVar[str] = ""
    """The wire command that this is the params of, or a part of; ``""`` for a class that a user writes by name."""
    secret: ClassVar[frozenset[str]] = frozenset()
    """Fields whose value is never shown."""
    called: ClassVar[Mapping[str, str]] = {}
    """What a user calls a field, where that is not its name on the wire."""

    def __post_init__(self) -> None:
        for name, optional, rule in _rules(type(self)):
            value = getattr(self, name)
            # Most parameters of most commands are not given.
            if value is None and optional:
                continue
            fault = rule(value)
            if fault is not None:
                raise self._error(name, fault)

    def _error(self, name: str, fault: _Fault) -> ValueError | TypeError:
        value = getattr(self, name)
        told = "***" if name in self.secret and value is not None else _without_secrets(value)
        called = self.called.get(name, name)
        return fault.error(f"{self.command or type(self).__name__}: {called}={told} must be {fault.rule}")

    def _refuse(self, name: str, rule: str) -> NoReturn:
        """Raise the ``ValueError`` that says why *name* is wrong."""
        raise self._error(name, _Fault(rule))

    def __repr__(self) -> str:
        values = ((name, getattr(self, name)) for name, _, _ in _rules(type(self)))
        shown = (f"{name}={'***' if name in self.secret else repr(v)}" for name, v in values if v is not None)
        return f"{type(self).__name__}({', '.join(shown)})"


class Value(Checked, Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A part of a command that a user builds: immutable, and reusable in any number of commands."""


class Params(Checked, Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The ``params`` of a command. ``None`` means "not given": it is never sent.

    Field names are the wire's own, so a request is the Struct encoded; bounds are ``msgspec.Meta`` annotations.
    """


class Command(Params, kw_only=True):
    """The ``params`` of one wire command, whose name is ``command``."""


class StartCommand(Command, kw_only=True):
    """A command that starts something."""

    @property
    def needs_url(self) -> bool:
        """Whether it reports to a URL, and was not told which."""
        return False

    def report_to(self, url: str) -> None:
        """Have it report to *url*, where it was not told where to."""


class StatusCommand(StartCommand, kw_only=True):
    """A command whose URL is its ``status_url``."""

    secret: ClassVar[frozenset[str]] = frozenset({"status_url"})

    status_url: HttpUrl | None = None

    @property
    def needs_url(self) -> bool:
        return self.status_url is None

    def report_to(self, url: str) -> None:
        self.status_url = self.status_url or url


class KeyedCommand(StatusCommand, kw_only=True):
    """A command that starts something under a ``control_id``."""

    control_id: Name


class Control(Params, kw_only=True):
    """The ``params`` of every command that only points at a running operation (``calling.play.stop``, …)."""

    control_id: Name


class Bare(Params, kw_only=True):
    """The ``params`` of every command that takes none."""


class Request(Struct, omit_defaults=True):
    """The body of every POST. *id* is the call's; ``dial`` and ``update`` have none here."""

    command: str
    id: str | None = None
    params: Any = msgspec.UNSET


class _Fault(Struct, frozen=True):
    """The rule that a value breaks, in words that complete "must be …"."""

    rule: str
    error: type[ValueError | TypeError] = ValueError


_Rule = Callable[[Any], _Fault | None]

_Rules = tuple[tuple[str, bool, _Rule], ...]
"""Of each field: its name, whether it may be ``None``, and the rule for what it is else."""
_compiled: dict[type, _Rules] = {}


def _rules(cls: type) -> _Rules:
    """Return the rule of each field of *cls*; compiled once, since every command runs all of its own."""
    rules = _compiled.get(cls)
    if rules is None:
        info = inspect.type_info(cls)
        assert isinstance(info, inspect.StructType)
        rules = _compiled[cls] = tuple(
            (field.name, _rule(field.type)(None) is None, _rule(field.type)) for field in info.fields
        )
    return rules


def _rule(kind: inspect.Type, described: str = "") -> _Rule:
    """Compile an annotation into a check."""
    match kind:
        case inspect.Metadata():
            return _rule(kind.type, (kind.extra_json_schema or {}).get("description", described))
        case inspect.UnionType():
            options = [option for option in kind.types if not isinstance(option, inspect.NoneType)]
            structs = tuple(option.cls for option in options if isinstance(option, inspect.StructType))
            rules = [_rule(option, described) for option in options]
            return _union_rule(rules, structs, optional=kind.includes_none)
        case inspect.IntType() | inspect.FloatType():
            return _number_rule(kind, described)
        case inspect.StrType():
            return _text_rule(kind, described)
        case inspect.LiteralType():
            return _choice_rule(kind)
        case inspect.BoolType():
            return lambda v: None if v is True or v is False else _Fault("True or False", TypeError)
        case inspect.ListType():
            return _list_rule(kind, described)
        case inspect.DictType():
            holds_anything = isinstance(kind.value_type, inspect.AnyType)
            return _document_rule if holds_anything else _dict_rule(_rule(kind.value_type))
        case inspect.StructType():
            cls = kind.cls
            return lambda v: None if isinstance(v, cls) else _Fault(f"a {cls.__name__}", TypeError)
        case inspect.AnyType():
            return lambda _: None
        case _:
            raise AssertionError(f"no rule for {kind}")


def _union_rule(options: list[_Rule], structs: tuple[type, ...], *, optional: bool) -> _Rule:
    if len(options) == 1:
        (only,) = options
        return lambda value: None if value is None and optional else only(value)

    def rule(value: Any) -> _Fault | None:
        if (value is None and optional) or isinstance(value, structs):
            return None
        faults = []
        for option in options:
            fault = option(value)
            if fault is None:
                return None
            faults.append(fault)
        # Alternatives whose type fits but whose rule is broken say more than "not of that type".
        fitting = [fault for fault in faults if fault.error is ValueError]
        rules = dict.fromkeys(fault.rule for fault in fitting or faults)
        return _Fault(" or ".join(rules), ValueError if fitting else TypeError)

    return rule


def _number_rule(kind: inspect.IntType | inspect.FloatType, unit: str) -> _Rule:
    whole = isinstance(kind, inspect.IntType)
    types: Any = int if whole else (int, float)
    lowest: float = -sys.float_info.max if kind.ge is None else kind.ge
    above: float = lowest if kind.gt is None else kind.gt
    highest: float = sys.float_info.max if kind.le is None else kind.le
    limits = (("at least", kind.ge), ("greater than", kind.gt), ("at most", kind.le))
    words = " and ".join(f"{word} {limit}" for word, limit in limits if limit is not None)
    of_another_type = _Fault("a whole number" if whole else "a number", TypeError)
    out_of_range = _Fault(
        ", and ".join(filter(None, (f"{words} {unit}".strip(), "" if kind.le is not None else "finite")))
    )
    bounded_below = kind.gt is not None

    def rule(value: Any) -> _Fault | None:
        if isinstance(value, bool) or not isinstance(value, types):
            return of_another_type
        # NaN fails every comparison; neither it, nor infinity, nor what no float can hold, is a number of JSON.
        if not lowest <= value <= highest or (bounded_below and not value > above):
            return out_of_range
        return None

    return rule


def _text_rule(kind: inspect.StrType, described: str) -> _Rule:
    matches = re.compile(kind.pattern or "").search
    shortest = kind.min_length or 0
    of_another_type = _Fault(described or "a string", TypeError)
    wrong = _Fault(described or "a string that is not empty")

    def rule(value: Any) -> _Fault | None:
        if not isinstance(value, str):
            return of_another_type
        if len(value) < shortest or not matches(value):
            return wrong
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                return _Fault("text that UTF-8 can encode")
        return None

    return rule


def _choice_rule(kind: inspect.LiteralType) -> _Rule:
    choices = frozenset(kind.values)
    types = {type(choice) for choice in choices}
    rule = "one of " + ", ".join(map(repr, kind.values))

    def check(value: Any) -> _Fault | None:
        if type(value) in types:
            return None if value in choices else _Fault(rule)
        return _Fault(rule, TypeError)

    return check


def _list_rule(kind: inspect.ListType, described: str) -> _Rule:
    item_rule = _rule(kind.item_type)
    shortest = kind.min_length or 0
    too_short = _Fault(described or f"a list of at least {shortest}")

    def rule(value: Any) -> _Fault | None:
        if not isinstance(value, list):
            return _Fault("a list", TypeError)
        if len(value) < shortest:
            return too_short
        for item in value:
            fault = item_rule(item)
            if fault is not None:
                return _Fault(f"a list in which each item is {fault.rule}", fault.error)
        return None

    return rule


def _dict_rule(value_rule: _Rule) -> _Rule:
    def rule(value: Any) -> _Fault | None:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            return _Fault("a dict with string keys", TypeError)
        for item in value.values():
            fault = value_rule(item)
            if fault is not None:
                return _Fault(f"a dict in which each value is {fault.rule}", fault.error)
        return None

    return rule


def _document_rule(value: Any) -> _Fault | None:
    """Check that *value* is a JSON object, whatever is in it."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        return _Fault("a dict with string keys", TypeError)
    try:
        msgspec.json.encode(value)
    except TypeError as error:
        return _Fault(f"a dict that JSON can hold ({error})", TypeError)
    except (ValueError, RecursionError, OverflowError) as error:
        return _Fault(f"a dict that JSON can hold ({error})")
    return None


def listed(value: Any) -> Any:
    """Return any iterable but a string or a mapping as a list; anything else as it is, for the command to refuse."""
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping) else value


def mapped(value: Any) -> Any:
    """Return any mapping as a dict; anything else as it is, for the command to refuse."""
    return dict(value) if isinstance(value, Mapping) else value


def refuse_none(command: str, **values: object) -> None:
    """Refuse ``None`` where swcalls has a default of its own: the platform would use another one."""
    for name, value in values.items():
        if value is None:
            raise TypeError(f"{command}: {name}=None must be left out, for its default, or be another value")


def check_document(name: str, value: object) -> None:
    """Refuse what is no JSON object, as the parameter *name* of no particular command."""
    fault = _document_rule(value)
    if fault is not None:
        raise fault.error(f"{name}={_without_secrets(value)} must be {fault.rule}")


def _without_secrets(value: object) -> str:
    """Return *value* as a message shows it; ``***`` if a secret is anywhere in it."""
    try:
        holds_secret = next(secret_values(value), None) is not None
    except RecursionError:
        holds_secret = True  # It contains itself, so it cannot be searched to its end.
    return "***" if holds_secret else shown(value)


def secret_values(params: object) -> Iterator[str]:
    """Yield every value in *params* that no error may show, however deep it is."""
    if isinstance(params, Checked):
        for name, _, _ in _rules(type(params)):
            value = getattr(params, name)
            if name in params.secret and isinstance(value, str):
                yield value
            else:
                yield from secret_values(value)
    elif isinstance(params, Mapping):
        for name, value in params.items():
            if isinstance(value, str) and isinstance(name, str) and ("password" in name or "token" in name):
                yield value
            else:
                yield from secret_values(value)
    elif isinstance(params, list):
        for item in params:
            yield from secret_values(item)
