"""The client: settings, errors, retries, closing; what goes out, over real HTTP."""

from __future__ import annotations

import asyncio
import logging
import socket
from base64 import b64encode
from collections.abc import Mapping

import aiohttp
import pytest
from aiohttp import web

import swcalls
from swcalls import (
    TTS,
    Audio,
    Call,
    CallEnded,
    CallLeg,
    CallNotFound,
    Client,
    ClientClosed,
    CommandError,
    CommandNotSent,
    CommandRejected,
    CommandUnconfirmed,
    ConfigurationError,
    Conflict,
    DetectDigit,
    DetectFax,
    DetectMachine,
    Digits,
    FabricDeviceLeg,
    InvalidParams,
    Limits,
    Playback,
    RateLimited,
    Retry,
    Ringtone,
    ServerFault,
    Silence,
    Speech,
    Unauthorized,
)
from swcalls._engine.tasks import Tasks
from swcalls.actions import HANDLES

TOKEN = "PT-very-secret-token"


# Settings


@pytest.mark.parametrize(
    ("space", "url"),
    [
        ("example", "https://example.signalwire.com"),
        ("example.signalwire.com", "https://example.signalwire.com"),
        ("http://127.0.0.1:8123", "http://127.0.0.1:8123"),
        ("https://example.com/", "https://example.com"),
        ("localhost:8123", "https://localhost:8123"),
        ("my_space-1", "https://my_space-1.signalwire.com"),
        ("http://[::1]:8123/below", "http://[::1]:8123/below"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
    ],
)
def test_space_may_be_a_name_a_host_or_a_url(space: str, url: str) -> None:
    assert url in repr(Client("project", "token", space))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"project": ""}, "project"),
        ({"token": ""}, "token"),
        ({"token": None}, "token"),
        ({"space": ""}, "space"),
        ({"space": "ftp://x"}, "space"),
        ({"space": 3}, "space"),
        ({"space": "https://user:password@example.com"}, "space must have no user and no password"),
        ({"public_url": "example.com"}, "public_url"),
        ({"public_url": "https://example.com/?a=b"}, "public_url"),
        ({"path": "swcalls"}, "path"),
        ({"path": "/a b"}, "path"),
        ({"signing_key": ""}, "signing_key"),
        ({"signing_key": [""]}, "signing_key"),
        ({"require_signature": True}, "signing_key"),
        ({"max_connections": 0}, "max_connections=0 must be at least 1"),
        ({"max_connections": 2.0}, "max_connections=2.0 must be a whole number"),
        ({"space": "bad space!"}, "space='bad space!' must be a space's name, its host, or a URL"),
        ({"space": "a/b"}, "space='a/b' must be"),
        ({"space": "a\nb"}, "space=.* must be"),
        ({"space": "exa mple.com"}, "space='exa mple.com' must be an http.* no spaces"),
        ({"space": "https://exa mple.com"}, "space=.* must be"),
        ({"space": "https://e.com/a b"}, "space=.* must be"),
        ({"space": "a..b"}, "space='a..b' must be"),
        ({"space": f"{'a' * 64}.com"}, "space=.* must be"),
        ({"space": "localhost:99999"}, "space='localhost:99999' must be"),
        ({"space": "user:password@example.com"}, "space must have no user and no password"),
        ({"public_url": "https://user:password@example.com/?a=b"}, r"public_url=\*\*\* must be"),
        ({"public_url": "https://e.com/a b"}, "public_url=.* must be"),
        ({"project": "a:b"}, "project='a:b' must have no ':'"),
        ({"timeout": 0}, "timeout=0 must be greater than 0"),
        ({"timeout": None}, "timeout=None must be a number"),
        ({"timeout": "30"}, "timeout='30' must be a number"),
        ({"retry": None}, "retry=None must be a Retry"),
        ({"retry": 3}, "retry=3 must be a Retry"),
        ({"limits": {}}, "limits={} must be a Limits"),
        ({"limits": Limits}, "limits=.*Limits.* must be a Limits"),
        ({"reconcile": 5}, "reconcile=5 must be a Reconcile"),
        ({"backplane": object()}, "backplane=.* must be a Backplane"),
        ({"session": object()}, "session=.* must be an aiohttp.ClientSession"),
        ({"session": aiohttp.ClientSession}, "session=.* must be an aiohttp.ClientSession"),
        ({"signing_key": 5}, r"signing_key=\*\*\* must be"),
        ({"signing_key": [b"PSK"]}, r"signing_key=\*\*\* must be"),
        ({"require_signature": "no", "signing_key": "PSK"}, "require_signature='no' must be True or False"),
    ],
)
def test_a_wrong_setting_is_a_configuration_error_that_names_it(settings: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named) as caught:
        Client(**{"project": "project", "token": "token", "space": "space", **settings})
    assert isinstance(caught.value, ValueError)
    assert "password@" not in str(caught.value)


