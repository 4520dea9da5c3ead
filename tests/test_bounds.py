"""Every bound and rule of the contract: what is allowed at the edge, and what is refused beyond it.

A refusal names the parameter, the value and the rule, and comes before anything is sent.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Coroutine, Iterator
from decimal import Decimal
from typing import Annotated, Any, ClassVar

import pytest
from msgspec import Meta, inspect, structs

import swcalls.commands
from swcalls import (
    TTS,
    Audio,
    Call,
    Client,
    DetectDigit,
    DetectFax,
    DetectMachine,
    Digits,
    Limits,
    Reconcile,
    Reset,
    Retry,
    Ringtone,
    RtpDevice,
    SidecarParams,
    Silence,
    Speech,
    WsDevice,
)
from swcalls.commands import KeyedCommand, Transfer, UserEvent
from swcalls.commands._rules import rule_of

CLIENT = Client("project", "token", "space", public_url="https://hooks.example.com")
CALL = CLIENT.call("call-1")
HI = TTS("Hi")
BIG = 2**31


class Text(str):
    """A string that msgspec cannot encode."""

    __slots__ = ()


class Whisper(KeyedCommand, kw_only=True):
    """A command that the platform may have one day."""

    command: ClassVar[str] = "calling.whisper"

    text: str
    times: Annotated[int, Meta(ge=1, le=3)] | None = None


def dial(**params: Any) -> Any:
    return CLIENT.dial(**{"to": "+15550198765", "from_": "+12069708643", **params})


def play(**params: Any) -> Any:
    return CALL.play(HI, **params)


def collect(**params: Any) -> Any:
    return CALL.collect(**{"digits": Digits(1), **params})


def tap(**params: Any) -> Any:
    return CALL.tap(WsDevice("wss://e.com"), **params)


def stream(**params: Any) -> Any:
    return CALL.stream(**{"url": "wss://e.com", **params})


def listen(**params: Any) -> Any:
    return CALL.live_transcribe(**{"lang": "en-US", "direction": "remote-caller", **params})


def translate(**params: Any) -> Any:
    return CALL.live_translate(**{"from_lang": "en-US", "to_lang": "de-DE", "direction": "local-caller", **params})


def sidecar(**params: Any) -> Any:
    return CALL.sidecar(**{"lang": "en-US", **params})


ADDRESSES = [
    "+1234567", "+15550198765", "+123456789012345", "15550198765", "1234567", "sip:a@b", "sips:a@b;transport=tls",
    "SIP:a@b", "verto:alice@e.com", "client:alice", "/public/support", "/private/alice?channel=audio", "/elsewhere",
]  # fmt: skip
NO_ADDRESSES = [
    "", "abc", "garbage", "12", "123456", "1" * 16, "+", "+1", "+123456", "+1234567890123456", "+1 555 019 8765",
    "555-0198765", "+15550198765\n", "+١٥٥٥٠١٩٨٧٦٥", "tel:+15550198765", "sip:", "sips:", "verto:", "client:", "client: ",
    "/", "wss://e.com", "alice@e.com",
]  # fmt: skip
DOCUMENTS: list[Any] = [{"sections": {"main": ["answer"]}}, {"version": "1.0.0", "sections": {}}]
NO_DOCUMENTS: list[Any] = [{}, {"version": "1.0.0"}, {"main": ["answer"]}]


# What takes the parameter; its name; what is allowed; what is refused by its value, and by its type.
BOUNDS: list[tuple[Callable[..., Any], str, list[Any], list[Any], list[Any]]] = [
    (dial, "to", ADDRESSES, NO_ADDRESSES, [1, ["+15550198765"]]),
    (Transfer, "dest", [*ADDRESSES, *DOCUMENTS, "https://e.com/swml", "http://u:p@e.com:8080/x?y"],
     [*NO_ADDRESSES, *NO_DOCUMENTS, "ftp://e.com", "http://", "https:// e.com"], [1, [{"sections": {}}]]),
    (dial, "timeout", [1, 600], [0, 601], [1.5, "30", True]),
    (dial, "max_price_per_minute", [0, 0.01], [-0.01, math.nan, math.inf], ["1"]),
    (dial, "send_digits", ["0", "1w2,3*#ABCD", ""], ["1 2", "E", "1\n"], [12]),
    (dial, "url_method", ["GET", "POST"], ["get", "PUT"], [1]),
    (dial, "status_events", [["created"], ("ringing", "answered", "ended")], [["ending"], []], [[1]]),
    (dial, "codecs", [["OPUS", "PCMU"], "PCMU,PCMA", "OPUS@16000H@20I"], [["MP3"], "PCMU,MP3"], []),
    (dial, "fallback_url", ["http://e.com", "https://u:p@e.com:8443/x?y#z"], ["e.com", "ftp://e.com", "http://", "http://x:port/"], [1]),
    (dial, "status_url", ["https://e.com"], ["mailto:a@b"], [1]),
    (dial, "region", ["us", ["us", "eu"]], ["", [""]], []),
    (dial, "custom_variables", [{"a": "b", "_x1": "y" * 1024}, {f"k{n}": "v" for n in range(20)}],
     [{"1a": "b"}, {"a-b": "c"}, {"SW_x": "y"}, {"signalwire_x": "y"}, {"rtc_x": "y"}, {"Internal_x": "y"}, {"a": ""},
      {"a": "y" * 1025}, {"a": "ü" * 513}, {f"k{n}": "v" for n in range(21)}], [{"a": 1}]),
    (play, "volume", [-40, 40, 0.5], [-40.1, 41, math.nan, -math.inf], ["loud", True, Decimal(1)]),
    (play, "loop", [0, 1, BIG - 1], [-1, BIG], [1.0, "2"]),
    (play, "direction", ["listen", "speak", "both"], ["up", ""], [1]),
    (play, "gender", ["male", "female"], ["other"], [1]),
    (play, "voice", ["gcloud.en-US-Neural2", "a_b.c-d"], ["bad voice", "a/b", ""], [1]),
    (play, "language", ["en-US"], [""], [1]),
    (play, "control_id", ["mine"], [""], [1]),
    (play, "status_url", ["https://e.com"], ["e.com"], [1]),
    (play, "deadline", [0.001, 60], [0, -1, math.inf, math.nan], ["soon", True]),
    (CALL.record, "format", ["mp3", "wav", "mp4"], ["ogg"], [1]),
    (CALL.record, "stereo", [True, False], [], [1, "yes"]),
    (CALL.record, "initial_timeout", [0, 4.5], [-1, math.nan], ["1"]),
    (CALL.record, "end_silence_timeout", [0, 4.5], [-0.1], ["1"]),
    (CALL.record, "max_length", [0, BIG - 1], [-1, BIG], [1.5]),
    (CALL.record, "terminators", ["", "0123456789ABCD*#"], ["E", " ", "a"], [1]),
    (CALL.record, "input_sensitivity", [0, 100], [-1, 100.1], ["44"]),
    (Digits, "max", [1, BIG - 1], [0, BIG], [1.0, "4", True]),
    (lambda **p: Digits(4, **p), "terminators", ["", "#*"], ["x"], [1]),
    (lambda **p: Digits(4, **p), "digit_timeout", [0.1], [0, -1], ["1"]),
    (Speech, "end_silence_timeout", [0.1], [0], ["1"]),
    (Speech, "speech_timeout", [0.1], [0, 10**400], ["1", Decimal(1)]),
    (Speech, "engine", ["Google", "Google.V2", "Deepgram"], ["google"], [1]),
    (Speech, "hints", [["one"], [], ("one",)], [["\ud800"]], [[1], "one"]),
    (collect, "initial_timeout", [0.1], [0, -1], ["1"]),
    (collect, "continuous", [True], [], ["yes"]),
    (collect, "digits", [Digits(1)], [], [4, "4", {"max": 4}, Speech()]),
    (DetectMachine, "initial_timeout", [0, 4.5], [-1], ["1"]),
    (DetectMachine, "machine_words_threshold", [0, 6], [-1], [1.5]),
    (DetectMachine, "detect_message_end", [True, False], [], [1]),
    (DetectFax, "tone", ["CNG", "CED", "cng", "ced"], ["Ced"], [1]),
    (DetectDigit, "digits", ["", "12#"], ["x"], [1]),
    (CALL.detect, "timeout", [0, 30.5], [-1, math.inf], ["1"]),
    (TTS, "text", ["Hi", "ü"], ["", "\ud800"], [1, Text("Hi")]),
    (Audio, "url", ["https://e.com/a.mp3"], ["file:///a.mp3", "//e.com"], [1]),
    (Silence, "duration", [0.1], [0, -1, math.inf], ["1"]),
    (Ringtone, "name", ["us", "bong", "za"], ["xx", "US"], [1]),
    (lambda **p: Ringtone("us", **p), "duration", [0.1], [0], ["1"]),
    (lambda **p: RtpDevice(**{"port": 5004, **p}), "addr", ["8.8.8.8", "198.51.100.42", "255.0.10.199", "10.0.0.1"],
     ["::1", "example.com", "8.8.8", "8.8.8.8.8", "8.8.8.256", "8.8.8.08", " 8.8.8.8", "8.8.8.8\n", "٨.8.8.8", ""], [1]),
    (lambda **p: RtpDevice("8.8.8.8", **p), "port", [1, 65535], [0, 65536], ["5004"]),
    (lambda **p: RtpDevice("8.8.8.8", 5004, **p), "ptime", [10, 120], [15, 0], ["20"]),
    (lambda **p: RtpDevice("8.8.8.8", 5004, **p), "codec", ["PCMU", "opus"], ["G722", "Opus"], [1]),
    (WsDevice, "uri", ["ws://e.com", "wss://e.com/x"], ["https://e.com", "wss://"], [1]),
    (tap, "direction", ["listen", "speak", "both"], ["none"], [1]),
    (stream, "url", ["wss://e.com/x"], ["ws://e.com", "https://e.com", ""], [1]),
    (stream, "track", ["inbound_track", "outbound_track", "both_tracks"], ["both"], [1]),
    (CALL.refer, "to", ["sip:a@b.com"], ["tel:+1", "+1", "sips:a@b", "sip:"], [1]),
    (lambda **p: CALL.refer("sip:a@b", **p), "from_", ["sip:a@b.com"], ["+1"], [1]),
    (listen, "direction", ["remote-caller", ["remote-caller", "local-caller"]], ["both", []], []),
    (listen, "lang", ["en-US"], [""], [1]),
    (listen, "speech_timeout", [1500], [1499], ["1500"]),
    (listen, "vad_silence_ms", [1], [0], [1.5]),
    (listen, "vad_thresh", [0, 1800], [-1, 1801], ["1"]),
    (listen, "debug_level", [0, 2], [-1, 3], ["1"]),
    (listen, "speech_engine", ["deepgram", "google"], ["Deepgram"], [1]),
    (translate, "filter_from", ["gen-z", "polite", "prompt:Rhyme"], ["nice", "prompt:", "prompt"], [1]),
    (translate, "to_lang", ["de-DE"], [""], [1]),
    (sidecar, "lang", ["en"], [""], [1]),
    (sidecar, "direction", [["remote-caller", "local-caller"]], [["remote-caller"], ["a", "b"]], []),
    (sidecar, "customer_role", ["remote-caller"], ["caller"], [1]),
    (SidecarParams, "idle_timeout_ms", [50, 5000], [49, 5001], ["50"]),
    (SidecarParams, "min_interval_ms", [0, 60000], [-1, 60001], []),
    (SidecarParams, "max_iters_per_tick", [1, 20], [0, 21], []),
    (SidecarParams, "max_history_tokens", [1000, 200000], [999, 200001], []),
    (SidecarParams, "speech_timeout", [0, 600000], [-1, 600001], []),
    (SidecarParams, "vad_silence_ms", [0, 60000], [-1, 60001], []),
    (SidecarParams, "vad_thresh", [0, 10000], [-1, 10001], []),
    (SidecarParams, "debug_level", [0, 100], [-1, 101], []),
    (Reset, "full_reset", [True], [], [1]),
    (lambda **p: Whisper(**{"control_id": "mine", "text": "Hi", **p}), "times", [1, 3], [0, 4], ["1", True]),
    (Retry, "attempts", [1, 10**9], [0, -1], [None, True, 1.5, "4", math.inf, math.nan]),
    (Retry, "budget", [0, 100], [-1], [None, True, 1.5, "4"]),
    (Retry, "first_wait", [0, 0.5], [-0.1, math.nan, 10**400], [None, True, "1"]),
    (Retry, "longest_wait", [0, 30, math.inf], [-1, math.nan], [None, True, "1"]),
    (Limits, "history", [1], [0, -1, 10**30], [None, True, 2.5, "4", math.inf, math.nan]),
    (Limits, "timeline", [0, 512], [-1], [None, 0.5]),
    (Limits, "grace", [0, 5.5, math.inf], [-1, math.nan, 10**400], [None, True, "5"]),
    (Limits, "margin", [0.01, 10], [0, -1, math.nan], [None, True, "5"]),
    (Reconcile, "sweep", [0.01, math.inf], [0, -1, math.nan], [None, True, "5"]),
    (Reconcile, "at_once", [1], [0], [None, True, 1.5]),
]  # fmt: skip


def build(make: Callable[..., Any], name: str, value: Any) -> None:
    made = make(**{name: value})
    # What was built is not sent: a coroutine that nobody awaits would say so.
    if isinstance(made, Coroutine):
        made.close()


ALLOWED = [(make, name, value) for make, name, allowed, _, _ in BOUNDS for value in allowed]
OF_A_WRONG_VALUE = [(make, name, value) for make, name, _, wrong, _ in BOUNDS for value in wrong]
OF_A_WRONG_TYPE = [(make, name, value) for make, name, _, _, wrong in BOUNDS for value in wrong]


@pytest.mark.parametrize(("make", "name", "value"), ALLOWED)
def test_what_the_contract_allows_is_allowed(make: Callable[..., Any], name: str, value: Any) -> None:
    build(make, name, value)


@pytest.mark.parametrize(("make", "name", "value"), OF_A_WRONG_VALUE)
def test_a_wrong_value_is_a_value_error_that_names_it(make: Callable[..., Any], name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"(?s)must be .+") as caught:
        build(make, name, value)
    assert f"{name}=" in str(caught.value)


@pytest.mark.parametrize(("make", "name", "value"), OF_A_WRONG_TYPE)
def test_a_wrong_type_is_a_type_error_that_names_it(make: Callable[..., Any], name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=r"(?s)must be .+") as caught:
        build(make, name, value)
    assert f"{name}=" in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        CALL.play,
        CALL.collect,
        lambda: CALL.prompt(HI),
        lambda: CALL.prompt(digits=Digits(1)),
        lambda: dial(url="https://e.com", swml={}),
        lambda: CLIENT.dial(from_="+2"),
        lambda: stream(status_url_method="GET"),
    ],
)
def test_what_belongs_together_is_checked_together(make: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda call: call.update(),
        lambda call: call.update(url="https://e.com", swml={}),
        lambda call: call.update(status="ended"),
        lambda call: call.end("bored"),
        lambda call: call.transfer(""),
        lambda call: call.transfer("garbage"),
        lambda call: call.transfer({}),
        lambda call: call.ai_hold(timeout=-1),
        lambda call: call.ai_message(role="user"),
        lambda call: call.ai_message(role="caller", message_text="Hi"),
        lambda call: call.send_fax_stop(""),
        lambda call: call.action("dance", "x"),
    ],
)
async def test_one_shots_are_checked_too(make: Callable[[Call], Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        await make(CALL)


@pytest.mark.parametrize(
    "make",
    [
        lambda call: call.ai_hold(timeout="300"),
        lambda call: call.ai_hold(timeout=1.5),
        lambda call: call.user_event("ping"),
        lambda call: call.transfer(3),
        lambda call: call.ai_message(message_text=3),
    ],
)
async def test_one_shots_check_types_too(make: Callable[[Call], Any]) -> None:
    with pytest.raises(TypeError, match="must be"):
        await make(CALL)


def is_too_deep(depth: int) -> bool:
    document: dict[str, Any] = {}
    for _ in range(depth):
        document = {"inner": document}
    try:
        UserEvent(event=document)
    except ValueError:
        return True
    return False


def test_a_document_that_is_only_just_too_deep_is_refused_clearly() -> None:
    # The limit depends on how deep the stack is where the command is built, so every depth near it is tried.
    limit = bisect.bisect_left(range(100_000), True, key=is_too_deep)
    assert {is_too_deep(depth) for depth in range(limit - 20, limit + 20)} == {True, False}


def test_a_long_value_is_cut_and_a_secret_one_hidden() -> None:
    with pytest.raises(ValueError, match="must be") as caught:
        Audio("x" * 10_000)
    assert len(str(caught.value)) < 300
    with pytest.raises(TypeError, match=r"password=\*\*\* must be") as wrong:
        dial(password=["hunter2"])
    assert "hunter2" not in str(wrong.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Digits(0), "Digits: max=0 must be a whole number, at least 1 and at most 2147483647"),
        (lambda: Digits("4"), "Digits: max='4' must be a whole number, at least 1 and at most 2147483647"),
        (lambda: Silence(math.inf), "Silence: duration=inf must be a finite number of seconds, greater than 0"),
        (lambda: play(volume=41), "calling.play: volume=41 must be a number of dB, at least -40 and at most 40"),
        (lambda: play(gender="x"), "calling.play: gender='x' must be one of 'female', 'male'"),
        (lambda: play(language=""), "calling.play: language='' must be a string that is not empty"),
        (CALL.play, "calling.play: media=[] must be at least one of Audio, TTS, Silence, Ringtone"),
        (lambda: collect(digits={"max": 4}), "calling.collect: digits={'max': 4} must be a Digits"),
        (lambda: collect(continuous=1), "calling.collect: continuous=1 must be True or False"),
        (lambda: listen(status_url="x"), "calling.live_transcribe: status_url=*** must be an http:// or https:// URL"),
        (lambda: dial(region=1),
         ("dial: region=1 must be a string that is not empty or a list in which each item is a string"
          " that is not empty")),
        (lambda: sidecar(hints=[]),
         ("calling.ai_sidecar: hints=[] must be a list that is not empty and in which each item is"
          " a string")),
        (lambda: sidecar(swaig={"a": object}),
         ("calling.ai_sidecar: swaig=*** must be a value that JSON can hold (Encoding"
          " objects of type type is unsupported)")),
        (lambda: stream(custom_parameters={1: "a"}),
         ("calling.stream: custom_parameters={1: 'a'} must be a dict with string"
          " keys")),
    ],
)  # fmt: skip
def test_a_message_says_the_parameter_the_value_and_the_rule(make: Callable[[], Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        make()
    assert str(caught.value) == message


def parts(kind: inspect.Type) -> Iterator[inspect.Type]:
    yield kind
    for name in kind.__struct_fields__:
        inner = getattr(kind, name)
        for each in inner if isinstance(inner, tuple) else (inner,):
            if isinstance(each, inspect.Field):
                yield from parts(each.type)
            elif isinstance(each, inspect.Type) and not isinstance(kind, inspect.StructType):
                yield from parts(each)


STRUCTS = [n for n in swcalls.commands.__all__ if hasattr(getattr(swcalls.commands, n), "__struct_fields__")]


@pytest.mark.parametrize("name", [name for name in STRUCTS if name != "Request"])
def test_every_parameter_has_a_rule_in_words(name: str) -> None:
    for field in structs.fields(getattr(swcalls.commands, name)):
        assert rule_of(field.type)


@pytest.mark.parametrize("name", STRUCTS)
def test_every_number_has_bounds_that_exclude_infinity_and_nan(name: str) -> None:
    """msgspec allows both where no bound excludes them, and JSON has neither."""
    kinds = parts(inspect.type_info(getattr(swcalls.commands, name)))
    for number in (kind for kind in kinds if isinstance(kind, inspect.FloatType)):
        assert number.le is not None
        assert math.isfinite(number.le)
        assert number.ge is not None or number.gt is not None


@pytest.mark.parametrize("name", STRUCTS)
def test_no_pattern_stands_beside_a_collection(name: str) -> None:
    """It would have msgspec corrupt memory when the process ends."""
    unions = [p for p in parts(inspect.type_info(getattr(swcalls.commands, name))) if isinstance(p, inspect.UnionType)]
    for union in unions:
        options = [option.type if isinstance(option, inspect.Metadata) else option for option in union.types]
        has_pattern = any(isinstance(option, inspect.StrType) and option.pattern for option in options)
        assert not has_pattern or not any(isinstance(o, inspect.DictType | inspect.ListType) for o in options)
