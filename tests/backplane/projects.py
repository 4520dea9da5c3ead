"""The processes of one project, on a backplane in memory, on Redis or on PostgreSQL, and what may happen to them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

import asyncpg
from memory import MemoryBackplane, MemoryHub
from servers import Servers

from swcalls import Limits
from swcalls._core.callback_urls import CallbackUrls
from swcalls._core.decoding import parse
from swcalls._core.registry import Registry
from swcalls._core.signature import Verifier
from swcalls._core.webhooks import Reply, WebhookReader
from swcalls._engine.decisions import Decisions
from swcalls._engine.ingress import Ingress
from swcalls.backplane import Backplane, BackplaneUnavailable, Delivery, PostgresBackplane, RedisBackplane
from swcalls.backplane.handover import Handover
from swcalls.backplane.held_calls import HeldCalls
from swcalls.backplane.member import Member
from swcalls.events import InboundCall

URL = "http://hooks.example"


class Project(Protocol):
    """What tests do to the processes of a project."""

    def member(self, owner: str, **settings: Any) -> Backplane:
        """Make the backplane of one process."""

    async def crash(self, backplane: Backplane) -> None:
        """Let a process stop without a word; it seems alive until it is buried."""

    async def bury(self, backplane: Backplane) -> None:
        """Let everybody see that a process is dead."""

    async def take_away(self, backplane: Backplane) -> None:
        """Let a process that is none of ours have the name."""

    async def settle(self, backplane: Backplane) -> None:
        """Wait until what is to be done soon is done."""

    async def memos(self, backplane: Backplane, owner: str | None = None) -> set[str]:
        """Return what is remembered, once all is written that is to be."""

    async def deliveries(self, owner: str) -> list[str]:
        """Return the keys of the deliveries that wait."""

    async def close(self) -> None:
        """Close everything."""


class MemoryProject:
    def __init__(self) -> None:
        self.hub = MemoryHub(lambda: asyncio.get_running_loop().time())
        self._members: list[MemoryBackplane] = []

    def member(self, owner: str, **settings: Any) -> MemoryBackplane:
        self._members.append(self.hub.member(owner))
        return self._members[-1]

    async def crash(self, backplane: Backplane) -> None:
        self.hub.crash(backplane.owner)
        await asyncio.sleep(0)

    async def bury(self, backplane: Backplane) -> None:
        self.hub.bury(backplane.owner)

    async def take_away(self, backplane: Backplane) -> None:
        self.hub.take_away(backplane.owner)

    async def settle(self, backplane: Backplane) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def memos(self, backplane: Backplane, owner: str | None = None) -> set[str]:
        await self.settle(backplane)
        found = self.hub.memos.get(("project", owner or backplane.owner), {})
        return {f"{kind}/{key}" for kind, key in found}

    async def deliveries(self, owner: str) -> list[str]:
        return [entry.delivery.key for entry in self.hub.streams.get(("project", owner), [])]

    async def close(self) -> None:
        self.hub.faults.clear()
        for member in self._members:
            await member.close()


class RedisProject:
    def __init__(self, servers: Servers, prefix: str) -> None:
        self._url = servers.url
        self._prefix = prefix
        self._members: list[RedisBackplane] = []
        self._look = servers.client()

    def member(self, owner: str, **settings: Any) -> RedisBackplane:
        # A long life, so that only what the test does ends it.
        backplane = RedisBackplane(self._url, owner=owner, prefix=self._prefix, **{"lifetime": 60.0, **settings})
        self._members.append(backplane)
        return backplane

    async def crash(self, backplane: Backplane) -> None:
        assert isinstance(backplane, RedisBackplane)
        assert backplane._heart is not None
        for owner in backplane._readers.owners:
            backplane._readers.stop(owner)
        backplane._heart.cancel()
        await asyncio.wait([backplane._heart])
        await backplane._readers.wait()
        await backplane._sender.close()
        await backplane._sender.disconnect()
        backplane._is_open, backplane._is_closed = False, True

    async def bury(self, backplane: Backplane) -> None:
        await self._look.delete(self._name(backplane.owner, "alive"))
        await self._look.zrem(f"{self._prefix}:{{project}}:takers", backplane.owner)

    async def take_away(self, backplane: Backplane) -> None:
        assert isinstance(backplane, RedisBackplane)
        await self._look.set(self._name(backplane.owner, "alive"), "another process")
        while backplane.holds(backplane.owner):
            await asyncio.sleep(0.005)

    async def settle(self, backplane: Backplane) -> None:
        assert isinstance(backplane, RedisBackplane)
        await backplane._sender.flush()

    async def memos(self, backplane: Backplane, owner: str | None = None) -> set[str]:
        await self.settle(backplane)
        return await self.stored(owner or backplane.owner)

    async def stored(self, owner: str) -> set[str]:
        """Return the memos of *owner* that are stored now."""
        return {field.decode() for field in await self._look.hkeys(self._name(owner, "memos"))}

    async def deliveries(self, owner: str) -> list[str]:
        return [fields[b"key"].decode() for _, fields in await self._look.xrange(self._name(owner, "deliveries"))]

    async def close(self) -> None:
        for member in self._members:
            await member.close()
        await self._look.aclose()

    def _name(self, owner: str, what: str) -> str:
        return f"{self._prefix}:{{project:{owner}}}:{what}"


class PostgresProject:
    def __init__(self, url: str, schema: str) -> None:
        self._url = url
        self._schema = schema
        self._members: list[PostgresBackplane] = []
        self._look: asyncpg.Connection | None = None

    def member(self, owner: str, **settings: Any) -> PostgresBackplane:
        # A long life, so that only what the test does ends it.
        backplane = PostgresBackplane(self._url, owner=owner, schema=self._schema, **{"lifetime": 60.0, **settings})
        self._members.append(backplane)
        return backplane

    async def crash(self, backplane: Backplane) -> None:
        assert isinstance(backplane, PostgresBackplane)
        assert backplane._heart is not None
        await backplane._queue.flush()
        for owner in backplane._readers.owners:
            backplane._readers.stop(owner)
        backplane._heart.cancel()
        await asyncio.wait([backplane._heart])
        await backplane._readers.wait()
        await backplane._readers.link.close()
        await backplane._link.close()
        backplane._is_open, backplane._is_closed = False, True

    async def bury(self, backplane: Backplane) -> None:
        await self.look(
            "UPDATE {schema}.owners SET token = NULL, alive_until = now() WHERE owner = $1", backplane.owner
        )

    async def take_away(self, backplane: Backplane) -> None:
        assert isinstance(backplane, PostgresBackplane)
        theft = "UPDATE {schema}.owners SET token = 'another', alive_until = 'infinity' WHERE owner = $1"
        await self.look(theft, backplane.owner)
        while backplane.holds(backplane.owner):
            await asyncio.sleep(0.005)

    async def settle(self, backplane: Backplane) -> None:
        assert isinstance(backplane, PostgresBackplane)
        await backplane._queue.flush()

    async def memos(self, backplane: Backplane, owner: str | None = None) -> set[str]:
        await self.settle(backplane)
        return await self.stored(owner or backplane.owner)

    async def stored(self, owner: str) -> set[str]:
        """Return the memos of *owner* that are stored now."""
        return {row[0] for row in await self.look("SELECT field FROM {schema}.memos WHERE owner = $1", owner)}

    async def deliveries(self, owner: str) -> list[str]:
        found = await self.look(
            "SELECT key FROM {schema}.deliveries WHERE project = 'project' AND owner = $1 ORDER BY id", owner
        )
        return [row[0] for row in found]

    async def look(self, statement: str, *arguments: Any) -> list[Any]:
        """Execute a statement of the test's own."""
        if self._look is None:
            self._look = await asyncpg.connect(self._url)
        return await self._look.fetch(statement.replace("{schema}", f'"{self._schema}"'), *arguments)

    async def close(self) -> None:
        for member in self._members:
            await member.close()
        await self.look("DROP SCHEMA IF EXISTS {schema} CASCADE")
        await self._look.close()