def test_from_env_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNALWIRE_PROJECT_ID", "project")
    monkeypatch.setenv("SIGNALWIRE_API_TOKEN", TOKEN)
    monkeypatch.setenv("SIGNALWIRE_SPACE", "example")
    monkeypatch.setenv("SWCALLS_PUBLIC_URL", "https://hooks.example.com/")
    client = Client.from_env()
    assert client._engine.urls.mint("play", "x").startswith("https://hooks.example.com/swcalls/play/x/")
    assert "other.signalwire.com" in repr(Client.from_env(space="other"))


@pytest.mark.parametrize("variable", ["SIGNALWIRE_PROJECT_ID", "SIGNALWIRE_API_TOKEN", "SIGNALWIRE_SPACE"])
def test_from_env_names_what_is_missing(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    for name in ("SIGNALWIRE_PROJECT_ID", "SIGNALWIRE_API_TOKEN", "SIGNALWIRE_SPACE"):
        monkeypatch.setenv(name, "value")
    monkeypatch.delenv(variable)
    with pytest.raises(ConfigurationError, match=variable):
        Client.from_env()


def test_a_client_may_be_built_where_no_loop_runs() -> None:
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    assert isinstance(Client("project", "token", "space").actions, Mapping)


async def test_a_client_that_is_not_open_says_so() -> None:
    client = Client("project", "token", "space", public_url="https://example.com")
    with pytest.raises(RuntimeError, match="not open"):
        await client.dial(to="+15550198765", from_="+12069708643")
    async with client:
        pass
    with pytest.raises(ClientClosed, match="closed"):
        await client.call("c").play(TTS("Hi"))
    await client.close()
    with pytest.raises(RuntimeError, match="closed"):
        await client.open()


async def test_a_passed_session_is_borrowed_and_never_closed(space) -> None:
    async with aiohttp.ClientSession() as session:
        async with Client("project", "token", space.url, session=session, public_url="https://h.example") as client:
            await client.dial(to="+15550198765", from_="+12069708643")
        assert not session.closed


async def test_without_a_public_url_nothing_is_sent(space) -> None:
    async with Client("project", "token", space.url) as client:
        with pytest.raises(ConfigurationError, match="public_url"):
            await client.dial(to="+15550198765", from_="+12069708643")
        with pytest.raises(ConfigurationError, match="public_url"):
            await client.call("c").play(TTS("Hi"))
        assert not client.actions
        await client.call("c").play(TTS("Hi"), status_url="https://elsewhere.example/")
    assert [command["command"] for command in space.commands] == ["calling.play"]


# What goes out


async def test_a_request_is_the_contracts_envelope(space, call: Call) -> None:
    await call.play(TTS("Hi"), volume=3)
    sent = space.commands[-1]
    assert sent.keys() == {"command", "id", "params"}
    assert sent["id"] == call.id
    assert sent["params"]["play"] == [{"type": "tts", "params": {"text": "Hi"}}]
    assert sent["params"].keys() == {"control_id", "status_url", "play", "volume"}
    headers = space.headers[-1]
    assert headers["Authorization"] == "Basic " + b64encode(b"project:token").decode()
    assert headers["Content-Type"] == headers["Accept"] == "application/json"


async def test_dial_parks_the_call_and_asks_for_every_state(space, client: Client) -> None:
    await client.dial(to="+15550198765", from_="+12069708643", timeout=20, custom_variables={"case": "54321"})
    sent = space.last("dial")
    assert sent["from"] == "+12069708643"
    assert sent["swml"]["sections"]["main"] == [{"answer": {}}, {"sleep": -1}]
    assert sent["status_events"] == ["created", "ringing", "answered", "ended"]
    assert (sent["timeout"], sent["custom_variables"]) == (20, {"case": "54321"})
    assert "/swcalls/call/" in sent["status_url"]
    assert "url" not in sent
    assert "id" not in space.commands[-1]


@pytest.mark.parametrize(
    ("start", "command", "expected"),
    [
        (
            lambda call: call.play(Audio("https://e.com/a.mp3"), Silence(0.5), Ringtone("us", duration=2), loop=0),
            "calling.play",
            {
                "play": [
                    {"type": "audio", "params": {"url": "https://e.com/a.mp3"}},
                    {"type": "silence", "params": {"duration": 0.5}},
                    {"type": "ringtone", "params": {"name": "us", "duration": 2}},
                ],
                "loop": 0,
            },
        ),
        (
            lambda call: call.say("Hi", language="de-DE", gender="male"),
            "calling.play",
            {"play": [{"type": "tts", "params": {"text": "Hi"}}], "language": "de-DE", "gender": "male"},
        ),
        (
            lambda call: call.record(),
            "calling.record",
            {
                "record": {
                    "audio": {"direction": "both", "initial_timeout": 0, "end_silence_timeout": 0, "terminators": ""}
                }
            },
        ),
        (
            lambda call: call.collect(digits=Digits(4, terminators="#"), speech=Speech(hints=["one"])),
            "calling.collect",
            {
                "digits": {"max": 4, "terminators": "#"},
                "speech": {"hints": ["one"]},
                "start_input_timers": True,
            },
        ),
        (
            lambda call: call.detect(),
            "calling.detect",
            {"detect": {"type": "machine", "params": {"detect_message_end": True}}},
        ),
        (
            lambda call: call.detect(DetectMachine(detect_message_end=False, initial_timeout=2), timeout=9),
            "calling.detect",
            {
                "detect": {"type": "machine", "params": {"detect_message_end": False, "initial_timeout": 2}},
                "timeout": 9,
            },
        ),
        (
            lambda call: call.detect(DetectFax(tone="CED")),
            "calling.detect",
            {"detect": {"type": "fax", "params": {"tone": "CED"}}},
        ),
        (
            lambda call: call.detect(DetectDigit(digits="12")),
            "calling.detect",
            {"detect": {"type": "digit", "params": {"digits": "12"}}},
        ),
        (
            lambda call: call.stream("wss://e.com/s", custom_parameters={"a": 1, "b": "x", "c": True}),
            "calling.stream",
            {
                "url": "wss://e.com/s",
                "custom_parameters": {"a": "1", "b": "x", "c": "true"},
                "status_url_method": "POST",
            },
        ),
    ],
)
async def test_what_starts_an_action_sends(space, call: Call, start, command: str, expected: dict[str, object]) -> None:
    action = await start(call)
    sent = space.last(command)
    assert sent.pop("control_id") == action.control_id
    assert f"/{action.kind}/" in sent.pop("status_url")
    assert sent == expected


@pytest.mark.parametrize(
    ("control", "command", "extra"),
    [
        (lambda call, play, record, collect: play.pause(), "calling.play.pause", {}),
        (lambda call, play, record, collect: play.resume(), "calling.play.resume", {}),
        (lambda call, play, record, collect: play.stop(), "calling.play.stop", {}),
        (lambda call, play, record, collect: play.volume(-3.5), "calling.play.volume", {"volume": -3.5}),
        (lambda call, play, record, collect: record.pause("silence"), "calling.record.pause", {"behavior": "silence"}),
        (lambda call, play, record, collect: record.pause(), "calling.record.pause", {}),
        (lambda call, play, record, collect: record.resume(), "calling.record.resume", {}),
        (lambda call, play, record, collect: record.stop(), "calling.record.stop", {}),
        (lambda call, play, record, collect: collect.start_input_timers(), "calling.collect.start_input_timers", {}),
        (lambda call, play, record, collect: collect.stop(), "calling.collect.stop", {}),
    ],
)
async def test_what_controls_an_action_sends(space, call: Call, control, command: str, extra) -> None:
    actions = [await call.play(TTS("Hi")), await call.record(), await call.collect(digits=Digits(1))]
    leg = await control(call, *actions)
    assert isinstance(leg, CallLeg)
    sent = dict(space.commands[-1]["params"])
    assert space.commands[-1]["command"] == command
    assert sent.pop("control_id") in {action.control_id for action in actions}
    assert sent == extra


async def test_commands_about_the_call_send(space, call: Call, client: Client) -> None:
    await call.update(url="https://example.com/swml")
    assert space.commands[-1] == {"command": "update", "params": {"id": call.id, "url": "https://example.com/swml"}}
    await call.cancel()
    assert space.last("update") == {"id": call.id, "status": "canceled"}
    await call.complete()
    assert space.last("update") == {"id": call.id, "status": "completed"}
    await call.end("busy")
    assert space.commands[-1] == {"command": "calling.end", "id": call.id, "params": {"reason": "busy"}}
    answer = await client.execute("calling.tomorrow", call_id=call.id, params={"a": [1]})
    assert space.commands[-1] == {"command": "calling.tomorrow", "id": call.id, "params": {"a": [1]}}
    assert answer["id"] == call.id


async def test_a_bad_argument_is_refused_before_anything_is_sent(space, call: Call, client: Client) -> None:
    sent = len(space.commands)
    for wrong in (
        call.play,
        lambda: call.play("Hi"),
        lambda: call.play(TTS("Hi"), volume=41),
        lambda: call.play(TTS("Hi"), deadline=0),
        lambda: call.play(TTS("Hi"), deadline="soon"),
        lambda: call.play(TTS("Hi"), control_id=""),
        lambda: call.record(format="ogg"),
        call.collect,
        lambda: call.detect("machine"),
        lambda: call.stream("ws://example.com"),
        lambda: call.stream("wss://example.com", status_url_method="GET"),
        lambda: client.dial(to="+15550198765", from_="+12069708643", url="https://e.com", swml={}),
        lambda: client.dial(from_="+2"),
        lambda: client.dial(to="+15550198765", from_="+12069708643", timeout=601),
        lambda: client.call(""),
    ):
        with pytest.raises((ValueError, TypeError)):
            await wrong()
    for wrong in (call.update, lambda: call.update(url="https://e.com", swml={}), lambda: client.execute("")):
        with pytest.raises(ValueError, match="must be"):
            await wrong()
    assert len(space.commands) == sent
    assert not client.actions


# What comes back


async def test_legs_are_tolerant(space, client: Client) -> None:
    space.answers.append(web.json_response({"id": "c1", "type": "hologram", "status": "beaming", "new": 1}))
    call = await client.dial(to="+15550198765", from_="+12069708643")
    assert isinstance(call.leg, CallLeg)
    assert (call.leg.status, call.leg.raw["new"], call.leg.charge) == ("beaming", 1, None)
    space.answers.append(web.json_response({"id": "c1", "type": "fabric_subscriber_device_leg", "status": None}))
    leg = await call.end()
    assert type(leg) is FabricDeviceLeg
    assert call.leg is leg


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InvalidParams),
        (401, Unauthorized),
        (403, Unauthorized),
        (404, CallNotFound),
        (409, Conflict),
        (410, CallNotFound),
        (418, CommandRejected),
        (422, InvalidParams),
        (429, RateLimited),
        (500, ServerFault),
        (503, ServerFault),
    ],
)
@pytest.mark.parametrize(
    "body", ['{"errors":[{"code":"c","message":"why"}]}', '{"error":"why"}', "<html>why</html>", ""]
)
async def test_a_refusal_is_a_typed_error_and_leaves_nothing_registered(
    space, call: Call, client: Client, status: int, error: type[CommandRejected], body: str
) -> None:
    space.answers.append(web.Response(status=status, text=body, headers={"X-Request-Id": "r-1"}))
    with pytest.raises(error) as caught:
        await call.play(TTS("Hi"))
    assert (caught.value.status, caught.value.command, caught.value.call_id) == (status, "calling.play", call.id)
    assert caught.value.request_id == "r-1"
    assert bool(caught.value.errors) == body.startswith("{")
    assert not client.actions


