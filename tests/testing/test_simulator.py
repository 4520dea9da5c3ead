"""The simulator, seen from outside: over HTTP, with no part of the client."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import io
import json
import logging
import socket
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from swcalls.testing import Callee, NotAnswered, Simulator
from swcalls.testing.deliveries import signatures, split_credentials

JSON = dict[str, Any]
FAST = 100.0
AT_ONCE = Callee(rings_for=0)
COMMANDS = "/api/calling/calls"
ALL_STATES = ["created", "ringing", "answered", "ended"]
TTS = {"type": "tts", "params": {"text": "one two three four five"}}
SILENCE = {"type": "silence", "params": {"duration": 3600}}


class Inbox:
    """A webhook receiver that keeps what it gets, and lets a test wait for it."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[tuple[str, Any, bytes]] = []
        self.answers: list[int] = []
        """What to answer to the next requests; 200 when there is nothing more."""
        self.hold: asyncio.Event | None = None
        self._queue: asyncio.Queue[JSON] = asyncio.Queue()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Inbox]:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._receive)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self.hold is not None:
            await self.hold.wait()
        status = self.answers.pop(0) if self.answers else 200
        self.requests.append((request.method, request, body))
        if status == 200:
            self._queue.put_nowait(json.loads(body))
        return web.Response(status=status)

    async def next(self) -> JSON:
        """Wait for the next event, and return what matters of it."""
        return inner(await self._queue.get())

    async def until(self, wanted: str) -> list[JSON]:
        """Wait for the event that *wanted* sums up, and return all up to it."""
        events = [await self.next()]
        while word(events[-1]) != wanted:
            events.append(await self.next())
        return events

    def drain(self) -> list[JSON]:
        """Return the events that are here already."""
        events = []
        while not self._queue.empty():
            events.append(inner(self._queue.get_nowait()))
        return events


class Bench:
    """A simulator, a client of it and a receiver."""

    def __init__(self, space: Simulator, http: aiohttp.ClientSession, inbox: Inbox) -> None:
        self.space = space
        self.inbox = inbox
        self._http = http

    async def post(self, body: bytes | str | io.BytesIO, **headers: str | None) -> tuple[int, Any]:
        given = {"Authorization": basic("project", "token")} | headers
        sent = {name.replace("_", "-"): value for name, value in given.items() if value is not None}
        async with self._http.post(self.space.url + COMMANDS, data=body, headers=sent) as response:
            return response.status, json.loads(await response.read())

    async def send(self, command: str, call_id: str | None = None, /, **params: Any) -> tuple[int, JSON]:
        request: JSON = {"command": command, "params": params}
        if call_id is not None:
            request["id"] = call_id
        return await self.post(json.dumps(request))

    async def start(self, command: str, call_id: str, /, **params: Any) -> None:
        """Send what must be accepted, with the inbox to report to."""
        params.setdefault("control_id", "c1")
        if command.count(".") == 1:
            params.setdefault("status_url", f"{self.inbox.url}/operation")
        status, body = await self.send(command, call_id, **params)
        assert status == 200, body
        assert body["id"] == call_id

    async def dial(self, **params: Any) -> str:
        defaults = {"from": "+15550001", "to": "+15550002", "swml": {}, "status_url": f"{self.inbox.url}/call"}
        status, body = await self.send("dial", **{**defaults, **params})
        assert status == 200, body
        return str(body["id"])

    async def answered(self, **params: Any) -> str:
        call_id = await self.dial(status_events=ALL_STATES, **params)
        await self.inbox.until("answered")
        return call_id

    def call(self, call_id: str) -> Any:
        return self.space.calls[call_id]


@asynccontextmanager
async def bench(**options: Any) -> AsyncIterator[Bench]:
    options.setdefault("callee", AT_ONCE)
    async with Inbox().serve() as inbox, Simulator(**options) as space, aiohttp.ClientSession() as http:
        yield Bench(space, http, inbox)


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def inner(event: JSON) -> JSON:
    """Take an event out of its envelope, if it has one."""
    params: JSON = event.get("params", event)
    return params


def word(event: JSON) -> str:
    """Sum an event up in one word."""
    if "call_state" in event:
        return str(event["call_state"])
    if "detect" in event:
        return str(event["detect"]["params"]["event"])
    if "result" in event:
        return str(event["result"]["type"])
    return str(event["state"])


def words(events: list[JSON]) -> list[str]:
    return [word(event) for event in events]


def code(body: JSON) -> str:
    (error,) = body["errors"]
    assert set(error) == {"type", "code", "message", "attribute", "url"}
    return str(error["code"])


# The call


async def test_dial_answers_with_the_documented_call_leg() -> None:
    async with bench() as b:
        params = {"from": "+15550001", "to": "+15550002", "url": "https://example.com/swml"}
        status, leg = await b.send("dial", **params)
        assert status == 200
        call_id, created_at = leg.pop("id"), leg.pop("created_at")
        assert leg == {
            "from": "+15550001",
            "to": "+15550002",
            "direction": "outbound-api",
            "source": "realtime_api",
            "url": "https://example.com/swml",
            "charge": 0,
            "charge_details": [],
            "status": "queued",
            "duration": None,
            "duration_ms": None,
            "billing_ms": None,
            "type": "relay_pstn_call",
            "parent_id": None,
        }
        assert created_at.endswith("Z")
        assert list(b.space.calls) == [call_id]


async def test_a_call_reports_each_state_in_order() -> None:
    async with bench(callee=Callee(hangs_up_after=5), speed=FAST) as b:
        call_id = await b.dial(status_events=ALL_STATES)
        events = await b.inbox.until("ended")
        assert words(events) == ALL_STATES
        created, ringing, answered, ended = events
        assert created["created_by"] == "dial"
        assert set(ringing) == {
            "call_id", "node_id", "segment_id", "call_state", "direction", "device", "start_time",
        }  # fmt: skip
        assert answered["end_reason"] is None
        assert ended["end_reason"] == "hangup"
        assert ended["device"] == {"type": "phone", "params": {"from_number": "+15550001", "to_number": "+15550002"}}
        assert ended["end_time"] - ended["answer_time"] >= 5000
        assert 1000 <= ended["answer_time"] - ended["start_time"] < 4000
        assert b.call(call_id).state == "ended"
        assert b.call(call_id).end_reason == "hangup"


async def test_without_status_events_only_the_end_is_reported() -> None:
    async with bench() as b:
        call_id = await b.dial()
        await b.send("calling.end", call_id)
        await b.space.settled()
        assert words(b.inbox.drain()) == ["ended"]


async def test_without_a_status_url_nothing_is_reported() -> None:
    async with bench() as b:
        _, leg = await b.send("dial", **{"from": "a", "to": "+15550198765", "swml": {}})
        await b.send("calling.end", leg["id"])
        await b.space.settled()
        assert not b.space.deliveries


@pytest.mark.parametrize(
    ("callee", "reason"),
    [(Callee(answers=False), "noAnswer"), (Callee(answers="busy"), "busy"), (Callee(rings_for=90), "noAnswer")],
)
async def test_a_call_that_is_not_answered(callee: Callee, reason: str) -> None:
    async with bench(callee=callee, speed=1000) as b:
        await b.dial(status_events=ALL_STATES, timeout=5)
        events = await b.inbox.until("ended")
        assert words(events) == ["created", "ringing", "ended"]
        assert events[-1]["end_reason"] == reason
        assert "answer_time" not in events[-1]


