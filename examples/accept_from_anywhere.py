"""Webhooks that come by another way than HTTP: as JSON lines, from whatever faces the network, over plain asyncio."""

import asyncio
import json
import signal
import sys

from swcalls import Client


async def main(port: int) -> None:
    # Without this line, SIGTERM would end the process at once; with it, the blocks below end, and hang up.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    client = Client.from_env()

    async def webhooks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer each ``{"path": …, "headers": …, "body": …}`` with what is to be answered."""
        async for line in reader:
            request = json.loads(line)
            reply = await client.accept(path=request["path"], headers=request["headers"], body=request["body"].encode())
            answer = {"status": reply.status, "headers": dict(reply.headers), "body": reply.body.decode()}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    # The client is inside, so that it is closed while webhooks still come in.
    async with await asyncio.start_server(webhooks, "127.0.0.1", port), client:
        async with client.dial(to="+15550198765", from_="+12069708643") as call:
            await call.answered(timeout=30)
            await call.say("Your table is ready.").finished(timeout=60)
        print("ended:", await call.ended(timeout=30))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
