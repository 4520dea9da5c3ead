"""What is logged, at which level, and with which attributes."""

from __future__ import annotations

import logging

import pytest

import swcalls._engine.call_logging
from swcalls import TTS, ActionExpired, Client, Digits, Limits


def about(caplog: pytest.LogCaptureFixture, logger: str) -> list[tuple[int, str, dict[str, object]]]:
    names = ("call_id", "kind", "control_id", "what", "word", "verdict")
    return [
        (record.levelno, record.getMessage(), {name: getattr(record, name, None) for name in names})
        for record in caplog.records
        if record.name == logger
    ]


async def test_at_info_the_life_of_a_call_and_what_no_webhook_told(space, connect, caplog) -> None:
    caplog.set_level(logging.INFO, "swcalls")
    client = await connect(reconcile=None, limits=Limits(margin=0.01))
    call = await client.dial(to="+15550198765", from_="+12069708643")
    await space.tell_call("answered")
    action = await call.play(TTS("Hi"), control_id="p1", deadline=60)
    space.overdue(action)
    with pytest.raises(ActionExpired):
        await action.finished(timeout=10)
    await call.play(TTS("Hi"), control_id="p2")
    await space.tell("calling.play", state="finished")
    await space.tell_call("ended", end_reason="hangup")
    told = about(caplog, "swcalls.calls")
    assert [message.partition(": ")[2] for _, message, _ in told] == [
        "call: event answered (applied)",
        "play p1: settled ActionExpired (deadline)",
        "call: event ended (applied)",
        "call: settled result (callback)",
    ]
    assert told[1][2] == {
        "call_id": call.id,
        "kind": "play",
        "control_id": "p1",
        "what": "settled",
        "word": "ActionExpired",
        "verdict": "deadline",
    }


async def test_at_debug_everything_but_what_was_pressed(space, connect, caplog) -> None:
    caplog.set_level(logging.DEBUG, "swcalls.calls")
    client = await connect()
    call = await client.dial(to="+15550198765", from_="+12069708643")
    action = await call.collect(digits=Digits(max=4), control_id="c1")
    await space.tell("calling.collect", result={"type": "digit", "params": {"digits": "4*#1"}})
    assert (await action.finished()).digits == "4*#1"
    messages = [message for _, message, _ in about(caplog, "swcalls.calls")]
    assert any("collect c1: event digit (applied)" in message for message in messages)
    assert any("call: command dial (accepted) after" in message for message in messages)
    assert not any("4*#1" in message for message in messages)


async def test_where_nobody_reads_it_nothing_is_made_for_the_log(space, connect, caplog) -> None:
    caplog.set_level(logging.WARNING, "swcalls")
    client = await connect()
    assert not client._engine.observers


async def test_at_debug_a_webhook_that_is_accepted_is_logged_without_what_could_forge_a_line(
    space, call, client: Client, caplog
) -> None:
    caplog.set_level(logging.DEBUG, "swcalls.ingress")
    await call.play(TTS("Hi"), control_id="p1")
    assert await space.tell("calling.play", state="playing\nforged") == 200
    (record,) = [record for record in caplog.records if record.name == "swcalls.ingress"]
    assert (record.levelname, record.verdict, record.kind, record.control_id) == ("WARNING", "unknown", "play", "p1")
    assert await space.tell("calling.play", state="finished") == 200
    record = caplog.records[-1]
    assert (record.levelname, record.verdict, record.kind, record.control_id) == ("DEBUG", "applied", "play", "p1")
    assert not any("\n" in record.getMessage() for record in caplog.records)


async def test_a_refused_webhook_says_which(space, call, client: Client, caplog) -> None:
    action = await call.play(TTS("Hi"), control_id="p1")
    caplog.set_level(logging.WARNING, "swcalls.ingress")
    assert await space.tell("calling.play", control_id="other", state="playing") == 403
    (record,) = [record for record in caplog.records if record.name == "swcalls.ingress"]
    assert (record.verdict, record.kind, record.control_id) == ("foreign", "play", "other")
    assert not action.done()


async def test_a_number_without_plus_is_sent_as_it_is_and_warned_of_once(space, client: Client, caplog) -> None:
    swcalls._engine.call_logging._warn_of_missing_plus.cache_clear()
    for to in ("15550198765", "15550198766", "+15550198765"):
        call = await client.dial(to=to, from_="+12069708643")
    assert [command["params"]["to"] for command in space.commands] == ["15550198765", "15550198766", "+15550198765"]
    await call.transfer("15550198765")
    await call.transfer("sip:bob@example.com")
    warnings = [message for level, message, _ in about(caplog, "swcalls.calls") if level == logging.WARNING]
    assert [message.partition(": ")[0] for message in warnings] == ["dial", "calling.transfer"]
    assert all("without '+'" in message for message in warnings)
