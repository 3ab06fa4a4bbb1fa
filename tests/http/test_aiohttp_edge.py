"""The interface to aiohttp: the translation of its errors, without a network.

aioresponses 0.7.9 does not hand ``stream_writer`` to the responses of aiohttp 3.14
(pnuckowski/aioresponses#289), so a response class that supplies one stands in for theirs.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from typing import TYPE_CHECKING, Any
from unittest import mock

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from aioresponses import core as faking

from agentbay_async import (
    AgentBayError,
    AsyncAgentBay,
    BadAnswerError,
    ConnectionFailedError,
    ConnectionLostError,
    RequestTimeoutError,
    RetryPolicy,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_ENDPOINT = "https://service.invalid"
_KEY = ConnectionKey("service.invalid", 443, True, True, None, None, None)


class _Response(aiohttp.ClientResponse):
    """A response that aioresponses can make with aiohttp 3.14."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "stream_writer" in inspect.signature(aiohttp.ClientResponse.__init__).parameters:
            kwargs.setdefault("stream_writer", mock.Mock(output_size=0))
        super().__init__(*args, **kwargs)


@pytest.fixture
def responses(monkeypatch: pytest.MonkeyPatch) -> Iterator[faking.aioresponses]:
    """Return aioresponses with a response class that works."""
    monkeypatch.setattr(faking, "ClientResponse", _Response)
    with faking.aioresponses() as faked:
        yield faked


@pytest.fixture
async def edge() -> AsyncIterator[AsyncAgentBay]:
    """Return a client that tries once."""
    async with AsyncAgentBay("akm-x", endpoint=_ENDPOINT, retry=RetryPolicy(attempts=1)) as bay:
        yield bay


def _matching() -> re.Pattern[str]:
    return re.compile(r"https://service\.invalid/\?.*Action=GetSession&.*")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (aiohttp.ConnectionTimeoutError(), ConnectionFailedError),
        (
            aiohttp.ClientConnectorError(_KEY, OSError(111, "Connection refused")),
            ConnectionFailedError,
        ),
        (aiohttp.ClientConnectorDNSError(_KEY, OSError(-2, "unknown")), ConnectionFailedError),
        (aiohttp.ServerTimeoutError(), RequestTimeoutError),
        (asyncio.TimeoutError(), RequestTimeoutError),
        (aiohttp.ServerDisconnectedError(), ConnectionLostError),
        (aiohttp.ClientOSError(104, "Connection reset by peer"), ConnectionLostError),
        (ConnectionResetError(104, "Connection reset by peer"), ConnectionLostError),
        (aiohttp.ClientPayloadError("cut"), BadAnswerError),
        (aiohttp.ClientResponseError(mock.Mock(), ()), BadAnswerError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_each_error_of_aiohttp_is_translated(
    responses: faking.aioresponses, edge: AsyncAgentBay, error: Exception, kind: type[AgentBayError]
) -> None:
    """To not sent, perhaps acted on, or badly answered: retries depend on it."""
    responses.post(_matching(), exception=error)
    found = (await edge.get("s-1")).error
    assert type(found) is kind
    assert found.__cause__ is None
    assert "GetSession" in str(found)


@pytest.mark.parametrize("error", [asyncio.CancelledError, KeyboardInterrupt])
async def test_cancellation_is_not_translated(
    responses: faking.aioresponses, edge: AsyncAgentBay, error: type[BaseException]
) -> None:
    """Nor is Ctrl-C."""
    responses.post(_matching(), exception=error())
    with pytest.raises(error):
        await edge.get("s-1")


async def test_a_redirect_is_not_followed(
    responses: faking.aioresponses, edge: AsyncAgentBay
) -> None:
    """The form holds the key, which must not reach another host."""
    responses.post(_matching(), status=302, headers={"Location": "https://elsewhere.invalid"})
    assert isinstance((await edge.get("s-1")).error, BadAnswerError)


async def test_body_and_headers_are_returned_unread(
    responses: faking.aioresponses, edge: AsyncAgentBay
) -> None:
    """The envelope interprets status, headers and body."""
    responses.post(_matching(), body='{"Success": true, "Data": {"SessionId": "s-9"}}')
    assert (await edge.get("s-1")).session.session_id == "s-9"
