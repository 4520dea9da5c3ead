"""Remind people of their appointments: a person confirms with one key, a machine gets a message after the beep."""

import asyncio
import signal

from swcalls import TTS, Call, CallEnded, Client, CommandError, Digits

APPOINTMENTS = {
    "+15550198765": "tomorrow at nine",
    "+15550198766": "tomorrow at ten",
    "+15550198767": "tomorrow at eleven",
}


async def remind(call: Call, when: str) -> str:
    await call.answered(timeout=40)
    text = f"This is the practice of Doctor Smith. Your appointment is {when}."
    if (await call.wait_for_beep()).is_machine:
        await call.say(f"{text} Please call us if you cannot come.").finished(timeout=60)
        return "message left"
    answer = await call.ask(
        TTS(f"{text} To confirm, press one. To cancel, press two."),
        digits=Digits(max=1),
        accept={"1", "2"},
        attempts=2,
        on_no_input=TTS("Are you still there?"),
        on_wrong=TTS("That was another key."),
    )
    match answer.value:
        case "1":
            outcome, said = "confirmed", "Thank you. See you then."
        case "2":
            outcome, said = "cancelled", "We have cancelled it. Please call us for another date."
        case _:  # nothing, or other keys, twice
            outcome, said = "not confirmed", "We will call again later. Goodbye."
    await call.say(said).finished(timeout=60)
    return outcome


async def main() -> None:
    # With this line, SIGTERM cancels `main`, and the blocks below hang up; without it, the process ends at once.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    async with Client.from_env() as client, client.receiver.serve(port=8080), asyncio.TaskGroup() as group:

        async def call_and_remind(number: str, when: str) -> None:
            try:
                async with client.dial(to=number, from_="+12069708643", max_calls=2) as call:  # two calls at once
                    print(number, await remind(call, when))
            except CallEnded as end:
                print(number, "not reached:", end.reason)
            except (CommandError, TimeoutError) as error:
                print(number, "failed:", error)

        for number, when in APPOINTMENTS.items():
            group.create_task(call_and_remind(number, when))


if __name__ == "__main__":
    asyncio.run(main())