async def test_after_an_answer_that_is_not_json_what_may_have_been_started_is_kept_for_a_while(
    space, call: Call, client: Client
) -> None:
    space.answers.append(web.Response(text="<html>Welcome to the hotel's Wi-Fi</html>"))
    with pytest.raises(CommandUnconfirmed) as caught:
        await call.play(TTS("Hi"))
    assert caught.value.status == 200
    assert list(client.actions.values()) == [caught.value.action]
    space.answers.append(web.json_response({"no": "id"}))
    with pytest.raises(CommandUnconfirmed) as caught:
        await client.dial(to="+15550198765", from_="+12069708643")
    assert caught.value.status == 200


async def test_an_error_of_a_command_that_has_the_id_in_its_parameters_names_the_call(space, client: Client) -> None:
    space.answers.append(web.json_response({}, status=422))
    with pytest.raises(InvalidParams) as caught:
        await client.execute("update", params={"id": "call-1", "status": "canceled"})
    assert caught.value.call_id == "call-1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_dead_host_is_not_sent_and_leaves_nothing_registered() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    retry = Retry(attempts=2, first_wait=0.001)
    async with Client("project", "token", url, public_url="https://h.example", retry=retry) as client:
        with pytest.raises(CommandNotSent):
            await client.call("c").play(TTS("Hi"))
        assert not client.actions
        assert client.stats.sent == 2


