"""Call many numbers at the same time, and print the outcome of each call."""

import asyncio
import signal

from swcalls import Call, CallEnded, Client

NUMBERS = [f"+1555019{number:04d}" for number in range(20)]


async def remind(call: Call) -> str:
    try:
        await call.answered(timeout=60)
    except CallEnded as ended:
        return f"not answered ({ended.reason})"
    await call.say("Your appointment is tomorrow at nine.").finished(timeout=60)
    return "reminded"


async def main() -> None:
    # With this line, SIGTERM cancels `main`, and the blocks below hang up; without it, the process ends at once.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    outcomes: dict[str, str] = {}

    async def run(client: Client, number: str) -> None:
        async with client.dial(to=number, from_="+12069708643") as call:
            outcomes[number] = await remind(call)

    async with Client.from_env() as client, client.receiver.serve(port=8080):
        async with asyncio.TaskGroup() as group:
            for number in NUMBERS:
                group.create_task(run(client, number))
    for number, outcome in sorted(outcomes.items()):
        print(number, outcome)


if __name__ == "__main__":
    asyncio.run(main())
