"""A worker process of the tests: starts actions and waits for them, or takes up those of one that died.

Each action that settles is a line in the ledger, so that one that settles twice is seen.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

import msgspec
from stores import backplane_of

from swcalls import TTS, Action, Client
from swcalls.backplane import OwnerTaken


def note(ledger: str, *words: str) -> None:
    descriptor = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, (" ".join(words) + "\n").encode())
    os.close(descriptor)


async def follow(action: Action, ledger: str, owner: str) -> None:
    outcome = await action.outcome()
    event = outcome.event
    assert event is not None
    assert event.control_id == action.control_id
    note(ledger, "settled", action.control_id, outcome.settled_by, owner)


async def main(task: dict) -> None:
    right = time.time
    time.time = lambda: right() + task["skew"]
    owner, ledger = task["owner"], task["ledger"]
    backplane = backplane_of(task, lifetime=task["lifetime"])
    settings = {"public_url": task["public_url"], "backplane": backplane, "reconcile": None}
    async with Client("project", "token", task["space"], **settings) as client:
        actions: list[Action] = []
        if task["takes_over"]:
            while True:
                try:
                    actions += [action async for action in client.recover(task["takes_over"])]
                    break
                except OwnerTaken:  # Its name lives on for a moment.
                    await asyncio.sleep(0.1)
        else:
            call = await client.dial(to="+15550198765", from_="+12069708643")
            keys = [f"{owner}-{number}" for number in range(task["count"])]
            actions += await asyncio.gather(*(call.play(TTS("Hi"), control_id=key, deadline=3600) for key in keys))
        note(ledger, "ready", owner, str(len(actions)))
        await asyncio.gather(*(follow(action, ledger, owner) for action in actions))
        note(ledger, "done", owner)


if __name__ == "__main__":
    asyncio.run(main(msgspec.json.decode(sys.argv[1])))
