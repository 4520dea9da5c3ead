"""What a type checker sees of the public names. Nothing here runs: mypy checks it, and so does pyright.

An `ignore` is a promise too: if what it stands at were allowed, mypy would say that it is not needed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any, Literal, assert_type

from aiohttp import web

import swcalls
from swcalls import (
    TTS,
    AskResult,
    Audio,
    AudioFrame,
    Call,
    CallAudio,
    CallEvent,
    Client,
    CollectEvent,
    CollectResult,
    ConferenceAction,
    ConferenceResult,
    ConnectAction,
    ConnectResult,
    DetectAction,
    DetectFax,
    Detection,
    DetectMachine,
    Digits,
    Leg,
    LiveTranscribeAction,
    Mark,
    Outcome,
    PlayAction,
    Playback,
    PlayEvent,
    RecordAction,
    Recording,
    ResultStart,
    SendDigitsResult,
    Speech,
    SpeechResult,
    Stats,
    StreamAction,
    SwmlAction,
    Timeline,
    WebhookReceiver,
    swml,
    words,
)
from swcalls.backplane import Backplane, RedisBackplane
from swcalls.testing import Callee, Faults, Replay, Simulator, replay


async def calls(client: Client) -> None:
    call = await client.dial(to="+15550198765", from_="+12069708643")
    assert_type(call, Call)
    async with client.dial(to="+15550198765", from_="+12069708643") as dialled:
        assert_type(dialled, Call)
    # A start is a coroutine: tasks and task groups take it.
    assert_type(asyncio.create_task(call.play(TTS("Hi"))), asyncio.Task[PlayAction])
    async with asyncio.TaskGroup() as group:
        assert_type(group.create_task(client.dial(to="+15550198765", from_="+12069708643")), asyncio.Task[Call])
    async with client.call("id") as known:
        assert_type(known, Call)
    assert_type(client.call("id"), Call)
    assert_type(call.id, str | None)
    assert_type(call.state, words.CallState | None)
    assert_type(call.end_reason, words.EndedBy | None)
    assert_type(await call.ended(), words.EndedBy | None)
    assert_type(await call.end(), Leg | None)
    assert_type(call.timeline, Timeline)
    async for event in call.events():
        assert_type(event, CallEvent)
    assert_type(client.stats, Stats)
    assert_type(await client.execute("calling.end", call_id="id"), dict[str, Any])

    client.dial(to="+15550198765")  # type: ignore[call-arg]
    client.dial(to=15550198765, from_="+12069708643")  # type: ignore[arg-type]
    client.dial(to="+15550198765", from_="+12069708643", patience=3)  # type: ignore[call-arg]


async def plays(call: Call) -> None:
    action = await call.play(TTS("Hi"), Audio("https://example.com/a.mp3"), volume=3.5)
    assert_type(action, PlayAction)
    assert_type(await action.finished(timeout=3), Playback)
    assert_type(await action, Playback)
    assert_type(await call.play(TTS("Hi")).finished(), Playback)
    assert_type(await call.say("Hi").finished(), Playback)
    assert_type(await action.outcome(), Outcome[Playback])
    assert_type(action.result(), Playback)
    assert_type(action.exception(), Exception | None)
    assert_type(action.done(), bool)
    assert_type(action.control_id, str)
    assert_type(await action.volume(-3), Leg)
    async with call.play(TTS("Hi")) as playing:
        assert_type(playing, PlayAction)
    async for event in action:
        assert_type(event.state, str)
        assert_type(event.raw, dict[str, Any])
    if isinstance(action.last_event, PlayEvent):
        assert_type(action.last_event.timestamp, float | None)

    call.play("Hi")  # type: ignore[arg-type]
    call.play(TTS("Hi"), direction="sideways")  # type: ignore[arg-type]
    call.play(TTS("Hi"), loops=3)  # type: ignore[call-arg]
    await action.volume("loud")  # type: ignore[arg-type]


async def hears(call: Call) -> None:
    async with call.listen(track="both", codec="L16@16000h", idle_timeout=30) as audio:
        assert_type(audio, CallAudio)
        assert_type(audio.action, StreamAction)
        assert_type(audio.format.sample_rate, int)
        assert_type(audio.tracks, tuple[str, ...])
        async for frame in audio:
            assert_type(frame, AudioFrame)
            assert_type(frame.pcm, bytes)
            assert_type(frame.rms(), float)
        async for digit in audio.digits():
            assert_type(digit, str)
        assert_type(await audio.save("call.wav", seconds=10), float)
        assert_type(audio.ended_by, Literal["stop", "closed", "idle", "local", "call_ended"] | None)

    call.listen(track="left")  # type: ignore[arg-type]
    await call.listen()  # type: ignore[misc]


async def answers(call: Call) -> None:
    assert_type(await call.collect(digits=Digits(max=4)).finished(), CollectResult)
    pin = (await call.collect(digits=Digits(max=4), speech=Speech()).finished()).digits
    assert_type(pin, str | None)
    assert_type(await call.prompt(TTS("PIN?"), digits=Digits(max=4)).finished(), CollectResult)
    collecting = await call.collect(digits=Digits(max=4))
    assert_type(await collecting.start_input_timers(), Leg)
    if isinstance(collecting.last_event, CollectEvent):
        assert_type(collecting.last_event.confidence, float | None)

    detector = await call.detect(DetectMachine())
    assert_type(detector, DetectAction)
    assert_type(await detector.finished(), Detection)

    recorder = await call.record(stereo=True)
    assert_type(recorder, RecordAction)
    assert_type(await recorder.finished(), Recording)
    assert_type((await recorder.finished()).url, str | None)

    speech = await call.live_transcribe("en-US", "remote-caller")
    assert_type(speech, LiveTranscribeAction)
    assert_type(await speech.finished(), SpeechResult)

    call.collect(digits=4)  # type: ignore[arg-type]
    detector.pause()  # type: ignore[attr-defined]


async def asks(call: Call) -> None:
    start = call.ask(TTS("One or two?"), digits=Digits(max=1), accept={"1", "2"}, on_wrong=[TTS("No.")])
    assert_type(start, ResultStart[AskResult])
    answer = await start
    assert_type(answer, AskResult)
    assert_type(answer.value, str | None)
    assert_type(answer.last, CollectResult)
    assert_type(await call.ask(TTS("PIN?"), digits=Digits(max=4), accept=str.isdigit).finished(timeout=60), AskResult)
    await call.ask(TTS("PIN?"), digits=Digits(max=4), accept=re.compile("[0-9]{4}"))
    task = asyncio.create_task(call.ask(TTS("PIN?"), digits=Digits(max=4), accept="[0-9]{4}"))
    assert_type(task, asyncio.Task[AskResult])
    beep = await call.wait_for_beep(DetectMachine(initial_timeout=5), timeout=60)
    assert_type(beep, Detection)
    assert_type(beep.is_machine, bool)

    call.ask(TTS("PIN?"), accept={1, 2})  # type: ignore[arg-type]
    call.ask(TTS("PIN?"), on_wrong="No.")  # type: ignore[arg-type]
    call.wait_for_beep(DetectFax())  # type: ignore[arg-type]


async def compares(
    call: Call, collected: CollectResult, found: Detection, recording: Recording, play: PlayAction
) -> str:
    """A word that the platform does not have is flagged; what is newer than this version can be handled all the same."""
    assert_type(play.state, words.PlayState | None)
    assert_type(collected.type, words.CollectType)
    assert_type(found.event, words.Detected | None)
    assert call.state != "answerd"  # type: ignore[comparison-overlap]
    assert await call.ended() != "no-answer"  # type: ignore[comparison-overlap]
    assert play.state != "pausing"  # type: ignore[comparison-overlap]
    assert recording.state != "no-input"  # type: ignore[comparison-overlap]
    assert found.type != "phone"  # type: ignore[comparison-overlap]
    assert found.event != "human"  # type: ignore[comparison-overlap]
    assert found.event != "5"
    async for event in call.events():
        assert event.state != "answer"  # type: ignore[comparison-overlap]
        assert event.end_reason != "no_answer"  # type: ignore[comparison-overlap]
    assert collected.type != "digits"  # type: ignore[comparison-overlap]
    if str(collected.type) == "brand_new":
        return "a word that is newer than this version"
    match collected.type:
        case "digit" | "speech":
            return collected.type.upper()
        case "no_input" | "no_match" | "finished":
            return "nothing"
        case unlisted:
            return unlisted  # It is reachable: otherwise, mypy would say so.


async def receivers(client: Client, backplane: Backplane) -> None:
    assert_type(client.receiver, WebhookReceiver)
    assert_type(client.receiver.routes(), list[web.RouteDef])
    assert_type(client.receiver.inbound_url, str)
    async with client.receiver.serve(port=8080) as server:
        assert_type(server.url, str)

    @client.receiver.on_call
    async def handler(call: Call) -> None:
        await call.end()

    @client.receiver.on_call(hang_up=False)
    async def another(call: Call) -> None:
        await call.transfer("sip:agent@example.com")

    @client.receiver.on_call(to="+15550100001", answer=False)
    async def sales(call: Call) -> None:
        await call.reject("busy")

    assert_type(await sales(client.call("id")), None)
    client.receiver.on_call(sales, to=15550100001)  # type: ignore[call-overload]
    client.receiver.on_call(lambda call: None)  # type: ignore[type-var]
    reply = await client.accept(path="/", headers={}, body=b"")
    assert_type(reply.status, int)
    assert_type(reply.body, bytes)
    WebhookReceiver("project", "token", backplane=backplane)
    Client("project", "token", "space", backplane=RedisBackplane("redis://127.0.0.1"))
    async for action in client.recover():
        assert_type(action.kind, str)


async def documents(call: Call) -> None:
    steps: list[swml.AnyStep] = [swml.SendDigits("1w2"), {"play": {"url": "say:Hello."}}, swml.Hangup("busy")]
    action = await call.run_swml(steps)
    assert_type(action, SwmlAction)
    assert_type((await action).variables, dict[str, str])
    connect = await call.connect("+15550198765", confirm=steps)
    assert_type(connect, ConnectAction[Call])
    assert_type(await connect.connected(timeout=3), Call)
    assert_type(await call.connect(["+15550198765"], parallel=True).finished(), ConnectResult)
    assert_type(await connect.stop(), Leg | None)
    assert_type(await call.send_digits("12").finished(), SendDigitsResult)
    async with call.conference("room", beep="onEnter") as conference:
        assert_type(conference, ConferenceAction)
    assert_type(await conference, ConferenceResult)

    call.connect(15550198765)  # type: ignore[arg-type]
    call.conference("room", beep="loudly")  # type: ignore[arg-type]
    swml.Hangup("bored")  # type: ignore[arg-type]


def embedded(app: web.Application, client: Client) -> None:
    swcalls.setup(app, client)
    assert_type(app[swcalls.CLIENT], Client)


async def tests() -> AsyncIterator[None]:
    async with Simulator(callee=Callee(presses="1"), faults=Faults(drop=0.1), speed=100) as space:
        assert_type(space, Simulator)
        assert_type(space.url, str)
        yield
    assert_type(replay("file"), Replay)

    Callee(answers=3)  # type: ignore[arg-type]


def timelines(timeline: Timeline) -> None:
    assert_type(timeline.text(width=100, colour=True), str)
    assert_type(timeline.svg(), str)
    assert_type(timeline.html("Title"), str)
    for mark in timeline:
        assert_type(mark, Mark)
