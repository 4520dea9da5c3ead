"""Answer inbound calls with a menu of three levels, whose last one ends in a voicemail. Nine goes back one level."""

import asyncio
import signal

from swcalls import TTS, Call, Client, Digits, Limits


async def hours(call: Call) -> None:
    await call.say("We are open from nine to five.").finished(timeout=60)


async def voicemail(call: Call) -> None:
    await call.say("Please speak after the tone.").finished(timeout=60)
    recording = await call.record(beep=True, end_silence_timeout=3, max_length=120).finished(timeout=240)
    print(call.from_, "left a message:", recording.url or "nothing")


HARDWARE = {"1": ("a new device", hours), "2": ("a repair", voicemail)}
SUPPORT = {"1": ("bills", voicemail), "2": ("hardware", HARDWARE)}
MAIN = {"1": ("opening hours", hours), "2": ("support", SUPPORT)}


async def choose(call: Call, menu: dict = MAIN, *, is_first: bool = True) -> bool:
    """Go through *menu* and those below it; return whether the caller is served, and does not go back."""
    options = " ".join(f"For {name}, press {key}." for key, (name, _) in menu.items())
    while True:
        answer = await call.ask(
            TTS(options if is_first else f"{options} To go back, press 9."),
            digits=Digits(max=1),
            accept={*menu} if is_first else {*menu, "9"},
            on_no_input=TTS("I did not hear you."),
            on_wrong=TTS("There is no such choice."),
        )
        if not answer.accepted:
            await call.say("Goodbye.").finished(timeout=60)
            return True
        if answer.value == "9":
            return False
        _, then = menu[answer.value]
        if not isinstance(then, dict):
            await then(call)
            return True
        if await choose(call, then, is_first=False):
            return True


async def main() -> None:
    asked_to_end = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_end.set)
    async with Client.from_env(limits=Limits(drain=20)) as client, client.receiver.serve(port=8080):
        client.receiver.on_call(choose)
        print("SWML webhook for your number:", client.receiver.inbound_url, flush=True)
        await asked_to_end.wait()


if __name__ == "__main__":
    asyncio.run(main())