async def test_each_number_has_its_own_callee() -> None:
    async with bench() as b:
        b.space.callees["sip:bob@example.com"] = Callee(answers="decline", rings_for=0)
        await b.dial(to="sip:bob@example.com")
        ended = await b.inbox.next()
        assert ended["end_reason"] == "decline"
        assert ended["device"] == {"type": "sip", "params": {"from": "+15550001", "to": "sip:bob@example.com"}}


async def test_end_gives_its_reason() -> None:
    async with bench() as b:
        call_id = await b.answered()
        status, leg = await b.send("calling.end", call_id, reason="noAnswer")
        assert status == 200
        assert leg["status"] == "ended"
        assert (await b.inbox.next())["end_reason"] == "noAnswer"


async def test_the_far_end_can_hang_up_by_hand_and_once() -> None:
    async with bench() as b:
        call_id = await b.answered()
        b.call(call_id).hang_up()
        b.call(call_id).hang_up("error")
        await b.space.settled()
        assert [event["end_reason"] for event in b.inbox.drain()] == ["hangup"]


async def test_the_oldest_ended_call_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swcalls.testing.exchange.MAX_CALLS", 2)
    async with bench() as b:
        first, second = await b.dial(), await b.dial()
        await b.send("calling.end", second)
        third = await b.dial()
        assert list(b.space.calls) == [first, third]


# Update


async def test_update_cancels_a_ringing_call() -> None:
    async with bench(callee=Callee(answers=False)) as b:
        call_id = await b.dial()
        assert (await b.send("update", id=call_id, status="canceled"))[0] == 200
        assert (await b.inbox.next())["end_reason"] == "cancel"


async def test_update_completes_and_redirects_an_answered_call() -> None:
    async with bench() as b:
        call_id = await b.answered()
        status, leg = await b.send("update", id=call_id, url="https://example.com/next")
        assert (status, leg["url"], leg["status"]) == (200, "https://example.com/next", "answered")
        assert (await b.send("update", id=call_id, swml={}))[0] == 200
        assert (await b.send("update", id=call_id, status_url=f"{b.inbox.url}/elsewhere"))[0] == 200
        assert (await b.send("update", id=call_id, status="completed"))[0] == 200
        assert (await b.inbox.next())["end_reason"] == "hangup"
        assert b.inbox.requests[-1][1].path == "/elsewhere"


@pytest.mark.parametrize(
    ("state", "change", "expected"),
    [
        ("answered", {"status": "canceled"}, "cannot_cancel_in_progress"),
        ("ringing", {"status": "completed"}, "call_update_failed"),
        ("ringing", {"url": "https://example.com"}, "cannot_redirect_not_in_progress"),
        ("ringing", {"swml": {}}, "cannot_redirect_not_in_progress"),
        ("ended", {"status": "completed"}, "cannot_update_completed"),
        ("ended", {"url": "https://example.com"}, "cannot_update_completed"),
    ],
)
async def test_update_keeps_to_its_transition_rules(state: str, change: JSON, expected: str) -> None:
    async with bench(callee=Callee(answers=state != "ringing", rings_for=0)) as b:
        call_id = await b.dial(status_events=ALL_STATES)
        if state == "ended":
            b.call(call_id).hang_up()
        await b.inbox.until(state)
        status, body = await b.send("update", id=call_id, **change)
        assert (status, code(body)) == (422, expected)
        assert b.call(call_id).state == state


# Play


async def test_play_reports_its_start_and_its_end() -> None:
    async with bench(speed=FAST) as b:
        call_id = await b.answered()
        await b.start("calling.play", call_id, play=[TTS, {"type": "audio", "params": {"url": "http://x.example/a"}}])
        playing = await b.inbox.next()
        assert set(playing) == {"control_id", "call_id", "node_id", "state"}
        assert playing["control_id"] == "c1"
        assert playing["state"] == "playing"
        assert words([await b.inbox.next()]) == ["finished"]
        await b.space.settled()
        started, ended = (delivery.payload["timestamp"] for delivery in list(b.space.deliveries)[-2:])
        assert 5 <= ended - started < 10
        assert not b.call(call_id).operations


async def test_play_stands_still_while_paused() -> None:
    async with bench(speed=10) as b:
        call_id = await b.answered()
        await b.start("calling.play", call_id, play=[{"type": "silence", "params": {"duration": 1}}])
        await b.start("calling.play.pause", call_id)
        await b.start("calling.play.pause", call_id)
        # A play that lasts as long as the one that is paused, begun after it, is over before it.
        await b.start("calling.play", call_id, control_id="c2", play=[{"type": "silence", "params": {"duration": 1}}])
        events = await b.inbox.until("finished")
        assert events[-1]["control_id"] == "c2"
        await b.start("calling.play.resume", call_id)
        await b.start("calling.play.resume", call_id)
        assert words(events) == ["playing", "paused", "playing", "finished"]
        assert words(await b.inbox.until("finished")) == ["playing", "finished"]


@pytest.mark.parametrize(
    "endless",
    [
        {"play": [TTS], "loop": 0},
        {"play": [{"type": "ringtone", "params": {"name": "us"}}]},
        {"play": [{"type": "silence", "params": {"duration": 1e308}}], "loop": 2**31 - 1},
    ],
)
async def test_play_without_end_is_stopped(endless: JSON) -> None:
    async with bench(speed=FAST) as b:
        call_id = await b.answered()
        await b.start("calling.play", call_id, **endless)
        await b.start("calling.play.volume", call_id, volume=-3.5)
        assert b.call(call_id).operations["play", "c1"].volume == -3.5
        await b.start("calling.play.stop", call_id)
        assert words(await b.inbox.until("finished")) == ["playing", "finished"]
        assert (await b.send("calling.play.stop", call_id, control_id="c1"))[0] == 404


async def test_what_is_begun_while_it_rings_waits_for_the_answer() -> None:
    async with bench(callee=Callee(rings_for=5), speed=FAST) as b:
        call_id = await b.dial(status_events=["answered"])
        await b.start("calling.play", call_id, play=[SILENCE])
        assert words([await b.inbox.next(), await b.inbox.next()]) == ["answered", "playing"]


# Record


def record(**audio: Any) -> JSON:
    return {"record": {"audio": audio}}


async def test_record_runs_until_it_is_stopped() -> None:
    async with bench() as b:
        call_id = await b.answered()
        await b.start("calling.record", call_id, **record(initial_timeout=0, direction="both", stereo=True))
        await b.start("calling.record.pause", call_id, behavior="silence")
        await b.start("calling.record.resume", call_id)
        await b.start("calling.record.stop", call_id)
        recording, paused, resumed, finished = await b.inbox.until("finished")
        assert words([recording, paused, resumed]) == ["recording", "paused", "recording"]
        assert paused["pause_behavior"] == "silence"
        assert recording["record"] == {"audio": {"format": "mp3", "direction": "both", "stereo": True}}
        assert finished["duration"] == pytest.approx(finished["end_time"] - finished["start_time"], abs=0.01)
        assert finished["url"].startswith(b.space.url)
        assert finished["recording_id"] in finished["url"]
        assert set(finished) == {
            "control_id", "call_id", "node_id", "state", "url", "duration", "size", "recording_id", "start_time",
            "end_time", "record",
        }  # fmt: skip


