"""Secrets: keys, tokens and signed URLs appear in no log line, repr, error or traceback."""

from __future__ import annotations

import io
import logging
import pickle
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from agentbay_async import AsyncAgentBay, RetryPolicy, SessionStatus
from agentbay_async._protocol import schema
from agentbay_async.config import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.http.conftest import Bays
    from tests.http.scripted import Script

    from agentbay_async import Result

pytestmark = pytest.mark.usefixtures("over_http")

_TOKEN = "session-token-77"
_SIGNED = "signature-88"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Return all log records at level DEBUG, with tracebacks."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s %(args)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def _texts_of(result: Result[Any]) -> str:
    """Return all texts of a result."""
    error = result.error
    lines = traceback.format_exception(error) if error is not None else []
    return "".join([repr(result), str(result), repr(error), result.error_message, *lines])


def _trouble(scripted: Script, action: str) -> None:
    scripted.fail(action, "Throttling", status=429)
    scripted.disconnect(action)
    scripted.raw(action, "no json")
    scripted.fail(action, "Some.Code", "no")


async def test_logs_and_results_have_no_secret(
    bays: Bays,
    scripted: Script,
    log: io.StringIO,
    api_key: str,
    unused_port: int,
    tmp_path: Path,
) -> None:
    """Successes, retries and failures of every kind, at level DEBUG."""
    secrets = {"Token": _TOKEN, "ResourceUrl": f"https://r/?code={_TOKEN}"}
    url = f"{scripted.endpoint}/blob/f?sig={_SIGNED}"
    scripted.ok("CreateMcpSession", {"SessionId": "s-1", **secrets})
    scripted.ok("GetSession", {"SessionId": "s-1", **secrets})
    scripted.ok("GetMcpResource", {"DesktopInfo": {"AuthCode": _TOKEN, "Ticket": _TOKEN}})
    scripted.ok("GetContextFileUploadUrl", {"Url": url})
    scripted.ok("GetContextFileDownloadUrl", {"Url": url})
    scripted.hang("GetContext")
    for action in ("ListSession", "SetLabel"):
        _trouble(scripted, action)
    scripted.blob = _refusing
    bay = bays()
    session = (await bay.create()).session
    texts = [repr(bay), repr(session), str(vars(bay)), repr(SessionStatus.RUNNING)]
    for result in (
        await bay.get("s-1"),
        await session.info(),
        await bay.list(),
        await session.set_labels({"a": "b"}),
        await bay.context.get_file_upload_url("c-1", "/f"),
        await bay.context.upload_file("c-1", "/f", b"x"),
        await bay.context.download_file("c-1", "/f", tmp_path / "f"),
        await bays(
            endpoint=f"http://127.0.0.1:{unused_port}", retry=RetryPolicy(attempts=1)
        ).create(),
        await bays(timeout=0.01).context.get("x"),
    ):
        texts.append(_texts_of(result))
    everything = "".join(texts) + log.getvalue()
    assert "attempt 1 failed" in everything
    for secret in (api_key, _TOKEN, _SIGNED):
        assert secret not in everything


async def _refusing(_request: web.Request) -> web.Response:
    return web.Response(status=403, text=_SIGNED)


async def test_a_pickled_error_has_no_secret(
    bay: AsyncAgentBay, scripted: Script, api_key: str
) -> None:
    """It may be sent to other processes."""
    scripted.fail("GetSession", "NOT_LOGIN", "the key is wrong")
    error = (await bay.get("s-1")).error
    assert api_key.encode() not in pickle.dumps(error)


def test_settings_show_no_key(api_key: str) -> None:
    """The repr of the settings omits it."""
    settings = resolve(api_key, endpoint="https://h")
    assert settings.api_key == api_key
    assert api_key not in repr(settings)


_SECRET_FIELDS = [
    (schema.CreatedSession, "token"),
    (schema.CreatedSession, "resource_url"),
    (schema.CreatedSession, "ws_url"),
    (schema.CreatedSession, "link_url"),
    (schema.SessionRecord, "token"),
    (schema.SessionRecord, "resource_url"),
    (schema.SessionRecord, "ws_url"),
    (schema.SessionRecord, "link_url"),
    (schema.McpResource, "resource_url"),
    (schema.DesktopInfo, "auth_code"),
    (schema.DesktopInfo, "ticket"),
    (schema.FileUrl, "url"),
]


@pytest.mark.parametrize(("kind", "field"), _SECRET_FIELDS)
def test_a_secret_of_the_wire_is_not_in_its_repr(kind: Any, field: str) -> None:
    """Tokens, codes, and signed URLs."""
    assert _TOKEN not in repr(kind(**{field: _TOKEN}))


async def test_disabled_log_lines_are_not_formatted(
    bay: AsyncAgentBay, scripted: Script, caplog: pytest.LogCaptureFixture
) -> None:
    """At the default level a successful call logs nothing."""
    scripted.ok("ListContexts", [])
    await bay.context.list()
    assert caplog.records == []
