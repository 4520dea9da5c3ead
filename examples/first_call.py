"""Dial, say hello, ask for a PIN while the prompt plays, and record a message.

Runs against a real space, or against `swcalls simulate`:

    SIGNALWIRE_PROJECT_ID=project SIGNALWIRE_API_TOKEN=token SIGNALWIRE_SPACE=http://127.0.0.1:8123
"""

import asyncio

from swcalls import TTS, Call, CallEnded, Client, Digits


async def flow(call: Call) -> None:
    await call.answered(timeout=30)
    await call.play(TTS("Welcome.")).finished()

    prompt = await call.play(TTS("Please enter your PIN."))
    pin = (await call.collect(digits=Digits(max=4), initial_timeout=10).finished(timeout=30)).digits
    await prompt.stop()
    print("PIN:", pin)

    async with call.record(stereo=True) as recording:
        await call.say("Leave a message after the tone.").finished()
    print("recording:", (await recording.finished(timeout=30)).url)


async def main() -> None:
    # On a server, set SWCALLS_PUBLIC_URL to where the platform reaches port 8080.
    async with Client.from_env() as client, client.receiver.serve(port=8080):
        try:
            async with client.dial(to="+15550198765", from_="+12069708643") as call:
                await flow(call)
            print("ended:", await call.ended(timeout=10))
        except CallEnded as ended:
            print("the call ended early:", ended.reason)


if __name__ == "__main__":
    asyncio.run(main())
