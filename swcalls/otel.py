"""OpenTelemetry: a span for each command, action and call of a client, and metrics. Needs ``swcalls[otel]``.

::

    client = Client.from_env()
    instrument(client)

A command's span is a child of whatever span is current where the command is sent, and so is that of the action that it
starts. The latter ends when the action settles, is linked to the spans in which its webhooks were received, and has an
event for each. Names are those of the semantic conventions for HTTP clients and messaging, or begin with ``swcalls.``.

Neither texts, digits, URLs of callbacks nor secrets are exported, and numbers only if asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from msgspec import Struct

try:
    from opentelemetry import metrics, trace
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode
except ImportError as _missing:
    raise ImportError("swcalls.otel needs opentelemetry-api: pip install 'swcalls[otel]'") from _missing

from ._core.webhooks import Receipt
from .client import Client
from .errors import ConfigurationError
from .events import CallEvent, InboundCall
from .timeline import Journal, Mark

_log = logging.getLogger("swcalls.otel")

_LOST = frozenset({"deadline", "reconciled", "call_ended"})

Attributes = dict[str, str | int]


class _Open(Struct, eq=False):
    """A span that has not ended."""

    span: Span
    since: float
    """By the clock of the marks."""
    resends: int = 0


class Instrumentation:
    """What `instrument` has switched on; to `close` it is to switch it off again, which closing a client does not."""

    def __init__(
        self,
        client: Client,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        numbers: bool = False,
    ) -> None:
        engine = client._engine
        if not engine.limits.timeline:
            raise ConfigurationError("limits.timeline=0 must be greater than 0: spans are made of what timelines note")
        self._client = client
        self._numbers = numbers
        self._is_closed = False
        self._tracer = trace.get_tracer("swcalls", tracer_provider=tracer_provider)
        self._commands: dict[tuple[Journal, str, str | None, str, float], _Open] = {}
        self._actions: dict[tuple[Journal, str, str | None], _Open] = {}
        space = str(client._space)
        self._peer: Attributes = {
            "http.request.method": "POST",
            "server.address": urlsplit(space).hostname or "",
            "url.full": f"{space}/api/calling/calls",
        }
        meter = metrics.get_meter("swcalls", meter_provider=meter_provider)
        self._durations = meter.create_histogram(
            "swcalls.command.duration",
            "s",
            "How long commands took, repetitions included, by command and what came of it.",
        )
        self._retries = meter.create_counter("swcalls.command.retries", "{request}", "Commands that were sent again.")
        self._deliveries = meter.create_counter("swcalls.deliveries", "{request}", "Webhooks, by kind and verdict.")
        self._settling = meter.create_histogram(
            "swcalls.action.duration", "s", "How long actions and calls took to settle, by kind and by what."
        )
        self._lost = meter.create_counter(
            "swcalls.callbacks.lost", "{action}", "Actions whose end no webhook told, by kind and what settled them."
        )
        meter.create_observable_gauge(
            "swcalls.actions.pending", [self._pending], "{action}", "Actions that have not settled."
        )
        engine.observers.append(self._note)
        engine.ingress.observers.append(self._receive)

    def close(self) -> None:
        """Observe no more, and end the spans that are open. A second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        engine = self._client._engine
        engine.observers.remove(self._note)
        engine.ingress.observers.remove(self._receive)
        for opened in (*self._commands.values(), *self._actions.values()):
            opened.span.end()
        self._commands.clear()
        self._actions.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _pending(self, _: metrics.CallbackOptions) -> Iterator[metrics.Observation]:
        if not self._is_closed:
            yield metrics.Observation(self._client.stats.pending)

    def _receive(self, receipt: Receipt) -> None:
        attributes: Attributes = {"swcalls.verdict": receipt.verdict}
        if receipt.kind is not None and receipt.verdict != "forged":
            attributes["swcalls.kind"] = receipt.kind
        self._deliveries.add(1, attributes)

    def _note(self, journal: Journal, mark: Mark) -> None:
        """Take in a mark. An observer must not raise, whatever an exporter or a sampler does."""
        try:
            match mark.what:
                case "command" if mark.took is None:
                    self._begin(journal, mark)
                case "command":
                    self._answered(journal, mark)
                case "retry":
                    self._repeat(journal, mark)
                case "event":
                    self._hear(journal, mark)
                case "settled":
                    self._settle(journal, mark)
        except Exception:  # noqa: BLE001 - it is logged, and is no fault of the call's
            _log.exception("a mark could not be traced: %s", mark.what)

    def _begin(self, journal: Journal, mark: Mark) -> None:
        about = self._about(journal, mark)
        span = self._tracer.start_span(
            mark.word, kind=SpanKind.CLIENT, attributes={"swcalls.command": mark.word, **self._peer, **about}
        )
        self._commands[journal, mark.kind, mark.key, mark.word, mark.at] = _Open(span, mark.at)
        if _starts(mark):
            self._open(journal, mark)

    def _open(self, journal: Journal, mark: Mark) -> None:
        attributes: Attributes = {
            "messaging.system": "signalwire",
            "messaging.operation.type": "process",
            "messaging.operation.name": mark.kind,
            **self._about(journal, mark),
        }
        span = self._tracer.start_span(f"{mark.kind} action", kind=SpanKind.CONSUMER, attributes=attributes)
        self._actions[journal, mark.kind, mark.key] = _Open(span, mark.at)

    def _answered(self, journal: Journal, mark: Mark) -> None:
        opened = self._commands.pop((journal, mark.kind, mark.key, mark.word, mark.at), None)
        fault = mark.detail.partition(":")[0] if mark.verdict == "failed" else ""
        outcome: Attributes = {"swcalls.command": mark.word, "swcalls.verdict": mark.verdict}
        if fault:
            outcome["error.type"] = fault
        self._durations.record(mark.took or 0.0, outcome)
        if opened is None:
            return
        span = opened.span
        span.set_attributes(outcome)
        if mark.status is not None:
            span.set_attribute("http.response.status_code", mark.status)
        if opened.resends:
            span.set_attribute("http.request.resend_count", opened.resends)
        if fault:
            # What the platform says may name a number.
            span.set_status(Status(StatusCode.ERROR, mark.detail if self._numbers else fault))
        span.end()
        # One whose command is unconfirmed may run all the same, and tell so.
        if mark.verdict != "accepted" and _starts(mark) and fault != "CommandUnconfirmed":
            action = self._actions.pop((journal, mark.kind, mark.key), None)
            if action is not None:
                action.span.set_attributes(outcome)
                if fault:
                    action.span.set_status(Status(StatusCode.ERROR, fault))
                action.span.end()

    def _repeat(self, journal: Journal, mark: Mark) -> None:
        self._retries.add(1, {"swcalls.command": mark.word})
        for place, opened in self._commands.items():
            if place[:4] == (journal, mark.kind, mark.key, mark.word):
                opened.resends += 1
                opened.span.add_event("retry", {"error.type": mark.detail.partition(":")[0]})
                break

    def _hear(self, journal: Journal, mark: Mark) -> None:
        if isinstance(mark.event, InboundCall):
            self._open(journal, mark)
        opened = self._actions.get((journal, mark.kind, mark.key))
        if opened is None or mark.event is None:
            return
        span, event = opened.span, mark.event
        if journal.call_id is not None:
            span.set_attribute("messaging.message.conversation_id", journal.call_id)
        if self._numbers and isinstance(event, CallEvent | InboundCall):
            for name, number in (("swcalls.from", event.from_), ("swcalls.to", event.to)):
                if number:
                    span.set_attribute(name, number)
        # What was pressed or said is nobody's business: the state is all that is told.
        state = "inbound" if isinstance(event, InboundCall) else event.state
        span.add_event(state or "event", {"swcalls.verdict": mark.verdict})
        received = trace.get_current_span().get_span_context()
        if received.is_valid and mark.verdict not in ("reconciled", "reported"):
            span.add_link(received, {"swcalls.state": state})

    def _settle(self, journal: Journal, mark: Mark) -> None:
        opened = self._actions.pop((journal, mark.kind, mark.key), None)
        about: Attributes = {"swcalls.kind": mark.kind, "swcalls.settled_by": mark.verdict}
        is_result = mark.word == "result"
        if mark.verdict in _LOST and (not is_result or mark.verdict == "reconciled"):
            self._lost.add(1, about)
        if opened is None:
            return
        self._settling.record(mark.at - opened.since, about)
        opened.span.set_attributes(about)
        if not is_result:
            opened.span.set_attribute("error.type", mark.word)
            if mark.verdict != "closed":
                opened.span.set_status(Status(StatusCode.ERROR, mark.word))
        opened.span.end()

    def _about(self, journal: Journal, mark: Mark) -> Attributes:
        """Say what a span is about, as far as it is known."""
        about: Attributes = {"swcalls.kind": mark.kind}
        if journal.call_id is not None:
            about["messaging.message.conversation_id"] = journal.call_id
        if mark.key is not None:
            about["messaging.message.id"] = mark.key
        return about


def instrument(
    client: Client,
    *,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
    numbers: bool = False,
) -> Instrumentation:
    """Trace and measure what *client* does from now on.

    Args:
        tracer_provider: Where spans go; the global one by default.
        meter_provider: Where metrics go; the global one by default.
        numbers: Export who calls whom, and what the platform says of a command that it refuses.

    Raises:
        ConfigurationError: The client keeps no timelines: ``Limits(timeline=0)``.
    """
    return Instrumentation(client, tracer_provider=tracer_provider, meter_provider=meter_provider, numbers=numbers)


def _starts(mark: Mark) -> bool:
    """Say whether *mark* is of a command that starts what it is about."""
    return mark.word in ("dial", f"calling.{mark.kind}")
