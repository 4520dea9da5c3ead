"""A prompt: a collect and a playback, of which neither is left running."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from aiohttp import web

from swcalls import (
    TTS,
    ActionExpired,
    ActionFailed,
    Audio,
    Call,
    CallEnded,
    Client,
    Digits,
    InvalidParams,
    Limits,
    Ringtone,
    ServerFault,
    Silence,
)
from swcalls.actions.prompt import SECONDS_A_CHARACTER, _longest, quietly


async def sent(space, command: str) -> dict[str, object]:
    """Wait for *command* to arrive."""
    while True:
        arrived = await space.arrived.get()
        if arrived["command"] == command:
            return arrived["params"]


def counted(space) -> Counter[str]:
    return Counter(command["command"].removeprefix("calling.") for command in space.commands)


def test_a_prompt_lasts_as_long_as_what_it_plays_and_a_file_as_long_as_is_assumed() -> None:
    media = (TTS("12345"), Silence(2), Audio("https://example.com/a.mp3"), Ringtone("us"))
    assert _longest(media, None, 60) == pytest.approx(5 * SECONDS_A_CHARACTER + 2 + 60 + 60)
    assert _longest(media[1:2], 3, 60) == 6
    assert _longest(media, 0, 60) is None


async def test_a_prompt_collects_and_plays_with_its_timers_held_back(space, call: Call) -> None:
    prompt = await call.prompt(TTS("Your PIN?"), digits=Digits(4), initial_timeout=5, volume=3)
    collect, play = space.last("calling.collect"), space.last("calling.play")
    assert collect["start_input_timers"] is False
    assert collect["send_start_of_input"] is True
    assert (collect["control_id"], play["control_id"]) == (prompt.control_id, prompt.playback.control_id)
    assert (play["volume"], collect["initial_timeout"]) == (3, 5)


async def test_timers_that_are_refused_and_what_cleans_up_are_for_the_log(space, call: Call, caplog) -> None:
    caplog.set_level("INFO", "swcalls")
    prompt = await call.prompt(TTS("Your PIN?"), digits=Digits(4), control_id="p")
    space.answers.append(web.json_response({}, status=422))
    await space.tell("calling.play", state="finished")
    await sent(space, "calling.collect.start_input_timers")
    await space.tell("calling.collect", result={"type": "digit", "params": {"digits": "1234"}})
    assert (await prompt).digits == "1234"
    assert "collect p: timers not started: calling.collect.start_input_timers: refused with 422" in caplog.text

    async def fail() -> None:
        raise ServerFault("it is gone", status=500, command="calling.play.stop")

    await quietly(fail())
    assert "cleaning up after a prompt: calling.play.stop: it is gone" in caplog.text


async def test_input_stops_the_playback_and_the_result_is_the_collects(space, call: Call) -> None:
    prompt = await call.prompt(TTS("Your PIN?"), digits=Digits(4))
    await space.tell("calling.collect", result={"type": "start_of_input"})
    assert (await sent(space, "calling.play.stop"))["control_id"] == prompt.playback.control_id
    await sent(space, "calling.collect.start_input_timers")
    await space.tell("calling.play", state="finished")
    await space.tell("calling.collect", result={"type": "digit", "params": {"digits": "1234"}})
    assert (await prompt).digits == "1234"
    assert counted(space)["play.stop"] == 1


async def test_without_barge_in_the_playback_goes_on_and_its_end_starts_the_timers(space, call: Call) -> None:
    prompt = await call.prompt(TTS("Your PIN?"), digits=Digits(4), barge_in=False, partial_results=True)
    assert "send_start_of_input" not in space.last("calling.collect")
    await space.tell("calling.collect", result={"type": "digit", "params": {"digits": "1"}}, final=False)
    await space.tell("calling.play", state="finished")
    await sent(space, "calling.collect.start_input_timers")
    assert counted(space)["play.stop"] == 0
    await space.tell("calling.collect", result={"type": "no_input"})
    assert (await prompt).type == "no_input"


async def test_a_result_ends_the_playback_even_without_barge_in(space, call: Call) -> None:
    prompt = await call.prompt(TTS("Your PIN?"), digits=Digits(1), barge_in=False)
    await space.tell("calling.collect", result={"type": "digit", "params": {"digits": "1"}})
    assert (await prompt).digits == "1"
    await sent(space, "calling.play.stop")


async def test_a_playback_that_is_refused_stops_the_collect(space, call: Call) -> None:
    space.answers.extend([space.leg({"id": call.id}), web.json_response({}, status=422)])
    with pytest.raises(InvalidParams):
        await call.prompt(TTS("Your PIN?"), digits=Digits(4))
    await sent(space, "calling.collect.stop")
    assert counted(space)["play.stop"] == 0, "what was refused is not stopped"


async def test_a_playback_that_fails_fails_the_prompt_and_stops_the_collect(space, call: Call) -> None:
    prompt = await call.prompt(TTS("Your PIN?"), digits=Digits(4))
    await space.tell("calling.play", state="error")
    with pytest.raises(ActionFailed, match="the prompt failed"):
        await prompt
    await sent(space, "calling.collect.stop")


async def test_a_collect_that_is_refused_plays_nothing(space, call: Call) -> None:
    space.answers.append(web.json_response({}, status=500))
    with pytest.raises(ServerFault):
        await call.prompt(TTS("Your PIN?"), digits=Digits(4))
    assert counted(space)["play"] == 0


async def test_a_deadline_stops_both(space, call: Call) -> None:
    prompt = await call.prompt(TTS("Your PIN?"), digits=Digits(4), deadline=60)
    space.overdue(prompt)
    with pytest.raises(ActionExpired):
        await prompt
    await sent(space, "calling.play.stop")
    await sent(space, "calling.collect.stop")


async def test_a_wait_in_one_expression_that_times_out_stops_both(space, call: Call) -> None:
    with pytest.raises(TimeoutError):
        await call.prompt(TTS("Your PIN?"), digits=Digits(4)).finished(timeout=0.2)
    await sent(space, "calling.collect.stop")
    assert (counted(space)["play.stop"], counted(space)["collect.stop"]) == (1, 1)


async def test_a_wait_in_one_expression_that_is_cancelled_stops_both(space, call: Call) -> None:
    waiter = asyncio.create_task(call.prompt(TTS("Your PIN?"), digits=Digits(4)).finished())
    await sent(space, "calling.play")
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    await sent(space, "calling.collect.stop")


async def test_a_block_stops_both_at_its_end(space, call: Call) -> None:
    async with call.prompt(TTS("Your PIN?"), digits=Digits(4)):
        pass
    assert (counted(space)["play.stop"], counted(space)["collect.stop"]) == (1, 1)


async def test_the_end_of_the_call_ends_the_prompt_and_sends_nothing(space, call: Call, client: Client) -> None:
    prompt = await call.prompt(TTS("Your PIN?"), digits=Digits(4))
    await space.tell_call("ended", end_reason="hangup")
    with pytest.raises(CallEnded):
        await prompt
    assert prompt.playback.done()
    assert not client.actions
    assert counted(space).keys() == {"dial", "collect", "play"}


async def test_closing_the_client_leaves_nothing_of_a_prompt(space, connect) -> None:
    client = await connect(limits=Limits(grace=30))
    call = await client.dial(to="+15550198765", from_="+12069708643")
    prompt = await call.prompt(TTS("Your PIN?"), digits=Digits(4))
    await client.close()
    assert (await prompt.outcome()).settled_by == "closed"


async def test_a_prompt_whose_timers_the_platform_does_not_start_does_not_wait_for_ever(space, call: Call) -> None:
    prompt = await call.prompt(TTS("Your PIN?"), digits=Digits(4))
    space.answers.append(web.json_response({}, status=500))
    await space.tell("calling.play", state="finished")
    await sent(space, "calling.collect.start_input_timers")
    while prompt._operation.due is None:
        await asyncio.sleep(0)
    space.overdue(prompt)
    with pytest.raises(ActionExpired):
        await prompt
    await sent(space, "calling.collect.stop")
