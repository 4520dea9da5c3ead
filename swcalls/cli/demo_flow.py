"""The call flow of ``swcalls demo``, written as in a user's program: it knows no simulator, and prints nothing."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from swcalls import TTS, Call, CallAudio, Client, CollectResult, Detection, Digits, Recording, Silence


class Visit(Struct, frozen=True):
    """The results of the call's actions, for `demo_checks`."""

    who: Detection
    pin: CollectResult
    recording: Recording
    end_reason: str | None
    loudest: dict[str, float] | None = None
    """The highest level of each track that was heard; ``None``: nobody listened."""


async def take_a_message(client: Client) -> Visit:
    """Call somebody, ask for their PIN, record a sentence, and hang up."""
    async with client.dial(to="+15550198765", from_="+12069708643") as call:  # hangs up when the block ends
        await call.answered(timeout=30)
        who, pin, recording = await talk(call)
    return Visit(who, pin, recording, await call.ended(timeout=10))


async def take_a_message_and_listen(client: Client) -> Visit:
    """Do the same, and hear both sides of the call meanwhile."""
    async with client.dial(to="+15550198765", from_="+12069708643") as call:
        await call.answered(timeout=30)
        async with call.listen(track="both") as audio:
            hearing = asyncio.create_task(loudest(audio))
            who, pin, recording = await talk(call)
        levels = await hearing  # the block has ended the stream, and so the iteration
    return Visit(who, pin, recording, await call.ended(timeout=10), levels)


async def talk(call: Call) -> tuple[Detection, CollectResult, Recording]:
    """Ask for the PIN, and record a sentence."""
    who = await call.detect().finished()  # a person, or a machine?

    await call.play(TTS("Welcome to Example Bank.")).finished()  # start, then wait

    prompt = await call.play(TTS("Please enter your PIN."), Silence(3), loop=0)  # or keep the handle
    pin = await call.collect(digits=Digits(max=8, terminators="#"), partial_results=True).finished()
    await prompt.stop()

    async with call.record(stereo=True) as recording:  # stopped when the block ends
        await call.say("Thank you, and goodbye.").finished()
    return who, pin, await recording.finished(timeout=10)


async def loudest(audio: CallAudio) -> dict[str, float]:
    """Return the highest level of each track, when the audio has ended."""
    levels = dict.fromkeys(audio.tracks, 0.0)
    async for frame in audio:
        levels[frame.track] = max(levels[frame.track], frame.rms())
    return levels
