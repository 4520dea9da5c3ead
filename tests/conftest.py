"""A space that does as it is told, and a client that talks to it. Nothing here sleeps: a test awaits the thing itself."""

from __future__ import annotations

import asyncio
import asyncio.base_events
import asyncio.constants
import linecache
import os
import sys
import time
import traceback
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from hypothesis import HealthCheck, settings

from swcalls import Action, Call, Client, Limits, Retry

pytest_plugins = ["pytester"]

sys.path.insert(0, str(Path(__file__).parent))

# In debug mode asyncio notes for each future, task and handle the stack that made it: with pytest's own frames that is
# sixty deep, and cost more than the tests themselves. The innermost three have the line that made it.
asyncio.constants.DEBUG_STACK_DEPTH = 3
traceback.extract_stack.__defaults__ = (None, asyncio.constants.DEBUG_STACK_DEPTH)
# For each of them it also looked whether the files have changed.
linecache.checkcache = lambda filename=None: None

# aiohttp reads the certificates of the system when it is imported: a quarter of the time in which a process starts, and
# the tests start more than a hundred. None of them verifies a server.
os.environ["SSL_CERT_FILE"] = os.devnull

_attach = asyncio.base_events.Server._attach


def _attach_always(server: Any, *transport: Any) -> None:
    """Attach a connection that was accepted just before its server closed: there CPython asserts, and leaks the socket."""
    sockets, server._sockets = server._sockets, server._sockets or ()
    try:
        _attach(server, *transport)
    finally:
        server._sockets = sockets


asyncio.base_events.Server._attach = _attach_always

# Examples are drawn anew in each run, and no machine is too slow for them.
settings.register_profile(
    "tests",
    max_examples=int(60 * float(os.environ.get("SWCALLS_DEEP", "1"))),
    deadline=None,
    derandomize=False,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("tests")

MOST_WORKERS = 8
"""Each collects all tests first, so that more would not be quicker."""

CALL_ID = "2e1e66e5-5d07-413d-9668-55542992eec0"

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run all tests on all processors, and a part of them in this process: workers take longer to start than it takes."""
    if (
        config.args_source is pytest.Config.ArgsSource.ARGS
        or config.option.keyword
        or getattr(config.option, "lf", False)
    ):
        return 0
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # A third of the time tests wait for processes, servers and sockets.
    return min(processors * 3 // 2, MOST_WORKERS)


class Space:
    """Answers each command with the next of ``answers``, or else with a leg; posts what it is asked to post."""

    def __init__(self) -> None:
        self.url = ""
        self.commands: list[dict[str, Any]] = []
        self.headers: list[Any] = []
        self.answers: deque[web.Response | Answer] = deque()
        self.leg_status = "answered"
        self.log: dict[str, web.Response | Answer] = {}
        """Answers of the voice log, by the end of the path: ``CALL_ID`` or ``events``; else it is 404."""
        self.log_requests: list[str] = []
        self.leaves = asyncio.Event()
        self.arrived: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._session: aiohttp.ClientSession

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            self.log_requests.append(request.path)
            logged = self.log.get(request.path.rpartition("/")[2], web.json_response({}, status=404))
            return await logged(request) if callable(logged) else logged
        body = msgspec.json.decode(await request.read())
        self.commands.append(body)
        self.headers.append(request.headers)
        self.arrived.put_nowait(body)
        answer = self.answers.popleft() if self.answers else self.leg(body)
        return await answer(request) if callable(answer) else answer

    def leg(self, body: dict[str, Any] | None = None, status: str | None = None) -> web.Response:
        call_id = (body or {}).get("id") or (body or {}).get("params", {}).get("id") or CALL_ID
        leg = {"id": call_id, "type": "relay_pstn_call", "status": status or self.leg_status, "from": "+1", "to": "+2"}
        return web.json_response(leg)

    def logs(self, *events: tuple[str, dict[str, Any]], status: str = "answered") -> None:
        """Have the voice log tell of *events*, each a name and its details, in this order."""
        lines = [
            {"event_at": f"2026-01-01T00:00:{number:02}Z", "level": "info", "name": name, "details": details}
            for number, (name, details) in enumerate(events)
        ]

        async def tell(request: web.Request) -> web.StreamResponse:
            of_call = request.path.endswith(CALL_ID)
            return web.json_response({"id": CALL_ID, "status": status} if of_call else {"data": lines})

        self.log = {CALL_ID: tell, "events": tell}

    async def hang(self, request: web.Request) -> web.StreamResponse:
        """Answer nothing for as long as the test runs."""
        await self.leaves.wait()
        return web.Response(status=500)

    def held(self, release: asyncio.Event, answer: web.Response | None = None) -> Answer:
        """An answer that is given only after *release*."""

        async def respond(request: web.Request) -> web.StreamResponse:
            await release.wait()
            return self.leg(msgspec.json.decode(await request.read())) if answer is None else answer

        return respond

    async def post(self, url: str, payload: object, **headers: str) -> int:
        """Post a webhook and return the status of the answer."""
        body = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
        async with self._session.post(url, data=body, headers=headers) as response:
            await response.read()
            return response.status

    @staticmethod
    def overdue(action: Action[Any]) -> None:
        """Let the deadline of *action* pass now: one of some milliseconds could pass before its command is sent."""
        action.call._engine.registry.deadlines.set(action._operation, time.monotonic())

    def last(self, command: str) -> dict[str, Any]:
        """The params of the last *command* that came."""
        return next(c["params"] for c in reversed(self.commands) if c["command"] == command)

    async def tell(self, command: str, **params: Any) -> int:
        """Post a bare webhook to the ``status_url`` of the last *command*."""
        sent = self.last(command)
        ids = {"control_id": sent["control_id"]} if "control_id" in sent else {}
        return await self.post(sent["status_url"], {"call_id": CALL_ID, "node_id": "n", **ids, **params})

    async def tell_call(self, state: str, **params: Any) -> int:
        """Post a call state to the ``status_url`` of the last ``dial``."""
        return await self.tell("dial", call_state=state, **params)


@pytest.fixture
async def nothing_is_left_running() -> AsyncIterator[None]:
    """Fail a test that leaves a task behind, or an exception that nobody retrieved."""
    faults: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: faults.append(context))
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left
    assert not faults


@pytest.fixture
async def space(nothing_is_left_running: None) -> AsyncIterator[Space]:
    space = Space()
    runner = web.ServerRunner(web.Server(space.handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    space.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as space._session:
        yield space
    space.leaves.set()
    await runner.cleanup()


Connect = Callable[..., Awaitable[Client]]


@pytest.fixture
async def connect(space: Space) -> AsyncIterator[Connect]:
    """Make open clients of the space, each with a served receiver."""
    from contextlib import AsyncExitStack

    async with AsyncExitStack() as stack:

        async def make(**settings: Any) -> Client:
            settings = {"limits": Limits(grace=0, long_grace=0), "retry": Retry(attempts=1), **settings}
            client = await stack.enter_async_context(Client("project", "token", space.url, **settings))
            await stack.enter_async_context(client.receiver.serve())
            return client

        yield make


@pytest.fixture
async def client(connect: Connect) -> Client:
    return await connect()


@pytest.fixture
async def call(client: Client) -> Call:
    """A call that is up, as far as the response to its dial says."""
    return await client.dial(to="+15550198765", from_="+12069708643")
