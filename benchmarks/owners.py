"""Who waits for webhooks, in one process or another, and who receives them, in the benchmark of several processes."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from swcalls import TTS, Action, Client, WebhookReceiver
from swcalls.backplane import Backplane

from .party import Measurable
from .wire import ANYWHERE, PROJECT, SPEECH, TOKEN, Unsent, call_ids

ACTIONS_A_CALL = 10
PREFIX = "benchmark"

CONNECTIONS = 64
"""For each owner, so that all of them are equally busy: one that is not reads its events one by one."""
EVENTS = 4000

ALONE = "in one process, serve()"
POSTGRES = "PostgreSQL"


def backplane_of(store: str, owner: str) -> Backplane:
    """Connect to a Redis, or to a PostgreSQL, by its URL."""
    if store.startswith("postgresql:"):
        from swcalls.backplane import PostgresBackplane

        return PostgresBackplane(store, owner=owner, schema=PREFIX)
    from swcalls.backplane import RedisBackplane

    return RedisBackplane(store, owner=owner, prefix=PREFIX)


class Owner(Measurable):
    """A process with a task for each action; its webhooks go to *public_url*, or, without a *store*, to itself."""

    def __init__(self, store: str | None = None, name: str = "", public_url: str | None = None) -> None:
        self._store = store
        self._name = name
        self._public_url = public_url
        self._session = Unsent()
        self._stack = AsyncExitStack()
        self._waiting: list[asyncio.Task[float]] = []
        self._port = 0

    async def __aenter__(self) -> Self:
        self._client = Client(
            PROJECT,
            TOKEN,
            ANYWHERE,
            public_url=self._public_url,
            session=self._session,  # type: ignore[arg-type] - it does what a session does
            backplane=None if self._store is None else backplane_of(self._store, self._name),
        )
        await self._stack.enter_async_context(self._client)
        if self._store is None:
            server = await self._stack.enter_async_context(self._client.receiver.serve())
            self._port = int(server.url.rpartition(":")[2])
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._waiting:
            task.cancel()
        await self._stack.aclose()

    async def port(self) -> int:
        """Say where it receives webhooks."""
        return self._port

    async def arm(self, count: int) -> list[bytes]:
        """Start *count* actions, wait for each in a task, and return the requests that end them."""
        media = TTS(SPEECH)
        calls = [self._client.call(call_id) for call_id in call_ids(count // ACTIONS_A_CALL + 1)]
        actions = [await calls[number // ACTIONS_A_CALL].play(media) for number in range(count)]
        self._waiting = [asyncio.create_task(_end_of(action)) for action in actions]
        await asyncio.sleep(0)
        return [target.request() for target in self._session.targets()]

    async def ended(self) -> list[float]:
        """Return when each was told of its end, in Unix seconds."""
        return list(await asyncio.gather(*self._waiting))


async def _end_of(action: Action) -> float:
    await action.finished()
    return time.time()


class Front(Measurable):
    """A process that only receives, and hands everything to whoever waits."""

    def __init__(self, store: str) -> None:
        self._store = store
        self._stack = AsyncExitStack()
        self._port = 0

    async def __aenter__(self) -> Self:
        backplane = backplane_of(self._store, "front")
        self._stack.push_async_callback(backplane.close)
        receiver = WebhookReceiver(PROJECT, TOKEN, backplane=backplane)
        server = await self._stack.enter_async_context(receiver.serve())
        self._port = int(server.url.rpartition(":")[2])
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def port(self) -> int:
        """Say where it receives webhooks."""
        return self._port
