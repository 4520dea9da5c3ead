"""Every public parameter, with every kind of value that it cannot take: a clear error, or what the annotation allows.

The parameters are read from the signatures, so that a new verb, or a new parameter, is here without a line for it. An
error names the parameter, the value and the rule, comes before anything is sent, and shows no secret.
"""

from __future__ import annotations

import inspect
import itertools
import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import aiohttp
import msgspec
import pytest

import swcalls.actions
import swcalls.client
from swcalls import (
    TTS,
    Audio,
    Call,
    Client,
    ConfigurationError,
    DetectDigit,
    DetectFax,
    DetectMachine,
    Digits,
    Limits,
    PlayAction,
    Reconcile,
    Reset,
    Retry,
    Ringtone,
    RtpDevice,
    SidecarParams,
    SidecarPermissions,
    Silence,
    Speech,
    WsDevice,
)
from swcalls._core.limits import check_timeout

NESTED: dict[str, Any] = {}
NESTED["again"] = NESTED


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


HUGE = 10**5000
"""Longer than what Python turns into a string."""
VALUES: list[Any] = [
    None, True, 0, -1, 3, 1.5, 10**400, HUGE, math.nan, math.inf, -math.inf, "", "text", " ", "\ud800", "x" * 100_000,
    b"bytes", object(), Unprintable(), (), [], ["text"], [None], [object()], {}, {"a": "b"}, {1: 2}, {"a": object()},
    {"a": "\ud800"}, {"a": HUGE}, NESTED, {"a": {(1, 2): 3}}, Client, 3j,
]  # fmt: skip

GIVEN: dict[str, Any] = {
    "text": "Hi",
    "to": "sip:bob@example.com",
    "from_": "+12069708643",
    "url": "wss://example.com/x",
    "device": WsDevice("wss://example.com/x"),
    "lang": "en-US",
    "from_lang": "en-US",
    "to_lang": "de-DE",
    "direction": "remote-caller",
    "dest": "sip:bob@example.com",
    "event": {"a": 1},
    "control_id": "mine",
    "kind": "play",
    "message": "Hi",
    "db": 3,
    "digits": "1w2",
    "name": "room",
    "steps": [{"hangup": {}}],
}
"""What a parameter that must be given is given, while another one of its verb is tried."""
ALSO_GIVEN: dict[str, dict[str, Any]] = {
    "play": {"media": TTS("Hi")},
    "prompt": {"media": TTS("Hi"), "digits": Digits(1)},
    "ask": {"media": TTS("Hi"), "digits": Digits(1)},
    "collect": {"digits": Digits(1)},
    "ai_message": {"message_text": "Hi"},
    "update": {"status": "completed"},
    "dial": {"to": "+15550198765"},
}
WAITS = {"answered", "ended", "events"}
"""Their ``timeout`` has a test of its own."""


class Verb(NamedTuple):
    """Something that is called with parameters."""

    name: str
    signature: inspect.Signature
    hints: dict[str, Any]
    bind: Callable[[Client], Callable[..., Any]]


def verb(name: str, function: Callable[..., Any], bind: Callable[[Client], Callable[..., Any]]) -> Verb:
    names = vars(swcalls.client) | {"ClientSession": aiohttp.ClientSession, "WebhookReceiver": object}
    return Verb(name, inspect.signature(function), typing.get_type_hints(function, localns=names), bind)


def verbs() -> Iterator[Verb]:
    classes = [cls for cls in Call.__mro__ if cls is Call or cls.__name__.endswith("Verbs")]
    for name in sorted({name for cls in classes for name in vars(cls) if not name.startswith("_")} - WAITS):
        if inspect.isfunction(function := getattr(Call, name)):
            yield verb(name, function, lambda client, name=name: getattr(client.call("call-1"), name))
    yield verb("dial", Client.dial, lambda client: client.dial)
    for kind, name in (
        ("play", "volume"),
        ("record", "pause"),
        ("live_transcribe", "summarize"),
        ("live_translate", "summarize"),
        ("live_translate", "inject"),
        ("ai_sidecar", "poke"),
        ("ai_sidecar", "ask"),
    ):
        handle = swcalls.actions.HANDLES[kind]
        yield verb(
            f"{kind}.{name}",
            getattr(handle, name),
            lambda client, kind=kind, name=name: getattr(client.call("call-1").action(kind, kind), name),
        )


