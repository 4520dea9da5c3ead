"""Answer inbound calls with a menu. After Ctrl-C or SIGTERM, new calls are refused; others have 20 s to finish."""

import asyncio
import signal

from swcalls import TTS, Call, Client, Digits, Limits

MENU = TTS("For opening hours, press one. To leave a message, press two.")


async def menu(call: Call) -> None:
    await call.answered(timeout=30)
    print("call from", call.from_, flush=True)
    choice = await call.prompt(MENU, digits=Digits(max=1), initial_timeout=8).finished(timeout=60)
    match choice.digits:
        case "1":
            await call.say("We are open from nine to five.").finished(timeout=60)
        case "2":
            await call.say("Please speak after the tone.").finished(timeout=60)
            recording = await call.record(beep=True, end_silence_timeout=3, max_length=60).finished(timeout=120)
            print("message:", recording.url, flush=True)
        case _:
            await call.say("Goodbye.").finished(timeout=60)


async def main() -> None:
    asked_to_end = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_end.set)
    async with Client.from_env(limits=Limits(drain=20)) as client, client.receiver.serve(port=8080):
        client.receiver.on_call(menu)
        print("SWML webhook for your number:", client.receiver.inbound_url, flush=True)
        await asked_to_end.wait()


if __name__ == "__main__":
    asyncio.run(main())
