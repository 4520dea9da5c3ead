"""Three people meet in a conference. It ends for all when the host, the first of them, leaves."""

import asyncio

from swcalls import Call, CallEnded, Client, ConferenceResult

HOST, GUESTS, OURS = "+15550198765", ["+15550198766", "+15550198767"], "+12069708643"


async def take_part(client: Client, number: str) -> str:
    call: Call = await client.dial(to=number, from_=OURS)
    try:
        await call.answered(timeout=30)
        await call.say("You are joining the weekly meeting.").finished(timeout=60)
        # Guests hear nothing, and are not heard, before the host is there.
        is_host = number == HOST
        conference = await call.conference("weekly", beep=False, start_on_enter=is_host, end_on_exit=is_host)
        await conference.reached("joined", timeout=60)
        result: ConferenceResult = await conference.finished(timeout=3600)
        await call.say("The meeting is over. Goodbye.").finished(timeout=60)
    except CallEnded as ended:
        return f"{number} hung up: {ended.reason}"
    await call.end()
    return f"{number} was there until the end ({result.state})"


async def main() -> None:
    async with Client.from_env() as client, client.receiver.serve(port=8080):
        for line in await asyncio.gather(*(take_part(client, number) for number in [HOST, *GUESTS])):
            print(line)


if __name__ == "__main__":
    asyncio.run(main())
