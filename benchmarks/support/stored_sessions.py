"""Calls to a service with many stored sessions, whose cost should not depend on their number."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import aiohttp

from support import host
from support.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from support.local import LocalChild

#: Labels by the share of sessions that have them.
ALL, PERCENT, ONE = {"all": "1"}, {"percent": "1"}, {"one": "1"}
#: Entries of a measured page, which every store can fill.
SIZES = {"all": 10, "percent": 1, "one": 1}
_WALK = 100


def stored_labels(number: int) -> list[dict[str, str]]:
    """Return the labels of `number` sessions."""
    # Of a hundred sessions three have it, so that there is a page before the last one there too.
    rare = min(100, max(1, number // 3))
    return [
        {
            **ALL,
            "number": str(n),
            **(PERCENT if n % rare == 0 else {}),
            **(ONE if n == number // 2 else {}),
        }
        for n in range(number)
    ]


class StoredSessions:
    """The calls, by name, to a service with stored sessions. Speaks the wire without our client.

    Args:
        service: The service, which has no sessions yet.
        stored: How many sessions to store.
    """

    def __init__(self, service: LocalChild, stored: int) -> None:
        self._pid = service.pid
        self._key = service.api_key
        self._url = service.endpoint
        self._sessions = service.seed(stored_labels(stored))
        self._http = aiohttp.ClientSession()
        self.stored = stored
        self.calls: dict[str, Callable[[], Awaitable[object]]] = {}

    async def prepare(self) -> None:
        """Find the pages in the middle and at the end, and name the calls."""
        middle = self._sessions[self.stored // 2]
        labelled = {**ALL, "number": "moved"}
        self.calls = {
            "get": partial(self._call, "GetSession", SessionId=middle),
            "set_labels": partial(self._call, "SetLabel", SessionId=middle, Labels=labelled),
            "create, delete": self._create_and_delete,
            "list, no label, first": partial(self._call, "ListSession", MaxResults=10),
        }
        for labels in (ALL, PERCENT, ONE):
            (name,), size = labels, SIZES[next(iter(labels))]
            wanted = {"Labels": labels, "MaxResults": size}
            first = partial(self._call, "ListSession", **wanted)
            self.calls[f"list {name}, first"] = first
            for position, token in (await self._tokens(labels, size)).items():
                call = partial(self._call, "ListSession", NextToken=token, **wanted)
                self.calls[f"list {name}, {position}"] = call if token else first

    async def timed(self, name: str, calls: int) -> Sample:
        """Make a call `calls` times, and return the cost of one; the CPU is that of the service."""
        call = self.calls[name]
        wall, cpu = time.perf_counter(), host.cpu(self._pid)
        for _ in range(calls):
            await call()
        wall, cpu = time.perf_counter() - wall, host.cpu(self._pid) - cpu
        return Sample(wall / calls, cpu / calls)

    async def _tokens(self, labels: dict[str, str], size: int) -> dict[str, str]:
        """Return the tokens of the page in the middle and of the last, ``""`` for the first."""
        if labels is ONE:
            return {}
        tokens = await self._list_tokens(labels, _WALK, "")
        return {
            "middle": tokens[len(tokens) // 2],
            "last": (await self._list_tokens(labels, size, tokens[-1]))[-1],
        }

    async def _list_tokens(self, labels: dict[str, str], size: int, token: str) -> list[str]:
        """Return the tokens of a page and of all pages after it."""
        tokens = [token]
        while True:
            more = {"NextToken": tokens[-1]} if tokens[-1] else {}
            page = await self._call("ListSession", Labels=labels, MaxResults=size, **more)
            if not page["NextToken"]:
                return tokens
            tokens.append(page["NextToken"])

    async def _create_and_delete(self) -> None:
        made = await self._call("CreateMcpSession", Labels=ALL)
        await self._call("ReleaseMcpSession", SessionId=made["Data"]["SessionId"])

    async def _call(self, action: str, **fields: Any) -> dict[str, Any]:
        form = {
            name: json.dumps(value) if isinstance(value, dict) else str(value)
            for name, value in fields.items()
        }
        body = urlencode({"Authorization": f"Bearer {self._key}", **form})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        url = f"{self._url}/?Action={action}"
        async with self._http.post(url, data=body, headers=headers) as response:
            answer: dict[str, Any] = await response.json()
        assert answer["Success"], answer
        return answer

    async def close(self) -> None:
        """Close its connections."""
        await self._http.close()
