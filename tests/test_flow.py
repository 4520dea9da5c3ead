"""Real call flows, end to end over real HTTP, against the simulator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from swcalls import (
    TTS,
    ActionFailed,
    Call,
    CallEnded,
    CallNotFound,
    Client,
    Conflict,
    DetectDigit,
    DetectFax,
    DetectMachine,
    Digits,
    InvalidParams,
    Limits,
    Playback,
    Silence,
    Speech,
    Unauthorized,
    WsDevice,
)
from swcalls.testing import Callee, NotAnswered, Simulator
from swcalls.testing.operations import fax

KEY = "PSK-signing-key"
TO, FROM = "+15550198765", "+12069708643"


@pytest.fixture(params=["enveloped", "bare"])
async def space(request: pytest.FixtureRequest, nothing_is_left_running: None) -> AsyncIterator[Simulator]:
    async with Simulator(shape=request.param, signing_key=KEY, speed=50) as space:
        yield space


@pytest.fixture
async def client(space: Simulator) -> AsyncIterator[Client]:
    async with (
        Client("project", "token", space.url, signing_key=KEY, require_signature=True) as client,
        client.receiver.serve(),
    ):
        yield client


async def test_a_whole_call(space: Simulator, client: Client) -> None:
    space.callees[TO] = Callee(presses="1234", is_machine=False)
    async with client.dial(to=TO, from_=FROM) as call:
        await call.answered(timeout=10)
        assert (await call.detect().finished(timeout=10)).event == "HUMAN"
        assert isinstance(await call.play(TTS("Welcome.")).finished(timeout=10), Playback)
        prompt = await call.play(TTS("Please enter your PIN, and take your time."), loop=0)
        collect = await call.collect(digits=Digits(max=4), partial_results=True)
        pin = await collect.finished(timeout=10)
        assert (pin.type, pin.digits) == ("digit", "1234")
        assert len([event async for event in collect]) > 1
        await prompt.stop()
        await prompt.finished(timeout=10)
        async with call.record(stereo=True) as recording:
            await call.say("Leave a message.").finished(timeout=10)
        result = await recording.finished(timeout=10)
        assert result.url
        assert result.duration
    assert await call.ended(timeout=10) == "hangup"
    assert not client.actions
    await space.settled()
    assert client.stats.webhooks.keys() == {"applied"}


async def test_play_is_paused_resumed_and_made_louder(space: Simulator, client: Client) -> None:
    async with client.dial(to=TO, from_=FROM) as call:
        await call.answered(timeout=10)
        play = await call.play(Silence(30))
        await play.reached("playing", timeout=10)
        await play.volume(6)
        await play.pause()
        await play.reached("paused", timeout=10)
        await play.resume()
        await play.finished(timeout=10)
        assert [event.state async for event in play] == ["playing", "paused", "playing", "finished"]


async def test_a_recording_ends_after_its_call(space: Simulator, client: Client) -> None:
    async with client.dial(to=TO, from_=FROM) as call:
        await call.answered(timeout=10)
        record = await call.record(format="wav")
        await record.reached("recording", timeout=10)
        await record.pause("silence")
        await record.resume()
    assert await call.ended(timeout=10) == "hangup"
    assert (await record.finished(timeout=10)).url


async def test_an_answering_machine_gets_its_message_after_the_greeting(space: Simulator, client: Client) -> None:
    space.callees[TO] = Callee(is_machine=True)
    async with client.dial(to=TO, from_=FROM) as call:
        await call.answered(timeout=10)
        detect = await call.detect(DetectMachine(detect_message_end=True))
        await detect.reached("READY", timeout=10)
        assert (await detect.finished(timeout=10)).event == "MACHINE"
        quick = await call.detect(DetectMachine(detect_message_end=False)).finished(timeout=10)
        assert quick.event == "MACHINE"


async def test_a_detector_that_hears_nothing(space: Simulator, client: Client) -> None:
    async with client.dial(to=TO, from_=FROM) as call:
        await call.answered(timeout=10)
        for detector in (DetectFax(), DetectDigit(digits="9")):
            assert (await call.detect(detector, timeout=1).finished(timeout=10)).event is None


async def test_speech_silence_and_timers(space: Simulator, client: Client) -> None:
    space.callees[TO] = Callee(says=["I would like to book a table"])
    async with client.dial(to=TO, from_=FROM) as call:
        await call.answered(timeout=10)
        said = await call.collect(speech=Speech(), send_start_of_input=True).finished(timeout=10)
        assert (said.type, said.text) == ("speech", "I would like to book a table")
        waiting = await call.collect(digits=Digits(1), initial_timeout=1, start_input_timers=False)
        await waiting.start_input_timers()
        assert (await waiting.finished(timeout=10)).type == "no_input"


async def test_a_continuous_collect_goes_on_until_it_is_stopped(space: Simulator, client: Client) -> None:
    async with client.dial(to=TO, from_=FROM) as call:
        await call.answered(timeout=10)
        collect = await call.collect(digits=Digits(1), continuous=True)
        assert call.id is not None
        far_end = space.calls[call.id]
        far_end.press("1")
        await collect.reached("digit", timeout=10)
        assert not collect.done()
        await collect.stop()
        assert (await collect.finished(timeout=10)).type == "finished"


async def test_a_stream_runs_until_it_is_stopped(space: Simulator, client: Client) -> None:
    async with client.dial(to=TO, from_=FROM) as call:
        await call.answered(timeout=10)
        async with call.stream("wss://example.com/audio", name="s") as stream:
            await stream.reached("streaming", timeout=10)
        assert (await stream.finished(timeout=10)).url == "wss://example.com/audio"


@pytest.mark.parametrize("answers", [False, "busy", "decline"])
async def test_a_call_that_is_not_answered(space: Simulator, client: Client, answers: bool | str) -> None:
    space.callees[TO] = Callee(answers=answers)
    call = await client.dial(to=TO, from_=FROM, timeout=2)
    with pytest.raises(CallEnded) as caught:
        await call.answered(timeout=10)
    assert caught.value.reason == (answers or "noAnswer")
    with pytest.raises(CallEnded):
        await call.play(TTS("Hello?"))


async def test_a_call_that_is_cancelled_while_it_rings(space: Simulator, client: Client) -> None:
    space.callees[TO] = Callee(answers=False)
    call = await client.dial(to=TO, from_=FROM)
    async for event in call.events():
        if event.state == "ringing":
            await call.cancel()
    assert await call.ended(timeout=10) == "cancel"
    with pytest.raises(CallEnded):
        await call.complete()


async def test_the_far_end_hangs_up_in_the_middle(space: Simulator, client: Client) -> None:
    client._engine.registry.limits = Limits(grace=30)
    async with client.dial(to=TO, from_=FROM) as call:
        await call.answered(timeout=10)
        play = await call.play(Silence(1000))
        await play.reached("playing", timeout=10)
        assert call.id is not None
        space.calls[call.id].hang_up()
        assert await call.ended(timeout=10) == "hangup"
        assert isinstance(await play.finished(timeout=10), Playback)
    assert space.commands[-1].command == "calling.play"  # the block had nothing to hang up


async def test_refusals_of_the_space_are_typed(space: Simulator, client: Client) -> None:
    async with client.dial(to=TO, from_=FROM) as call:
        await call.answered(timeout=10)
        await call.play(Silence(1000), control_id="mine")
        answer = {"control_id": "mine", "play": [{"type": "silence", "params": {"duration": 1}}]}
        with pytest.raises((InvalidParams, Conflict)):
            await client.execute("calling.play", call_id=call.id, params=answer)
        with pytest.raises(InvalidParams):
            await client.execute("calling.play", call_id=call.id, params={"control_id": "x", "play": [], "volume": 99})
        with pytest.raises(InvalidParams):
            await client.execute("calling.levitate", call_id=call.id)
    async with Client("project", "wrong", space.url, public_url="https://h.example") as stranger:
        with pytest.raises(Unauthorized):
            await stranger.dial(to=TO, from_=FROM)


async def test_many_calls_at_once_each_get_their_own_results(space: Simulator, client: Client) -> None:
    async def flow(number: int) -> None:
        to = f"+1555{number:07d}"
        space.callees[to] = Callee(presses=f"{number:04d}")
        async with client.dial(to=to, from_=FROM) as call:
            await call.answered(timeout=30)
            collect, play = await asyncio.gather(call.collect(digits=Digits(4)), call.play(TTS("PIN")))
            assert (await collect.finished(timeout=30)).digits == f"{number:04d}"
            await play.finished(timeout=30)
        assert await call.ended(timeout=30) == "hangup"

    async with asyncio.TaskGroup() as group:
        for number in range(30):
            group.create_task(flow(number))
    assert not client.actions


async def test_an_action_failed_is_not_raised_for_success(space: Simulator, client: Client) -> None:
    async with client.dial(to=TO, from_=FROM) as call:
        await call.answered(timeout=10)
        play = await call.play(Silence(1))
        with pytest.raises(ActionFailed, match="paused"):
            await play.reached("paused", timeout=10)
        assert isinstance(play.result(), Playback)


async def test_a_prompt_is_cut_short_by_the_first_key(space: Simulator, client: Client) -> None:
    space.callees[TO] = Callee(presses="1234", reacts_after=0.2)
    async with client.dial(to=TO, from_=FROM) as call:
        await call.answered(timeout=10)
        prompt = await call.prompt(TTS("Please enter your PIN. " * 20), digits=Digits(4), initial_timeout=5)
        assert (await prompt.finished(timeout=10)).digits == "1234"
        assert isinstance(await prompt.playback.finished(timeout=10), Playback)
    assert "calling.play.stop" in {received.command for received in space.commands}


async def test_a_prompt_that_nobody_answers(space: Simulator, client: Client) -> None:
    async with client.dial(to=TO, from_=FROM) as call:
        await call.answered(timeout=10)
        answer = await call.prompt(TTS("Hello?"), digits=Digits(4), initial_timeout=2).finished(timeout=10)
        assert answer.type == "no_input"
    commands = [received.command for received in space.commands]
    assert "calling.collect.start_input_timers" in commands
    assert "calling.play.stop" not in commands


async def test_a_call_that_comes_in_is_served_by_the_flow_of_one_that_goes_out(
    space: Simulator, client: Client
) -> None:
    outcomes: asyncio.Queue[tuple[str | None, str | None]] = asyncio.Queue()

    async def flow(call: Call) -> None:
        await call.answered(timeout=10)
        answer = await call.prompt(TTS("Your PIN?"), digits=Digits(4)).finished(timeout=10)
        await call.say("Thank you.").finished(timeout=10)
        await call.end()
        outcomes.put_nowait((answer.digits, await call.ended(timeout=10)))

    client.receiver.on_call(flow)
    url = client.receiver.inbound_url
    rung = await space.call(FROM, TO, url=url, status_url=url, callee=Callee(presses="4321"))
    assert await outcomes.get() == ("4321", "hangup")
    assert (rung.state, rung.direction) == ("ended", "inbound")
    space.callees[TO] = Callee(presses="1234")
    await flow(await client.dial(to=TO, from_=FROM))
    assert await outcomes.get() == ("1234", "hangup")


async def test_a_call_that_nobody_takes(space: Simulator, client: Client) -> None:
    with pytest.raises(NotAnswered):
        await space.call(url=client.receiver.inbound_url)


async def test_what_was_said_is_written_down(space: Simulator, client: Client) -> None:
    async with client.dial(to=TO, from_=FROM) as call:
        await call.answered(timeout=10)
        transcribe = await call.transcribe()
        with pytest.raises(Conflict):
            await call.transcribe()
        live = await call.live_transcribe("en-US", ["remote-caller", "local-caller"], live_events=True, ai_summary=True)
        await call.say("Good morning.").finished(timeout=10)
        await live.reached("utterance", timeout=10)
        await live.stop()
        assert (await live.finished(timeout=10)).summary
    assert (await transcribe.finished(timeout=10)).text == "Good morning."


async def test_a_sidecar_listens_and_answers(space: Simulator, client: Client) -> None:
    space.callees[TO] = Callee(knows="Forty-two.")
    async with client.dial(to=TO, from_=FROM) as call:
        await call.answered(timeout=10)
        sidecar = await call.sidecar("en-US", prompt="Listen.")
        await call.say("What is the answer?").finished(timeout=10)
        await sidecar.reached("insight", timeout=10)
        assert (await sidecar.ask("Well?").finished(timeout=10)).text == "Forty-two."
        assert (await sidecar.status()).running
        with pytest.raises(Conflict):
            await call.sidecar("en-US")
        await sidecar.stop()
        assert (await sidecar.finished(timeout=10)).stop_reason == "api_stop"


@pytest.mark.parametrize("state", ["success", "busy"])
async def test_a_sip_call_is_referred(space: Simulator, client: Client, state: str) -> None:
    space.callees["sip:bob@example.com"] = Callee(refers=state)
    async with client.dial(to="sip:bob@example.com", from_="sip:alice@example.com") as call:
        await call.answered(timeout=10)
        refer = await call.refer("sip:carol@example.com")
        if state == "success":
            assert (await refer.finished(timeout=10)).to == "sip:carol@example.com"
        else:
            with pytest.raises(ActionFailed, match="busy"):
                await refer.finished(timeout=10)


async def test_a_tap_a_translation_and_a_fax(space: Simulator, client: Client) -> None:
    async with client.dial(to=TO, from_=FROM) as call:
        await call.answered(timeout=10)
        async with call.tap(WsDevice("wss://example.com/tap")) as tap:
            await tap.reached("tapping", timeout=10)
        assert (await tap.finished(timeout=10)).device
        async with call.live_translate("en-US", "de-DE", "remote-caller", live_events=True) as live:
            await live.inject("Hello", "remote-caller")
            await live.reached("utterance", timeout=10)
        await live.finished(timeout=10)
        assert call.id is not None
        sent = call.action("send_fax", "fax-1")
        fax(space.calls[call.id], "fax-1", client._engine.urls.mint("send_fax", "fax-1"), pages=2)
        assert (await sent.finished(timeout=10)).pages == 2
        stopped = call.action("receive_fax", "fax-2")
        fax(space.calls[call.id], "fax-2", client._engine.urls.mint("receive_fax", "fax-2"), receive=True, pages=99)
        await stopped.stop()
        with pytest.raises(ActionFailed):
            await stopped.finished(timeout=10)


@pytest.mark.parametrize(
    ("command", "params"),
    [
        ("calling.tap", {"control_id": "x", "tap": {"type": "audio", "params": {"direction": "both"}},
                         "device": {"type": "rtp", "params": {"addr": "10.0.0.1", "port": 5}}}),
        ("calling.tap", {"control_id": "x", "tap": {"type": "audio", "params": {"direction": "both"}},
                         "device": {"type": "ws", "params": {"uri": "https://example.com"}}}),
        ("calling.ai_hold", {"timeout": 300}),
        ("calling.ai_hold", {"timeout": "soon"}),
        ("calling.refer", {"device": {"type": "sip", "params": {"to": "tel:+1"}}}),
        ("calling.refer", {"device": {"type": "sip", "params": {"to": "sip:a@b"}}}),
        ("calling.live_translate", {"action": {"summarize": {}, "inject": {"message": "x", "direction": "local-caller"}}}),
        ("calling.live_transcribe", {"action": "pause"}),
        ("calling.ai_sidecar", {}),
        ("calling.ai_sidecar", {"lang": "en", "direction": ["remote-caller"]}),
        ("calling.denoise", {"more": True}),
        ("calling.user_event", {"event": "ping"}),
        ("calling.transfer", {}),
    ],
)  # fmt: skip
async def test_the_space_refuses_what_the_contract_refuses(
    space: Simulator, client: Client, command: str, params: dict[str, object]
) -> None:
    async with client.dial(to=TO, from_=FROM) as call:
        await call.answered(timeout=10)
        with pytest.raises(InvalidParams):
            await client.execute(command, call_id=call.id, params=params)


@pytest.mark.parametrize(
    "command",
    ["calling.ai_sidecar.stop", "calling.ai_sidecar.status", "calling.live_transcribe", "calling.send_fax.stop"],
)
async def test_the_space_knows_nothing_of_what_does_not_run(space: Simulator, client: Client, command: str) -> None:
    params: dict[str, object] = {
        "calling.live_transcribe": {"action": "stop"},
        "calling.send_fax.stop": {"control_id": "x"},
    }.get(command, {})
    async with client.dial(to=TO, from_=FROM) as call:
        await call.answered(timeout=10)
        with pytest.raises(CallNotFound):
            await client.execute(command, call_id=call.id, params=params)
