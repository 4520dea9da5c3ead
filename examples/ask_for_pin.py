"""Ask for a PIN, three times at most; the first key stops the question."""

import asyncio
import signal

from swcalls import TTS, Client, Digits


async def main() -> None:
    # With this line, SIGTERM cancels `main`, and the blocks below hang up; without it, the process ends at once.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    async with Client.from_env() as client, client.receiver.serve(port=8080):
        async with client.dial(to="+15550198765", from_="+12069708643") as call:
            await call.answered(timeout=30)
            answer = await call.ask(
                TTS("Please enter your four digit PIN."),
                digits=Digits(max=4),
                accept="[0-9]{4}",
                initial_timeout=8,
                on_wrong=TTS("Sorry, your PIN has four digits."),
            )
            print("PIN:", answer.value)
            await call.say("Thank you." if answer.accepted else "Goodbye.").finished(timeout=60)


if __name__ == "__main__":
    asyncio.run(main())
