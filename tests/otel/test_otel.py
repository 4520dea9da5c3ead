"""Spans and metrics, as OpenTelemetry's own SDK sees them, over the simulator."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from swcalls import (
    TTS,
    ActionExpired,
    Call,
    Client,
    ConfigurationError,
    Digits,
    InvalidParams,
    Limits,
    RateLimited,
    Retry,
)
from swcalls.otel import Instrumentation, instrument
from swcalls.testing import Callee, Faults, Simulator

TO, FROM = "+15550198765", "+12069708643"


class Observed:
    """A client that is instrumented, and what came of it."""

    def __init__(self, space: Simulator, client: Client, **settings: Any) -> None:
        self.space, self.client = space, client
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = tracers.get_tracer("test")
        self.instrumentation: Instrumentation = instrument(
            client, tracer_provider=tracers, meter_provider=MeterProvider([self.reader]), **settings
        )

    async def dial(self) -> Call:
        call = await self.client.dial(to=TO, from_=FROM)
        await call.answered(timeout=10)
        return call

    def spans(self) -> dict[str, ReadableSpan]:
        """The spans that have ended, by name; of several, the last."""
        return {span.name: span for span in self.exporter.get_finished_spans()}

    def metrics(self) -> dict[str, dict[tuple[Any, ...], Any]]:
        """Of each metric, its values by their attributes, sorted by name."""
        data = self.reader.get_metrics_data()
        assert data is not None
        found = [metric for part in data.resource_metrics for scope in part.scope_metrics for metric in scope.metrics]
        return {
            metric.name: {
                tuple(value for _, value in sorted(point.attributes.items())): getattr(point, "value", None)
                or getattr(point, "count", 0)
                for point in metric.data.data_points
            }
            for metric in found
        }


@pytest.fixture
async def observe(nothing_is_left_running: None) -> AsyncIterator[Any]:
    async with AsyncExitStack() as stack:

        async def make(*, client: dict[str, Any] | None = None, numbers: bool = False, **space: Any) -> Observed:
            simulator = await stack.enter_async_context(Simulator(speed=50, **space))
            settings = {"limits": Limits(grace=0.1, margin=0.1), **(client or {})}
            made = await stack.enter_async_context(Client("project", "token", simulator.url, **settings))
            await stack.enter_async_context(made.receiver.serve())
            return Observed(simulator, made, numbers=numbers)

        yield make


async def test_commands_and_actions_are_children_of_the_callers_span(observe) -> None:
    observed = await observe()
    with observed.tracer.start_as_current_span("flow") as flow:
        call = await observed.dial()
        action = await call.play(TTS("Hello."))
        await action.finished(timeout=10)
    await call.end()
    await call.ended(timeout=10)
    spans = observed.spans()
    for name in ("dial", "call action", "calling.play", "play action"):
        parent = spans[name].parent
        assert parent is not None, name
        assert parent.span_id == flow.get_span_context().span_id, name
    assert spans["calling.end"].parent is None
    command = spans["calling.play"]
    assert command.kind is SpanKind.CLIENT
    assert dict(command.attributes or {}) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "messaging.message.conversation_id": call.id,
        "messaging.message.id": action.control_id,
        "server.address": "127.0.0.1",
        "swcalls.command": "calling.play",
        "swcalls.kind": "play",
        "swcalls.verdict": "accepted",
        "url.full": f"{observed.space.url}/api/calling/calls",
    }
    settled = spans["play action"]
    assert settled.kind is SpanKind.CONSUMER
    assert dict(settled.attributes or {}) == {
        "messaging.message.conversation_id": call.id,
        "messaging.message.id": action.control_id,
        "messaging.operation.name": "play",
        "messaging.operation.type": "process",
        "messaging.system": "signalwire",
        "swcalls.kind": "play",
        "swcalls.settled_by": "callback",
    }
    assert [event.name for event in settled.events] == ["playing", "finished"]
    assert settled.status.status_code is StatusCode.UNSET


async def test_an_action_is_linked_to_the_spans_that_received_its_callbacks(observe) -> None:
    observed = await observe()
    call = await observed.dial()
    action = await call.collect(digits=Digits(max=4), control_id="c1")
    url = observed.client._engine.urls.mint("collect", "c1")
    with observed.tracer.start_as_current_span("webhook") as received:
        body = b'{"control_id": "c1", "result": {"type": "digit", "params": {"digits": "4711"}}}'
        path = "/" + url.split("/", 3)[3]
        reply = await observed.client.accept(path=path, headers={}, body=body)
    assert reply.status == 200
    assert (await action.finished(timeout=10)).digits == "4711"
    span = observed.spans()["collect action"]
    (link,) = span.links
    assert link.context == received.get_span_context()
    assert [event.name for event in span.events] == ["digit"]


async def test_a_refused_command_is_an_error_and_so_is_its_action(observe) -> None:
    observed = await observe()
    call = await observed.dial()
    observed.space.faults = Faults(status={422: 1})
    with pytest.raises(InvalidParams):
        await call.play(TTS("Hello."))
    for name in ("calling.play", "play action"):
        span = observed.spans()[name]
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description == "InvalidParams"
        assert (span.attributes or {})["error.type"] == "InvalidParams"
    assert (observed.spans()["calling.play"].attributes or {})["http.response.status_code"] == 422
    assert observed.metrics()["swcalls.command.duration"][("InvalidParams", "calling.play", "failed")] == 1


async def test_repetitions_are_counted(observe) -> None:
    observed = await observe(client={"retry": Retry(attempts=3)})
    call = await observed.dial()
    observed.space.faults = Faults(status={429: 1}, retry_after=0)
    with pytest.raises(RateLimited):
        await call.play(TTS("Hello."))
    span = observed.spans()["calling.play"]
    assert (span.attributes or {})["http.request.resend_count"] == 2
    assert [event.name for event in span.events] == ["retry", "retry"]
    assert observed.metrics()["swcalls.command.retries"] == {("calling.play",): 2}


async def test_a_lost_callback_is_an_error_and_counted(observe) -> None:
    observed = await observe(client={"reconcile": None, "limits": Limits(margin=0.01)})
    call = await observed.dial()
    observed.space.faults = Faults(drop=1)
    action = await call.play(TTS("Hello."), deadline=0.2)
    with pytest.raises(ActionExpired):
        await action.finished(timeout=10)
    span = observed.spans()["play action"]
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["swcalls.settled_by"] == "deadline"
    metrics = observed.metrics()
    assert metrics["swcalls.callbacks.lost"] == {("play", "deadline"): 1}
    assert metrics["swcalls.action.duration"][("play", "deadline")] == 1


async def test_deliveries_and_pending_actions_are_measured(observe) -> None:
    observed = await observe(callee=Callee(presses=""))
    call = await observed.dial()
    await call.collect(digits=Digits(max=4))
    await call.record()
    async with aiohttp.ClientSession() as session:
        url = observed.client._engine.urls.mint("play", "p1")
        async with session.post(url[:-1] + ("0" if url[-1] != "0" else "1"), data=b"{}") as response:
            assert response.status == 403
    metrics = observed.metrics()
    assert metrics["swcalls.deliveries"][("forged",)] == 1
    assert metrics["swcalls.deliveries"][("call", "applied")] >= 2
    assert metrics["swcalls.actions.pending"] == {(): 2}
    assert metrics["swcalls.command.duration"][("dial", "accepted")] == 1


async def test_a_waiter_that_is_cancelled_leaves_the_span_open(observe) -> None:
    observed = await observe()
    call = await observed.dial()
    action = await call.play(TTS("Hello."))
    task = asyncio.create_task(action.finished())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert "play action" not in observed.spans()
    await action.finished(timeout=10)
    assert (observed.spans()["play action"].attributes or {})["swcalls.settled_by"] == "callback"


async def test_closing_ends_every_span(observe) -> None:
    observed = await observe(callee=Callee(presses=""))
    call = await observed.dial()
    await call.record()
    await observed.client.close()
    spans = observed.spans()
    for name in ("call action", "record action"):
        assert (spans[name].attributes or {})["swcalls.settled_by"] == "closed"
        assert spans[name].status.status_code is StatusCode.UNSET


async def test_it_can_be_switched_off_again(observe) -> None:
    observed = await observe()
    with observed.instrumentation:
        call = await observed.dial()
    assert {"dial", "call action"} <= set(observed.spans())
    observed.exporter.clear()
    observed.instrumentation.close()
    await call.play(TTS("Hello.")).finished(timeout=10)
    assert not observed.spans()
    assert "swcalls.actions.pending" not in observed.metrics()


async def test_an_inbound_call_has_a_span(observe) -> None:
    observed = await observe()

    @observed.client.receiver.on_call
    async def handler(call: Call) -> None:
        await call.end()

    await observed.space.call(url=observed.client.receiver.inbound_url)
    async with asyncio.timeout(10):
        while "call action" not in observed.spans():
            await asyncio.sleep(0.01)
    assert observed.spans()["call action"].events[0].name == "inbound"


@pytest.mark.parametrize("numbers", [False, True])
async def test_nothing_secret_is_exported_and_numbers_only_if_asked_for(observe, numbers: bool) -> None:
    observed = await observe(numbers=numbers, callee=Callee(presses="4*#1", says="pineapple"))
    call = await observed.dial()
    assert (await call.collect(digits=Digits(max=4)).finished(timeout=10)).digits == "4*#1"
    await call.play(TTS("The word is pineapple."), control_id="p").finished(timeout=10)
    url = observed.space.commands[-1].params["status_url"]
    observed.space.faults = Faults(status={422: 1})
    with pytest.raises(InvalidParams):
        await call.play(TTS("The word is pineapple."))
    await observed.client.close()
    shown = "".join(span.to_json() for span in observed.exporter.get_finished_spans()) + repr(observed.metrics())
    for secret in ("token", "pineapple", "4*#1", url, url.rpartition("/")[2]):
        assert secret not in shown
    assert (TO in shown, FROM in shown) == (numbers, numbers)


async def test_an_exporter_that_fails_harms_nobody(observe, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    observed = await observe()
    monkeypatch.setattr(Instrumentation, "_on_command_sent", lambda *_: 1 / 0)
    call = await observed.dial()
    await call.play(TTS("Hello.")).finished(timeout=10)
    assert "a timeline mark could not be traced: command" in caplog.text


async def test_without_timelines_there_are_no_spans() -> None:
    client = Client("project", "token", "space", limits=Limits(timeline=0))
    with pytest.raises(ConfigurationError, match="timeline=0 must be greater than 0"):
        instrument(client)


def test_without_the_package_it_says_how_to_get_it() -> None:
    code = """
import sys
import swcalls
assert not any(name.startswith("opentelemetry") for name in sys.modules)
sys.modules["opentelemetry"] = None
try:
    import swcalls.otel
except ImportError as error:
    assert str(error) == "swcalls.otel needs opentelemetry-api: pip install 'swcalls[otel]'", error
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
