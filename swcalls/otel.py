"""OpenTelemetry: a span for each command, action and call of a client, and metrics. Needs ``swcalls[otel]``.

::

    client = Client.from_env()
    instrument(client)

The span of a command, and that of the action that the command starts, are children of the span that is current where
the command is sent. The span of an action ends when the action settles; it has an event for each webhook, and a link to
the span in which the webhook was received. Attributes have the names of the semantic conventions for HTTP clients and
messaging, or begin with ``swcalls.``.

Texts, digits, callback URLs and secrets are never exported; phone numbers only with ``numbers=True``.
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
"""What settled an action whose own last webhook did not come."""

Attributes = dict[str, str | int]


class _OpenSpan(Struct, eq=False):
    """A span that has not ended."""

    span: Span
    since: float
    """When it began, as in ``Mark.at``."""
    resends: int = 0


class Instrumentation:
    """The tracing and the metrics of one client, made by `instrument`. Closing the client does not `close` it."""

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
            raise ConfigurationError("limits.timeline=0 must be greater than 0: spans are made from timelines")
        self._client = client
        self._numbers = numbers
        self._is_closed = False
        self._tracer = trace.get_tracer("swcalls", tracer_provider=tracer_provider)
        self._commands: dict[tuple[Journal, str, str | None, str, float], _OpenSpan] = {}
        self._actions: dict[tuple[Journal, str, str | None], _OpenSpan] = {}
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
            "How long commands took, including retries, by command and verdict.",
        )
        self._retries = meter.create_counter("swcalls.command.retries", "{request}", "Commands that were sent again.")
        self._deliveries = meter.create_counter("swcalls.deliveries", "{request}", "Webhooks, by kind and verdict.")
        self._settling = meter.create_histogram(
            "swcalls.action.duration",
            "s",
            "How long actions and calls took to settle, by kind and by what settled them.",
        )
        self._lost = meter.create_counter(
            "swcalls.callbacks.lost",
            "{action}",
            "Actions whose last webhook did not come, by kind and by what settled them.",
        )
        meter.create_observable_gauge(
            "swcalls.actions.pending", [self._pending], "{action}", "Actions that have not settled."
        )
        engine.observers.append(self._on_mark)
        engine.ingress.observers.append(self._on_receipt)

    def close(self) -> None:
        """Stop tracing and measuring, and end the open spans. A second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        engine = self._client._engine
        engine.observers.remove(self._on_mark)
        engine.ingress.observers.remove(self._on_receipt)
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

    def _on_receipt(self, receipt: Receipt) -> None:
        attributes: Attributes = {"swcalls.verdict": receipt.verdict}
        if receipt.kind is not None and receipt.verdict != "forged":
            attributes["swcalls.kind"] = receipt.kind
        self._deliveries.add(1, attributes)

    def _on_mark(self, journal: Journal, mark: Mark) -> None:
        """Process a mark of a timeline. It must not raise, even if an exporter or a sampler does."""
        try:
            match mark.what:
                case "command" if mark.took is None:
                    self._on_command_sent(journal, mark)
                case "command":
                    self._on_command_answered(journal, mark)
                case "retry":
                    self._on_retry(journal, mark)
                case "event":
                    self._on_event(journal, mark)
                case "settled":
                    self._on_settled(journal, mark)
        except Exception:  # noqa: BLE001 - an error in tracing must not disturb the call
            _log.exception("a timeline mark could not be traced: %s", mark.what)

    def _on_command_sent(self, journal: Journal, mark: Mark) -> None:
        attributes = self._attributes(journal, mark)
        span = self._tracer.start_span(
            mark.word, kind=SpanKind.CLIENT, attributes={"swcalls.command": mark.word, **self._peer, **attributes}
        )
        self._commands[journal, mark.kind, mark.key, mark.word, mark.at] = _OpenSpan(span, mark.at)
        if _starts(mark):
            self._start_action_span(journal, mark)

    def _start_action_span(self, journal: Journal, mark: Mark) -> None:
        attributes: Attributes = {
            "messaging.system": "signalwire",
            "messaging.operation.type": "process",
            "messaging.operation.name": mark.kind,
            **self._attributes(journal, mark),
        }
        span = self._tracer.start_span(f"{mark.kind} action", kind=SpanKind.CONSUMER, attributes=attributes)
        self._actions[journal, mark.kind, mark.key] = _OpenSpan(span, mark.at)

    def _on_command_answered(self, journal: Journal, mark: Mark) -> None:
        opened = self._commands.pop((journal, mark.kind, mark.key, mark.word, mark.at), None)
        error_type = mark.detail.partition(":")[0] if mark.verdict == "failed" else ""
        outcome: Attributes = {"swcalls.command": mark.word, "swcalls.verdict": mark.verdict}
        if error_type:
            outcome["error.type"] = error_type
        self._durations.record(mark.took or 0.0, outcome)
        if opened is None:
            return
        span = opened.span
        span.set_attributes(outcome)
        if mark.status is not None:
            span.set_attribute("http.response.status_code", mark.status)
        if opened.resends:
            span.set_attribute("http.request.resend_count", opened.resends)
        if error_type:
            # The platform's message may contain a phone number.
            span.set_status(Status(StatusCode.ERROR, mark.detail if self._numbers else error_type))
        span.end()
        # If the command is unconfirmed, the action may be running, and webhooks may come.
        if mark.verdict != "accepted" and _starts(mark) and error_type != "CommandUnconfirmed":
            action = self._actions.pop((journal, mark.kind, mark.key), None)
            if action is not None:
                action.span.set_attributes(outcome)
                if error_type:
                    action.span.set_status(Status(StatusCode.ERROR, error_type))
                action.span.end()

    def _on_retry(self, journal: Journal, mark: Mark) -> None:
        self._retries.add(1, {"swcalls.command": mark.word})
        for key, opened in self._commands.items():
            if key[:4] == (journal, mark.kind, mark.key, mark.word):
                opened.resends += 1
                opened.span.add_event("retry", {"error.type": mark.detail.partition(":")[0]})
                break

    def _on_event(self, journal: Journal, mark: Mark) -> None:
        if isinstance(mark.event, InboundCall):
            self._start_action_span(journal, mark)
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
        # Digits and texts are private: only the state is exported.
        state = "inbound" if isinstance(event, InboundCall) else event.state
        span.add_event(state or "event", {"swcalls.verdict": mark.verdict})
        received = trace.get_current_span().get_span_context()
        if received.is_valid and mark.verdict not in ("reconciled", "reported"):
            span.add_link(received, {"swcalls.state": state})

    def _on_settled(self, journal: Journal, mark: Mark) -> None:
        opened = self._actions.pop((journal, mark.kind, mark.key), None)
        attributes: Attributes = {"swcalls.kind": mark.kind, "swcalls.settled_by": mark.verdict}
        is_result = mark.word == "result"
        if mark.verdict in _LOST and (not is_result or mark.verdict == "reconciled"):
            self._lost.add(1, attributes)
        if opened is None:
            return
        self._settling.record(mark.at - opened.since, attributes)
        opened.span.set_attributes(attributes)
        if not is_result:
            opened.span.set_attribute("error.type", mark.word)
            if mark.verdict != "closed":
                opened.span.set_status(Status(StatusCode.ERROR, mark.word))
        opened.span.end()

    def _attributes(self, journal: Journal, mark: Mark) -> Attributes:
        """Return the attributes that identify the action and the call of *mark*."""
        attributes: Attributes = {"swcalls.kind": mark.kind}
        if journal.call_id is not None:
            attributes["messaging.message.conversation_id"] = journal.call_id
        if mark.key is not None:
            attributes["messaging.message.id"] = mark.key
        return attributes


def instrument(
    client: Client,
    *,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
    numbers: bool = False,
) -> Instrumentation:
    """Export spans and metrics of *client* from now on.

    Args:
        client: The client to observe.
        tracer_provider: The provider for spans; the global one by default.
        meter_provider: The provider for metrics; the global one by default.
        numbers: Whether to export phone numbers, and the platform's error messages, which may contain some.

    Raises:
        ConfigurationError: The client keeps no timelines: ``Limits(timeline=0)``.
    """
    return Instrumentation(client, tracer_provider=tracer_provider, meter_provider=meter_provider, numbers=numbers)


def _starts(mark: Mark) -> bool:
    """Return whether *mark* is the command that starts its action, or dials its call."""
    return mark.word in ("dial", f"calling.{mark.kind}")