VERBS = list(verbs())


def admits(hint: Any, value: object) -> bool:
    """Say whether *value* is of the type that *hint* says, as far as a type can say it."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(admits(option, value) for option in args)
    if origin is Literal:
        return any(type(value) is type(choice) and value == choice for choice in args)
    if origin is typing.Annotated:
        return admits(args[0], value)
    if hint is None or hint is type(None):
        return value is None
    if origin is Sequence or origin is list:
        return isinstance(value, list | tuple) and all(admits(args[0], item) for item in value)
    if origin in (dict, Mapping):
        return isinstance(value, dict) and all(admits(args[0], k) and admits(args[1], v) for k, v in value.items())
    if hint in (float, int):
        return type(value) in ((int, float) if hint is float else (int,))
    return isinstance(value, origin or hint)


def repr_of(value: object) -> str:
    """The name of a value in the id of a test."""
    return type(value).__name__


def shown(value: object) -> str:
    """What an error at least shows of *value*."""
    if isinstance(value, str | int | float | None) and value not in (HUGE, 10**400):
        return repr(value)[:20]
    return ""


def check_refused(error: Exception, name: str, value: object, *, setting: bool = False) -> None:
    """Check that *error* is ours, and says which parameter, which value and which rule."""
    assert isinstance(error, ConfigurationError if setting else TypeError | ValueError), repr(error)
    message = str(error)
    assert f"{name}=" in message
    assert shown(value) in message or f"{name}=***" in message
    assert " must " in message
    assert len(message) < 1000


def judge(outcome: Exception | None, name: str, hint: Any, value: object, *, setting: bool = False) -> str | None:
    """Say what is wrong with the *outcome* of trying *value*, if anything is."""
    try:
        if outcome is None:
            assert admits(hint, value), "accepted"
        else:
            check_refused(outcome, name, value, setting=setting)
    except AssertionError as wrong:
        return f"{name}={shown(value) or type(value).__name__}: {outcome!r:.300}: {wrong!s:.300}"
    return None


async def attempt(client: Client, verb: Verb, name: str, value: object) -> Exception | None:
    """Call *verb* with *value* for *name*; return the error, if there is one."""
    needed = {
        parameter.name
        for parameter in verb.signature.parameters.values()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_POSITIONAL
    }
    given = {each: GIVEN[each] for each in needed - {"self"}} | ALSO_GIVEN.get(verb.name, {}) | {name: value}
    media = [given.pop("media")] if "media" in given else []
    try:
        result = verb.bind(client)(*media, **given)
        if isinstance(result, swcalls.AudioStart | swcalls.ResultStart) or name == "max_calls":
            result.close()  # It would wait for what nobody reports here.
        elif inspect.isawaitable(result) and not isinstance(result, swcalls.actions.Action):
            await result
    except Exception as error:  # noqa: BLE001 - whatever it is, it is judged
        return error
    return None


def test_the_verbs_are_found() -> None:
    names = {verb.name for verb in VERBS}
    assert {"dial", "play", "say", "prompt", "record", "sidecar", "transfer", "update", "end", "action"} <= names
    assert len(names) > 35


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
async def test_an_argument_is_taken_as_its_annotation_says_or_refused_clearly(space, connect, verb: Verb) -> None:
    client = await connect()
    wrong = []
    for name, value in itertools.product(verb.signature.parameters, VALUES):
        if name == "self":
            continue
        before = len(space.commands)
        outcome = await attempt(client, verb, name, value)
        wrong.append(judge(outcome, name, verb.hints[name], value))
        if outcome is not None and len(space.commands) != before:
            wrong.append(f"{name}={shown(value)}: something was sent")
    assert not list(filter(None, wrong))


PARTS = {
    Audio: {"url": "https://example.com/a.mp3"},
    TTS: {"text": "Hi"},
    Silence: {"duration": 1},
    Ringtone: {"name": "us"},
    Digits: {"max": 1},
    Speech: {},
    DetectMachine: {},
    DetectFax: {},
    DetectDigit: {},
    RtpDevice: {"addr": "198.51.100.42", "port": 5060},
    WsDevice: {"uri": "wss://example.com/x"},
    Reset: {},
    SidecarParams: {},
    SidecarPermissions: {},
    Limits: {},
    Retry: {},
    Reconcile: {},
}


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_a_part_is_built_as_its_annotations_say_or_refused_clearly(part: type[msgspec.Struct]) -> None:
    wrong = []
    for (name, hint), value in itertools.product(typing.get_type_hints(part).items(), VALUES):
        if typing.get_origin(hint) is typing.ClassVar:
            continue
        outcome = None
        try:
            part(**PARTS[part] | {name: value})
        except Exception as error:  # noqa: BLE001 - whatever it is, it is judged
            outcome = error
        wrong.append(judge(outcome, name, hint, value))
    assert not list(filter(None, wrong))


async def test_what_execute_is_given_is_checked_too(space, client: Client) -> None:
    refused = [
        *(({"command": value}, "command") for value in ("", 5, None, "\ud800", HUGE)),
        *(({"call_id": value}, "call_id") for value in ("", 5, "\ud800", HUGE, [])),
        *(({"params": value}, "params") for value in ("text", 5, [], {1: 2}, {"a": object()}, {"a": HUGE}, NESTED)),
    ]
    for given, name in refused:
        with pytest.raises((TypeError, ValueError), match=f"^{name}=.* must be"):
            await client.execute(**{"command": "calling.new", **given})
    assert not space.commands
    await client.execute("calling.new", params=types.MappingProxyType({"id": ["no", "call"]}))
    assert space.commands == [{"command": "calling.new", "params": {"id": ["no", "call"]}}]


@pytest.mark.parametrize(
    ("name", "value"),
    [("path", None), ("path", b"/"), ("headers", None), ("headers", [("a", "b")]), ("body", None), ("body", "{}")],
)
async def test_what_accept_is_given_is_checked_too(client: Client, name: str, value: Any) -> None:
    given: dict[str, Any] = {"path": "/swcalls/play/x/y", "headers": {}, "body": b"{}", name: value}
    with pytest.raises(TypeError, match=rf"^{name}=<\w+> must be "):
        await client.accept(**given)
    assert not sum(client.stats.webhooks.values())


@pytest.mark.parametrize("value", ["", 5, None, "\ud800", HUGE, []], ids=repr_of)
def test_the_id_of_a_call_is_a_text(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^call_id=.* must be"):
        Client("project", "token", "space").call(value)


WAITED_FOR: dict[str, Callable[[Call, PlayAction, Any], Any]] = {
    "answered": lambda call, _, timeout: call.answered(timeout),
    "ended": lambda call, _, timeout: call.ended(timeout),
    "finished": lambda _, play, timeout: play.finished(timeout),
    "reached": lambda _, play, timeout: play.reached("paused", timeout),
    "start.finished": lambda call, _, timeout: call.play(TTS("Hi")).finished(timeout),
    "prompt.finished": lambda call, _, timeout: call.prompt(TTS("Hi"), digits=Digits(1)).finished(timeout),
}


@pytest.mark.parametrize("wait", WAITED_FOR)
async def test_a_wait_refuses_what_is_no_timeout(space, client: Client, wait: str) -> None:
    call = client.call("call-1")
    play = await call.play(TTS("Hi"))
    sent = len(space.commands)
    for value in ("5", b"5", True, [], object(), HUGE, 10**400, -1, math.nan, -math.inf):
        with pytest.raises((TypeError, ValueError), match=r"^timeout=.* must be a"):
            await WAITED_FOR[wait](call, play, value)
    assert len(space.commands) == sent


@pytest.mark.parametrize("value", [None, 0, 0.0, 1, 0.5, 1e308, math.inf])
def test_a_wait_can_last_so_long(value: float | None) -> None:
    check_timeout("timeout", value)


@pytest.mark.parametrize(
    "value", ["5", b"5", True, False, [], object(), 1j, HUGE, 10**400, -1, -0.1, math.nan, -math.inf], ids=repr_of
)
def test_a_wait_cannot_last_so_long(value: Any) -> None:
    of_another_type = isinstance(value, bool) or not isinstance(value, int | float)
    with pytest.raises(TypeError if of_another_type else ValueError, match=r"^timeout=.* must be a") as caught:
        check_timeout("timeout", value)
    assert shown(value) in str(caught.value)


SECRETS = ["token", "signing_key", "password", "authorization_bearer_token"]
HIDDEN: list[Any] = [["hunter2"], {"a": "hunter2"}, ("hunter2", 5), b"hunter2", "hunter2 \ud800", [["hunter2"]]]


@pytest.mark.parametrize("secret", SECRETS)
async def test_no_error_shows_a_secret(space, client: Client, secret: str) -> None:
    """Not in its message, and not in what it came of."""
    takers = [verb for verb in VERBS if secret in verb.signature.parameters]
    if secret in SETTINGS.signature.parameters:
        takers.append(SETTINGS)
    assert takers
    for verb, value in itertools.product(takers, HIDDEN):
        error: BaseException | None = None
        if verb is not SETTINGS:
            error = await attempt(client, verb, secret, value)
        elif not admits(SETTINGS.hints[secret], value):
            with pytest.raises(ConfigurationError) as caught:
                Client(**GIVEN_SETTINGS | {secret: value})
            error = caught.value
        while error is not None:
            assert "hunter2" not in f"{error} {error!r}"
            error = error.__cause__ or error.__context__
    assert "hunter2" not in str(space.commands)


TAKERS_OF_DOCUMENTS: dict[str, Callable[[Client, Any], Any]] = {
    "swml": lambda client, value: client.dial(to="sip:a@b", from_="+12069708643", swml=value),
    "event": lambda client, value: client.call("call-1").user_event(value),
    "params": lambda client, value: client.execute("calling.new", params=value),
}


@pytest.mark.parametrize("name", TAKERS_OF_DOCUMENTS)
async def test_no_error_shows_a_secret_in_a_document(client: Client, name: str) -> None:
    for extra in ({1: "x"}, object(), HUGE, NESTED, "\ud800"):
        document = {"main": [{"connect": {"password": "hunter2"}}]} | (
            extra if isinstance(extra, dict) else {"extra": extra}
        )
        with pytest.raises((TypeError, ValueError), match=rf"{name}=\*\*\* must be") as caught:
            await TAKERS_OF_DOCUMENTS[name](client, document)
        assert "hunter2" not in str(caught.value)


SETTINGS = verb("Client", Client.__init__, lambda client: Client)
GIVEN_SETTINGS = {"project": "project", "token": "token", "space": "space"}


@pytest.mark.parametrize("name", [name for name in SETTINGS.signature.parameters if name != "self"])
def test_a_setting_is_taken_as_its_annotation_says_or_refused_clearly(name: str) -> None:
    wrong = []
    for value in VALUES:
        outcome = None
        try:
            repr(Client(**GIVEN_SETTINGS | {name: value}))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is judged
            outcome = error
        wrong.append(judge(outcome, name, SETTINGS.hints[name], value, setting=True))
    assert not list(filter(None, wrong))
