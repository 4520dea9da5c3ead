"""The simulator's voice log, asked over real HTTP as the platform documents it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import aiohttp
import pytest

from swcalls import TTS, Client
from swcalls.testing import Callee, Simulator

FROM, TO = "+12069708643", "+15550198765"


@pytest.fixture
async def space(nothing_is_left_running: None) -> AsyncIterator[Simulator]:
    async with Simulator(speed=100, callee=Callee(presses="12")) as space:
        yield space


@pytest.fixture
async def client(space: Simulator) -> AsyncIterator[Client]:
    async with Client("project", "token", space.url) as client, client.receiver.serve():
        yield client


async def ask(space: Simulator, path: str, password: str = "token") -> tuple[int, Any]:
    headers = {"Authorization": "Basic " + b64encode(f"project:{password}".encode()).decode()}
    async with aiohttp.ClientSession() as session, session.get(space.url + path, headers=headers) as response:
        return response.status, await response.json()


async def test_an_entry_is_the_leg_of_the_call(space: Simulator, client: Client) -> None:
    call = await client.dial(to=TO, from_=FROM)
    await call.answered(timeout=5)
    status, entry = await ask(space, f"/api/voice/logs/{call.id}")
    assert (status, entry["id"], entry["status"], entry["to"]) == (200, call.id, "answered", TO)
    await call.end()
    await call.ended(timeout=5)
    assert (await ask(space, f"/api/voice/logs/{call.id}"))[1]["status"] == "ended"


async def test_events_are_those_of_the_webhooks(space: Simulator, client: Client) -> None:
    call = await client.dial(to=TO, from_=FROM)
    await call.answered(timeout=5)
    play = await call.play(TTS("Hi"))
    await play.finished(timeout=5)
    status, answer = await ask(space, f"/api/voice/logs/{call.id}/events")
    assert (status, list(answer)) == (200, ["data"])
    events = answer["data"]
    assert [event["name"] for event in events] == ["calling_call_state"] * 3 + ["calling_call_play"] * 2
    assert [event["details"].get("call_state") for event in events[:3]] == ["created", "ringing", "answered"]
    assert events[-1]["details"] == play.last_event.raw["params"]
    for event in events:
        assert list(event) == ["event_at", "level", "name", "details", "project_id", "log_id"]
        assert event["log_id"] == call.id
        assert datetime.fromisoformat(event["event_at"]).tzinfo is not None


async def test_it_knows_what_no_webhook_was_asked_for(space: Simulator, client: Client) -> None:
    call = await client.dial(to=TO, from_=FROM, status_events=["ended"])
    call_id = call.id
    await client.execute("calling.end", call_id=call_id, params={})
    await call.ended(timeout=5)
    _, answer = await ask(space, f"/api/voice/logs/{call_id}/events")
    assert [event["details"]["call_state"] for event in answer["data"]][:2] == ["created", "ringing"]


async def test_the_list_is_paged_with_the_newest_first(space: Simulator, client: Client) -> None:
    ids = [(await client.dial(to=TO, from_=FROM)).id for _ in range(5)]
    _, first = await ask(space, "/api/voice/logs?page_size=2")
    assert [entry["id"] for entry in first["data"]] == ids[:2:-1]
    assert "prev" not in first["links"]
    _, second = await ask(space, first["links"]["next"])
    _, third = await ask(space, second["links"]["next"])
    assert [entry["id"] for entry in second["data"] + third["data"]] == ids[2::-1]
    assert "next" not in third["links"]
    assert third["links"]["prev"] == second["links"]["self"]


@pytest.mark.parametrize("query", ["page_size=0", "page_size=1001", "page_size=x", "page_number=-1", "page_size=²"])
async def test_a_wrong_page_is_422(space: Simulator, query: str) -> None:
    status, answer = await ask(space, f"/api/voice/logs?{query}")
    assert status == 422
    assert answer["errors"][0]["attribute"] == query.partition("=")[0]


@pytest.mark.parametrize("path", ["/nobody", "/nobody/events"])
async def test_a_call_that_is_not_there_is_404(space: Simulator, path: str) -> None:
    assert (await ask(space, f"/api/voice/logs{path}"))[0] == 404


async def test_wrong_credentials_are_401(space: Simulator) -> None:
    assert (await ask(space, "/api/voice/logs", "wrong"))[0] == 401
    assert list(space.log_requests) == ["/api/voice/logs"]