async def test_a_connection_that_breaks_is_unconfirmed_and_its_action_lives_on(
    space, call: Call, client: Client
) -> None:
    async def reset(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    space.answers.append(reset)
    with pytest.raises(CommandUnconfirmed) as caught:
        await call.play(TTS("Hi"))
    play = caught.value.action
    assert client.actions == {play.control_id: play}
    assert sum(command["command"] == "calling.play" for command in space.commands) == 1
    await space.tell("calling.play", state="finished")
    assert isinstance(await play, Playback)


async def test_a_response_that_takes_too_long_is_unconfirmed(space, connect) -> None:
    client = await connect(timeout=0.05)
    call = await client.dial(to="+15550198765", from_="+12069708643")
    release = asyncio.Event()
    space.answers.append(space.held(release))
    with pytest.raises(CommandUnconfirmed):
        await call.play(TTS("Hi"))
    release.set()


async def test_a_dial_without_an_answer_hands_over_the_call_that_may_come(space, client: Client) -> None:
    async def reset(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    space.answers.append(reset)
    with pytest.raises(CommandUnconfirmed) as caught:
        await client.dial(to="+15550198765", from_="+12069708643")
    call = caught.value.call
    await space.tell_call("answered")
    await call.answered(timeout=5)
    assert call.id is not None
    assert client.call(call.id) is call


# Sending again


@pytest.mark.parametrize(
    "refusal",
    [
        {"status": 429},
        {"status": 429, "headers": {"Retry-After": "0"}},
        {"status": 503, "headers": {"Retry-After": "0"}},
        {"status": 503, "headers": {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}},
    ],
)
async def test_what_was_not_processed_is_sent_again(space, connect, refusal) -> None:
    client = await connect(retry=Retry(attempts=3, first_wait=0.001))
    space.answers.extend([web.Response(**refusal), web.Response(**refusal)])
    await client.dial(to="+15550198765", from_="+12069708643")
    assert len(space.commands) == 3
    assert client.stats.retried == 2


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 500, 502, 503, 504])
async def test_anything_else_never_is(space, connect, status: int) -> None:
    client = await connect(retry=Retry(attempts=3, first_wait=0.001))
    space.answers.append(web.Response(status=status))
    with pytest.raises(CommandError):
        await client.dial(to="+15550198765", from_="+12069708643")
    assert len(space.commands) == 1


