"""Record and transcribe a call. Recording and transcript are ready only after the call, so wait for both."""

import asyncio
import signal

from swcalls import Client


async def main() -> None:
    # With this line, SIGTERM cancels `main`, and the blocks below hang up; without it, the process ends at once.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    async with Client.from_env() as client, client.receiver.serve(port=8080):
        async with client.dial(to="+15550198765", from_="+12069708643") as call:
            await call.answered(timeout=30)
            recording = await call.record(stereo=True, format="mp3")
            transcript = await call.transcribe()
            await call.say("Everything that is said here is written down.").finished(timeout=60)
        print("recording:", (await recording.finished(timeout=120)).url)
        print("transcript:", (await transcript.finished(timeout=900)).text)


if __name__ == "__main__":
    asyncio.run(main())
