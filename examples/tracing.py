"""Trace a call with OpenTelemetry. Spans and metrics are printed; use other exporters to send them elsewhere."""

import asyncio
import signal

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from swcalls import TTS, Client
from swcalls.otel import instrument


async def main() -> None:
    # With this line, SIGTERM cancels `main`, and the blocks below hang up; without it, the process ends at once.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    trace.set_tracer_provider(tracers)
    meters = MeterProvider([PeriodicExportingMetricReader(ConsoleMetricExporter())])
    metrics.set_meter_provider(meters)

    async with Client.from_env() as client, client.receiver.serve(port=8080):
        instrument(client)
        with trace.get_tracer("example").start_as_current_span("reminder"):
            call = await client.dial(to="+15550198765", from_="+12069708643")
            await call.answered(timeout=30)
            await call.play(TTS("This is a reminder.")).finished(timeout=60)
            await call.end()
            await call.ended(timeout=10)
    meters.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
