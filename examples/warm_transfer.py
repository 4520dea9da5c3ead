"""A call centre's warm transfer: an agent hears who calls, and presses one to take the call, before the bridge."""

import asyncio

from swcalls import ActionFailed, Call, CallEnded, Client, swml

AGENTS = ["+15550198771", "+15550198772"]

WHISPER = [
    {"prompt": {"play": "say:A caller about an order. Press one to take the call.", "max_digits": 1}},
    swml.Switch("prompt_value", {"1": []}, default=[swml.Hangup()]),
]
"""It runs on the agent's call, while the caller hears the ringing tone. A call that it hangs up is not bridged."""


async def transfer(caller: Call) -> None:
    await caller.say("I put you through to an agent.").finished(timeout=60)
    # One agent after the other; with parallel=True, all of them ring at once.
    connect = await caller.connect(AGENTS, timeout=15, ringback="ring:us", confirm=WHISPER)
    try:
        agent = await connect.connected(timeout=120)
    except ActionFailed as nobody:
        print(nobody)
        await caller.say("Nobody is free. Please call again tomorrow.").finished(timeout=60)
        return
    print("put through to", agent.to)
    print("the agent hung up:", await agent.ended(timeout=3600))
    await connect.finished(timeout=60)
    await caller.say("Thank you for your call.").finished(timeout=60)


async def main() -> None:
    async with Client.from_env() as client, client.receiver.serve(port=8080):
        async with client.dial(to="+15550198765", from_="+12069708643") as caller:
            try:
                await caller.answered(timeout=30)
                await transfer(caller)
            except CallEnded as ended:
                print("the caller hung up:", ended.reason)


if __name__ == "__main__":
    asyncio.run(main())
