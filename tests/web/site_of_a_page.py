"""A page that is served, as a test sees it, and a viewer of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from swcalls.web import Dashboard

TOKEN = "a-token-that-nobody-guesses"


class Viewer:
    """Reads the events of the page, and keeps what the page would show."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.messages: list[dict[str, Any]] = []
        self.facts: dict[int, dict[str, Any]] = {}
        self.pictures: dict[int, str] = {}
        self.counters: dict[str, int] = {}
        self.order: list[int] = []
        self.up = 0

    async def next(self) -> dict[str, Any] | None:
        """Return the next message; ``None``: the server has ended the connection."""
        async for line in self.response.content:
            if line.startswith(b"data: "):
                message: dict[str, Any] = json.loads(line[6:])
                self._take(message)
                return message
        return None

    async def until(self, condition: Callable[[], Any]) -> None:
        """Read until *condition* is true."""
        while not condition():
            assert await self.next() is not None, "the connection has ended"

    @property
    def shown(self) -> list[dict[str, Any]]:
        """The facts of the calls, in the order of the page."""
        return [self.facts[number] for number in self.order]

    @property
    def call(self) -> dict[str, Any]:
        """The facts of the only call."""
        (facts,) = self.shown
        return facts

    @property
    def picture(self) -> str:
        """The picture of the only call."""
        return self.pictures.get(self.order[0], "") if self.order else ""

    def _take(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        self.order, self.up = message["order"], message["up"]
        self.facts |= {facts["number"]: facts for facts in message.get("calls", [])}
        self.pictures |= {int(number): picture for number, picture in message.get("pictures", {}).items()}
        if "counters" in message:
            self.counters = {counter["name"]: counter["number"] for counter in message["counters"]}


class Site:
    """The page on a server of its own."""

    def __init__(self, page: Dashboard, runner: web.AppRunner, session: aiohttp.ClientSession) -> None:
        self.page = page
        self.runner = runner
        self.session = session
        self.port = runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}{page.path}"

    async def get(self, path: str = "", method: str = "GET", **settings: Any) -> tuple[aiohttp.ClientResponse, str]:
        async with self.session.request(method, self.url + path, allow_redirects=False, **settings) as response:
            return response, await response.text()

    async def sign_in(self, token: str = TOKEN) -> aiohttp.ClientResponse:
        response, _ = await self.get("/login", "POST", data={"token": token})
        return response

    @asynccontextmanager
    async def viewer(self) -> AsyncIterator[Viewer]:
        """Look at the page, as a program does, in the block."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        # A line of events may be long.
        async with self.session.get(
            f"{self.url}/events", headers=headers, read_bufsize=2**22, timeout=_NONE
        ) as response:
            assert response.status == 200
            yield Viewer(response)

    async def is_alone(self) -> None:
        """Wait until the server has noticed that nobody looks any more."""
        while self.page.viewers:
            await asyncio.sleep(0.005)


_NONE = aiohttp.ClientTimeout(total=None)
