"""Save a call as a stereo WAV file, the far end on the left and us on the right, while it is going on."""

import asyncio
import os
import signal

from swcalls import Client


async def main() -> None:
    # Without this line, SIGTERM would end the process at once; with it, the blocks below end, and hang up.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    file = os.environ.get("CALL_WAV", "call.wav")
    async with Client.from_env() as client, client.receiver.serve(port=8080):
        async with client.dial(to="+15550198765", from_="+12069708643") as call:
            await call.answered(timeout=30)
            async with call.listen(track="both") as audio, asyncio.TaskGroup() as tasks:
                saving = tasks.create_task(audio.save(file))
                await call.say("This call is being recorded for training purposes.").finished(timeout=60)
                # The stream ends, and with it the saving.
                await audio.action.stop()
    print(f"saved: {saving.result():.0f} s, ended by {audio.ended_by}")


if __name__ == "__main__":
    asyncio.run(main())
