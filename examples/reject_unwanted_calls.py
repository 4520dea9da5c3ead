"""Refuse calls from a blocklist before they are answered, so that they cost nothing; greet all others."""

import asyncio
import signal

from swcalls import Call, Client

BLOCKED = {"+15550190001", "+15550190002"}


async def greet(call: Call) -> None:
    if call.from_ in BLOCKED:
        await call.reject("busy")
        print("refused", call.from_, flush=True)
        return
    await call.answer()
    print("answered", call.from_, flush=True)
    await call.say("Thank you for calling.").finished(timeout=60)


async def main() -> None:
    asked_to_end = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_end.set)
    async with Client.from_env() as client, client.receiver.serve(port=8080):
        client.receiver.on_call(greet, answer=False)
        print("SWML webhook for your number:", client.receiver.inbound_url, flush=True)
        await asked_to_end.wait()


if __name__ == "__main__":
    asyncio.run(main())
