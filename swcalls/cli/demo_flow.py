"""The call flow of ``swcalls demo``, written as in a user's program: it knows no simulator, and prints nothing."""

from __future__ import annotations

from msgspec import Struct

from swcalls import TTS, Client, CollectResult, Detection, Digits, Recording, Silence


class Visit(Struct, frozen=True):
    """The results of the call's actions, for `demo_checks`."""

    who: Detection
    pin: CollectResult
    recording: Recording
    end_reason: str | None


async def take_a_message(client: Client) -> Visit:
    """Call somebody, ask for their PIN, record a sentence, and hang up."""
    async with client.dial(to="+15550198765", from_="+12069708643") as call:  # hangs up when the block ends
        await call.answered(timeout=30)
        who = await call.detect().finished()  # a person, or a machine?

        await call.play(TTS("Welcome to Example Bank.")).finished()  # start, then wait

        prompt = await call.play(TTS("Please enter your PIN."), Silence(3), loop=0)  # or keep the handle
        pin = await call.collect(digits=Digits(max=8, terminators="#"), partial_results=True).finished()
        await prompt.stop()

        async with call.record(stereo=True) as recording:  # stopped when the block ends
            await call.say("Thank you, and goodbye.").finished()
        saved = await recording.finished(timeout=10)

    return Visit(who, pin, saved, await call.ended(timeout=10))
