"""Spans and metrics by OpenTelemetry: what is reported, and what never is."""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    AsyncAgentBay,
    AsyncSession,
    Config,
    ConfigurationError,
    CreateSessionParams,
)
from agentbay_async._bulk.distributed import distributed_map
from agentbay_async._bulk.distributed.worker import run_chunk
from agentbay_local import LocalService, Throttle

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
    InMemorySpanExporter,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from agentbay_async._bulk.distributed.engine import ChunkResult, ChunkTask

_SPANS, _METRICS = InMemorySpanExporter(), InMemoryMetricReader()


@pytest.fixture(scope="module")
def service() -> Iterator[LocalService]:
    """Run a service whose sessions are plain processes: these run no foreign code."""
    # A program sets its providers once. They report nothing for clients without the setting.
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(_SPANS))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([_METRICS]))
    with LocalService(isolation="none") as running:
        yield running


@pytest.fixture
async def bay(service: LocalService) -> AsyncIterator[AsyncAgentBay]:
    """Give a client that reports."""
    config = Config(endpoint=service.endpoint, telemetry=True)
    _SPANS.clear()
    async with AsyncAgentBay(service.api_key, config) as client:
        yield client


def _spans(name: str) -> list[Any]:
    return [span for span in _SPANS.get_finished_spans() if span.name == name]


def _metric(name: str) -> float:
    data = _METRICS.get_metrics_data()
    return sum(
        point.value
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == name
        for point in metric.data.data_points
    )


async def test_a_call_is_a_span_with_one_for_each_attempt(
    bay: AsyncAgentBay, service: LocalService
) -> None:
    """With the conventions for HTTP clients; what is sent again, and throttling, is counted."""
    names = ("agentbay.requests.retries", "agentbay.requests.throttled", "agentbay.sessions.alive")
    before = [_metric(name) for name in names]
    service.faults.add(Throttle(0.01), "CreateMcpSession", nth=1)
    session = (await bay.create()).session
    assert [_metric(name) for name in names] == [one + 1 for one in before]
    [call] = _spans("agentbay.CreateMcpSession")
    attempts = [one for one in _spans("POST") if one.parent.span_id == call.context.span_id]
    assert [one.attributes["http.response.status_code"] for one in attempts][-1] == 200
    assert len(attempts) == 2
    assert not attempts[0].status.is_ok
    host, port = service.endpoint.removeprefix("http://").split(":")
    last = attempts[1].attributes
    assert (last["server.address"], last["server.port"]) == (host, int(port))
    assert (last["http.request.method"], last["url.scheme"]) == ("POST", "http")
    await session.delete()
    assert _metric("agentbay.sessions.alive") == before[2]


async def test_a_command_is_a_span_that_its_environment_names(bay: AsyncAgentBay) -> None:
    """So programs in the session continue the trace; a variable of the caller is kept."""
    session = (await bay.create()).session
    with trace.get_tracer("test").start_as_current_span("outer") as outer:
        shown = (await session.command.run("echo $TRACEPARENT; exit 3")).stdout.strip()
        own = (await session.command.run("echo $TRACEPARENT", envs={"TRACEPARENT": "mine"})).stdout
    first, _second = _spans("agentbay.command")
    trace_id = outer.get_span_context().trace_id
    # Its last field has flags, which depend on the version of the SDK.
    assert shown[:-2] == f"00-{trace_id:032x}-{first.context.span_id:016x}-"
    assert first.context.trace_id == trace_id
    assert (first.attributes["process.exit.code"], first.status.is_ok) == (3, False)
    assert first.attributes["error.type"] == "CommandError"
    assert first.attributes["agentbay.session.id"] == session.session_id
    assert own == "mine\n"
    await session.delete()


