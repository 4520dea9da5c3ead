"""Two workers and a receiver connected by Redis: one worker is killed, and its successor continues its call flow."""

import asyncio
import os
import sys
from contextlib import ExitStack
from subprocess import PIPE, Popen

from swcalls import Client, Digits, WebhookReceiver
from swcalls.backplane import RedisBackplane

REDIS = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")
PORT = int(os.environ.get("PORT", "8080"))


async def receive():
    account = os.environ["SIGNALWIRE_PROJECT_ID"], os.environ["SIGNALWIRE_API_TOKEN"]
    async with WebhookReceiver(*account, backplane=RedisBackplane(REDIS, owner="receiver")).serve(port=PORT):
        print("receiver: ready", flush=True)
        await asyncio.Event().wait()


async def work(name: str):
    async with Client.from_env(backplane=RedisBackplane(REDIS, owner=name, lifetime=1)) as client:
        collects = [action async for action in client.recover()]  # of a predecessor with this name
        state = "goes on" if collects else "waits"
        if not collects:
            call = await client.dial(to="+15550198765", from_="+12069708643")
            await call.answered(timeout=30)
            collects.append(await call.collect(digits=Digits(max=4), initial_timeout=60))
        print(f"{name}: {state}", flush=True)
        print(f"{name}: got {(await collects[0].finished(timeout=90)).digits}", flush=True)
        await collects[0].call.end()


def main():
    os.environ.setdefault("SWCALLS_PUBLIC_URL", f"http://127.0.0.1:{PORT}")
    with ExitStack() as stack:  # however it ends, no process is left running
        start(stack, "receive", until="ready")
        one, two = start(stack, "work", "one", until="waits"), start(stack, "work", "two", until="waits")
        one.kill()
        print("one: killed", flush=True)
        one = start(stack, "work", "one", until="goes on")
        for worker in (one, two):
            print(worker.communicate()[0], end="")


def start(stack: ExitStack, *what: str, until: str):
    process = stack.enter_context(Popen([sys.executable, __file__, *what], stdout=PIPE, text=True))  # noqa: S603
    stack.callback(process.kill)
    if until not in (line := process.stdout.readline()):
        sys.exit(f"a process has ended before it said {until!r}: is Redis running at REDIS_URL?")
    print(line, end="", flush=True)
    return process


if __name__ == "__main__":
    role, *names = sys.argv[1:] or ["main"]
    main() if role == "main" else asyncio.run({"receive": receive, "work": work}[role](*names))