async def test_record_hears_nothing() -> None:
    async with bench(speed=FAST) as b:
        await b.start("calling.record", await b.answered(), **record())
        event = (await b.inbox.until("no_input"))[-1]
        assert "url" not in event
        assert event["size"] == 0
        assert 4 <= event["duration"] < 8


async def test_record_ends_at_the_silence_after_the_callees_words() -> None:
    async with bench(callee=Callee(rings_for=0, says="one two three four five"), speed=FAST) as b:
        await b.start("calling.record", await b.answered(), **record())
        assert 3 <= (await b.inbox.until("finished"))[-1]["duration"] < 6


async def test_record_ends_at_its_longest() -> None:
    async with bench(speed=FAST) as b:
        await b.start("calling.record", await b.answered(), **record(initial_timeout=0, max_length=7))
        event = (await b.inbox.until("finished"))[-1]
        assert 7 <= event["duration"] < 12
        assert event["size"] > 7 * 16_000 - 1


@pytest.mark.parametrize(("terminators", "pressed"), [(None, "1#"), ("*", "#*")])
async def test_record_ends_at_a_terminator(terminators: str | None, pressed: str) -> None:
    async with bench() as b:
        call_id = await b.answered()
        more = {} if terminators is None else {"terminators": terminators}
        await b.start("calling.record", call_id, **record(initial_timeout=0, **more))
        b.call(call_id).press(pressed[0])
        assert b.call(call_id).operations
        b.call(call_id).press(pressed[1])
        assert words(await b.inbox.until("finished")) == ["recording", "finished"]


async def test_record_leaves_out_what_it_skips() -> None:
    async with bench(speed=FAST) as b:
        call_id = await b.answered()
        await b.start("calling.record", call_id, **record(initial_timeout=0, max_length=600))
        await b.start("calling.record.pause", call_id)
        await b.start("calling.play", call_id, play=[{"type": "silence", "params": {"duration": 20}}])
        await b.inbox.until("finished")
        await b.start("calling.record.stop", call_id)
        event = (await b.inbox.until("finished"))[-1]
        assert event["end_time"] - event["start_time"] >= 20
        assert event["duration"] < event["end_time"] - event["start_time"] - 15


# Collect


async def test_collect_takes_scripted_digits_one_by_one() -> None:
    async with bench(callee=Callee(rings_for=0, presses="1234#"), speed=FAST) as b:
        call_id = await b.answered()
        await b.start(
            "calling.collect",
            call_id,
            digits={"max": 9, "terminators": "#"},
            partial_results=True,
            send_start_of_input=True,
        )
        begin, *progress, result = [await b.inbox.next() for _ in range(6)]
        assert begin["result"] == {"type": "start_of_input"}
        assert [event["result"]["params"]["digits"] for event in progress] == ["1", "12", "123", "1234"]
        assert {event["final"] for event in progress} == {False}
        assert result["final"] is True
        assert result["result"] == {"type": "digit", "params": {"digits": "1234", "terminator": "#"}}
        assert "state" not in result


@pytest.mark.parametrize(
    ("digits", "pressed", "expected"),
    [
        ({"max": 2}, "123", {"digits": "12", "terminator": ""}),
        ({"max": 4, "terminators": "*#"}, "1*2", {"digits": "1", "terminator": "*"}),
        ({"max": 4, "terminators": "#"}, "#", {"digits": "", "terminator": "#"}),
        ({"max": 4, "digit_timeout": 0.001}, "12", {"digits": "12", "terminator": ""}),
    ],
)
async def test_collect_takes_digits_pressed_by_hand(digits: JSON, pressed: str, expected: JSON) -> None:
    async with bench() as b:
        call_id = await b.answered()
        await b.start("calling.collect", call_id, digits=digits)
        b.call(call_id).press(pressed)
        assert (await b.inbox.next())["result"] == {"type": "digit", "params": expected}
        await b.space.settled()
        assert not b.inbox.drain()


async def test_collect_takes_scripted_speech() -> None:
    async with bench(callee=Callee(rings_for=0, says="I would like a room"), speed=FAST) as b:
        call_id = await b.answered()
        await b.start("calling.collect", call_id, speech={}, partial_results=True, send_start_of_input=True)
        begin, half, result = [await b.inbox.next() for _ in range(3)]
        assert word(begin) == "start_of_input"
        assert half["result"]["params"]["text"] == "I would"
        assert half["final"] is False
        assert result["result"]["params"] == {"text": "I would like a room", "confidence": 0.95}
        assert result["final"] is True


async def test_collect_cuts_speech_that_takes_too_long() -> None:
    async with bench(callee=Callee(rings_for=0, says="one two three four five"), speed=FAST) as b:
        await b.start("calling.collect", await b.answered(), speech={"speech_timeout": 1, "end_silence_timeout": 0.1})
        assert (await b.inbox.next())["result"]["params"]["text"] == "one two"


async def test_collect_takes_whichever_comes_first() -> None:
    async with bench() as b:
        call_id = await b.answered()
        await b.start("calling.collect", call_id, digits={"max": 2}, speech={})
        b.call(call_id).press("1")
        b.call(call_id).say("two")
        b.call(call_id).press("2")
        await b.start("calling.collect", call_id, digits={"max": 2}, speech={})
        b.call(call_id).say("two")
        await b.space.settled()
        assert [event["result"]["params"] for event in b.inbox.drain()] == [
            {"digits": "12", "terminator": ""},
            {"text": "two", "confidence": 0.95},
        ]


async def test_collect_uses_a_script_line_each() -> None:
    async with bench(callee=Callee(rings_for=0, presses=["1", "2"], says=("yes",)), speed=FAST) as b:
        call_id = await b.answered()
        results = []
        wanted: JSON
        for wanted in ({"digits": {"max": 1}}, {"speech": {}}, {"digits": {"max": 1}}, {"digits": {"max": 1}}):
            await b.start("calling.collect", call_id, start_input_timers=True, **wanted)
            results.append((await b.inbox.next())["result"])
        assert [result.get("params", {}).get("digits") for result in results] == ["1", None, "2", None]
        assert [result["type"] for result in results] == ["digit", "speech", "digit", "no_input"]


async def test_collect_waits_for_its_timers_to_be_started() -> None:
    async with bench(speed=FAST) as b:
        call_id = await b.answered()
        await b.start("calling.collect", call_id, digits={"max": 1}, initial_timeout=0.5)
        await b.start("calling.collect", call_id, control_id="c2", digits={"max": 1}, initial_timeout=5,
                      start_input_timers=True)  # fmt: skip
        assert (await b.inbox.next())["control_id"] == "c2"
        await b.start("calling.collect.start_input_timers", call_id)
        assert await b.inbox.next() == {
            "control_id": "c1", "call_id": call_id, "node_id": b.space.deliveries[-1].payload["params"]["node_id"],
            "result": {"type": "no_input"},
        }  # fmt: skip


