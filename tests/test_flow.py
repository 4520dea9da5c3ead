"""Real call flows, end to end over real HTTP, against the simulator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from swcalls import (
    TTS,
    ActionFailed,
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
)
from swcalls.testing import Callee, Simulator

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
    with pytest.raises(CallNotFound):
        await call.play(TTS("Hello?"))


async def test_a_call_that_is_cancelled_while_it_rings(space: Simulator, client: Client) -> None:
    space.callees[TO] = Callee(answers=False)
    call = await client.dial(to=TO, from_=FROM)
    async for event in call.events():
        if event.state == "ringing":
            await call.cancel()
    assert await call.ended(timeout=10) == "cancel"
    with pytest.raises((InvalidParams, CallNotFound)):
        await call.complete()


async def test_the_far_end_hangs_up_in_the_middle(space: Simulator, client: Client) -> None:
    client._switchboard.registry.limits = Limits(grace=30)
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
            collect, play = await asyncio.gather(call.collect(digits=Digits(4))._start, call.play(TTS("PIN"))._start)
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
