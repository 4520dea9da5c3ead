"""Drives a headless Chromium over its remote-debugging protocol."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page:
    """One page of the browser. `problems` has what its console reported, such as violations of its policy."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.problems: list[str] = []
        self._socket = socket
        self._numbers = itertools.count(1)
        self._events: list[str] = []

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command of the protocol, and return its result."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            message = await self._receive()
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]

    async def open(self, url: str) -> None:
        """Load *url*."""
        await self.send("Page.navigate", url=url)
        await self.loaded()

    async def loaded(self) -> None:
        """Wait until a page has been loaded."""
        while "Page.loadEventFired" not in self._events:
            await self._receive()
        self._events.clear()

    async def run(self, script: str) -> Any:
        """Return the value of *script*; a promise is awaited."""
        told = await self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def until(self, condition: str) -> Any:
        """Wait until the script *condition* is true whenever the page has changed, and return its value."""
        return await self.run(
            "new Promise((done) => { const look = () => { const value = (" + condition + "); if (value) { "
            "watch.disconnect(); done(value); } }; const watch = new MutationObserver(look); "
            "watch.observe(document, {subtree: true, childList: true, characterData: true, attributes: true}); look(); })"
        )

    async def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = await self._socket.receive_json()
        if "method" in message:
            self._events.append(message["method"])
        if message.get("method") == "Log.entryAdded":
            self.problems.append(message["params"]["entry"]["text"])
        if message.get("method") == "Runtime.exceptionThrown":
            self.problems.append(str(message["params"]))
        return message


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Page]:
    """Start the browser with a new profile in *folder*, and end it with the block."""
    assert CHROMIUM is not None
    flags = [
        "--headless=new",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}",
        "--disable-gpu",
        "--no-first-run",
    ]
    flags += ["--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += ["--disable-dev-shm-usage", "--password-store=basic", "--no-proxy-server"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        flags.append("--no-sandbox")
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, *flags, "about:blank", stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        assert process.stderr is not None
        while line := (await process.stderr.readline()).decode():
            if line.startswith("DevTools listening on "):
                break
        host = line.split("/")[2]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{host}/json/list") as response:
                (target,) = [one for one in await response.json() if one["type"] == "page"]
            async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                for domain in ("Page", "Runtime", "Log"):
                    await page.send(f"{domain}.enable")
                yield page
                await page.send("Browser.close")
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()