async def test_collect_goes_on_when_continuous() -> None:
    async with bench(callee=Callee(rings_for=0, presses=["12", "3"]), speed=FAST) as b:
        call_id = await b.answered()
        await b.start(
            "calling.collect", call_id, digits={"max": 2, "digit_timeout": 1}, continuous=True,
            start_input_timers=True,
        )  # fmt: skip
        events = await b.inbox.until("no_input")
        assert [event["result"].get("params", {}).get("digits") for event in events] == ["12", "3", None]
        assert {event["state"] for event in events} == {"collecting"}
        await b.start("calling.collect.stop", call_id)
        last = (await b.inbox.until("finished"))[-1]
        assert (last["result"], last["state"]) == ({"type": "finished"}, "finished")


async def test_collect_hears_a_lone_script_once_when_continuous() -> None:
    async with bench(callee=Callee(rings_for=0, presses="1", says="yes"), speed=FAST) as b:
        call_id = await b.answered()
        await b.start("calling.collect", call_id, digits={"max": 1}, continuous=True, start_input_timers=True)
        assert words(await b.inbox.until("no_input")) == ["digit", "no_input"]


async def test_collect_that_is_stopped_has_no_input() -> None:
    async with bench() as b:
        call_id = await b.answered()
        await b.start("calling.collect", call_id, digits={"max": 4})
        b.call(call_id).press("1")
        await b.start("calling.collect.stop", call_id)
        assert words(await b.inbox.until("no_input")) == ["no_input"]


# Detect


MACHINE = {"type": "machine", "params": {}}


@pytest.mark.parametrize(
    ("callee", "detect", "expected"),
    [
        (Callee(), MACHINE, ["HUMAN", "finished"]),
        (Callee(), {"type": "machine"}, ["HUMAN", "finished"]),
        (Callee(is_machine=None), MACHINE, ["UNKNOWN", "finished"]),
        (Callee(is_machine=True), MACHINE, ["MACHINE", "NOT_READY", "READY", "finished"]),
        (
            Callee(is_machine=True),
            {"type": "machine", "params": {"detect_message_end": False}},
            ["MACHINE", "finished"],
        ),
        (Callee(fax_tone="CED"), {"type": "fax"}, ["CED", "finished"]),
        (Callee(fax_tone="CED"), {"type": "fax", "params": {"tone": "ced"}}, ["CED", "finished"]),
        (Callee(fax_tone="CED"), {"type": "fax", "params": {"tone": "CNG"}}, ["finished"]),
        (Callee(), {"type": "fax"}, ["finished"]),
        (Callee(presses="12"), {"type": "digit", "params": {"digits": ""}}, ["1", "finished"]),
        (Callee(presses="12"), {"type": "digit", "params": {"digits": "2"}}, ["2", "finished"]),
        (Callee(), {"type": "digit"}, ["finished"]),
    ],
)
async def test_detect_finds_what_the_callee_is(callee: Callee, detect: JSON, expected: list[str]) -> None:
    async with bench(callee=callee, speed=FAST) as b:
        call_id = await b.answered()
        await b.start("calling.detect", call_id, detect=detect, timeout=20)
        events = await b.inbox.until("finished")
        assert words(events) == expected
        assert events[0]["detect"]["type"] == detect["type"]
        assert events[0]["segment_id"] == call_id


async def test_detect_gives_up_in_time() -> None:
    async with bench(callee=Callee(is_machine=True, rings_for=0), speed=FAST) as b:
        await b.start("calling.detect", await b.answered(), detect=MACHINE, timeout=2)
        assert words(await b.inbox.until("finished")) == ["MACHINE", "NOT_READY", "finished"]


async def test_detect_is_stopped() -> None:
    async with bench() as b:
        call_id = await b.answered()
        await b.start("calling.detect", call_id, detect=MACHINE)
        await b.start("calling.detect.stop", call_id)
        assert words([await b.inbox.next()]) == ["finished"]


# Stream


async def test_stream_is_always_enveloped() -> None:
    async with bench(shape="bare") as b:
        call_id = await b.answered()
        await b.start(
            "calling.stream", call_id, url="wss://example.com/audio", name="mine", custom_parameters={"a": None}
        )
        await b.start("calling.stream.stop", call_id)
        events = await b.inbox.until("finished")
        assert words(events) == ["streaming", "finished"]
        assert events[0] == {
            "control_id": "c1", "call_id": call_id, "node_id": events[0]["node_id"], "segment_id": call_id,
            "state": "streaming", "url": "wss://example.com/audio", "name": "mine",
        }  # fmt: skip
        assert b.space.deliveries[-1].payload["event_type"] == "calling.call.stream"


async def test_stream_can_report_by_get() -> None:
    async with bench() as b:
        await b.start("calling.stream", await b.answered(), url="wss://example.com", status_url_method="GET")
        await b.inbox.until("streaming")
        assert b.inbox.requests[-1][0] == "GET"


# What the end of a call does to what runs on it


async def test_the_end_of_a_call_ends_what_runs_on_it() -> None:
    async with bench(speed=FAST) as b:
        call_id = await b.answered()
        await b.start("calling.play", call_id, play=[SILENCE])
        await b.start("calling.record", call_id, **record(initial_timeout=0))
        await b.start("calling.collect", call_id, digits={"max": 1})
        await b.start("calling.detect", call_id, detect={"type": "fax"}, timeout=600)
        await b.start("calling.stream", call_id, url="wss://example.com")
        await b.space.settled()
        b.inbox.drain()
        await b.send("calling.end", call_id)
        ended, *others, recording = [await b.inbox.next() for _ in range(6)]
        assert word(ended) == "ended"
        assert words(others) == ["finished", "no_input", "finished", "finished"]
        assert "recording_id" in recording
        assert recording["state"] == "finished"
        assert not b.call(call_id).operations


async def test_commands_on_an_ended_call_are_not_found() -> None:
    async with bench() as b:
        call_id = await b.dial()
        b.call(call_id).hang_up()
        for command, params in (("calling.end", {}), ("calling.play", {"control_id": "a", "play": [TTS]})):
            assert await b.send(command, call_id, **params) == (404, {"error": "Not Found"})


# Refusals


CALL = "00000000-0000-4000-8000-000000000000"
CONTROLS = [
    "calling.play.pause", "calling.play.resume", "calling.play.stop", "calling.record.pause",
    "calling.record.resume", "calling.record.stop", "calling.collect.stop", "calling.collect.start_input_timers",
    "calling.detect.stop", "calling.stream.stop",
]  # fmt: skip


WS = {"type": "ws", "params": {"uri": "wss://x.example"}}
TOOL = {"function": "look_up"}
SIDECARS: list[tuple[JSON, str, str]] = [
    ({"hints": []}, "invalid_parameter", "hints"),
    ({"prompt": {}}, "missing_required_parameter", "prompt"),
    ({"prompt": {"text": "a", "file": "b"}}, "incompatible_parameters", "prompt"),
    ({"prompt": {"words": "a"}}, "invalid_parameter", "prompt.words"),
    ({"prompt": {"text": 5}}, "not_a_string", "prompt.text"),
    ({"prompt": {"pom": []}}, "invalid_parameter", "prompt.pom"),
    ({"prompt": {"pom": [{"title": "a"}]}}, "missing_required_parameter", "prompt.pom[0].body"),
    ({"SWAIG": {"tools": []}}, "invalid_parameter", "SWAIG.tools"),
    ({"SWAIG": {"functions": {}}}, "invalid_parameter", "SWAIG.functions"),
    ({"SWAIG": {"functions": [{}]}}, "missing_required_parameter", "SWAIG.functions[0].function"),
    ({"SWAIG": {"functions": [TOOL | {"function": "sidecar_skip"}]}}, "invalid_parameter", "SWAIG.functions[0].function"),
    ({"SWAIG": {"functions": [TOOL | {"purpose": None}]}}, "not_a_string", "SWAIG.functions[0].purpose"),
    ({"SWAIG": {"functions": [TOOL | {"parameters": {"type": "array", "properties": {}}}]}}, "unsupported_option",
     "SWAIG.functions[0].parameters.type"),
    ({"SWAIG": {"mcp_servers": [{}]}}, "missing_required_parameter", "SWAIG.mcp_servers[0].url"),
    ({"SWAIG": {"mcp_servers": [{"url": "https://x.example", "resources": 1}]}}, "not_a_boolean",
     "SWAIG.mcp_servers[0].resources"),
    ({"SWAIG": {"defaults": {"web_hook_url": 5}}}, "not_a_string", "SWAIG.defaults.web_hook_url"),
]  # fmt: skip


