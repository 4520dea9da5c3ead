"""SWML on simulated calls, over real sockets: what is refused, what each step does, and what can go wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from swcalls import TTS, Call, Client, InvalidParams, Retry
from swcalls.commands.swml import (
    Answer,
    Connect,
    Hangup,
    JoinConference,
    Request,
    SendDigits,
    Sleep,
    Step,
    Switch,
    document,
    tail,
)
from swcalls.testing import Callee, Faults, NotAnswered, Simulator
from swcalls.testing.calls import SimulatedCall

JSON = dict[str, Any]
FROM, TO, BOB, EVE = "+12069708643", "+15550198765", "+15550100001", "+15550100002"
ALL = ["created", "ringing", "answered", "ended"]
pytestmark = pytest.mark.usefixtures("nothing_is_left_running")


class Inbox:
    """An application of the user's: it keeps what is posted to it, by path, and answers as it is told."""

    def __init__(self) -> None:
        self.url = ""
        self.headers: list[Any] = []
        self.answers: dict[str, JSON] = {}
        self.hold: asyncio.Event | None = None
        self._came: dict[str, asyncio.Queue[JSON]] = {}

    async def receive(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(request.headers)
        self.queue(request.path).put_nowait(json.loads(await request.read() or b"{}"))
        if self.hold is not None:
            await self.hold.wait()
        return web.json_response(self.answers.get(request.path, {}))

    def queue(self, path: str) -> asyncio.Queue[JSON]:
        return self._came.setdefault(path, asyncio.Queue())

    async def next(self, path: str) -> JSON:
        """Return the parameters of the next webhook, or the next body, that is posted to *path*."""
        body = await asyncio.wait_for(self.queue(path).get(), 10)
        params = body.get("params")
        return params if isinstance(params, dict) and "event_type" in body else body

    async def states(self, path: str, name: str, last: str) -> list[str]:
        """Return the states that come to *path* up to *last*."""
        found: list[str] = []
        while last not in found:
            found.append((await self.next(path))[name])
        return found


class Scene:
    """A simulated space, a client of it, and an application that is told everything."""

    def __init__(self, space: Simulator, client: Client, inbox: Inbox) -> None:
        self.space = space
        self.client = client
        self.inbox = inbox

    async def dial(self, to: str = TO) -> tuple[Call, SimulatedCall]:
        call = await self.client.dial(to=to, from_=FROM)
        await call.answered(timeout=10)
        return call, self.space.calls[str(call.id)]

    def at(self, path: str) -> str:
        return self.inbox.url + path

    def connect(self, to: str = BOB, **more: Any) -> Connect:
        more.setdefault("status_url", self.at("/connect"))
        return Connect(to=to, call_state_url=self.at("/leg"), call_state_events=ALL, **more)

    def join(self, member: str, **more: Any) -> JoinConference:
        return JoinConference(
            name="room",
            status_callback=self.at(f"/{member}"),
            status_callback_event="join leave end",
            status_callback_event_type="relay",
            **more,
        )

    async def run(self, call: Call, *steps: Step | JSON) -> None:
        await call.update(swml=document([*steps, Sleep(-1)]))

    async def bridged(self, call: Call, **more: Any) -> SimulatedCall:
        await self.run(call, self.connect(**more), tail(self.at("/tail"), "op", ["connect_result"]))
        assert (await self.inbox.next("/connect"))["connect_state"] == "connecting"
        connected = await self.inbox.next("/connect")
        assert connected["connect_state"] == "connected"
        return self.space.calls[connected["peer"]["call_id"]]


@asynccontextmanager
async def scene(**settings: Any) -> AsyncIterator[Scene]:
    settings.setdefault("callee", Callee(rings_for=0))
    inbox = Inbox()
    runner = web.ServerRunner(web.Server(inbox.receive, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    inbox.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with (
            Simulator(speed=100, **settings) as space,
            Client("project", "token", space.url, retry=Retry(attempts=1)) as client,
            client.receiver.serve(),
        ):
            yield Scene(space, client, inbox)
    finally:
        await runner.cleanup()


# What is refused


@pytest.mark.parametrize(
    "step",
    [
        {"levitate": {}},
        {"connect": {"to": BOB, "from_name": "Bob", "auto_answer": True}},
        {"connect": {"to": BOB, "serial": [{"to": BOB}]}},
        {"connect": {}},
        {"connect": {"to": BOB, "timeout": "soon"}},
        {"connect": {"to": BOB, "confirm": [{"connect": {"to": EVE}}]}},
        {"connect": {"parallel": [{"to": BOB, "ringback": ["ring:us"]}]}},
        {"send_digits": {"digits": "1,2"}},
        {"send_digits": {"digits": "1", "to": BOB}},
        {"join_conference": {"name": "room", "beep": True}},
        {"join_conference": {"muted": True}},
        {"hangup": {"reason": "bored"}},
        {"request": {"url": "https://example.com"}},
        {"sleep": "long"},
        {"switch": {"variable": "x", "case": {"a": [{"levitate": {}}]}}},
        {"answer": {}, "hangup": {}},
        7,
    ],
)
async def test_a_document_with_a_name_or_a_value_that_is_not_known_is_refused_whole(step: Any) -> None:
    async with scene() as s:
        call, simulated = await s.dial()
        steps = {"version": "1.0.0", "sections": {"main": [{"hangup": {}}, step]}}
        for refused in (
            lambda: call.update(swml=steps),
            lambda: call.transfer(steps),
            lambda: s.client.dial(to=TO, from_=FROM, swml=steps),
        ):
            with pytest.raises(InvalidParams):
                await refused()
        assert simulated.state == "answered"
        assert len(s.space.calls) == 1


@pytest.mark.parametrize(
    "step",
    [
        "answer",
        {"hangup": "busy"},
        {"send_digits": "1w2"},
        {"sleep": {"duration": 5}},
        {"ai": {"prompt": {"text": "x"}}},
    ],
)
async def test_what_the_platform_takes_is_taken(step: Any) -> None:
    async with scene() as s:
        call, _ = await s.dial()
        await call.update(swml={"sections": {"main": [step]}})


# Steps


async def test_a_call_ends_with_its_document_unless_that_sleeps_for_ever() -> None:
    async with scene() as s:
        call, _ = await s.dial()
        await call.update(swml=document([Sleep(10), Sleep(-1)]))
        await call.play(TTS("Still here.")).finished(timeout=10)
        await call.update(swml=document([Sleep(10)]))
        assert await call.ended(timeout=10) == "hangup"


async def test_the_document_of_a_dial_runs_once_it_is_answered() -> None:
    async with scene() as s:
        call = await s.client.dial(to=TO, from_=FROM, swml=document([Sleep(10), Hangup("busy")]))
        assert await call.ended(timeout=10) == "busy"


async def test_digits_arrive_at_the_far_end_and_the_tail_tells_so() -> None:
    async with scene() as s:
        call, simulated = await s.dial()
        variables = ("send_digits_result", "never_set")
        await s.run(call, SendDigits("1w23#"), tail(s.at("/tail"), "op-1", variables))
        told = await s.inbox.next("/tail")
        assert told == {"op": "op-1", "call_id": call.id, "send_digits_result": "success", "never_set": ""}
        assert simulated.received_digits == "123#"


async def test_a_request_is_not_signed_and_its_answer_decides() -> None:
    async with scene(signing_key="PSK-1") as s:
        call, _ = await s.dial()
        s.inbox.headers.clear()
        s.inbox.answers["/ask"] = {"action": "leave"}
        ask = Request(s.at("/ask"), body={"from": "%{call.from}", "n": 1}, timeout=5, save_variables=True)
        await s.run(call, ask, Switch("request_response.action", {"leave": [Hangup("decline")]}, [Sleep(-1)]))
        assert await s.inbox.next("/ask") == {"from": FROM, "n": 1}
        assert await call.ended(timeout=10) == "decline"
        assert not any("signature" in name.lower() for name in s.inbox.headers[0])


async def test_a_request_that_nobody_answers_fails_and_the_document_goes_on() -> None:
    async with scene() as s:
        call, _ = await s.dial()
        nobody = Request("http://127.0.0.1:9/", connect_timeout=1, timeout=1)
        await s.run(call, nobody, tail(s.at("/tail"), "op", ["request_result"]))
        assert (await s.inbox.next("/tail"))["request_result"] == "failed"


async def test_a_request_waits_no_longer_than_it_is_told() -> None:
    async with scene() as s:
        call, _ = await s.dial()
        s.inbox.hold = asyncio.Event()
        await s.run(call, Request(s.at("/ask"), timeout=0.05), Hangup("busy"))
        assert await call.ended(timeout=10) == "busy"
        s.inbox.hold.set()


async def test_a_new_document_replaces_the_one_that_runs() -> None:
    async with scene() as s:
        call, simulated = await s.dial()
        await s.run(call, SendDigits("W" * 1000), SendDigits("1"))
        await s.run(call, SendDigits("2"), tail(s.at("/tail"), "second", []))
        assert (await s.inbox.next("/tail"))["op"] == "second"
        assert simulated.received_digits == "2"


async def test_a_transfer_with_a_document_is_an_update_by_another_name() -> None:
    async with scene() as s:
        call, simulated = await s.dial()
        await call.transfer(document([SendDigits("7"), tail(s.at("/tail"), "op", []), Sleep(-1)]))
        await s.inbox.next("/tail")
        assert simulated.received_digits == "7"


async def test_what_is_played_is_heard_at_the_far_end() -> None:
    async with scene() as s:
        call, simulated = await s.dial()
        await s.run(call, {"play": {"urls": ["say:One.", "silence:0.1", "ring:1:us"]}}, tail(s.at("/tail"), "op", []))
        await call.play(TTS("Two.")).finished(timeout=10)
        await s.inbox.next("/tail")
        assert sorted(simulated.heard) == ["One.", "Two."]


async def test_a_call_has_thirty_two_transfers() -> None:
    async with scene() as s:
        call, simulated = await s.dial()
        loop = [{"label": "again"}, SendDigits("1"), {"goto": {"label": "again"}}]
        await s.run(call, *loop)
        assert await call.ended(timeout=10) == "error"
        assert simulated.received_digits == "1" * 33


async def test_a_goto_can_be_bounded_and_sections_can_be_gone_to() -> None:
    async with scene() as s:
        call, simulated = await s.dial()
        s.inbox.answers["/more"] = document([SendDigits("3"), tail(s.at("/tail"), "op", []), Sleep(-1)])
        main = [{"label": "a"}, {"send_digits": "1"}, {"goto": {"label": "a", "max": 2}}, {"transfer": {"dest": "b"}}]
        b = [{"send_digits": "2"}, {"transfer": {"dest": s.at("/more")}}]
        await call.update(swml={"sections": {"main": main, "b": b}})
        await s.inbox.next("/tail")
        assert simulated.received_digits == "11123"


async def test_commands_that_redirect_count_as_transfers_when_they_are_told_to() -> None:
    async with scene() as s:
        call, _ = await s.dial()
        s.space.faults = Faults(redirects_count=True)
        for _ in range(32):
            await s.run(call, Sleep(0))
        assert call.state == "answered"
        await s.run(call, Sleep(0))
        assert await call.ended(timeout=10) == "error"


# connect


async def test_two_calls_are_bridged_and_hear_each_other() -> None:
    async with scene() as s:
        call, ours = await s.dial()
        peer = await s.bridged(call)
        assert peer.state == "answered"
        assert (peer.from_, peer.to) == (FROM, BOB)
        ours.say("Hello?")
        peer.say("Bob here.")
        peer.press("42")
        assert list(peer.heard) == ["Hello?"]
        assert list(ours.heard) == ["Bob here."]
        assert ours.received_digits == "42"
        peer.hang_up()
        disconnected = await s.inbox.next("/connect")
        assert (disconnected["connect_state"], disconnected["call_id"]) == ("disconnected", call.id)
        assert (await s.inbox.next("/tail"))["connect_result"] == "connected"
        ours.say("Anybody?")
        assert list(peer.heard) == ["Hello?"]
        assert call.state == "answered"
        assert await s.inbox.states("/leg", "call_state", "ended") == ALL


async def test_a_transcription_of_a_bridged_call_has_both_sides() -> None:
    async with scene() as s:
        call, ours = await s.dial()
        transcription = await call.transcribe()
        peer = await s.bridged(call)
        ours.say("Hello?")
        peer.say("Bob here.")
        await call.end()
        assert (await transcription.finished(timeout=10)).text == "Hello? Bob here."


@pytest.mark.parametrize(
    ("callee", "reason"),
    [
        (Callee(answers="busy"), "busy"),
        (Callee(answers="decline"), "declined"),
        (Callee(answers=False), "no_answer"),
    ],
)
async def test_a_connect_that_nobody_answers_says_why_and_the_call_goes_on(callee: Callee, reason: str) -> None:
    async with scene() as s:
        s.space.callees[BOB] = callee
        call, _ = await s.dial()
        await s.run(call, s.connect(timeout=5), tail(s.at("/tail"), "op", ["connect_result", "connect_failed_reason"]))
        assert await s.inbox.states("/connect", "connect_state", "failed") == ["connecting", "failed"]
        told = await s.inbox.next("/tail")
        assert (told["connect_result"], told["connect_failed_reason"]) == ("failed", reason)
        assert call.state == "answered"


async def test_who_answers_first_is_bridged_and_the_others_are_cancelled() -> None:
    async with scene() as s:
        s.space.callees.update({BOB: Callee(rings_for=50), EVE: Callee(rings_for=1)})
        call, _ = await s.dial()
        await s.run(call, Connect(parallel=[BOB, EVE], status_url=s.at("/connect")))
        assert (await s.inbox.next("/connect"))["connect_state"] == "connecting"
        peer = s.space.calls[(await s.inbox.next("/connect"))["peer"]["call_id"]]
        assert peer.to == EVE
        (other,) = [leg for leg in s.space.calls.values() if leg.to == BOB]
        assert (other.state, other.end_reason) == ("ended", "cancel")


async def test_a_series_is_tried_in_turn() -> None:
    async with scene() as s:
        s.space.callees.update({BOB: Callee(answers="busy"), EVE: Callee(rings_for=1)})
        call, _ = await s.dial()
        await s.run(call, Connect(serial=[BOB, EVE], status_url=s.at("/connect")))
        assert (await s.inbox.next("/connect"))["connect_state"] == "connecting"
        assert (await s.inbox.next("/connect"))["peer"]["device"]["params"]["to_number"] == EVE


async def test_the_called_party_hears_what_it_is_to_confirm_and_may_refuse() -> None:
    async with scene() as s:
        s.space.callees[BOB] = Callee(rings_for=0, presses=["2", "1"])
        call, _ = await s.dial()
        confirm = [
            {"prompt": {"play": "say:Press 1 to take the call."}},
            Switch("prompt_value", {"1": []}, [Hangup()]),
        ]
        await s.run(call, Connect(serial=[BOB], confirm=confirm, status_url=s.at("/connect")))
        assert await s.inbox.states("/connect", "connect_state", "failed") == ["connecting", "failed"]
        leg = list(s.space.calls.values())[-1]
        assert list(leg.heard) == ["Press 1 to take the call."]
        s.space.callees[BOB] = Callee(rings_for=0, presses="1")
        await s.run(call, Connect(serial=[BOB], confirm=confirm, status_url=s.at("/connect")))
        assert await s.inbox.states("/connect", "connect_state", "connected") == ["connecting", "connected"]


async def test_when_our_call_ends_the_peer_is_hung_up() -> None:
    async with scene() as s:
        call, ours = await s.dial()
        peer = await s.bridged(call)
        ours.hang_up()
        assert await s.inbox.states("/leg", "call_state", "ended") == ALL
        assert peer.state == "ended"
        assert (await s.inbox.next("/connect"))["connect_state"] == "disconnected"


async def test_a_redirect_tears_the_bridge_and_tells_so_late() -> None:
    async with scene() as s:
        call, _ = await s.dial()
        peer = await s.bridged(call)
        await s.run(call, tail(s.at("/tail"), "second", []))
        assert (await s.inbox.next("/connect"))["connect_state"] == "disconnected"
        assert (await s.inbox.next("/tail"))["op"] == "second"
        assert peer.state == "ended"
        assert call.state == "answered"


async def test_a_redirect_while_it_rings_cancels_the_leg() -> None:
    async with scene() as s:
        s.space.callees[BOB] = Callee(answers=False)
        call, _ = await s.dial()
        await s.run(call, s.connect())
        assert (await s.inbox.next("/connect"))["connect_state"] == "connecting"
        await s.run(call, tail(s.at("/tail"), "second", []))
        assert await s.inbox.states("/leg", "call_state", "ended") == ["created", "ringing", "ended"]
        await s.inbox.next("/tail")


async def test_disconnect_parts_both_and_hangs_up_neither() -> None:
    async with scene() as s:
        call, ours = await s.dial()
        peer = await s.bridged(call)
        await call.disconnect()
        assert (await s.inbox.next("/connect"))["connect_state"] == "disconnected"
        assert (await s.inbox.next("/tail"))["connect_result"] == "connected"
        assert (ours.state, peer.state) == ("answered", "answered")
        await s.client.execute("calling.end", call_id=peer.id, params={})
        assert (ours.state, peer.state) == ("answered", "ended")


async def test_a_bridge_has_a_longest_duration() -> None:
    async with scene() as s:
        call, _ = await s.dial()
        await s.bridged(call, max_duration=1)
        assert (await s.inbox.next("/connect"))["connect_state"] == "disconnected"
        assert call.state == "answered"


# conferences


async def test_members_of_a_conference_hear_each_other_and_are_told_of_each_other() -> None:
    async with scene() as s:
        calls = {name: await s.dial() for name in ("a", "b", "c")}
        for name, (call, _) in calls.items():
            await s.run(call, s.join(name, muted=name == "c"), tail(s.at("/tail"), name, ["join_conference_result"]))
            joined = await s.inbox.next(f"/{name}")
            assert (joined["status"], joined["call_id"]) == ("participant-join", call.id)
        a, b, c = (simulated for _, simulated in calls.values())
        assert [(await s.inbox.next("/a"))["call_id"] for _ in "bc"] == [b.id, c.id]
        a.say("Who is there?")
        c.say("Nobody hears me.")
        assert list(b.heard) == list(c.heard) == ["Who is there?"]
        assert not a.heard
        b.hang_up()
        left = await s.inbox.next("/a")
        assert (left["status"], left["call_id"], left["size"]) == ("participant-leave", b.id, 2)
        await s.run(calls["a"][0], Sleep(0))
        assert (await s.inbox.next("/a"))["call_id"] == a.id
        c.hang_up()
        assert await s.inbox.states("/c", "status", "conference-end")


async def test_a_conference_ends_with_the_member_that_it_is_to_end_with() -> None:
    async with scene() as s:
        (host, _), (guest, _) = await s.dial(), await s.dial()
        await s.run(host, s.join("host", end_on_exit=True))
        await s.inbox.next("/host")
        await s.run(guest, s.join("guest"), tail(s.at("/tail"), "guest", ["join_conference_result"]))
        await s.inbox.next("/guest")
        await host.end()
        statuses = await s.inbox.states("/guest", "status", "conference-end")
        assert statuses == ["participant-leave", "conference-end"]
        assert (await s.inbox.next("/tail"))["join_conference_result"] == "completed"
        assert guest.state == "answered"


async def test_nothing_is_heard_before_the_conference_has_started() -> None:
    async with scene() as s:
        (first, one), (second, two) = await s.dial(), await s.dial()
        await s.run(first, s.join("first", start_on_enter=False))
        await s.inbox.next("/first")
        one.say("Hello?")
        await s.run(second, s.join("second"))
        await s.inbox.next("/second")
        one.say("Now?")
        assert list(two.heard) == ["Now?"]


async def test_a_full_conference_lets_nobody_in() -> None:
    async with scene() as s:
        members = [await s.dial() for _ in range(3)]
        for number, (call, _) in enumerate(members):
            await s.run(
                call, s.join(str(number), max_participants=2), tail(s.at("/tail"), "op", ["join_conference_result"])
            )
            if number < 2:
                await s.inbox.next(f"/{number}")
        assert (await s.inbox.next("/tail"))["join_conference_result"] == "failed"


# Calls that come in


def first_document(s: Scene, **timeouts: float) -> JSON:
    ask = Request(s.at("/decide"), body={"call_id": "%{call.call_id}"}, save_variables=True, **timeouts)
    cases = {"busy": [Hangup("busy")], "decline": [Hangup("decline")]}
    return document([ask, Switch("request_response.action", cases, [Answer(), Sleep(-1)])])


@pytest.mark.parametrize("reason", ["busy", "decline"])
async def test_a_call_can_be_refused_before_it_is_answered(reason: str) -> None:
    async with scene() as s:
        s.inbox.answers |= {"/in": first_document(s, timeout=5), "/decide": {"action": reason}}
        with pytest.raises(NotAnswered, match=reason):
            await s.space.call(url=s.at("/in"), status_url=s.at("/states"))
        assert await s.inbox.states("/states", "call_state", "ended") == ["created", "ringing", "ended"]


@pytest.mark.parametrize("answer", [{"action": "answer"}, {}])
async def test_it_is_answered_when_the_decision_says_so_or_says_nothing(answer: JSON) -> None:
    async with scene() as s:
        s.inbox.answers |= {"/in": first_document(s, timeout=5), "/decide": answer}
        call = await s.space.call(url=s.at("/in"))
        assert call.state == "answered"
        assert (await s.inbox.next("/decide"))["call_id"] == call.id


async def test_it_is_answered_and_parked_when_whoever_decides_is_silent() -> None:
    async with scene() as s:
        s.inbox.answers["/in"] = document([
            Request("http://127.0.0.1:9/", connect_timeout=1, timeout=1, save_variables=True),
            Switch("request_response.action", {"busy": [Hangup("busy")]}, [Answer(), Sleep(-1)]),
        ])  # fmt: skip
        assert (await s.space.call(url=s.at("/in"))).state == "answered"


@pytest.mark.parametrize("swml", [{}, {"sections": {}}, {"sections": {"main": [{"levitate": {}}]}}])
async def test_without_a_document_that_can_be_run_nobody_takes_the_call(swml: JSON) -> None:
    async with scene() as s:
        s.inbox.answers["/in"] = swml
        with pytest.raises(NotAnswered, match="no SWML document"):
            await s.space.call(url=s.at("/in"))


async def test_a_caller_can_give_up_before_the_decision() -> None:
    async with scene() as s:
        s.inbox.answers["/in"] = first_document(s, timeout=5)
        async with asyncio.TaskGroup() as group:
            ringing = group.create_task(refused(s))
            await s.inbox.next("/in")
            s.inbox.hold = asyncio.Event()
            await s.inbox.next("/decide")
            (call,) = s.space.calls.values()
            call.hang_up("cancel")
            assert "cancel" in await ringing
            s.inbox.hold.set()


async def refused(s: Scene) -> str:
    with pytest.raises(NotAnswered) as error:
        await s.space.call(url=s.at("/in"))
    return str(error.value)


# Faults


async def test_a_lost_tail_is_lost_and_the_call_is_parked_all_the_same() -> None:
    async with scene() as s:
        call, simulated = await s.dial()
        s.space.faults = Faults(lost_requests=1)
        await s.run(call, SendDigits("1"), tail(s.at("/tail"), "op", []), SendDigits("2"), s.connect())
        await s.inbox.next("/connect")
        assert s.inbox.queue("/tail").empty()
        assert simulated.received_digits == "12"
        assert s.space.faulted["lost_requests"] == 1


@pytest.mark.parametrize("answers", [True, "busy"])
async def test_the_last_event_of_a_connect_can_be_lost_while_the_tail_comes(answers: bool | str) -> None:
    async with scene() as s:
        s.space.callees[BOB] = Callee(answers=answers, rings_for=0, hangs_up_after=1)
        call, _ = await s.dial()
        s.space.faults = Faults(lost_results=1)
        await s.run(call, s.connect(), tail(s.at("/tail"), "op", ["connect_result"]))
        told = await s.inbox.next("/tail")
        assert told["connect_result"] == ("connected" if answers is True else "failed")
        await s.space.settled()
        states = [
            s.inbox.queue("/connect").get_nowait()["params"]["connect_state"]
            for _ in range(2 if answers is True else 1)
        ]
        assert states == ["connecting", "connected"][: len(states)]
        assert s.inbox.queue("/connect").empty()


async def test_a_document_that_is_killed_takes_the_call_with_it() -> None:
    async with scene() as s:
        call, simulated = await s.dial()
        s.space.faults = Faults(killed=1)
        await s.run(call, SendDigits("1"), SendDigits("2"), tail(s.at("/tail"), "op", []))
        assert await call.ended(timeout=10) == "error"
        assert simulated.received_digits == "1"
        assert s.inbox.queue("/tail").empty()


async def test_webhooks_of_a_document_can_overtake_the_answer_to_its_command() -> None:
    async with scene() as s:
        s.space.callees[BOB] = Callee(answers=False)
        call, _ = await s.dial()
        s.space.faults = Faults(early=1)
        await s.run(call, s.connect())
        assert not s.inbox.queue("/connect").empty()


async def test_without_that_they_wait_for_it() -> None:
    async with scene() as s:
        call, _ = await s.dial()
        s.space.faults = Faults(slow=(10, 20))
        await s.run(call, s.connect())
        assert s.inbox.queue("/connect").empty()
        await s.inbox.next("/connect")


@pytest.mark.parametrize("build", [lambda: Faults(killed=2), lambda: Faults(redirects_count=1)])
def test_a_fault_that_is_none_is_refused(build: Callable[[], Faults]) -> None:
    with pytest.raises(ValueError, match="Faults: "):
        build()


async def test_a_simulator_that_closes_stops_the_documents() -> None:
    async with scene() as s:
        call, _ = await s.dial()
        await s.bridged(call)
        await s.run((await s.dial())[0], s.join("a"))
