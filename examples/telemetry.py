"""Print the spans and metrics of a run by the console exporters of OpenTelemetry.

Needs the extra ``otel`` and the package ``opentelemetry-sdk``. A service would send them to its
collector instead.
"""

from __future__ import annotations

import asyncio

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from agentbay_async import AsyncAgentBay, Config


async def work() -> None:
    """Run a command whose program continues the trace."""
    tracer = trace.get_tracer("example")
    with tracer.start_as_current_span("work"):
        config = Config(endpoint="local", telemetry=True)
        async with AsyncAgentBay(cfg=config) as bay, bay.session() as session:
            result = await session.command.run('echo "traceparent: $TRACEPARENT"')
            print(result.stdout, end="")


def main() -> None:
    """Set the providers of the program, work, and export what is left."""
    spans = TracerProvider()
    spans.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    trace.set_tracer_provider(spans)
    meters = MeterProvider([PeriodicExportingMetricReader(ConsoleMetricExporter())])
    metrics.set_meter_provider(meters)
    asyncio.run(work())
    meters.shutdown()
    spans.shutdown()


if __name__ == "__main__":
    main()
