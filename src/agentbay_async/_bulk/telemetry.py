"""Spans and metrics of a client by OpenTelemetry, for ``Config(telemetry=True)``.

Nothing imports this module, or OpenTelemetry, without that setting. No span and no metric has a
command line, an argument, an error text, a query or the address of a session: each may hold a
secret.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from agentbay_async._api import call_hooks
from agentbay_async._bulk.admission import AdmittingApi
from agentbay_async._installation import __version__
from agentbay_async._protocol import schema
from agentbay_async.errors import CommandError, ConfigurationError, ThrottledError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from typing_extensions import Self

    from agentbay_async._api import CallHooks
    from agentbay_async._protocol.envelope import Answer
    from agentbay_async._protocol.schema import Request
    from agentbay_async._transport.base import HttpRequest, HttpResponse, Transport
    from agentbay_async.errors import AgentBayError

D = TypeVar("D")

_SCOPE = "agentbay"


class Telemetry:
    """The spans and metrics of one client, by the global providers of the program.

    Raises:
        ConfigurationError: OpenTelemetry is not installed.
    """

    def __init__(self) -> None:
        # OpenTelemetry is an optional dependency, so type checkers must not look for it.
        try:
            self._trace: Any = import_module("opentelemetry.trace")
            metrics: Any = import_module("opentelemetry.metrics")
            self._propagate: Any = import_module("opentelemetry.propagate")
            self._context: Any = import_module("opentelemetry.context")
        except ModuleNotFoundError:
            raise ConfigurationError(
                "telemetry needs OpenTelemetry",
                hint="Install it with: pip install 'agentbay-async[otel]'",
            ) from None
        self._tracer: Any = self._trace.get_tracer(_SCOPE, __version__)
        meter: Any = metrics.get_meter(_SCOPE, __version__)
        self._alive = meter.create_up_down_counter(
            "agentbay.sessions.alive", "{session}", "Sessions created and not yet deleted."
        )
        self._created = meter.create_counter(
            "agentbay.sessions.created", "{session}", "Sessions created."
        )
        self._retries = meter.create_counter(
            "agentbay.requests.retries", "{request}", "Requests that were sent again."
        )
        self._throttled = meter.create_counter(
            "agentbay.requests.throttled", "{request}", "Requests that the service throttled."
        )
        self._duration = meter.create_histogram(
            "http.client.request.duration", "s", "Duration of HTTP client requests."
        )

    @contextmanager
    def span(
        self, name: str, attributes: Mapping[str, Any], *, client: bool = False
    ) -> Iterator[Any]:
        """Make a span current for a block; an error is recorded by its class alone."""
        kind = self._trace.SpanKind.CLIENT if client else self._trace.SpanKind.INTERNAL
        options = {"record_exception": False, "set_status_on_exception": False}
        given = {key: value for key, value in attributes.items() if value}
        with self._tracer.start_as_current_span(
            name, kind=kind, attributes=given, **options
        ) as span:
            try:
                yield span
            except BaseException as error:
                self.fail(span, type(error).__name__)
                raise

    def fail(self, span: Any, reason: str) -> None:
        """Mark a span as failed."""
        span.set_attribute("error.type", reason)
        span.set_status(self._trace.StatusCode.ERROR)

    async def command(
        self, session_id: str, running: Awaitable[Any], variables: dict[str, str]
    ) -> Any:
        """Await a command within a span, with the trace context in its variables."""
        with self.span("agentbay.command", {"agentbay.session.id": session_id}) as span:
            self.add_context(variables)
            result = await running
            error = result.error
            if error is not None:
                self.fail(span, type(error).__name__)
            if error is None or (isinstance(error, CommandError) and error.ran):
                span.set_attribute("process.exit.code", result.exit_code)
                span.set_attribute("agentbay.command.timed_out", result.timed_out)
            return result

    def carrier(self) -> dict[str, str]:
        """Return the current trace context as texts, which can be sent elsewhere."""
        carrier: dict[str, str] = {}
        self._propagate.inject(carrier)
        return carrier

    def add_context(self, variables: dict[str, str]) -> None:
        """Add the trace context to the variables of a command; those of the caller win."""
        for name, value in self.carrier().items():
            variables.setdefault(name.upper(), value)

    def run(self, operation: str, size: int | None) -> RunSpan:
        """Begin the span of a bulk run."""
        attributes = {} if size is None else {"agentbay.inputs": size}
        span = self._tracer.start_span(f"agentbay.{operation}", attributes=attributes)
        return RunSpan(self, span, self._trace)

    @contextmanager
    def within(self, carrier: Mapping[str, str]) -> Iterator[None]:
        """Let the spans of a block be below that of another process; see `RunSpan.carrier`."""
        token = self._context.attach(self._propagate.extract(carrier))
        try:
            yield
        finally:
            self._context.detach(token)

    def count_session(self, change: int) -> None:
        """Count a session that was created or deleted."""
        self._alive.add(change)
        if change > 0:
            self._created.add(change)

    def count_failure(self, action: str, error: AgentBayError) -> None:
        """Count a throttled request."""
        if isinstance(error, ThrottledError):
            self._throttled.add(1, {"agentbay.action": action})

    def count_retry(self, action: str) -> None:
        """Count a request that is sent again."""
        self._retries.add(1, {"agentbay.action": action})

    def record_duration(self, seconds: float, attributes: Mapping[str, Any]) -> None:
        """Record how long an HTTP request took."""
        self._duration.record(seconds, attributes)


class RunSpan:
    """The span of a bulk run: current while its workers start, and ended by :meth:`end`."""

    def __init__(self, telemetry: Telemetry, span: Any, trace: Any) -> None:
        self._telemetry = telemetry
        self._span = span
        self._trace = trace
        self._has_failed = False

    def call(self, start: Callable[[], None]) -> None:
        """Call a function that starts tasks; their spans are below this one."""
        with self._trace.use_span(self._span):
            start()

    def carrier(self) -> dict[str, str]:
        """Return the context of this span as texts, for workers in other processes."""
        with self._trace.use_span(self._span):
            return self._telemetry.carrier()

    def fail(self, error: Exception) -> None:
        """Mark the run as failed, because `error` ended it."""
        self._telemetry.fail(self._span, type(error).__name__)
        self._has_failed = True

    def end(self, done: int, failed: int) -> None:
        """End the span with the numbers of the run."""
        self._span.set_attribute("agentbay.done", done)
        self._span.set_attribute("agentbay.failed", failed)
        if failed and not self._has_failed:
            self._telemetry.fail(self._span, "failed_inputs")
        self._span.end()


class _Hooks:
    """Count the attempts of one call, and pass them on to the hooks of its task."""

    def __init__(self, telemetry: Telemetry, outer: CallHooks | None) -> None:
        self._telemetry = telemetry
        self._outer = outer
        self._sent = 0

    def sent(self, action: str) -> None:
        """Count a request."""
        self._sent += 1
        if self._sent > 1:
            self._telemetry.count_retry(action)
        if self._outer is not None:
            self._outer.sent(action)

    def failed(self, action: str, error: AgentBayError) -> None:
        """Count a failure."""
        self._telemetry.count_failure(action, error)
        if self._outer is not None:
            self._outer.failed(action, error)


class TracedApi(AdmittingApi):
    """An API whose calls, with all their attempts, are spans."""

    _telemetry: Telemetry

    def observe(self) -> Self:
        """Begin to report.

        Raises:
            ConfigurationError: OpenTelemetry is not installed.
        """
        self.telemetry = self._telemetry = Telemetry()
        self.transport = _TracedTransport(self.transport, self._telemetry, self.current_endpoint)
        return self

    async def call(
        self,
        request: Request[D],
        timeout: float | None = None,
        *,
        recover: Callable[[AgentBayError, float], Awaitable[Answer[D] | None]] | None = None,
        vital: bool = False,
        deadline: float | None = None,
    ) -> Answer[D]:
        """Send `request` within a span; see :meth:`Api.call`."""
        attributes = {
            "agentbay.action": request.ACTION,
            "agentbay.session.id": getattr(request, "session_id", None),
        }
        hooks = call_hooks.set(_Hooks(self._telemetry, call_hooks.get()))
        try:
            with self._telemetry.span(f"agentbay.{request.ACTION}", attributes):
                answer = await super().call(
                    request, timeout, recover=recover, vital=vital, deadline=deadline
                )
        finally:
            call_hooks.reset(hooks)
        if isinstance(request, schema.CreateMcpSession):
            self._telemetry.count_session(1)
        elif isinstance(request, schema.DeleteSessionAsync):
            self._telemetry.count_session(-1)
        return answer


class _TracedTransport:
    """A transport whose exchanges are spans, by the conventions for HTTP clients."""

    def __init__(self, inner: Transport, telemetry: Telemetry, endpoint: Callable[[], str]) -> None:
        self._inner = inner
        self._telemetry = telemetry
        self._endpoint = endpoint

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send `request` once."""
        attributes = {"http.request.method": request.method, **self._address(request)}
        began = time.monotonic()
        try:
            with self._telemetry.span(
                request.method, {**attributes, "agentbay.action": request.action}, client=True
            ) as span:
                response = await self._inner.send(request)
                attributes["http.response.status_code"] = response.status
                span.set_attribute("http.response.status_code", response.status)
                if response.status >= 400:
                    self._telemetry.fail(span, str(response.status))
                return response
        finally:
            self._telemetry.record_duration(time.monotonic() - began, attributes)

    def _address(self, request: HttpRequest) -> dict[str, Any]:
        # The address of a session is a secret, that of the service is not.
        endpoint = self._endpoint()
        if not request.url.startswith(f"{endpoint}/?"):
            return {}
        parts = urlsplit(endpoint)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return {
            "server.address": parts.hostname,
            "server.port": port,
            "url.scheme": parts.scheme,
        }

    async def aclose(self) -> None:
        """Release the connections."""
        await self._inner.aclose()
