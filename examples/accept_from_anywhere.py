"""Receive webhooks without swcalls' own HTTP server: here another program passes them on as JSON lines over TCP."""

import asyncio
import json
import signal
import sys

from swcalls import Client


async def main(port: int) -> None:
    # With this line, SIGTERM cancels `main`, and the blocks below hang up; without it, the process ends at once.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    client = Client.from_env()

    async def webhooks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read requests ``{"path": …, "headers": …, "body": …}``, and write the response to each."""
        async for line in reader:
            request = json.loads(line)
            reply = await client.accept(path=request["path"], headers=request["headers"], body=request["body"].encode())
            answer = {"status": reply.status, "headers": dict(reply.headers), "body": reply.body.decode()}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    # The server is opened first and closed last, so that webhooks still arrive while the client closes.
    async with await asyncio.start_server(webhooks, "127.0.0.1", port), client:
        async with client.dial(to="+15550198765", from_="+12069708643") as call:
            await call.answered(timeout=30)
            await call.say("Your table is ready.").finished(timeout=60)
        print("ended:", await call.ended(timeout=30))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