async def test_the_calls_of_a_bulk_run_are_below_its_span(bay: AsyncAgentBay) -> None:
    """It has the numbers of the run."""
    result = await bay.create_many(CreateSessionParams(), 3)
    [run] = _spans("agentbay.create_many")
    creates = _spans("agentbay.CreateMcpSession")
    assert {one.parent.span_id for one in creates} == {run.context.span_id}
    assert len(creates) == run.attributes["agentbay.inputs"] == run.attributes["agentbay.done"] == 3
    assert run.attributes["agentbay.failed"] == 0
    await bay.delete_many(result.sessions)
    assert len(_spans("agentbay.delete_many")) == 1


async def test_a_run_that_an_error_ends_has_failed(bay: AsyncAgentBay) -> None:
    """Although none of its inputs has."""

    def inputs() -> Iterator[CreateSessionParams]:
        raise LookupError
        yield

    with pytest.raises(LookupError):
        await bay.create_many(inputs())
    [run] = _spans("agentbay.create_many")
    assert run.attributes["error.type"] == "LookupError"
    assert not run.status.is_ok
    assert run.attributes["agentbay.failed"] == 0


async def test_workers_of_a_cluster_continue_the_trace(
    bay: AsyncAgentBay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run has a span, below that of the caller; its chunks have theirs below it, elsewhere."""
    monkeypatch.setattr(distributed_map, "get_engine", lambda _name: _OneWorker())
    with trace.get_tracer("test").start_as_current_span("outer") as outer:
        outcomes = [one async for one in bay.map_sessions(_double, [1, 2], engine="dask")]
    assert sorted(one.value for one in outcomes) == [2, 4]
    caller = outer.get_span_context()
    runs = {one.context.span_id: one for one in _spans("agentbay.map_sessions")}
    [run] = [one for one in runs.values() if one.parent.span_id == caller.span_id]
    assert (run.attributes["agentbay.inputs"], run.attributes["agentbay.done"]) == (2, 2)
    chunks = [one for one in runs.values() if one is not run]
    assert chunks
    assert {one.parent.span_id for one in chunks} == {run.context.span_id}
    creates = _spans("agentbay.CreateMcpSession")
    assert {runs[one.parent.span_id] in chunks for one in creates} == {True}
    assert {one.context.trace_id for one in creates} == {caller.trace_id}


async def _double(_session: AsyncSession, item: int) -> int:
    return 2 * item


class _OneWorker:
    """A cluster whose worker is a thread without a context of its own, as a process has none."""

    name, dumps = "One worker", staticmethod(pickle.dumps)

    async def slots(self) -> set[str]:
        return {"one"}

    async def run(self, task: ChunkTask, _slot: str) -> ChunkResult:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, run_chunk, task, lambda: False)


async def test_no_span_and_no_metric_has_a_secret(
    bay: AsyncAgentBay, service: LocalService
) -> None:
    """Neither the key, nor a command, its output or its variables, nor a path or an address."""
    session = (await bay.create()).session
    line = "echo s3cret-out; echo s3cret-error >&2; exit 1"
    await session.command.run(line, envs={"TOKEN": "s3cret-env"})
    await session.file_system.write_file("/tmp/s3cret-path", "s3cret-text")
    await session.file_system.read_file("/tmp/s3cret-none")
    await bay.get("s-none")
    link = session.link_url
    await session.delete()
    shown = [json.loads(one.to_json()) for one in _SPANS.get_finished_spans()]
    data = _METRICS.get_metrics_data()
    text = json.dumps(shown) + (data.to_json() if data else "")
    assert len(shown) > 5
    assert "s3cret" not in text
    assert service.api_key not in text
    assert session.token
    assert session.token not in text
    assert link
    assert link not in text


def test_nothing_is_imported_without_the_setting(service: LocalService) -> None:
    """Although OpenTelemetry is installed."""
    program = f"""
import sys
from agentbay import AgentBay
with AgentBay({service.api_key!r}, endpoint={service.endpoint!r}) as bay:
    bay.create_many([], max_concurrency=1).success
    bay.create().session.command.run("true")
print([name for name in sys.modules if "opentelemetry" in name or ".telemetry" in name])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the client is made."""
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'agentbay-async\[otel\]'"):
        AsyncAgentBay("key", Config(endpoint="https://127.0.0.1:1", telemetry=True))
