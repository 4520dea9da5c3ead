"""Dial, say hello, hang up."""

import asyncio
import signal

from swcalls import CallEnded, Client


async def main() -> None:
    # With this line, SIGTERM cancels `main`, and the blocks below hang up; without it, the process ends at once.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    # On a server, set SWCALLS_PUBLIC_URL to the URL at which SignalWire reaches port 8080.
    async with Client.from_env() as client, client.receiver.serve(port=8080):
        async with client.dial(to="+15550198765", from_="+12069708643") as call:
            try:
                await call.answered(timeout=30)
            except CallEnded as ended:
                print("not answered:", ended.reason)
                return
            await call.say("Hello, and goodbye.").finished(timeout=60)
        print("ended:", await call.ended(timeout=10))


if __name__ == "__main__":
    asyncio.run(main())
