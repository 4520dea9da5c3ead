"""Stream a caller's audio to your WebSocket server while a text is played to the caller."""

import asyncio
import signal

from swcalls import Client


async def main() -> None:
    # With this line, SIGTERM cancels `main`, and the blocks below hang up; without it, the process ends at once.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    async with Client.from_env() as client, client.receiver.serve(port=8080):
        async with client.dial(to="+15550198765", from_="+12069708643") as call:
            await call.answered(timeout=30)
            async with call.stream("wss://media.example.com/listen", track="inbound_track") as stream:
                await stream.reached("streaming", timeout=10)
                await call.say("Tell me about your day.").finished(timeout=60)
        print("streamed to:", (await stream.finished(timeout=10)).url)


if __name__ == "__main__":
    asyncio.run(main())
