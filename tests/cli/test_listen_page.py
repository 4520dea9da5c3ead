"""``swcalls listen --web``: the calls that the webhooks of a receiver are about, on a page."""

from __future__ import annotations

import asyncio
import io
import re
from typing import Any

import aiohttp
import msgspec
import pytest

from swcalls import ConfigurationError
from swcalls._core.callback_urls import CallbackUrls
from swcalls._core.decoding import LEG, read
from swcalls._core.webhooks import Receipt
from swcalls.cli import listened_calls
from swcalls.cli.listen import listen
from swcalls.cli.listened_calls import ListenedCalls
from swcalls.cli.page_server import page_token

TOKEN = "a-token-that-nobody-guesses"


def receipt(kind: str, key: str, call_id: str | None = "c1", verdict: Any = "early", **payload: Any) -> Receipt:
    event = read(kind, {"call_id": call_id, "control_id": key, **payload})
    return Receipt(verdict, kind, key, event)


def test_a_call_is_followed_by_its_webhooks_alone() -> None:
    calls = ListenedCalls()
    calls.take(receipt("play", "p1", state="playing"))
    calls.take(receipt("call", "k1", call_state="answered"))
    (call,) = calls.calls()
    assert (call.id, call.state, call.has_ended) == ("c1", "answered", False)
    assert [(action.kind, action.state) for action in call.actions.values()] == [("play", "playing")]
    calls.take(receipt("play", "p1", state="finished"))
    calls.take(receipt("play", "p1", state="finished", late=True))
    assert not call.actions
    calls.take(receipt("call", "k1", call_state="ended", end_reason="busy"))
    calls.take(receipt("call", "k1", call_state="ended", end_reason="busy", late=True))
    assert (call.has_ended, call.end_reason) == (True, "busy")
    assert {(one.name, one.number) for one in calls.counters()} == {("webhooks early", 6), ("calls forgotten", 0)}


def test_a_dialled_leg_is_a_call() -> None:
    calls = ListenedCalls()
    calls.take(receipt(LEG, "connect-1", "c2", call_state="answered"))
    (call,) = calls.calls()
    assert (call.id, call.state) == ("c2", "answered")


@pytest.mark.parametrize(
    "refused",
    [
        Receipt("forged"),
        Receipt("busy", "inbound", "c1"),
        receipt("play", "p1", None, state="playing"),
        receipt("play", "p1", verdict="foreign", state="playing"),
        Receipt("early", "made-up", "k", read("play", {"call_id": "c1", "state": "playing"})),
    ],
)
def test_what_is_about_no_call_is_counted_only(refused: Receipt) -> None:
    calls = ListenedCalls()
    calls.take(refused)
    assert not list(calls.calls())
    assert calls.counters()[0].number == 1


def test_a_bounded_number_of_calls_and_actions_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listened_calls, "MOST_CALLS", 2)
    monkeypatch.setattr(listened_calls, "MOST_ACTIONS", 3)
    calls = ListenedCalls()
    for call in range(4):
        for action in range(5):
            calls.take(receipt("play", f"p{call}-{action}", f"c{call}", state="playing"))
    assert [(call.id, len(call.actions)) for call in calls.calls()] == [("c2", 3), ("c3", 3)]
    registry = calls._registry
    assert len(registry.actions) == 6
    assert [one.number for one in calls.counters() if one.name == "calls forgotten"] == [2]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_new_token_is_shown_on_a_terminal_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SWCALLS_DASHBOARD_TOKEN", raising=False)
    terminal = Terminal()
    token = page_token(terminal)
    assert terminal.getvalue() == f"token of the page: {token}\n"
    assert len(token) >= 32
    with pytest.raises(ConfigurationError, match="SWCALLS_DASHBOARD_TOKEN"):
        page_token(io.StringIO())
    monkeypatch.setenv("SWCALLS_DASHBOARD_TOKEN", TOKEN)
    terminal = Terminal()
    assert (page_token(terminal), terminal.getvalue()) == (TOKEN, "")


async def test_listening_serves_the_page(
    nothing_is_left_running: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIGNALWIRE_PROJECT_ID", "project")
    monkeypatch.setenv("SIGNALWIRE_API_TOKEN", "token")
    monkeypatch.setenv("SWCALLS_DASHBOARD_TOKEN", TOKEN)
    listening = asyncio.create_task(listen(host="127.0.0.1", port=0, public_url=None, path="/swcalls", web=0))
    out = ""
    while "shown at" not in out:
        await asyncio.sleep(0)
        assert not listening.done() or listening.result() is None
        out += capsys.readouterr().out
    assert TOKEN not in out
    match = re.fullmatch(r"listening on (\S+)/swcalls/; .*\nthe calls are shown at (http://127\.0\.0\.1:\S+)\n", out)
    assert match is not None
    urls = CallbackUrls("project", "token", "/swcalls", match[1])
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(urls.mint("play", "p1"), json={"call_id": "c1", "control_id": "p1", "state": "playing"}) as posted,
        session.get(f"{match[2]}/events", headers=headers) as events,
    ):
        assert posted.status == 200
        async for line in events.content:
            if line.startswith(b"data: "):
                break
        message = msgspec.json.decode(line[6:])
        assert [(call["id"], call["running"]) for call in message["calls"]] == [("c1", ["play: playing"])]
        listening.cancel()
        await asyncio.wait([listening])
    assert listening.cancelled()
