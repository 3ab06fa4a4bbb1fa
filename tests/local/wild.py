"""What tests throw at the service: values of all shapes, and the log that must stay quiet."""

from __future__ import annotations

import json
import logging
import os
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agentbay_local import LocalService

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
# Nested about as deeply as the interpreter goes, and much more deeply.
DEEP = st.builds(
    lambda depth, ends: ends[0] * depth + "1" + ends[1] * depth,
    st.integers(880, 1000) | st.just(20_000),
    st.sampled_from([("[", "]"), ('{"a":', "}")]),
)


def wild(examples: int) -> settings:
    """Try so many examples; ``FUZZ_RUNS=5000`` tries longer than the suite has time for."""
    return settings(
        max_examples=int(os.environ.get("FUZZ_RUNS", examples)),
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.failures: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what tells of a failure."""
        if record.levelno >= logging.ERROR or record.exc_info:
            self.failures.append(logging.Formatter().format(record))


@contextmanager
def quiet_log() -> Iterator[None]:
    """Fail if anything is logged as an error, or with a traceback, by whomever."""
    kept = _Kept()
    logging.getLogger().addHandler(kept)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(kept)
    assert not kept.failures, kept.failures[0]


def ask(
    service: LocalService,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """Send a request as it is, and return the status and the body of the answer."""
    connection = HTTPConnection(urlsplit(service.endpoint).netloc, timeout=DEADLINE)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def said(body: bytes) -> dict[str, Any]:
    """Read an answer, which is a JSON object whatever was asked."""
    document = json.loads(body)
    assert isinstance(document, dict), body
    return document
