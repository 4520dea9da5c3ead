"""Operations without a control_id, and those whose events are a stream."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from swcalls import (
    ActionFailed,
    Call,
    CallEnded,
    Client,
    Limits,
    ReferEvent,
    SidecarEvent,
    SpeechEvent,
    Transcript,
)


def sidecar_event(type_: str, **fields: object) -> dict[str, object]:
    return {"call_info": {"call_id": "c"}, "sidecar_event": {"type": type_, "ts": 1745870403623456, **fields}}


# Transcripts


async def test_a_transcript_comes_with_no_control_id_and_after_the_call(space, connect) -> None:
    client = await connect(limits=Limits(grace=0, transcript_grace=30))
    call = await client.dial(to="+15550198765", from_="+12069708643")
    transcribe = await call.transcribe()
    url = space.last("calling.transcribe")["status_url"]
    await space.post(url, {"event_type": "calling.call.transcribe", "params": {"state": "finished"}})
    await space.tell_call("ended", end_reason="hangup")
    assert not transcribe.done()
    params = {"id": "t-1", "call_id": call.id, "text": "Hello."}
    body = {"event_type": "calling.transcript.completed", "timestamp": 1.0, "params": params}
    assert await space.post(url, body) == 200
    result = await transcribe
    assert isinstance(result, Transcript)
    assert (result.text, result.id) == ("Hello.", "t-1")


async def test_a_transcript_that_fails(space, call: Call) -> None:
    transcribe = await call.transcribe()
    body = {"event_type": "calling.transcript.failed", "params": {"id": "t-1", "call_id": call.id}}
    await space.post(space.last("calling.transcribe")["status_url"], body)
    with pytest.raises(ActionFailed, match="failed"):
        await transcribe


# Refer


async def test_a_refer_is_known_by_its_url(space, call: Call, client: Client) -> None:
    refers = [await call.refer(f"sip:{name}@example.com") for name in ("a", "b")]
    urls = [c["params"]["status_url"] for c in space.commands if c["command"] == "calling.refer"]
    assert "control_id" not in space.last("calling.refer")
    for state in ("inProgress", "success"):
        await space.post(urls[0], {"call_id": call.id, "state": state, "sip_refer_to": "sip:a@example.com"})
    await space.post(urls[1], {"call_id": call.id, "state": "busy", "sip_notify_response_code": 486})
    assert (await refers[0]).to == "sip:a@example.com"
    with pytest.raises(ActionFailed, match="busy"):
        await refers[1]
    event = refers[1].last_event
    assert isinstance(event, ReferEvent)
    assert event.notify_response_code == "486"
    assert not client.actions


# Live transcription and translation


async def test_a_live_transcription_yields_utterances_and_ends_when_it_is_stopped(space, call: Call) -> None:
    live = await call.live_transcribe("en-US", "remote-caller", live_events=True)
    url = space.last("calling.live_transcribe")["action"]["start"]["webhook"]
    for text in ("Hello", "Hello", "Bye"):
        await space.post(
            url, {"event_type": "utterance", "text": text, "confidence": 0.9, "direction": "remote-caller"}
        )
    enveloped = {"event_type": "ai.transcribe.utterance", "params": {"utterance": {"role": "x", "content": "Again"}}}
    await space.post(url, enveloped)
    await live.summarize()
    await space.post(url, {"event_type": "summary", "text": "They said hello."})
    await live.reached("summary", timeout=1)
    assert not live.done()
    await live.stop()
    assert (await live).summary == "They said hello."
    events = [event async for event in live]
    assert all(isinstance(event, SpeechEvent) for event in events)
    assert [event.text for event in events] == ["Hello", "Hello", "Bye", "Again", "They said hello."]


async def test_a_summary_that_was_asked_for_is_waited_for_after_a_stop(space, connect) -> None:
    client = await connect(limits=Limits(grace=30))
    call = await client.dial(to="+15550198765", from_="+12069708643")
    live = await call.live_translate("en-US", "de-DE", ["remote-caller", "local-caller"], ai_summary=True)
    url = space.last("calling.live_translate")["status_url"]
    await live.inject("Hello", "local-caller")
    await live.stop()
    assert not live.done()
    await space.post(url, {"event_type": "summary", "text": "Short."})
    assert (await live).summary == "Short."


async def test_a_summary_that_never_comes_is_no_failure(space, call: Call) -> None:
    live = await call.live_transcribe("en-US", "remote-caller", ai_summary=True)
    await live.stop()
    assert (await live).summary is None


async def test_the_end_of_the_call_is_the_end_of_a_live_transcription(space, call: Call) -> None:
    live = await call.live_transcribe("en-US", "remote-caller")
    await space.tell_call("ended")
    outcome = await live.outcome()
    assert (outcome.error, outcome.settled_by) == (None, "call_ended")


# Sidecars


async def test_a_sidecar_tells_what_it_thinks_and_ends_with_final(space, call: Call) -> None:
    sidecar = await call.sidecar("en-US", prompt="Listen.")
    url = space.last("calling.ai_sidecar")["url"]
    await sidecar.poke("Look!")
    for event in (
        sidecar_event("start"),
        sidecar_event("insight", raw="They are angry."),
        sidecar_event("novelty", of="tomorrow"),
        sidecar_event("stop", stop_reason="api_stop"),
        sidecar_event("final", stop_reason="api_stop", summary="Angry."),
    ):
        assert await space.post(url, event) == 200
    result = await sidecar
    assert (result.stop_reason, result.summary) == ("api_stop", "Angry.")
    events = [event async for event in sidecar]
    assert [event.state for event in events] == ["start", "insight", "novelty", "stop", "final"]
    assert isinstance(events[1], SidecarEvent)
    assert (events[1].text, events[1].timestamp) == ("They are angry.", 1745870403.623456)


async def test_an_answer_finds_its_question_by_ask_id(space, call: Call) -> None:
    sidecar = await call.sidecar("en-US")
    url = space.last("calling.ai_sidecar")["url"]
    asks = []
    for number in (1, 2):
        space.answers.append(web.json_response({"id": call.id, "ask_id": f"ask-{number}"}))
        asks.append(await sidecar.ask(f"Question {number}?"))
    await space.post(url, sidecar_event("ask_answer", ask_id="ask-2", raw="Two."))
    await space.post(url, sidecar_event("ask_answer", ask_id="ask-1", raw="One."))
    assert [(await ask).text for ask in asks] == ["One.", "Two."]
    assert not sidecar.done()


async def test_an_answer_that_overtakes_the_response_to_its_question(space, call: Call) -> None:
    sidecar = await call.sidecar("en-US")
    url = space.last("calling.ai_sidecar")["url"]
    release = asyncio.Event()
    space.answers.append(space.held(release, web.json_response({"id": call.id, "result": {"ask_id": "ask-1"}})))
    asking = asyncio.create_task(sidecar.ask("Why?").finished(timeout=5))
    while (await space.arrived.get())["command"] != "calling.ai_sidecar.ask":
        pass
    await space.post(url, sidecar_event("ask_answer", ask_id="ask-1", raw="Because."))
    release.set()
    assert (await asking).text == "Because."


async def test_a_question_does_not_outlive_its_sidecar_or_its_call(space, call: Call, client: Client) -> None:
    sidecar = await call.sidecar("en-US")
    url = space.last("calling.ai_sidecar")["url"]
    space.answers.append(web.json_response({"id": call.id, "ask_id": "ask-1"}))
    ask = await sidecar.ask("Why?")
    await space.post(url, sidecar_event("final"))
    with pytest.raises(ActionFailed, match="sidecar ended"):
        await ask
    other = await call.sidecar("en-US")
    space.answers.append(web.json_response({"id": call.id, "ask_id": "ask-2"}))
    ask = await other.ask("Why?")
    await space.tell_call("ended")
    for action in (ask, other):
        with pytest.raises(CallEnded):
            await action
    assert not client.actions


async def test_the_counters_of_a_sidecar(space, call: Call) -> None:
    sidecar = await call.sidecar("en-US")
    line = "+OK running=1 ticks=9 insights=4 skips=² tools=1 errors=0 in_tokens=10 out_tokens=20 history_size=5 new=x"
    for answer in (web.Response(text=line), web.json_response({"id": call.id, "result": line})):
        space.answers.append(answer)
        status = await sidecar.status()
        assert (status.running, status.ticks, status.out_tokens, status.event_log_bytes) == (True, 9, 20, None)
        assert status.skips is None
        assert status.raw["new"] == "x"


async def test_a_one_off_summary(space, call: Call) -> None:
    start = await call.sidecar_summary("en-US", prompt="Shortly")
    sent = space.last("calling.ai_sidecar")
    await space.post(sent["action"]["summarize"]["webhook"], {"call_id": call.id, "summary": "All is well."})
    assert (await start).text == "All is well."


async def test_a_fax_can_be_attached_to(space, call: Call, client: Client) -> None:
    fax = call.action("send_fax", "fax-1")
    url = client._engine.urls.mint("send_fax", "fax-1")
    for type_, params in (("page", {"number": 1}), ("finished", {"success": "true", "pages": "3"})):
        body = {
            "event_type": "calling.call.fax",
            "params": {"control_id": "fax-1", "fax": {"type": type_, "params": params}},
        }
        assert await space.post(url, body) == 200
    assert (await fax).pages == 3
