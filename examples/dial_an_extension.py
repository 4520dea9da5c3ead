"""Dial a company, then an extension by digits: a second of silence first, until the voice menu listens."""

import asyncio

from swcalls import Client


async def main() -> None:
    async with Client.from_env() as client, client.receiver.serve(port=8080):
        async with client.dial(to="+15550198765", from_="+12069708643") as call:
            # Before the answer, the digits wait for it.
            await call.send_digits("WW204#").finished(timeout=60)
            print("extension 204 was dialled")
            await call.say("Hello, this is your reminder.").finished(timeout=60)


if __name__ == "__main__":
    asyncio.run(main())
