"""`Cluster`: sends the commands of a `RedisBackplane` to the nodes of a Redis Cluster, with a `Batch` for each master.

It keeps its own table of slots, and uses clients of single servers. So a node that fails holds up no other, and a
blocking read on one node goes on while the connections to another are renewed.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError, ResponseError, TryAgainError

from ._batch import Batch, Request, Sender, is_from_replica
from ._queue import MOST_WAITING
from ._retries import REDIS_ERRORS

_log = logging.getLogger("swcalls.backplane")

SLOTS = 16_384
MOST_HOPS = 8
"""How often a command is sent to another node, or again, before it fails."""
FIRST_PAUSE = 0.01
"""Seconds after which a command whose keys are being moved is sent again; they double each time."""
BETWEEN_LOOKS = 0.2
"""Seconds from the end of a look at the table of slots to the next look."""
NOBODY = "no node of the cluster has the slot, or none can be reached"

_ERRORS: dict[str, type[ResponseError]] = {
    "MOVED": MovedError,
    "ASK": AskError,
    "TRYAGAIN": TryAgainError,
    "CLUSTERDOWN": ClusterDownError,
}

Address = tuple[str, int]
"""The host and port of a node."""

_shuffled = random.SystemRandom().sample


class Cluster(Sender):
    """Sends each command to the master that has the slot of its key.

    Args:
        seeds: The nodes that are asked first for the table of slots.
        make: Makes the `Batch` of one node.
        patience: The timeout of a question for the table of slots, in seconds.
        remap: Returns where a node is reached, for the address that the cluster has for it.
    """

    def __init__(
        self,
        seeds: Sequence[Address],
        make: Callable[[str, int], Batch],
        patience: float,
        remap: Callable[[Address], Address] | None = None,
    ) -> None:
        self._seeds = list(seeds)
        self._make = make
        self._patience = patience
        self._remap = remap or (lambda address: address)
        self._nodes: dict[Address, Batch] = {}
        self._slots: list[Address | None] = [None] * SLOTS
        self._parked: deque[Request] = deque()
        """Commands that wait for the table of slots."""
        self._delayed: dict[asyncio.TimerHandle, Request] = {}
        self._look: asyncio.Task[None] | None = None
        self._look_timer: asyncio.TimerHandle | None = None
        self._next_look = 0.0
        self._suspects: set[Address] = set()
        """Nodes that failed since the last look; they are asked last."""
        self._is_closed = False

    @property
    def masters(self) -> set[Address]:
        """The nodes that have slots, as far as is known."""
        return {node for node in self._slots if node is not None}

    def open(self) -> None:
        """Accept commands, also again after `close`."""
        self._is_closed, self._next_look = False, 0.0
        for batch in self._nodes.values():
            batch.open()

    def add(self, request: Request) -> None:
        """Send *request* to its node, or keep it until the nodes are known."""
        if self._is_closed:
            request.done(RedisError("closed"))
        else:
            self._route(request, 0)

    async def read(self, stream: str, last: bytes, block: int) -> Any:
        """Wait up to *block* ms for entries of *stream* after *last*, at the node that has it."""
        slot, asked = key_slot(stream.encode()), None
        for _ in range(MOST_HOPS):
            node = asked or self._slots[slot]
            if node is None:
                node = await self._find(stream)
            try:
                return await self._batch(node).read(stream, last, block, asking=asked is not None)
            except REDIS_ERRORS as error:
                fault = _understood(error)
                if isinstance(fault, MovedError):
                    asked = None
                    self._move(fault, node)
                elif isinstance(fault, AskError):
                    asked = self._address(fault, node)
                else:
                    self._note_fault(node, fault)
                    raise
        raise ClusterDownError("too many redirections")

    async def flush(self) -> None:
        """Wait until all commands have been answered, or have failed."""
        while True:
            busy = [batch for batch in self._nodes.values() if not batch.is_idle]
            if busy:
                await asyncio.gather(*(batch.flush() for batch in busy))
            elif self._parked or self._delayed:
                await asyncio.sleep(FIRST_PAUSE)
            else:
                return

    async def close(self) -> None:
        """Let all waiting commands fail, and accept no more."""
        self._is_closed = True
        if self._look_timer is not None:
            self._look_timer.cancel()
            self._look_timer = None
        while self._look is not None:
            self._look.cancel()
            await asyncio.wait([self._look], timeout=0.05)
        for timer in self._delayed:
            timer.cancel()
        for request in (*self._parked, *self._delayed.values()):
            request.done(RedisError("closed"))
        self._parked.clear()
        self._delayed.clear()
        for batch in list(self._nodes.values()):
            await batch.close()

    async def disconnect(self) -> None:
        """Close the connections to all nodes."""
        nodes, self._nodes = self._nodes, {}
        self._slots = [None] * SLOTS
        for batch in nodes.values():
            await batch.disconnect()

    def _route(self, request: Request, hops: int) -> None:
        node = self._slots[key_slot(request.key.encode())]
        if node is not None:
            self._send(request, hops, node)
        elif len(self._parked) >= MOST_WAITING:
            request.done(RedisError("too many commands are waiting"))
        else:
            self._parked.append(request)
            self._look_soon()

    def _send(self, request: Request, hops: int, node: Address, *, asking: bool = False) -> None:
        done = partial(self._answered, request, hops, node)
        self._batch(node).add(request._replace(done=done, asking=asking))

    def _answered(self, request: Request, hops: int, node: Address, answer: Any) -> None:
        answer = _understood(answer)
        if isinstance(answer, Exception) and not self._is_closed:
            if hops >= MOST_HOPS:
                pass
            elif isinstance(answer, MovedError):
                self._move(answer, node)
                return self._route(request, hops + 1)
            elif isinstance(answer, AskError):
                return self._send(request, hops + 1, self._address(answer, node), asking=True)
            elif isinstance(answer, TryAgainError):
                # The script has two keys, and one of them was moved already.
                return self._delay(request, hops + 1)
            self._note_fault(node, answer)
        request.done(answer)
        return None

    def _delay(self, request: Request, hops: int) -> None:
        def again() -> None:
            del self._delayed[timer]
            self._route(request, hops)

        timer = asyncio.get_running_loop().call_later(FIRST_PAUSE * 2**hops, again)
        self._delayed[timer] = request

    def _move(self, moved: MovedError, node: Address) -> None:
        self._slots[moved.slot_id] = self._address(moved, node)
        self._look_soon()

    def _note_fault(self, node: Address, fault: Exception) -> None:
        """Look at the table of slots again, if *fault* says that *node* is not what it was."""
        if not isinstance(fault, ResponseError):
            self._suspects.add(node)
            self._look_soon()
        elif isinstance(fault, ClusterDownError) or is_from_replica(fault):
            self._look_soon()

    def _batch(self, node: Address) -> Batch:
        batch = self._nodes.get(node)
        if batch is None:
            batch = self._nodes[node] = self._make(*node)
        return batch

    async def _find(self, stream: str) -> Address:
        await self.run(lambda pipeline: pipeline.exists(stream), stream)
        node = self._slots[key_slot(stream.encode())]
        if node is None:
            raise ClusterDownError(NOBODY)
        return node

    def _look_soon(self) -> None:
        """Ask for the table of slots, but not at once if that was done a moment ago."""
        if self._look is not None or self._look_timer is not None or self._is_closed:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._next_look:
            self._look_timer = loop.call_at(self._next_look, self._begin_to_look)
        else:
            self._begin_to_look()

    def _begin_to_look(self) -> None:
        self._look_timer = None
        self._look = asyncio.get_running_loop().create_task(self._ask_for_slots())
        self._look.add_done_callback(self._looked)

    def _looked(self, look: asyncio.Task[None]) -> None:
        self._look = None
        self._next_look = look.get_loop().time() + BETWEEN_LOOKS
        if not look.cancelled() and look.exception() is not None:
            _log.error("asking for the table of slots failed", exc_info=look.exception())
        parked, self._parked = self._parked, deque()
        for request in parked:
            if self._slots[key_slot(request.key.encode())] is None:
                request.done(ClusterDownError(NOBODY))
            else:
                self.add(request)

    async def _ask_for_slots(self) -> None:
        known = list(dict.fromkeys((*self._nodes, *self._seeds)))
        order = sorted(_shuffled(known, len(known)), key=self._suspects.__contains__)
        fault: object = "no node is known"
        for node in order:
            try:
                async with asyncio.timeout(self._patience):
                    # In two words: for one, the client would apply a parser that depends on its version.
                    found = await self._batch(node).redis.execute_command("CLUSTER", "SLOTS")
                slots = self._table(found, node[0])
            except REDIS_ERRORS as error:
                fault = error
                continue
            if any(slots):
                self._suspects.clear()
                self._slots = slots
                await self._leave(set(self._nodes) - self.masters - set(self._seeds))
                return
            fault = "it has no slots"
        _log.warning("the table of slots of the Redis Cluster cannot be read: %s", fault)

    async def _leave(self, gone: set[Address]) -> None:
        """Close the connections to nodes that have no slots any more."""
        for node in gone:
            batch = self._nodes.pop(node)
            try:
                async with asyncio.timeout(self._patience):
                    await batch.flush()
                    await batch.close()
                    await batch.disconnect()
            except REDIS_ERRORS as fault:
                _log.info("node %s:%s: closing its connections failed: %s", *node, fault)

    def _address(self, redirection: AskError, node: Address) -> Address:
        """Return where *redirection* of *node* leads to; its host is empty if it is that of *node*."""
        if not redirection.host:
            return node[0], redirection.port
        return self._remap((redirection.host, redirection.port))

    def _table(self, found: Any, host: str) -> list[Address | None]:
        """Return the address of the master of each slot, from the answer of ``CLUSTER SLOTS``."""
        slots: list[Address | None] = [None] * SLOTS
        for first, last, master, *_ in found:
            name = master[0].decode() if isinstance(master[0], bytes) else master[0]
            address = self._remap((name or host, int(master[1])))
            slots[first : last + 1] = [address] * (last + 1 - first)
        return slots


def _understood(answer: Any) -> Any:
    """Return *answer*; if it is an error that only the clients of clusters of older redis-py know, as that error."""
    if type(answer) is ResponseError:
        word, _, text = str(answer).partition(" ")
        kind = _ERRORS.get(word)
        return answer if kind is None else kind(text)
    return answer
