"""A callback: call an agent, then the customer, and bridge both. Nobody answering is a result, not an error."""

import asyncio

from swcalls import CallEnded, Client

AGENT, CUSTOMER, OURS = "+15550198765", "+15550198766", "+12069708643"


async def main() -> None:
    async with Client.from_env() as client, client.receiver.serve(port=8080):
        async with client.dial(to=AGENT, from_=OURS) as agent:
            await agent.answered(timeout=30)
            await agent.say("One moment, I call the customer.").finished(timeout=30)
            connect = await agent.connect(CUSTOMER, caller_id=OURS, timeout=20, max_duration=1800)
            try:
                result = await connect.finished(timeout=2000)
            except CallEnded:
                print("the agent hung up")
                return
            if result.answered:
                print("they have talked")
                await agent.say("The customer has hung up. Goodbye.").finished(timeout=30)
            else:
                print("the customer did not answer:", result.reason)
                await agent.say("The customer does not answer. Goodbye.").finished(timeout=30)


if __name__ == "__main__":
    asyncio.run(main())
