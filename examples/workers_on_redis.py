"""Two workers and a receiver connected by Redis: one worker is killed, and its successor continues its call flow."""

import asyncio
import os
import sys

from swcalls import Client, Digits, WebhookReceiver
from swcalls.backplane import RedisBackplane

REDIS = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")
PORT = int(os.environ.get("PORT", "8080"))


async def receive():
    project, token = os.environ["SIGNALWIRE_PROJECT_ID"], os.environ["SIGNALWIRE_API_TOKEN"]
    async with WebhookReceiver(project, token, backplane=RedisBackplane(REDIS, owner="receiver")).serve(port=PORT):
        print("receiver: ready", flush=True)
        await asyncio.Event().wait()


async def work(name: str):
    async with Client.from_env(backplane=RedisBackplane(REDIS, owner=name, lifetime=1)) as client:
        left = [action async for action in client.recover()]  # of a predecessor with this name
        if left:
            collect = left[0]
        else:
            call = await client.dial(to="+15550198765", from_="+12069708643")
            await call.answered(timeout=30)
            collect = await call.collect(digits=Digits(max=4), initial_timeout=60)
        print(f"{name}: {'goes on' if left else 'waits'}", flush=True)
        print(f"{name}: got {(await collect.finished(timeout=90)).digits}", flush=True)
        await collect.call.end()


async def main():
    os.environ.setdefault("SWCALLS_PUBLIC_URL", f"http://127.0.0.1:{PORT}")
    receiver = await start("receive", until="ready")
    one, two = await asyncio.gather(start("work", "one", until="waits"), start("work", "two", until="waits"))
    one.kill()
    print("one: killed", flush=True)
    one = await start("work", "one", until="goes on")
    await asyncio.gather(says(one, "got"), says(two, "got"), one.wait(), two.wait())
    receiver.kill()
    await receiver.wait()


async def start(*what: str, until: str):
    process = await asyncio.create_subprocess_exec(sys.executable, __file__, *what, stdout=asyncio.subprocess.PIPE)
    await says(process, until)
    return process


async def says(process, word: str):
    while word not in (line := (await process.stdout.readline()).decode()):
        assert line, f"a process ended before it said {word!r}"
    print(line, end="", flush=True)


if __name__ == "__main__":
    asyncio.run({"receive": receive, "work": work}.get(sys.argv[1] if sys.argv[1:] else "", main)(*sys.argv[2:]))
