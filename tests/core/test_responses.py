"""HTTP answers as results or typed errors, and when to send again."""

from __future__ import annotations

import pytest

from swcalls._core.responses import counters, find_text, interpret, read_leg
from swcalls._core.retries import Retry
from swcalls.call_leg import CallLeg, FabricDeviceLeg
from swcalls.errors import (
    CallNotFound,
    CommandNotSent,
    CommandRejected,
    CommandUnconfirmed,
    InvalidParams,
    RateLimited,
    ServerFault,
)

NOW = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT


def ask(status: int, body: bytes = b"", headers: dict[str, str] | None = None, *secrets: str) -> dict[str, object]:
    return interpret(status, headers or {}, body, command="calling.play", call_id="c", wall_clock=NOW, secrets=secrets)


def refusal(status: int, body: bytes = b"", headers: dict[str, str] | None = None, *secrets: str) -> CommandRejected:
    with pytest.raises(CommandRejected) as caught:
        ask(status, body, headers, *secrets)
    return caught.value


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_2xx_with_an_object_is_the_object(status: int) -> None:
    assert ask(status, b'{"id":"c"}') == {"id": "c"}


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"x"', b"\xff"])
def test_2xx_with_anything_else_is_unconfirmed(body: bytes) -> None:
    with pytest.raises(CommandUnconfirmed) as caught:
        ask(200, body)
    assert caught.value.status == 200


@pytest.mark.parametrize("status", [502, 504])
def test_an_answer_of_a_gateway_is_unconfirmed(status: int) -> None:
    with pytest.raises(CommandUnconfirmed) as caught:
        ask(status, b"<html>")
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            b'{"errors":[{"type":"v","code":"invalid_parameter","message":"Bad","attribute":"volume"}]}',
            "volume: invalid_parameter: Bad",
        ),
        (b'{"errors":[{"detail":"Bad","status":"422","title":"T","code":"c"}]}', "c: Bad"),
        (b'{"errors":["Bad"]}', "Bad"),
        (b'{"error":"Bad Request"}', "Bad Request"),
        (b'{"message":"Bad"}', "Bad"),
        (b'{"errors":[]}', None),
        (b'{"errors":null}', None),
        (b"<html>Bad gateway</html>", None),
        (b"", None),
    ],
)
def test_every_form_of_an_error_body(body: bytes, said: str | None) -> None:
    error = refusal(422, body)
    assert isinstance(error, InvalidParams)
    assert str(error) == "calling.play: refused with 422" + (f" ({said})" if said else "")
    assert bool(error.errors) == (said is not None)


def test_what_a_log_line_could_be_forged_with_is_escaped_and_cut() -> None:
    error = refusal(400, b'{"error":"x\\n2026-11-20 INFO all is well\\u001b[2J' + b"y" * 10_000 + b'"}')
    assert "\n" not in str(error)
    assert "\x1b" not in str(error)
    assert len(str(error)) < 700


def test_secrets_that_an_answer_repeats_are_not_shown() -> None:
    body = b'{"errors":[{"message":"token s3cr\\"et and p\\u0061ss are wrong"}]}'
    error = refusal(401, body, None, 's3cr"et', "")
    assert "s3cr" not in str(error) + repr(error.errors)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("3", 3),
        ("0.5", 0.5),
        ("0", 0),
        ("-5", 0),
        ("Wed, 21 Oct 2015 07:28:10 GMT", 10),
        ("Wed, 21 Oct 2015 07:28:10", 10),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0),
        ("soon", None),
        ("", None),
        ("inf", None),
        ("9" * 400, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after(value: str, expected: float | None, status: int) -> None:
    assert refusal(status, b"", {"Retry-After": value}).retry_after == expected


def test_legs_are_tolerant() -> None:
    leg = read_leg(
        {"id": "c", "charge": "0.5", "charge_details": [None, {"description": "d", "charge": 1}, 3], "duration": "36"}
    )
    assert isinstance(leg, CallLeg)
    assert (leg.charge, leg.duration, leg.charge_details[0].description, len(leg.charge_details)) == (0.5, 36, "d", 1)
    assert read_leg({"id": None}) is None
    assert read_leg({}) is None
    fabric = read_leg({"id": "c", "type": "fabric_subscriber_device_leg", "charge_details": None})
    assert type(fabric) is FabricDeviceLeg


def test_what_no_schema_places_is_found() -> None:
    for answer in (
        {"ask_id": "a"},
        {"result": {"ask_id": "a"}},
        {"data": {"ask_id": "a"}},
        {"params": {"ask_id": "a"}},
    ):
        assert find_text(answer, "ask_id") == "a"
    assert find_text({"result": [1]}, "ask_id") is None
    line = "+OK running=1 ticks=2 odd"
    assert ask(200, line.encode()) == {"result": line}
    for answer in ({"result": line}, {"data": {"status": line}}):
        assert counters(answer) == {"running": "1", "ticks": "2"}
    assert counters({"id": "c"}) == {}


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (CommandNotSent("x", command="c"), True),
        (RateLimited("x", status=429, command="c"), True),
        (ServerFault("x", status=503, command="c"), False),
        (ServerFault("x", status=500, command="c"), False),
        (CommandUnconfirmed("x", command="c"), False),
        (CallNotFound("x", status=404, command="c"), False),
        (InvalidParams("x", status=422, command="c"), False),
    ],
)
def test_only_what_was_not_processed_is_sent_again(error, again: bool) -> None:
    assert (Retry().wait(1, error, 0.5) is not None) == again
    assert Retry(attempts=1).wait(1, error, 0.5) is None


def test_waits_double_are_spread_and_are_bounded() -> None:
    error = CommandNotSent("x", command="c")
    retry = Retry(attempts=10, first_wait=1, longest_wait=5)
    assert [retry.wait(attempt, error, 1) for attempt in range(1, 5)] == [1, 2, 4, 5]
    assert [retry.wait(attempt, error, 0) for attempt in range(1, 5)] == [0.5, 1, 2, 2.5]
    assert retry.wait(10, error, 0) is None


def test_a_wait_that_was_asked_for_is_never_cut_short() -> None:
    error = ServerFault("x", status=503, command="c")
    error.retry_after = 3
    assert Retry(longest_wait=5).wait(1, error, 0) == 3
    assert Retry(longest_wait=2).wait(1, error, 0) is None


@pytest.mark.parametrize("settings", [{"attempts": 0}, {"first_wait": -1}, {"longest_wait": float("nan")}])
def test_retry_is_checked(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        Retry(**settings)
    with pytest.raises(TypeError):
        Retry(attempts="many")  # type: ignore[arg-type]
