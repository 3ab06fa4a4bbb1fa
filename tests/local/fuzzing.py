"""Hypothesis strategies, requests and a log check for fuzz tests of the service."""

from __future__ import annotations

import gc
import json
import logging
import os
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from agentbay_local import LocalService

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEADLINE = 30.0

ODD = st.sampled_from(
    ["\ud800", "\udcff", "\0", "..", "/", "é", "🚀", " ", "-1", "9" * 20, "9" * 5000, "1e999"]
)
TEXT = st.text(max_size=12) | ODD
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
# Around the recursion limit of the JSON codec, and far beyond it.
DEEP = st.builds(
    lambda depth, ends: ends[0] * depth + "1" + ends[1] * depth,
    st.integers(880, 1000) | st.just(20_000),
    st.sampled_from([("[", "]"), ('{"a":', "}")]),
)


@contextmanager
def own_service() -> Iterator[LocalService]:
    """Run a service that has no background work of other tests."""
    # Tasks that earlier tests left behind log when they are collected, which may happen in the
    # thread of this service.
    gc.collect()
    with LocalService() as running:
        yield running


def fuzz(examples: int) -> settings:
    """Try that many examples; ``FUZZ_RUNS=5000`` tries more than the suite has time for."""
    return settings(
        max_examples=int(os.environ.get("FUZZ_RUNS", examples)),
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


class _FailureLog(logging.Handler):
    """Records the failures that one thread logs."""

    def __init__(self, thread: int | None) -> None:
        super().__init__(logging.DEBUG)
        self.failures: list[str] = []
        self._thread = thread

    def emit(self, record: logging.LogRecord) -> None:
        """Record a failure."""
        if record.thread != self._thread:
            return
        if record.levelno >= logging.ERROR or record.exc_info:
            self.failures.append(logging.Formatter().format(record))


@contextmanager
def quiet_log(service: LocalService) -> Iterator[None]:
    """Fail if the service logs an error or a traceback.

    Other threads are ignored: services, clients and clusters of earlier tests may still end there.
    """
    assert service._thread is not None
    log = _FailureLog(service._thread._thread.ident)
    logging.getLogger().addHandler(log)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(log)
    assert not log.failures, log.failures[0]


def ask(
    service: LocalService,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """Send a request unchanged; return the status and the body of the answer."""
    connection = HTTPConnection(urlsplit(service.endpoint).netloc, timeout=DEADLINE)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse an answer, which is always a JSON object."""
    document = json.loads(body)
    assert isinstance(document, dict), body
    return document
