"""All 42 commands: the public call that sends each, and the body that it must produce, compared with the contract.

`samples/commands.json` lists what the vendor's schema knows; a command or a parameter of it that no public call can
send fails here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from swcalls import (
    TTS,
    Audio,
    Call,
    Client,
    DetectDigit,
    DetectFax,
    DetectMachine,
    Digits,
    Reset,
    Ringtone,
    RtpDevice,
    SidecarParams,
    SidecarPermissions,
    Silence,
    Speech,
    WsDevice,
)
from swcalls.testing import Callee, Simulator
from swcalls.testing.operations import fax

CONTRACT = msgspec.json.decode((Path(__file__).parent / "samples/commands.json").read_bytes())["commands"]
URL = "http://127.0.0.1:9/x"
"""Nobody listens there."""
SWML = {"version": "1.0.0", "sections": {"main": ["answer"]}}
ID = {"control_id": "mine"}
KEYED = {"control_id": "mine", "status_url": URL}


class Row(NamedTuple):
    """One public call, and the params that it must send."""

    command: str
    send: Callable[[Client, Call], Awaitable[Any]]
    params: dict[str, Any]


def control(command: str, start: Callable[[Call], Any], verb: str, *args: Any, **params: Any) -> Row:
    """A row for a method of a handle."""

    async def send(client: Client, call: Call) -> None:
        await getattr(await start(call), verb)(*args)

    return Row(command, send, {**ID, **params})


def bare(command: str, start: Callable[[Call], Any], verb: str, *args: Any, **params: Any) -> Row:
    """A row for a method of a handle whose command has no control_id."""
    row = control(command, start, verb, *args)
    return row._replace(params=params)


def play(call: Call) -> Any:
    return call.play(TTS("Hi"), control_id="mine")


def record(call: Call) -> Any:
    return call.record(control_id="mine")


def collect(call: Call) -> Any:
    return call.collect(digits=Digits(1), control_id="mine")


def transcription(call: Call) -> Any:
    return call.live_transcribe("en-US", "remote-caller", status_url=URL)


def translation(call: Call) -> Any:
    return call.live_translate("en-US", "de-DE", "remote-caller", status_url=URL)


def sidecar(call: Call) -> Any:
    return call.sidecar("en-US", status_url=URL)


LIVE = {
    "live_events": True,
    "ai_summary": False,
    "ai_summary_prompt": "Shortly",
    "speech_engine": "google",
    "speech_timeout": 1500,
    "vad_silence_ms": 500,
    "vad_thresh": 400,
    "debug_level": 1,
}
SIDECAR_PARAMS = {
    "idle_timeout_ms": 200,
    "min_interval_ms": 0,
    "max_iters_per_tick": 5,
    "max_history_tokens": 8000,
    "act_on_channel": True,
    "final_summary": True,
    "ai_summary": False,
    "ai_summary_prompt": "Shortly",
    "summary_model": "gpt-4o-mini",
    "live_events": False,
    "verbose_utterances": False,
    "speech_engine": "deepgram",
    "speech_timeout": 1000,
    "vad_silence_ms": 300,
    "vad_thresh": 400,
    "debug_level": 0,
    "debug": False,
    "transcribe_prompt": "Names",
}
DIAL = {
    "to": "sip:bob@example.com",
    "username": "u",
    "password": "p",
    "to_script": SWML,
    "caller_id": "+12069708643",
    "fallback_url": "https://example.com/fallback",
    "status_url": URL,
    "status_events": ["answered", "ended"],
    "url_method": "GET",
    "codecs": ["PCMU", "OPUS@16000H@20I"],
    "timeout": 600,
    "max_price_per_minute": 0.5,
    "send_digits": "1w2#",
    "region": ["us-east", "us-west"],
    "custom_variables": {"case": "54321"},
}
MACHINE = {
    "initial_timeout": 4.5,
    "end_silence_timeout": 1,
    "machine_ready_timeout": 2,
    "machine_voice_threshold": 1.25,
    "machine_words_threshold": 6,
    "detect_interruptions": True,
    "detect_message_end": False,
}
AUDIO = {
    "format": "mp4",
    "stereo": True,
    "direction": "speak",
    "beep": True,
    "initial_timeout": 4,
    "end_silence_timeout": 0.5,
    "max_length": 60,
    "terminators": "#*",
    "input_sensitivity": 44,
}
SPEECH = {
    "end_silence_timeout": 1,
    "speech_timeout": 10,
    "language": "en-US",
    "hints": ["one", "two"],
    "model": "phone",
    "engine": "Google.V2",
}
COLLECT = {
    "initial_timeout": 4,
    "continuous": True,
    "partial_results": True,
    "send_start_of_input": True,
    "start_input_timers": False,
}
STREAM = {
    "name": "s",
    "codec": "PCMU",
    "track": "both_tracks",
    "authorization_bearer_token": "t",
    "custom_parameters": {"a": "1"},
    "status_url_method": "GET",
}
PLAY = {
    "volume": -3.5,
    "direction": "both",
    "loop": 2,
    "language": "en-GB",
    "voice": "gcloud.en-GB-A",
    "gender": "male",
}
REFER = {"username": "u", "password": "p"}

TABLE = [
    Row("dial", lambda client, _: client.dial(from_="sip:a@b", url="https://e.com/s", **DIAL),
        {"from": "sip:a@b", "url": "https://e.com/s", **DIAL}),
    Row("dial", lambda client, _: client.dial(
            from_="+12069708643", to="+15550198765", swml=SWML, codecs="PCMU,PCMA", status_url=URL),
        {"from": "+12069708643", "to": "+15550198765", "swml": SWML, "codecs": "PCMU,PCMA", "status_url": URL,
         "status_events": ["created", "ringing", "answered", "ended"]}),
    Row("update", lambda _, call: call.update(url="https://e.com/s", fallback_url="https://e.com/f", status_url=URL),
        {"id": "call-1", "url": "https://e.com/s", "fallback_url": "https://e.com/f", "status_url": URL}),
    Row("update", lambda _, call: call.update(swml=SWML), {"id": "call-1", "swml": SWML}),
    Row("update", lambda _, call: call.cancel(), {"id": "call-1", "status": "canceled"}),
    Row("update", lambda _, call: call.complete(), {"id": "call-1", "status": "completed"}),
    Row("calling.end", lambda _, call: call.end(), {}),
    Row("calling.end", lambda _, call: call.end("noAnswer"), {"reason": "noAnswer"}),
    Row("calling.disconnect", lambda _, call: call.disconnect(), {}),
    Row("calling.ai_hold", lambda _, call: call.ai_hold(timeout=300, prompt="One moment."),
        {"timeout": "300", "prompt": "One moment."}),
    Row("calling.ai_unhold", lambda _, call: call.ai_unhold(), {}),
    Row("calling.ai_message", lambda _, call: call.ai_message(
            role="system", message_text="Be brief.", global_data={"a": 1},
            reset=Reset(full_reset=True, user_prompt="u", system_prompt="s")),
        {"role": "system", "message_text": "Be brief.", "global_data": {"a": 1},
         "reset": {"full_reset": True, "user_prompt": "u", "system_prompt": "s"}}),
    Row("calling.ai.stop", lambda _, call: call.ai_stop(), {}),
    Row("calling.ai.stop", lambda _, call: call.ai_stop(control_id="mine"), ID),
    Row("calling.ai_sidecar", lambda _, call: call.sidecar(
            "en-US", prompt="Listen.", model="gpt-4.1-mini", direction=["remote-caller", "local-caller"],
            customer_role="remote-caller", swaig={"functions": []}, global_data={"a": 1}, hints=["acme"],
            permissions=SidecarPermissions(
                swaig_allow_swml=False, swaig_allow_settings=True, swaig_set_global_data=True),
            params=SidecarParams(**SIDECAR_PARAMS), status_url=URL),
        {"lang": "en-US", "prompt": "Listen.", "model": "gpt-4.1-mini",
         "direction": ["remote-caller", "local-caller"], "customer_role": "remote-caller",
         "SWAIG": {"functions": []}, "global_data": {"a": 1}, "hints": ["acme"],
         "permissions": {"swaig_allow_swml": False, "swaig_allow_settings": True, "swaig_set_global_data": True},
         "params": SIDECAR_PARAMS, "url": URL}),
    Row("calling.ai_sidecar", lambda _, call: call.sidecar_summary("en-US", prompt="Shortly", status_url=URL),
        {"lang": "en-US", "url": URL, "action": {"summarize": {"prompt": "Shortly", "webhook": URL}}}),
    bare("calling.ai_sidecar.poke", sidecar, "poke", "Look!", text="Look!"),
    bare("calling.ai_sidecar.ask", sidecar, "ask", "Why?", text="Why?"),
    bare("calling.ai_sidecar.stop", sidecar, "stop"),
    bare("calling.ai_sidecar.status", sidecar, "status"),
    Row("calling.play", lambda _, call: call.play(
            Audio("https://e.com/a.mp3"), TTS("Hi", language="en-US", gender="female", voice="v"), Silence(1.5),
            Ringtone("us", duration=3), Ringtone("bong"), **PLAY, **KEYED),
        {**KEYED, **PLAY, "play": [
            {"type": "audio", "params": {"url": "https://e.com/a.mp3"}},
            {"type": "tts", "params": {"text": "Hi", "language": "en-US", "gender": "female", "voice": "v"}},
            {"type": "silence", "params": {"duration": 1.5}},
            {"type": "ringtone", "params": {"name": "us", "duration": 3}},
            {"type": "ringtone", "params": {"name": "bong"}}]}),
    Row("calling.play", lambda _, call: call.say("Hi", **PLAY, **KEYED),
        {**KEYED, **PLAY, "play": [{"type": "tts", "params": {"text": "Hi"}}]}),
    control("calling.play.pause", play, "pause"),
    control("calling.play.resume", play, "resume"),
    control("calling.play.stop", play, "stop"),
    control("calling.play.volume", play, "volume", 40, volume=40),
    Row("calling.record", lambda _, call: call.record(**AUDIO, **KEYED), {**KEYED, "record": {"audio": AUDIO}}),
    Row("calling.record", lambda _, call: call.record(**KEYED), {**KEYED, "record": {"audio": {
        "direction": "both", "initial_timeout": 0, "end_silence_timeout": 0, "terminators": ""}}}),
    control("calling.record.pause", record, "pause", "silence", behavior="silence"),
    control("calling.record.resume", record, "resume"),
    control("calling.record.stop", record, "stop"),
    Row("calling.collect", lambda _, call: call.collect(
            digits=Digits(4, terminators="#", digit_timeout=2), speech=Speech(**SPEECH), **COLLECT, **KEYED),
        {**KEYED, **COLLECT, "digits": {"max": 4, "terminators": "#", "digit_timeout": 2}, "speech": SPEECH}),
    control("calling.collect.stop", collect, "stop"),
    control("calling.collect.start_input_timers", collect, "start_input_timers"),
    Row("calling.detect", lambda _, call: call.detect(DetectMachine(**MACHINE), timeout=20, **KEYED),
        {**KEYED, "timeout": 20, "detect": {"type": "machine", "params": MACHINE}}),
    Row("calling.detect", lambda _, call: call.detect(DetectFax(tone="CNG"), **KEYED),
        {**KEYED, "detect": {"type": "fax", "params": {"tone": "CNG"}}}),
    Row("calling.detect", lambda _, call: call.detect(DetectDigit(digits="12"), **KEYED),
        {**KEYED, "detect": {"type": "digit", "params": {"digits": "12"}}}),
    control("calling.detect.stop", lambda call: call.detect(control_id="mine"), "stop"),
    Row("calling.tap", lambda _, call: call.tap(
            RtpDevice("8.8.8.8", 5004, codec="OPUS", ptime=20), direction="listen", **KEYED),
        {**KEYED, "tap": {"type": "audio", "params": {"direction": "listen"}},
         "device": {"type": "rtp", "params": {"addr": "8.8.8.8", "port": 5004, "codec": "OPUS", "ptime": 20}}}),
    Row("calling.tap", lambda _, call: call.tap(WsDevice("ws://example.com/t", codec="pcmu"), **KEYED),
        {**KEYED, "tap": {"type": "audio", "params": {"direction": "both"}},
         "device": {"type": "ws", "params": {"uri": "ws://example.com/t", "codec": "pcmu"}}}),
    control("calling.tap.stop", lambda call: call.tap(WsDevice("wss://e.com/t"), control_id="mine"), "stop"),
    Row("calling.stream", lambda _, call: call.stream("wss://e.com/s", **STREAM, **KEYED),
        {**KEYED, **STREAM, "url": "wss://e.com/s"}),
    control("calling.stream.stop", lambda call: call.stream("wss://e.com/s", control_id="mine"), "stop"),
    Row("calling.transcribe", lambda _, call: call.transcribe(**KEYED), KEYED),
    control("calling.transcribe.stop", lambda call: call.transcribe(control_id="mine"), "stop"),
    Row("calling.denoise", lambda _, call: call.denoise(), {}),
    Row("calling.denoise.stop", lambda _, call: call.denoise_stop(), {}),
    Row("calling.live_transcribe", lambda _, call: call.live_transcribe(
            "en-US", ["remote-caller", "local-caller"], status_url=URL, **LIVE),
        {"action": {"start": {
            "lang": "en-US", "direction": ["remote-caller", "local-caller"], "webhook": URL, **LIVE}}}),
    bare("calling.live_transcribe", transcription, "summarize", "Shortly", action={"summarize": {"prompt": "Shortly"}}),
    Row("calling.live_transcribe", lambda _, call: _summarize(transcription(call)),
        {"action": {"summarize": {"webhook": URL}}}),
    bare("calling.live_transcribe", transcription, "stop", action="stop"),
    Row("calling.live_translate", lambda _, call: call.live_translate(
            "en-US", "de-DE", "local-caller", from_voice="a", to_voice="b", filter_from="gen-z",
            filter_to="prompt:Rhyme", status_url=URL, **LIVE),
        {"status_url": URL, "action": {"start": {
            "from_lang": "en-US", "to_lang": "de-DE", "direction": ["local-caller"], "from_voice": "a",
            "to_voice": "b", "filter_from": "gen-z", "filter_to": "prompt:Rhyme", "webhook": URL, **LIVE}}}),
    bare("calling.live_translate", translation, "summarize", "Shortly", action={"summarize": {"prompt": "Shortly"}}),
    Row("calling.live_translate", lambda _, call: _summarize(translation(call)),
        {"action": {"summarize": {"webhook": URL}}}),
    bare("calling.live_translate", translation, "inject", "Hello", "remote-caller",
         action={"inject": {"message": "Hello", "direction": "remote-caller"}}),
    bare("calling.live_translate", translation, "stop", action="stop"),
    Row("calling.transfer", lambda _, call: call.transfer("sip:bob@example.com"), {"dest": "sip:bob@example.com"}),
    Row("calling.transfer", lambda _, call: call.transfer(SWML), {"dest": SWML}),
    Row("calling.send_fax.stop", lambda _, call: call.send_fax_stop("mine"), ID),
    Row("calling.receive_fax.stop", lambda _, call: call.receive_fax_stop("mine"), ID),
    Row("calling.refer", lambda _, call: call.refer("sip:bob@e.com", from_="sip:a@e.com", status_url=URL, **REFER),
        {"status_url": URL, "device": {
            "type": "sip", "params": {"to": "sip:bob@e.com", "from": "sip:a@e.com", **REFER}}}),
    Row("calling.user_event", lambda _, call: call.user_event({"type": "ping", "n": [1]}),
        {"event": {"type": "ping", "n": [1]}}),
]  # fmt: skip


async def _summarize(start: Any) -> None:
    await (await start).summarize(webhook=URL)


def leaves(value: Any, path: str, known: set[str]) -> Iterator[str]:
    """The paths of *value*, down to what the contract takes for one parameter."""
    if path in known:
        yield path
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name, known)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, f"{path}[]", known)
    else:
        yield path


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.command)
async def test_the_public_call_sends_the_body(space, client: Client, row: Row) -> None:
    call = client.call("call-1")
    await row.send(client, call)
    sent = space.commands[-1]
    assert sent["command"] == row.command
    assert sent["params"] == row.params
    assert sorted(sent) == CONTRACT[row.command]["envelope"]
    assert sent.get("id") == (None if row.command in ("dial", "update") else "call-1")


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.command)
async def test_the_simulator_accepts_the_body(nothing_is_left_running: None, row: Row) -> None:
    cancels = row.params.get("status") == "canceled"
    async with (
        Simulator(callee=Callee(rings_for=0, answers=not cancels)) as space,
        Client("project", "token", space.url) as client,
        client.receiver.serve(),
    ):
        call = await client.dial(to="sip:bob@example.com", from_="+12069708643")
        if not cancels:
            await call.answered(timeout=10)
        if "fax" in row.command:
            fax(space.calls[call.id], "mine", URL, receive="receive" in row.command)
        await row.send(client, call)
        assert {received.status for received in space.commands} == {200}
        assert row.command in {received.command for received in space.commands}


def test_the_table_has_every_command() -> None:
    assert len(CONTRACT) == 42
    assert {row.command for row in TABLE} == CONTRACT.keys()


@pytest.mark.parametrize("command", CONTRACT)
def test_every_parameter_of_the_contract_can_be_sent_and_no_other_is(command: str) -> None:
    known = set(CONTRACT[command]["params"])
    sent = {leaf for row in TABLE if row.command == command for leaf in leaves(row.params, "", known)}
    # `action` is one of an object and the word "stop".
    assert sent - {"action"} == known
