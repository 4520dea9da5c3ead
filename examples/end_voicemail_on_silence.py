"""Take messages: the recording of a caller ends as soon as the caller has been silent for a while."""

import asyncio
import signal

from swcalls import Client

LOUD = 300
"""The level of a voice; 32768 is the loudest there is."""


async def until_silent(audio, seconds=3.0):
    """Return when nobody has spoken for so many seconds of audio."""
    silent_since = None
    async for frame in audio:
        end = frame.timestamp_ms / 1000 + frame.duration
        if silent_since is None or frame.rms() > LOUD:
            silent_since = end
        if end - silent_since >= seconds:
            return


async def main() -> None:
    # Without this line, SIGTERM would end the process at once; with it, the blocks below end, and hang up.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    async with Client.from_env() as client, client.receiver.serve(port=8080):

        @client.receiver.on_call
        async def answer(call):
            await call.say("Please leave a message.").finished(timeout=60)
            async with call.record() as recording, call.listen(codec="PCMU@8000h") as audio:
                await until_silent(audio)
            message = await recording.finished(timeout=60)
            await call.say("Thank you. Goodbye.").finished(timeout=60)
            print(f"message of {message.duration:.0f} s: {message.url}", flush=True)

        print(f"give this URL to your number: {client.receiver.inbound_url}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
