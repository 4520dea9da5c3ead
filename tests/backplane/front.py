"""A process of the tests that only receives: it prints where, and ends when its standard input does."""

from __future__ import annotations

import asyncio
import sys

import msgspec
from stores import backplane_of

from swcalls import WebhookReceiver


async def main(task: dict) -> None:
    backplane = backplane_of(task)
    receiver = WebhookReceiver("project", "token", backplane=backplane)
    async with receiver.serve() as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
    await backplane.close()


if __name__ == "__main__":
    asyncio.run(main(msgspec.json.decode(sys.argv[1])))