async def test_a_wait_longer_than_the_limit_is_not_waited_for(space, connect) -> None:
    client = await connect(retry=Retry(attempts=3, longest_wait=5))
    space.answers.append(web.Response(status=429, headers={"Retry-After": "6"}))
    with pytest.raises(RateLimited) as caught:
        await client.dial(to="+15550198765", from_="+12069708643")
    assert caught.value.retry_after == 6


async def test_requests_under_way_are_bounded(space, connect) -> None:
    client = await connect(max_connections=2)
    call = await client.dial(to="+15550198765", from_="+12069708643")
    release = asyncio.Event()
    space.answers.extend(space.held(release) for _ in range(3))
    starts = [asyncio.create_task(call.play(TTS("Hi"))) for _ in range(3)]
    while len(space.commands) < 3:
        await space.arrived.get()
    starts[2].cancel()
    with pytest.raises(asyncio.CancelledError):
        await starts[2]
    release.set()
    await asyncio.gather(*starts[:2])
    assert len(space.commands) == 3
    space.answers.clear()


# The call


async def test_answered_returns_once_the_call_is_up(space, client: Client) -> None:
    space.leg_status = "queued"
    call = await client.dial(to="+15550198765", from_="+12069708643")
    with pytest.raises(TimeoutError):
        await call.answered(timeout=0.001)
    waiter = asyncio.create_task(call.answered())
    for state in ("created", "ringing", "answered"):
        await space.tell_call(state)
    await waiter
    await call.answered()
    assert call.state == "answered"
    await space.tell_call("ended", end_reason="no_answer")
    assert await call.ended() == "noAnswer"
    assert [event.state async for event in call.events()] == ["created", "ringing", "answered", "ended"]


async def test_answered_raises_when_the_call_ends_first(space, client: Client) -> None:
    space.leg_status = "queued"
    call = await client.dial(to="+15550198765", from_="+12069708643")
    waiter = asyncio.create_task(call.answered())
    await asyncio.sleep(0)
    await space.tell_call("ended", end_reason="busy")
    with pytest.raises(CallEnded) as caught:
        await waiter
    assert caught.value.reason == "busy"


