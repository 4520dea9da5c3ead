"""Answer calls with a menu. The same flow would serve a call that was dialled."""

import asyncio

from swcalls import TTS, Call, Client, Digits

MENU = TTS("For opening hours, press one. To leave a message, press two.")


async def menu(call: Call) -> None:
    await call.answered(timeout=30)
    print("call from", call.from_)
    choice = await call.prompt(MENU, digits=Digits(max=1), initial_timeout=8).finished(timeout=60)
    match choice.digits:
        case "1":
            await call.say("We are open from nine to five.").finished(timeout=60)
        case "2":
            async with call.record(max_length=60) as recording:
                await call.say("Please speak after the tone.").finished(timeout=60)
            print("message:", (await recording.finished(timeout=120)).url)
        case _:
            await call.say("Goodbye.").finished(timeout=60)
    await call.end()


async def main() -> None:
    async with Client.from_env() as client, client.receiver.serve(port=8080):
        client.receiver.on_call(menu)
        print("SWML webhook for your number:", client.receiver.inbound_url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