def connections(backplane: RedisBackplane) -> list[object]:
    sender = backplane._sender
    pools = [batch.redis.connection_pool for batch in getattr(sender, "_nodes", {"": sender}).values()]
    found = [each for pool in pools for each in (*pool._available_connections, *pool._in_use_connections)]
    return [each for each in found if each.is_connected]


class Process:
    """What a client has of a backplane, without the client: it takes webhooks in, and calls if it *takes_calls*.

    A process that is never opened only receives. One with *hold* seconds decides on its calls before they are answered.
    """

    def __init__(
        self, backplane: Backplane, *, takes_calls: bool = True, number: str | None = None, hold: float | None = None
    ) -> None:
        self.backplane = backplane
        self.number = number
        """The only number that it has a handler for; ``None``: it handles all."""
        self.urls = CallbackUrls("project", "token", "/swcalls", URL)
        self.registry = Registry(Limits())
        self.rung: list[str] = []
        self.takes_calls = takes_calls
        self.told: list[tuple[str, str]] = []
        """What the platform was told, as far as this process knows."""
        self._holds = hold is not None and takes_calls
        held_calls = HeldCalls(backplane, "project", hold or 20.0)
        self.decisions = Decisions(self.urls, hold or 20.0, self._note_told, backplane.owner, held_calls)
        handover = Handover(backplane, "project", self, held_calls)
        reader = WebhookReader(self.urls, Verifier((), require=False), 10_000)
        self.ingress = Ingress(reader, self.registry, self.dispatch, handover, self.decisions)
        self.member = Member(backplane, "project", self.registry, self.ingress, handover)

    async def open(self) -> Process:
        await self.member.open()
        if self.takes_calls:
            self.backplane.offer(takes_calls=True)
        return self

    def refuse(self) -> None:
        """Take no more calls."""
        self.takes_calls = False
        self.backplane.offer(takes_calls=False)

    async def announce(self, call_id: str = "in-1", to: str = "+12223334445") -> Reply:
        """Take in the announcement of a call."""
        path = self.urls.mint("inbound", "calls", shared=True).removeprefix(URL)
        call = f'{{"call_id": "{call_id}", "call_state": "created", "direction": "inbound", "to": "{to}"}}'
        return await self.ingress.accept(path, {}, f'{{"call": {call}}}'.encode())

    async def tell(self, kind: str, key: str, owner: str, body: str) -> Reply:
        """Take in a webhook for an operation of *owner*."""
        urls = CallbackUrls("project", "token", "/swcalls", URL, owner=owner)
        return await self.ingress.accept(urls.mint(kind, key).removeprefix(URL), {}, body.encode())

    def takes(self, inbound: InboundCall) -> bool:
        return self.takes_calls and self.number in (None, inbound.to)

    def dispatch(self, inbound: InboundCall, *, promised: bool = False) -> bool:
        if not (promised or self.takes_calls):
            return False
        # As the client's own, it knows a call that it was told of before.
        if inbound.call_id not in self.rung:
            self.rung.append(inbound.call_id)
            if self._holds:
                self.decisions.expect(inbound.call_id)
        return True

    def holds(self, inbound: InboundCall) -> bool:
        return self._holds

    def _note_told(self, call_id: str, decision: str) -> None:
        self.told.append((call_id, decision))


class Collector:
    """Takes deliveries for a backplane that is opened without a client."""

    def __init__(self) -> None:
        self.got: asyncio.Queue[Delivery] = asyncio.Queue()
        self.lost: list[str] = []
        self.is_done = True

    async def receive(self, delivery: Delivery) -> bool:
        parse(delivery.body)
        self.got.put_nowait(delivery)
        return self.is_done

    async def open(self, backplane: Backplane) -> Collector:
        await backplane.open("project", self.receive, self.lost.append)
        return self


def fails(
    method: Callable[..., Awaitable[Any]], times: int = 1, *, done: bool = False
) -> Callable[..., Awaitable[Any]]:
    """Make *method* fail that many times; *done*: it does its work all the same, and its answer is lost."""
    left = times

    async def failing(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        if left:
            left -= 1
            if done:
                with suppress(BackplaneUnavailable):
                    await method(*arguments, **named)
            raise BackplaneUnavailable("on purpose")
        return await method(*arguments, **named)

    return failing