async def test_webhooks_of_a_call_that_overtake_the_response_to_its_dial(space, client: Client) -> None:
    release = asyncio.Event()
    space.leg_status = "queued"
    space.answers.append(space.held(release))
    dial = asyncio.create_task(client.dial(to="+15550198765", from_="+12069708643"))
    await space.arrived.get()
    assert await space.tell_call("answered") == 200
    release.set()
    call = await dial
    assert call.state == "answered"
    await call.answered(timeout=0.001)


async def test_a_block_hangs_up_at_its_end_once(space, client: Client) -> None:
    async with client.dial(to="+15550198765", from_="+12069708643") as call:
        pass
    assert [c["command"] for c in space.commands] == ["dial", "calling.end"]
    async with client.dial(to="+15550198765", from_="+12069708643"):
        await space.tell_call("ended")
    assert [c["command"] for c in space.commands] == ["dial", "calling.end", "dial"]
    with pytest.raises(KeyError):
        async with client.dial(to="+15550198765", from_="+12069708643"):
            raise KeyError
    assert space.commands[-1]["command"] == "calling.end"
    assert call.id is not None


async def test_a_dial_that_is_cancelled_on_the_way_is_hung_up(space, client: Client) -> None:
    release = asyncio.Event()
    space.answers.append(space.held(release))
    dial = asyncio.create_task(client.dial(to="+15550198765", from_="+12069708643"))
    await space.arrived.get()
    dial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dial
    release.set()
    assert (await space.arrived.get())["command"] == "calling.end"


async def test_a_dial_that_is_cancelled_before_it_leaves_is_not_sent(space, connect) -> None:
    client = await connect(max_connections=1)
    call = await client.dial(to="+15550198765", from_="+12069708643")
    release = asyncio.Event()
    space.answers.append(space.held(release))
    start = asyncio.create_task(call.play(TTS("Hi")))
    while (await space.arrived.get())["command"] != "calling.play":
        pass
    dial = asyncio.create_task(client.dial(to="+15550198765", from_="+12069708643"))
    await asyncio.sleep(0)
    dial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dial
    release.set()
    await start
    await call.end()
    assert [command["command"] for command in space.commands] == ["dial", "calling.play", "calling.end"]


async def test_a_dial_that_is_cancelled_while_it_waits_to_be_repeated_is_not_sent_again(space, connect) -> None:
    client = await connect(retry=Retry(attempts=2, longest_wait=1000))
    space.answers.append(web.Response(status=429, headers={"Retry-After": "1000"}))
    dial = asyncio.create_task(client.dial(to="+15550198765", from_="+12069708643"))
    while not client.stats.retried:
        await asyncio.sleep(0)
    dial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dial
    while len(client._engine.tasks):
        await asyncio.sleep(0)
    assert [command["command"] for command in space.commands] == ["dial"]


async def test_an_action_whose_command_never_left_says_so(space, connect) -> None:
    client = await connect(max_connections=1)
    call = await client.dial(to="+15550198765", from_="+12069708643")
    release = asyncio.Event()
    space.answers.append(space.held(release))
    first = asyncio.create_task(call.play(TTS("Hi"), control_id="first"))
    while (await space.arrived.get())["command"] != "calling.play":
        pass
    second = asyncio.create_task(call.play(TTS("Hi"), control_id="second"))
    await asyncio.sleep(0)
    assert [client.actions[name]._operation.stage for name in ("first", "second")] == ["unconfirmed", "not_sent"]
    release.set()
    assert [(await start)._operation.stage for start in (first, second)] == ["accepted", "accepted"]


async def test_not_found_means_that_the_call_is_over(space, call: Call) -> None:
    play = await call.play(TTS("Hi"))
    space.answers.append(web.json_response({"error": "Not Found"}, status=404))
    with pytest.raises(CallNotFound):
        await call.play(TTS("Hi"))
    assert await call.ended() is None
    with pytest.raises(CallEnded):
        await play


async def test_not_found_for_a_control_may_mean_the_operation(space, call: Call) -> None:
    play = await call.play(TTS("Hi"))
    space.answers.append(web.json_response({"error": "Not Found"}, status=404))
    with pytest.raises(CallNotFound):
        await play.pause()
    assert call._operation.outcome is None
    space.answers.append(web.json_response({"error": "Gone"}, status=410))
    with pytest.raises(CallNotFound):
        await play.pause()
    assert await call.ended(timeout=0.001) is None


