"""Talk to a person, or leave a message after the greeting of an answering machine."""

import asyncio
import signal

from swcalls import Client


async def main() -> None:
    # With this line, SIGTERM cancels `main`, and the blocks below hang up; without it, the process ends at once.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    async with Client.from_env() as client, client.receiver.serve(port=8080):
        async with client.dial(to="+15550198765", from_="+12069708643") as call:
            await call.answered(timeout=30)
            found = await call.wait_for_beep(timeout=40)
            if not found.is_machine:
                print("a person answered")
                await call.say("Hello! Your parcel is here.").finished(timeout=60)
                return
            print("after the beep" if found.ready else "no beep was heard")
            await call.say("This is a message: your parcel is here.").finished(timeout=60)


if __name__ == "__main__":
    asyncio.run(main())