def dial(**params: Any) -> JSON:
    return {"from": "a", "to": "+15550198765", "swml": {}, **params}


@pytest.mark.parametrize(
    ("command", "params", "expected", "attribute"),
    [
        ("dial", {"from": "a", "to": "+15550198765"}, "inline_swml_or_swml_webhook_required", "url"),
        ("dial", dial(url="https://x.example"), "incompatible_parameters", "url"),
        ("dial", {"from": "a", "swml": {}}, "missing_required_parameter", "to"),
        ("dial", {"to": "+15550198765", "swml": {}}, "missing_required_parameter", "from"),
        ("dial", dial(to=""), "missing_required_parameter", "to"),
        ("dial", dial(to=None), "invalid_parameter", "to"),
        ("dial", dial(to=5), "not_a_string", "to"),
        *(("dial", dial(to=to), "invalid_parameter", "to") for to in ("abc", "12", "+1", "sip:", "https://x.example")),
        ("dial", dial(swml="x"), "must_be_object", "swml"),
        ("dial", dial(extra=1), "invalid_parameter", "extra"),
        ("dial", dial(status_url="ftp://x.example"), "not_an_http_url", "status_url"),
        ("dial", dial(status_url="http://"), "url_failed_to_parse", "status_url"),
        ("dial", dial(status_url="http://x.example:port/"), "url_failed_to_parse", "status_url"),
        ("dial", dial(status_url="http://[x"), "url_failed_to_parse", "status_url"),
        ("dial", dial(fallback_url="nowhere"), "not_an_http_url", "fallback_url"),
        ("dial", dial(status_events=["answered", "hummed"]), "unsupported_option", "status_events[1]"),
        ("dial", dial(timeout=601), "invalid_parameter", "timeout"),
        ("dial", dial(timeout="30"), "invalid_parameter", "timeout"),
        ("dial", dial(codecs="PCMU,MP3"), "invalid_codecs_format", "codecs"),
        ("dial", dial(codecs=["MP3"]), "unsupported_option", "codecs[0]"),
        ("dial", dial(send_digits="1x"), "invalid_parameter", "send_digits"),
        ("dial", dial(custom_variables=[]), "must_be_object", "custom_variables"),
        ("dial", dial(custom_variables={"1a": "x"}), "invalid_custom_variable_name", "custom_variables"),
        ("dial", dial(custom_variables={"SW_a": "x"}), "reserved_custom_variable_name", "custom_variables"),
        ("dial", dial(custom_variables={"a": ""}), "invalid_custom_variable_value", "custom_variables"),
        ("dial", dial(custom_variables={"a": 1}), "invalid_custom_variable_value", "custom_variables"),
        ("dial", dial(custom_variables={"a": "ä" * 513}), "custom_variable_value_too_long", "custom_variables"),
        ("dial", dial(custom_variables={f"a{i}": "x" for i in range(21)}), "too_many_custom_variables",
         "custom_variables"),
        ("update", {"id": CALL}, "missing_required_parameter", "status"),
        ("update", {"status": "completed"}, "missing_required_parameter", "id"),
        ("update", {"id": CALL, "url": "https://x.example", "swml": {}}, "incompatible_parameters", "url"),
        ("update", {"id": CALL, "status": "ended"}, "unsupported_option", "status"),
        ("calling.end", {"reason": "no_answer"}, "unsupported_option", "reason"),
        ("calling.end", {"reason": None}, "invalid_parameter", "reason"),
        ("calling.play", {"control_id": "a"}, "missing_required_parameter", "play"),
        ("calling.play", {"control_id": "a", "play": []}, "invalid_parameter", "play"),
        ("calling.play", {"control_id": "", "play": [TTS]}, "missing_required_parameter", "control_id"),
        ("calling.play", {"play": [TTS]}, "missing_required_parameter", "control_id"),
        ("calling.play", {"control_id": "a", "play": [{"type": "tune"}]}, "unsupported_option", "play[0].type"),
        ("calling.play", {"control_id": "a", "play": [{"params": {}}]}, "missing_required_parameter", "play[0].type"),
        ("calling.play", {"control_id": "a", "play": [{"type": "audio", "params": {"url": "file:///x"}}]},
         "not_an_http_url", "play[0].params.url"),
        ("calling.play", {"control_id": "a", "play": [TTS], "volume": 41}, "invalid_parameter", "volume"),
        ("calling.play", {"control_id": "a", "play": [TTS], "loop": 1.5}, "invalid_parameter", "loop"),
        ("calling.play.volume", {"control_id": "a"}, "missing_required_parameter", "volume"),
        ("calling.record", {"control_id": "a"}, "missing_required_parameter", "record"),
        ("calling.record", {"control_id": "a", "record": {}}, "missing_required_parameter", "record.audio"),
        ("calling.record", {"control_id": "a", **record(stereo="yes")}, "not_a_boolean", "record.audio.stereo"),
        ("calling.record", {"control_id": "a", **record(format=None)}, "invalid_parameter", "record.audio.format"),
        ("calling.record", {"control_id": "a", **record(format="ogg")}, "unsupported_option", "record.audio.format"),
        ("calling.record.pause", {"control_id": "a", "behavior": "mute"}, "unsupported_option", "behavior"),
        ("calling.collect", {"control_id": "a", "digits": {}}, "missing_required_parameter", "digits.max"),
        ("calling.collect", {"control_id": "a", "digits": {"max": 0}}, "invalid_parameter", "digits.max"),
        ("calling.collect", {"control_id": "a", "speech": {"hints": [None]}}, "invalid_parameter",
         "speech.hints[0]"),
        ("calling.detect", {"control_id": "a"}, "missing_required_parameter", "detect"),
        ("calling.detect", {"control_id": "a", "detect": {"type": "fax", "params": {"tone": "x"}}},
         "unsupported_option", "detect.params.tone"),
        *(("calling.transfer", {"dest": dest}, "invalid_parameter", "dest")
          for dest in ("garbage", "12", "ftp://x.example", {}, {"main": ["answer"]})),
        ("calling.transfer", {"dest": ""}, "missing_required_parameter", "dest"),
        ("calling.transfer", {"dest": 5}, "invalid_parameter", "dest"),
        ("calling.transfer", {}, "missing_required_parameter", "dest"),
        ("calling.stream", {"control_id": "a", "url": "ws://x.example"}, "invalid_parameter", "url"),
        ("calling.stream", {"control_id": "a", "url": "https://x.example"}, "invalid_parameter", "url"),
        ("calling.stream", {"control_id": "a", "url": "wss://x.example", "status_url": "wss://x.example"},
         "not_an_http_url", "status_url"),
        ("calling.tap", {"control_id": "a", "tap": {"params": {"direction": "both"}}, "device": WS},
         "missing_required_parameter", "tap.type"),
        ("calling.tap", {"control_id": "a", "tap": {"type": "audio", "params": {"direction": "both"}},
         "device": {"type": "rtp", "params": {"addr": "192.168.0.1", "port": 5060}}},
         "invalid_parameter", "device.params.addr"),
        ("calling.refer", {"device": {"params": {"to": "sip:a@x.example"}}}, "missing_required_parameter", "device.type"),
        *(("calling.ai_sidecar", {"lang": "en-US", **params}, expected, attribute)
          for params, expected, attribute in SIDECARS),
        *((command, {}, "missing_required_parameter", "control_id") for command in CONTROLS),
        *((command, {"control_id": "a", "x": 1}, "invalid_parameter", "x") for command in CONTROLS),
    ],
)  # fmt: skip
async def test_params_that_break_a_rule_are_refused(command: str, params: JSON, expected: str, attribute: str) -> None:
    async with bench() as b:
        status, body = await b.send(command, None if command in ("dial", "update") else CALL, **params)
        assert (status, code(body)) == (422, expected)
        assert body["errors"][0]["attribute"] == attribute
        assert not b.space.calls