@pytest.mark.parametrize(
    "send",
    [
        lambda call: call.ai_message(message_text="Hi"),
        lambda call: call.ai_hold(),
        lambda call: call.denoise_stop(),
        lambda call: call.send_fax_stop("x"),
        lambda call: call.sidecar("en-US"),
    ],
)
async def test_not_found_for_what_a_call_may_lack_says_nothing_of_the_call(space, call: Call, send) -> None:
    space.answers.append(web.json_response({"error": "Not Found"}, status=404))
    with pytest.raises(CallNotFound):
        await send(call)
    assert call._operation.outcome is None


@pytest.mark.parametrize(
    "send",
    [
        lambda call: call.end(),
        lambda call: call.cancel(),
        lambda call: call.denoise(),
        lambda call: call.refer("sip:a@b"),
    ],
)
async def test_not_found_for_what_every_call_has_is_the_end_of_the_call(space, call: Call, send) -> None:
    space.answers.append(web.json_response({"error": "Not Found"}, status=404))
    with pytest.raises(CallNotFound):
        await send(call)
    assert call._operation.outcome is not None


async def test_a_final_status_in_a_response_ends_the_call(space, call: Call) -> None:
    space.answers.append(space.leg({"id": call.id}, status="ended"))
    await call.end("decline")
    assert await call.ended(timeout=0.001) == "decline"


async def test_the_last_event_of_a_call_whose_end_was_inferred_is_not_lost(space, connect) -> None:
    client = await connect(limits=Limits(grace=30))
    call = await client.dial(to="+15550198765", from_="+12069708643")
    space.answers.append(web.json_response({"error": "Not Found"}, status=404))
    with pytest.raises(CallNotFound):
        await call.play(TTS("Hi"))
    assert await call.ended(timeout=0.001) is None
    await space.tell_call("ended", end_reason="hangup")
    assert [event.state async for event in call.events()] == ["ended"]
    assert await call.ended() == "hangup"


async def test_the_last_event_of_a_call_whose_end_was_inferred_is_not_waited_for_long(space, call: Call) -> None:
    space.answers.append(web.json_response({"error": "Not Found"}, status=404))
    with pytest.raises(CallNotFound):
        await call.play(TTS("Hi"))
    assert [event.state async for event in call.events()] == []


# Secrets


