"""Talk to a person, or leave a message after the greeting of an answering machine."""

import asyncio
import signal

from swcalls import ActionFailed, Client, DetectMachine


async def main() -> None:
    # With this line, SIGTERM cancels `main`, and the blocks below hang up; without it, the process ends at once.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    async with Client.from_env() as client, client.receiver.serve(port=8080):
        async with client.dial(to="+15550198765", from_="+12069708643") as call:
            await call.answered(timeout=30)
            detect = await call.detect(DetectMachine(detect_message_end=True), timeout=40)
            if (await detect.finished(timeout=60)).event == "HUMAN":
                print("a person answered")
                await call.say("Hello! Your parcel is here.").finished(timeout=60)
                return
            try:
                await detect.reached("READY", timeout=10)
                print("after the beep")
            except (ActionFailed, TimeoutError):
                print("no beep was heard")
            await call.say("This is a message: your parcel is here.").finished(timeout=60)


if __name__ == "__main__":
    asyncio.run(main())