@pytest.mark.parametrize(
    "params",
    [
        dial(custom_variables={"url": "mine", "status_url": "x" * 1024}),
        dial(swml={"url": None, "sections": {"main": [{"play": {"url": 5}}]}}),
        dial(codecs="PCMU,PCMA", region=["a", "b"], send_digits="w1,2", max_price_per_minute=0.5, timeout=600),
        {"from": "a", "to_script": {"url": None}, "url": "HTTP://x.example"},
    ],
)
async def test_params_within_the_rules_are_accepted(params: JSON) -> None:
    async with bench() as b:
        assert (await b.send("dial", **params))[0] == 200


@pytest.mark.parametrize(
    ("request_", "expected", "attribute"),
    [
        ({}, "missing_required_parameter", "command"),
        ({"command": None}, "missing_required_parameter", "command"),
        ({"command": ["dial"]}, "invalid_command_attempted", "command"),
        ({"command": "calling.sing", "id": CALL, "params": {}}, "invalid_command_attempted", "command"),
        ({"command": "dial"}, "missing_required_parameter", "params"),
        ({"command": "dial", "params": None}, "missing_required_parameter", "params"),
        ({"command": "dial", "params": []}, "must_be_object", "params"),
        ({"command": "dial", "params": dial(), "id": CALL}, "invalid_parameter", "id"),
        ({"command": "dial", "params": dial(), "mood": 1}, "invalid_parameter", "mood"),
        ({"command": "update", "params": {"id": CALL}, "id": CALL}, "invalid_parameter", "id"),
        ({"command": "calling.end", "params": {}}, "missing_required_parameter", "id"),
        ({"command": "calling.end", "params": {}, "id": None}, "missing_required_parameter", "id"),
        ({"command": "calling.end", "params": {}, "id": 7}, "not_a_string", "id"),
        ({"command": "calling.end", "id": CALL}, "missing_required_parameter", "params"),
    ],
)
async def test_an_envelope_that_breaks_a_rule_is_refused(request_: JSON, expected: str, attribute: str) -> None:
    async with bench() as b:
        status, body = await b.post(json.dumps(request_))
        assert (status, code(body)) == (422, expected)
        assert body["errors"][0]["attribute"] == attribute


async def test_collect_without_digits_or_speech_is_a_bad_request() -> None:
    async with bench() as b:
        assert await b.send("calling.collect", CALL, control_id="a") == (400, {"error": "Bad Request"})


async def test_an_unknown_call_is_not_found() -> None:
    async with bench() as b:
        assert await b.send("calling.end", CALL) == (404, {"error": "Not Found"})
        assert await b.send("update", id=CALL, status="completed") == (404, {"error": "Not Found"})


@pytest.mark.parametrize("command", CONTROLS)
async def test_an_unknown_control_id_is_not_found(command: str) -> None:
    async with bench() as b:
        call_id = await b.answered()
        assert await b.send(command, call_id, control_id="a") == (404, {"error": "Not Found"})


async def test_a_control_id_in_use_is_refused_to_the_same_kind_only() -> None:
    async with bench() as b:
        call_id = await b.answered()
        await b.start("calling.play", call_id, play=[SILENCE])
        status, body = await b.send("calling.play", call_id, control_id="c1", play=[SILENCE])
        assert (status, code(body)) == (422, "invalid_parameter")
        await b.start("calling.collect", call_id, digits={"max": 1})
        await b.start("calling.play.stop", call_id)
        await b.start("calling.play", call_id, play=[SILENCE])


@pytest.mark.parametrize(
    "authorization",
    [
        None, "", "Basic", "Basic !", "Bearer cHJvamVjdDp0b2tlbg==", "cHJvamVjdDp0b2tlbg==", "Basic cHJvamVjdDp0b2tlbjI=",
        "Basic cHJvamVjdA==", "Basic ä",
    ],
)  # fmt: skip
async def test_wrong_credentials_are_refused(authorization: str | None) -> None:
    async with bench() as b:
        assert await b.post("{}", Authorization=authorization) == (401, {"error": "Unauthorized"})
        assert b.space.commands[-1].status == 401


async def test_right_credentials_of_any_script() -> None:
    async with bench(project="prøject", token="to:ken") as b:
        status, _ = await b.post("{}", Authorization=basic("prøject", "to:ken"))
        assert status == 422


HOSTILE: list[bytes] = [
    b"", b"{", b"null", b"[]", b"5", b'"x"', b"\xff\xfe", b'{"command":"\xff"}', b'{"a":"\\ud800"}', b'{"a":NaN}',
    b'{"a":1e999}', b'{"a":' + b"9" * 5000 + b"}", b"[" * 100_000, b'{"a":' * 100_000, b"command=dial",
]  # fmt: skip


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
async def test_a_body_that_is_no_json_object_is_a_bad_request(body: bytes) -> None:
    async with bench() as b:
        assert await b.post(body) == (400, {"error": "Bad Request"})


@pytest.mark.parametrize("depth", [10, 200, 400, 600, 800, 900, 950, 980, 1000, 5000, 100_000])
@pytest.mark.parametrize("name", ["swml", "play", "custom_variables", "to"])
async def test_deep_nesting_is_never_a_server_fault(name: str, depth: int) -> None:
    async with bench() as b:
        nested = '{"a":' * depth + "1" + "}" * depth
        status, _ = await b.post(f'{{"command":"dial","params":{{"from":"a","to":"+15550198765","{name}":{nested}}}}}')
        assert status in (200, 400, 422)