async def test_no_message_repr_or_log_line_shows_a_secret(space, connect, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    async with Client("project", TOKEN, space.url, signing_key="PSK-secret", public_url="https://h.example") as client:
        secrets = (
            TOKEN,
            "PSK-secret",
            "sip-password",
            "bearer-secret",
            b64encode(f"project:{TOKEN}".encode()).decode(),
        )
        shown = [repr(client), repr(client.__dict__), repr(client._engine.__dict__)]
        call = await client.dial(to="sip:a@b", from_="+2", username="u", password="sip-password")
        for secret, send in (
            ("sip-password", lambda: client.dial(to="sip:a@b", from_="+2", username="u", password="sip-password")),
            ("bearer-secret", lambda: call.stream("wss://e.com", authorization_bearer_token="bearer-secret")),
        ):
            echo = {"errors": [{"code": "bad", "message": f"{secret} or {TOKEN} is wrong"}]}
            space.answers.append(web.json_response(echo, status=422))
            with pytest.raises(InvalidParams, match="is wrong") as caught:
                await send()
            shown += [str(caught.value), repr(caught.value), repr(caught.value.errors)]
        with pytest.raises(TypeError) as wrong:
            client.dial(to="sip:a@b", from_="+2", username="u", password=["sip-password"])
        shown += [str(wrong.value), repr(call), repr(call.leg), caplog.text]
    for text in shown:
        assert not [secret for secret in secrets if secret in text]


def test_the_public_names_are_sorted_and_there() -> None:
    assert [name for name in swcalls.__all__ if not hasattr(swcalls, name)] == []
    assert len(set(swcalls.__all__)) == len(swcalls.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        swcalls.nothing  # noqa: B018


def test_handles_are_as_small_as_they_look() -> None:
    client = Client("project", "token", "space")
    call = client.call("call-1")
    handles = [call, *(call.action(kind, f"{kind}-1") for kind in HANDLES)]
    assert not [handle for handle in handles if hasattr(handle, "__dict__")]


async def test_a_refused_dial_leaves_nothing(space, client: Client) -> None:
    space.answers.append(web.json_response({}, status=422))
    with pytest.raises(InvalidParams):
        await client.dial(to="+15550198765", from_="+12069708643")
    registry = client._engine.registry
    assert list(registry.calls) == []
    assert registry.deadlines.next is None


async def test_a_dial_that_is_cancelled_without_an_answer_is_hung_up_when_a_webhook_tells_its_id(
    space, client: Client
) -> None:
    space.answers.append(space.hang)
    dialling = asyncio.create_task(client.dial(to="+15550198765", from_="+12069708643"))
    assert (await space.arrived.get())["command"] == "dial"
    dialling.cancel()
    await asyncio.gather(dialling, return_exceptions=True)
    (under_way,) = client._engine.tasks._dials
    under_way.cancel()
    await asyncio.wait([under_way])
    assert await space.tell_call("created") == 200
    assert (await space.arrived.get())["command"] == "calling.end"


async def test_an_answer_about_another_call_says_nothing_of_this_one(space, call: Call) -> None:
    leg = {"id": "another-call", "type": "relay_pstn_call", "status": "ended"}
    space.answers.append(web.json_response(leg))
    await call.denoise()
    assert not call.has_ended


async def test_who_is_cancelled_while_tasks_are_cancelled_hears_of_it_when_they_have_ended() -> None:
    tasks, entered, proceed = Tasks(), asyncio.Event(), asyncio.Event()

    async def linger() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            entered.set()
            await proceed.wait()

    tasks.spawn(linger())
    await asyncio.sleep(0)
    cancelling = asyncio.create_task(tasks.cancel())
    await entered.wait()
    cancelling.cancel()
    await asyncio.sleep(0)
    assert not cancelling.done()
    proceed.set()
    with pytest.raises(asyncio.CancelledError):
        await cancelling
    assert len(tasks) == 0


async def test_a_handler_that_ignores_its_cancellation_is_cancelled_again_when_the_drain_is_cancelled() -> None:
    tasks, refused = Tasks(), asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            refused.set()
            await asyncio.Event().wait()

    tasks.handle(stubborn(), lambda: None)
    await asyncio.sleep(0)
    draining = asyncio.create_task(tasks.drain(0))
    await refused.wait()
    draining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await draining
    assert len(tasks) == 0


async def test_a_repr_says_in_a_line_what_one_would_ask_for(space, client: Client, call: Call) -> None:
    assert repr(call) == f"<Call {call.id} answered>"
    assert repr(client.call("elsewhere")) == "<Call elsewhere of unknown state>"
    assert repr(call.leg) == (
        f"CallLeg(id='{call.id}', from_='+1', to='+2', type='relay_pstn_call', status='answered')"
    )
    assert repr(client.receiver) == f"<WebhookReceiver {client._engine.urls.public_url}/swcalls/>"
    assert repr(Client("project", "token", "space").receiver) == "<WebhookReceiver without a public URL/swcalls/>"
    play = await call.play(TTS("Hi"), control_id="mine")
    assert repr(play) == "<PlayAction mine no event yet>"
    await space.tell("calling.play", state="playing")
    assert repr(play) == "<PlayAction mine playing>"
    await space.tell("calling.play", state="finished")
    assert repr(play) == "<PlayAction mine finished, settled by callback>"
    await space.tell_call("ended", end_reason="busy")
    assert repr(call) == f"<Call {call.id} ended: busy>"


async def test_a_block_whose_hang_up_is_refused_raises(space, client: Client) -> None:
    with pytest.raises(ServerFault):
        async with client.dial(to="+15550198765", from_="+12069708643"):
            space.answers.append(web.Response(status=500))
    assert space.commands[-1]["command"] == "calling.end"


async def test_what_a_block_raises_says_more_than_that_the_hang_up_was_refused_too(
    space, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    call = await client.dial(to="+15550198765", from_="+12069708643")

    async def fail() -> None:
        async with call:
            space.answers.append(web.Response(status=500))
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await fail()
    (record,) = [record for record in caplog.records if record.name == "swcalls.call"]
    assert (record.levelname, record.call_id) == ("WARNING", call.id)
    assert "not hung up" in record.getMessage()


async def test_a_raw_command_to_a_call_that_is_known_changes_nothing_here(space, client: Client, call: Call) -> None:
    space.leg_status = "ended"
    assert call.id is not None
    answer = await client.execute("calling.tomorrow", call_id=call.id, params={"a": 1})
    assert answer["status"] == "ended"
    assert not call.has_ended, "nothing is registered, and nothing is noted but the command"
    assert [mark.word for mark in call.timeline if mark.what == "command"][-1] == "calling.tomorrow"
