"""Who receives webhooks in the benchmarks: swcalls, a bare aiohttp handler, FastAPI with the vendor's dependency."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from swcalls import TTS, Client

from .party import Measurable
from .wire import ANYWHERE, PROJECT, SIGNING_KEY, SPEECH, TOKEN, Target, Unsent, call_ids

ACTIONS_A_CALL = 10
PATH = "/swcalls/play/{key}/{mac}"
MAC = "6e6f742d612d7265616c2d6d61632121212121"
"""As long as one of swcalls', so that all get requests of one length."""


class Receiving(Measurable):
    """A server on the loopback, with a free port."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._listening = socket.socket()
        self._listening.bind(("127.0.0.1", 0))
        self._port = int(self._listening.getsockname()[1])

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        self._listening.close()

    async def port(self) -> int:
        """Say where it listens."""
        return self._port

    def targets(self, count: int) -> list[Target]:
        """Make up as many addresses."""
        return [
            Target(f"http://127.0.0.1:{self._port}{PATH.format(key=key, mac=MAC)}", key, call_id)
            for key, call_id in zip(call_ids(count), call_ids(count), strict=True)
        ]

    async def serve(self, app: web.Application) -> None:
        """Serve *app* until the end."""
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, self._listening, backlog=1024).start()


class Bare(Receiving):
    """An aiohttp handler that reads the body and answers 200. It does not even look at it.

    Args:
        turns: For how many turns of the event loop it waits before it answers, like swcalls, which takes two.
    """

    def __init__(self, turns: int = 0) -> None:
        super().__init__()
        self._turns = turns

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post(PATH, self._handle)
        await self.serve(app)
        return self

    async def arm(self, count: int) -> list[bytes]:
        """Return *count* requests."""
        return [target.request(signed=True) for target in self.targets(count)]

    async def check(self) -> None:
        """Find nothing: 200 is all that there is."""

    async def _handle(self, request: web.Request) -> web.Response:
        await request.read()
        for _ in range(self._turns):
            await asyncio.sleep(0)
        return web.Response(status=200)


class Swcalls(Receiving):
    """The receiver of a client, ``embedded`` in an application or ``served`` by itself."""

    def __init__(self, way: str, keyed: bool) -> None:
        super().__init__()
        self._way = way
        self._session = Unsent()
        self._signing_key = SIGNING_KEY if keyed else None

    async def __aenter__(self) -> Self:
        if self._way == "served":
            self._listening.close()
        self.client = Client(
            PROJECT,
            TOKEN,
            ANYWHERE,
            public_url=None if self._way == "served" else f"http://127.0.0.1:{self._port}",
            signing_key=self._signing_key,
            session=self._session,
        )
        await self._stack.enter_async_context(self.client)
        if self._way == "served":
            server = await self._stack.enter_async_context(self.client.receiver.serve())
            self._port = int(server.url.rpartition(":")[2])
        else:
            app = web.Application()
            app.add_routes(self.client.receiver.routes())
            await self.serve(app)
        return self

    async def arm(self, count: int) -> list[bytes]:
        """Start *count* actions, and return the requests that end them."""
        media = TTS(SPEECH)
        calls = [self.client.call(call_id) for call_id in call_ids(count // ACTIONS_A_CALL + 1)]
        for number in range(count):
            await calls[number // ACTIONS_A_CALL].play(media)
        return [target.request(signed=True) for target in self._session.targets()]

    async def check(self) -> None:
        """Fail unless every webhook was applied, and every action has settled."""
        stats = self.client.stats
        assert stats.pending == 0, stats
        assert set(stats.webhooks) == {"applied"}, stats


class FastAPIWithVendor(Receiving):
    """What a user of the vendor's SDK would write: its check as a dependency, and a future for each action."""

    needs = ("fastapi", "pydantic", "uvicorn", "signalwire")

    def __init__(self) -> None:
        super().__init__()
        self._pending: dict[str, asyncio.Future[Any]] = {}

    async def __aenter__(self) -> Self:
        import uvicorn

        from .vendor_app import make_app

        app = make_app(PATH, SIGNING_KEY, self._pending)
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="critical", access_log=False, lifespan="off", ws="none", backlog=1024)
        )
        serving = asyncio.get_running_loop().create_task(server.serve(sockets=[self._listening]))
        while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn tells no other way
            await asyncio.sleep(0.01)

        async def stop() -> None:
            server.should_exit = True
            await serving

        self._stack.push_async_callback(stop)
        return self

    async def arm(self, count: int) -> list[bytes]:
        """Make *count* futures, and return the requests that resolve them."""
        loop = asyncio.get_running_loop()
        targets = self.targets(count)
        self._pending.update((target.control_id, loop.create_future()) for target in targets)
        return [target.request(signed=True) for target in targets]

    async def check(self) -> None:
        """Fail unless every future was resolved."""
        assert not self._pending