@pytest.mark.parametrize("number", ["1e308", "-1e308", "1" + "0" * 300, "1" + "0" * 4000, "-0.0", "1e-320"])
async def test_huge_numbers_are_never_a_server_fault(number: str) -> None:
    async with bench() as b:
        call_id = await b.answered()
        for command, params in (
            ("calling.play", f'"play":[{{"type":"silence","params":{{"duration":{number}}}}}],"loop":2'),
            ("calling.play", f'"play":[{{"type":"tts","params":{{"text":"a"}}}}],"loop":{number}'),
            ("calling.collect", f'"digits":{{"max":{number}}},"initial_timeout":{number},"start_input_timers":true'),
            (
                "calling.detect",
                f'"detect":{{"type":"machine","params":{{"initial_timeout":{number}}}}},"timeout":{number}',
            ),
            ("calling.record", f'"record":{{"audio":{{"max_length":{number},"initial_timeout":{number}}}}}'),
        ):
            status, _ = await b.post(
                f'{{"command":"{command}","id":"{call_id}","params":{{"control_id":"a",{params}}}}}'
            )
            assert status in (200, 400, 422)


async def test_a_body_that_cannot_be_decompressed_is_a_bad_request(caplog: pytest.LogCaptureFixture) -> None:
    async with bench() as b:
        body = zlib.compress(b"{}")[:-3] + b"\0\0\0"
        status, _ = await b.post(body, Content_Encoding="deflate")
        assert status == 400
        assert (await b.post("{}"))[0] == 422
    assert not caplog.records


async def test_long_names_and_long_lists_cost_no_more_than_they_are() -> None:
    async with bench() as b:
        name = "a" * 400_000
        status, body = await b.post(json.dumps({"command": "dial", "params": {name: {name: [1] * 40_000}}}))
        assert status == 422
        assert len(json.dumps(body)) < 1000
        status, body = await b.post(json.dumps({"command": "dial", "params": {}, name: 1}))
        assert status == 422
        assert len(json.dumps(body)) < 1000


async def test_a_body_that_is_too_long_is_refused() -> None:
    async with bench() as b:
        status, body = await b.post(io.BytesIO(b" " * (2 * 1024 * 1024)))
        assert (status, list(body)) == (413, ["error"])


async def test_other_paths_and_methods_are_refused_in_json() -> None:
    async with bench() as b, aiohttp.ClientSession() as http:
        async with http.get(b.space.url + COMMANDS) as response:
            assert (response.status, response.headers["Allow"]) == (405, "POST")
            assert await response.json() == {"error": "Method Not Allowed"}
        async with http.post(b.space.url + "/elsewhere") as response:
            assert (response.status, await response.json()) == (404, {"error": "Not Found"})


async def test_a_refusal_never_repeats_a_secret() -> None:
    async with bench() as b:
        for params in (
            dial(password="hunter2", timeout=0),
            dial(password=["hunter2"]),
            dial(status_url="ftp://hunter2"),
            {"from": "a", "to": "+15550198765", "password": "hunter2"},
        ):
            status, body = await b.send("dial", **params)
            assert status == 422
            assert "hunter2" not in json.dumps(body)
        assert "hunter2" not in repr(b.space.commands)
        assert b.space.commands[0].params["password"] == "hunter2"


# Webhooks


async def test_an_enveloped_webhook_has_what_the_samples_have() -> None:
    async with bench() as b:
        call_id = await b.answered()
        await b.start("calling.play", call_id, play=[SILENCE])
        await b.space.settled()
        payload = b.space.deliveries[-1].payload
        assert list(payload) == ["event_type", "event_channel", "timestamp", "project_id", "space_id", "params"]
        assert payload["event_type"] == "calling.call.play"
        assert payload["project_id"] == "project"
        assert isinstance(payload["timestamp"], float)


async def test_a_bare_webhook_is_its_params() -> None:
    async with bench(shape="bare") as b:
        call_id = await b.answered()
        await b.start("calling.play", call_id, play=[SILENCE])
        await b.space.settled()
        payload = b.space.deliveries[-1].payload
        assert payload == {"control_id": "c1", "call_id": call_id, "node_id": payload["node_id"], "state": "playing"}


def test_signatures_match_the_vendors_vector() -> None:
    body = b'{"event":"call.state","params":{"call_id":"abc-123","state":"answered"}}'
    assert signatures(b"PSKtest1234567890abcdef", "https://example.ngrok.io/webhook", body) == {
        "X-SignalWire-Signature": "c3c08c1fefaf9ee198a100d5906765a6f394bf0f",
        "X-SignalWire-SHA256-Signature": "2a29f8a92b11df39da80c3b185fd62173d49c294184da585ff951eae4433571c",
    }


@pytest.mark.parametrize(
    ("url", "bare", "authorization"),
    [
        ("http://x.example/a?b=@c", "http://x.example/a?b=@c", None),
        ("http://u:p@x.example", "http://x.example", "Basic dTpw"),
        ("HTTPS://u:p%40@x.example:8/a%2Fb#@", "HTTPS://x.example:8/a%2Fb#@", "Basic dTpwQA=="),
        ("http://u@x.example?a@b", "http://x.example?a@b", "Basic dTo="),
    ],
)
def test_credentials_are_taken_out_of_a_url(url: str, bare: str, authorization: str | None) -> None:
    assert split_credentials(url) == (bare, authorization)


async def test_webhooks_are_signed_over_the_url_without_its_credentials() -> None:
    async with bench(signing_key="PSKsecret") as b:
        url = b.inbox.url + "/a%2Fb?x=%41"
        await b.dial(status_url=url.replace("//", "//user:pass%3A@"), status_events=["created"])
        await b.inbox.next()
        _, request, body = b.inbox.requests[-1]
        assert request.raw_path == "/a%2Fb?x=%41"
        assert request.headers["Authorization"] == basic("user", "pass:")
        signed = url.encode() + body
        for header, digest in (("Signature", hashlib.sha1), ("SHA256-Signature", hashlib.sha256)):
            expected = hmac.new(b"PSKsecret", signed, digest).hexdigest()
            assert request.headers[f"X-SignalWire-{header}"] == expected
        assert "PSKsecret" not in repr(vars(b.space))


async def test_webhooks_are_not_signed_without_a_key() -> None:
    async with bench() as b:
        await b.dial(status_events=["created"])
        await b.inbox.next()
        assert not [name for name in b.inbox.requests[-1][1].headers if "signature" in name.lower()]


async def test_a_webhook_is_tried_again_and_keeps_its_place() -> None:
    async with bench(speed=FAST) as b:
        b.inbox.answers = [500, 302, 200, 404, 404, 404]
        await b.dial(status_events=ALL_STATES)
        assert words(await b.inbox.until("answered")) == ["created", "answered"]
        await b.space.settled()
        assert [(delivery.status, delivery.attempts) for delivery in b.space.deliveries] == [
            (200, 3),
            (404, 3),
            (200, 1),
        ]


async def test_a_webhook_that_cannot_be_posted_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/secret-path"
        with caplog.at_level(logging.DEBUG, "swcalls.testing"):
            async with bench(speed=1000) as b:
                await b.dial(status_url=url, status_events=["created"])
                await b.space.settled()
                (delivery,) = b.space.deliveries
                assert (delivery.url, delivery.status, delivery.attempts) == (url, None, 3)
                assert "secret-path" not in caplog.text + repr(delivery)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/",
        "http://x\0y/",
        "http://a..b/",
        "http://" + "a" * 70 + ".x/",
        "http://[::1]:1/",
        "http://:@x:1",
    ],
)
async def test_a_url_that_leads_nowhere_does_no_harm(url: str) -> None:
    async with bench(speed=1000) as b:
        await b.send(
            "dial", **{"from": "a", "to": "+15550198765", "swml": {}, "status_url": url, "status_events": ["created"]}
        )
        await b.space.settled()
        assert {delivery.status for delivery in b.space.deliveries} <= {None}


