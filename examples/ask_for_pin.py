"""Ask for a PIN; the first key stops the question."""

import asyncio
import signal

from swcalls import TTS, Call, Client, Digits


async def ask_for_pin(call: Call, attempts: int = 3) -> str | None:
    question = TTS("Please enter your four digit PIN.")
    for _ in range(attempts):
        answer = await call.prompt(question, digits=Digits(max=4), initial_timeout=8).finished(timeout=60)
        if answer.digits and len(answer.digits) == 4:
            return answer.digits
        question = TTS("Sorry, I did not get that. Your PIN has four digits.")
    return None


async def main() -> None:
    # With this line, SIGTERM cancels `main`, and the blocks below hang up; without it, the process ends at once.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    async with Client.from_env() as client, client.receiver.serve(port=8080):
        async with client.dial(to="+15550198765", from_="+12069708643") as call:
            await call.answered(timeout=30)
            pin = await ask_for_pin(call)
            print("PIN:", pin)
            await call.say("Thank you." if pin else "Goodbye.").finished(timeout=60)


if __name__ == "__main__":
    asyncio.run(main())