async def test_one_slow_receiver_holds_up_no_other_call() -> None:
    async with bench() as b, Inbox().serve() as slow:
        slow.hold = asyncio.Event()
        await b.dial(status_url=slow.url, status_events=["created", "ringing"])
        await b.answered()
        assert not slow.requests
        slow.hold.set()
        assert words([await slow.next(), await slow.next()]) == ["created", "ringing"]


async def test_the_answer_comes_before_the_webhook() -> None:
    async with bench() as b:
        order: list[str] = []

        async def dial_and_note() -> None:
            await b.dial(status_events=["created"])
            order.append("answer")

        async def receive_and_note() -> None:
            await b.inbox.next()
            order.append("webhook")

        await asyncio.gather(receive_and_note(), dial_and_note())
        assert order == ["answer", "webhook"]


# The kit itself


async def test_settled_waits_for_what_is_on_its_way_and_for_no_timer() -> None:
    async with bench() as b:
        await b.space.settled()
        call_id = await b.answered()
        await b.start("calling.play", call_id, play=[SILENCE])
        b.inbox.hold = asyncio.Event()
        b.call(call_id).hang_up()
        waiting = asyncio.create_task(b.space.settled())
        await b.dial(status_url="http://127.0.0.1:1")
        assert not waiting.done()
        b.inbox.hold.set()
        await waiting
        assert words(b.inbox.drain())[-2:] == ["ended", "finished"]


async def test_settled_waits_for_a_timer_that_is_due() -> None:
    async with bench() as b:
        call_id = await b.dial(status_events=["answered"])
        await b.space.settled()
        assert b.call(call_id).state == "answered"
        assert words(b.inbox.drain()) == ["answered"]


async def test_every_request_is_remembered() -> None:
    async with bench() as b:
        call_id = await b.dial()
        await b.send("calling.end", call_id, reason="busy")
        await b.send("update", id=call_id, status="completed")
        await b.post("nonsense")
        assert [(c.command, c.call_id, c.status) for c in b.space.commands] == [
            ("dial", None, 200), ("calling.end", call_id, 200), ("update", call_id, 422), ("", None, 400),
        ]  # fmt: skip
        assert b.space.commands[1].params == {"reason": "busy"}


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"project": ""}, "project"), ({"project": "a:b"}, "project"), ({"token": ""}, "token"),
        ({"token": None}, "token"), ({"host": ""}, "host"), ({"port": -1}, "port"), ({"port": 65536}, "port"),
        ({"port": True}, "port"), ({"signing_key": ""}, "signing_key"), ({"callee": "bob"}, "callee"),
        ({"speed": 0}, "speed"), ({"speed": -1}, "speed"), ({"speed": float("nan")}, "speed"),
        ({"speed": float("inf")}, "speed"), ({"speed": "1"}, "speed"), ({"shape": "round"}, "shape"),
    ],
)  # fmt: skip
def test_a_simulator_refuses_bad_arguments(options: JSON, name: str) -> None:
    with pytest.raises(ValueError, match=f"^Simulator: {name}=.* must be "):
        Simulator(**options)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"answers": ""}, "answers"), ({"answers": 1}, "answers"), ({"presses": "x"}, "presses"),
        ({"presses": ["1", "x"]}, "presses"), ({"says": 5}, "says"), ({"says": "\ud800"}, "says"),
        ({"is_machine": "yes"}, "is_machine"), ({"hangs_up_after": -1}, "hangs_up_after"),
        ({"rings_for": float("inf")}, "rings_for"), ({"reacts_after": "1"}, "reacts_after"),
        ({"fax_tone": "ced"}, "fax_tone"), ({"refers": ""}, "refers"), ({"knows": None}, "knows"),
    ],
)  # fmt: skip
def test_a_callee_refuses_bad_arguments(options: JSON, name: str) -> None:
    with pytest.raises(ValueError, match=f"^Callee: {name}=.* must be "):
        Callee(**options)


@pytest.mark.parametrize(
    "act", [lambda call: call.press("x"), lambda call: call.say(""), lambda call: call.say("\ud800")]
)
async def test_the_far_end_does_only_what_it_can(act: Callable[[Any], None]) -> None:
    async with bench() as b:
        call_id = await b.answered()
        with pytest.raises(ValueError, match="must be"):
            act(b.call(call_id))


async def test_the_far_end_does_nothing_before_the_answer() -> None:
    async with bench(callee=Callee(answers=False)) as b:
        call_id = await b.dial()
        with pytest.raises(RuntimeError, match="the call is ringing"):
            b.call(call_id).press("1")
        with pytest.raises(RuntimeError, match="the call is ringing"):
            b.call(call_id).say("hello")


async def test_a_simulator_that_does_not_run_has_no_url() -> None:
    space = Simulator()
    with pytest.raises(RuntimeError, match="not running"):
        _ = space.url
    async with space:
        assert space.url.startswith("http://127.0.0.1:")
    with pytest.raises(RuntimeError, match="runs once"):
        await space.__aenter__()


async def test_a_port_in_use_is_an_error_that_leaves_nothing_behind() -> None:
    async with Simulator() as space:
        with pytest.raises(OSError, match="address already in use"):
            await Simulator(port=int(space.url.rpartition(":")[2])).__aenter__()


async def test_shutdown_in_mid_call_leaves_nothing_running() -> None:
    async with Inbox().serve() as inbox, aiohttp.ClientSession() as http:
        inbox.hold = asyncio.Event()
        before = asyncio.all_tasks()
        async with Simulator(callee=AT_ONCE) as space:
            b = Bench(space, http, inbox)
            call_id = await b.dial(status_events=ALL_STATES)
            await b.start("calling.play", call_id, play=[TTS])
            await b.start("calling.record", call_id, **record())
            call = b.call(call_id)
        async with asyncio.timeout(1):
            await space.settled()
        call.hang_up()
        await space.settled()
        inbox.hold.set()
        ours = {task for task in asyncio.all_tasks() - before if "swcalls" in repr(task.get_coro())}
        assert not ours


async def test_an_error_in_the_block_is_passed_on() -> None:
    async def fail() -> None:
        async with bench() as b:
            await b.dial()
            raise LookupError

    with pytest.raises(LookupError):
        await fail()


def test_nothing_of_the_client_is_imported() -> None:
    allowed = ("from swcalls.commands import", "from .", "from __future__")
    root = Path(__file__).parents[2] / "swcalls" / "testing"
    # A replay is no part of the simulator: it is the client's own rules that a recording is fed to.
    for path in set(root.rglob("*.py")) - {root / "replay.py"}:
        for line in path.read_text().splitlines():
            assert not ("import" in line and "swcalls" in line and not line.startswith(allowed)), (path, line)


async def test_what_is_called_from_outside_need_be_no_number() -> None:
    async with bench() as b:
        with pytest.raises(NotAnswered):
            await b.space.call("sales", "anonymous", url="http://127.0.0.1:9")
        assert [(call.to, call.from_) for call in b.space.calls.values()] == [("sales", "anonymous")]
