"""The journal: requests and their outcomes, for tests.

It is bounded: the oldest entries are dropped. Secrets are masked before an entry is added, so that
a journal can be attached to a bug report.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

import attrs

from agentbay_async._protocol import error_codes
from agentbay_local.secret_names import is_secret_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

__all__ = ["Entry", "Journal", "masked"]

_LIMIT = 10_000
_MAX_VALUE = 2000


@attrs.frozen
class Entry:
    """One request and its outcome.

    Attributes:
        time: Unix seconds of its arrival, on the service's clock.
        action: The action, or ``PUT`` and ``GET`` for files behind signed URLs.
        form: Its fields; secrets are ``***``, and long values are truncated.
        status: The HTTP status of the answer; 0 when none was sent.
        code: The code of the answer: ``ok``, or an error code; empty when none was sent.
        request_id: The id that the answer carried.
        fault: The name of the fault that struck; empty for none.
        duration: Real seconds until the answer was sent.
        connection: Address and port of the client.
    """

    time: float
    action: str
    form: Mapping[str, str]
    status: int
    code: str
    request_id: str
    fault: str
    duration: float
    connection: str

    @property
    def ok(self) -> bool:
        """Whether it was answered without an error."""
        return self.code == error_codes.OK

    def as_json(self) -> str:
        """Return the entry as one line of JSON."""
        return json.dumps(attrs.asdict(self), ensure_ascii=False)


def masked(form: Mapping[str, str]) -> dict[str, str]:
    """Return a form without secrets and with short values.

    Example:
        >>> masked({"Authorization": "Bearer k", "SessionId": "s-1"})
        {'Authorization': '***', 'SessionId': 's-1'}
    """
    shown = {}
    for name, value in form.items():
        text = "***" if is_secret_name(name) else value.encode("utf-8", "replace").decode()
        cut = len(text) > _MAX_VALUE
        shown[name] = f"{text[:_MAX_VALUE]}... ({len(text)} characters)" if cut else text
    return shown


class Journal:
    """The entries of one service, oldest first; safe to read while it runs.

    Args:
        limit: Maximum number of entries.

    Attributes:
        dropped: The number of entries that were dropped.
    """

    def __init__(self, limit: int = _LIMIT) -> None:
        self.dropped = 0
        self._entries: deque[Entry] = deque(maxlen=limit)
        self._changed = threading.Condition(threading.RLock())

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.find())

    def add(self, entry: Entry) -> None:
        """Add an entry."""
        with self._changed:
            self.dropped += len(self._entries) == self._entries.maxlen
            self._entries.append(entry)
            self._changed.notify_all()

    def clear(self) -> None:
        """Remove all entries."""
        with self._changed:
            self._entries.clear()
            self.dropped = 0

    def numbered(self) -> tuple[int, list[Entry]]:
        """Return the number of the oldest entry, counted from 0, and all entries."""
        with self._changed:
            return self.dropped, list(self._entries)

    def find(
        self,
        action: str | None = None,
        *,
        ok: bool | None = None,
        code: str | None = None,
        fault: str | None = None,
        where: Callable[[Entry], bool] | None = None,
    ) -> list[Entry]:
        """Return the entries that meet every condition; None matches everything.

        Args:
            action: The action.
            ok: Whether it succeeded.
            code: The code of the answer.
            fault: The name of the fault that struck; ``""`` for none.
            where: A further condition.
        """
        with self._changed:
            entries = list(self._entries)
        return [
            entry
            for entry in entries
            if action in (None, entry.action)
            and ok in (None, entry.ok)
            and code in (None, entry.code)
            and fault in (None, entry.fault)
            and (where is None or where(entry))
        ]

    def wait_for(
        self,
        action: str | None = None,
        *,
        ok: bool | None = None,
        count: int = 1,
        timeout: float = 10.0,
    ) -> list[Entry]:
        """Block until there are `count` matching entries, and return them.

        Args:
            action: The action; None for any.
            ok: Whether it succeeded; None for both.
            count: Minimum number of entries.
            timeout: Maximum wait in real seconds.

        Raises:
            TimeoutError: There are fewer after `timeout` seconds.
        """
        end = time.monotonic() + timeout
        with self._changed:
            while len(found := self.find(action, ok=ok)) < count:
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError(_missing(action, count, len(found), timeout))
                self._changed.wait(left)
        return found

    async def await_for(
        self,
        action: str | None = None,
        *,
        ok: bool | None = None,
        count: int = 1,
        timeout: float = 10.0,
    ) -> list[Entry]:
        """As `wait_for`, for coroutines."""
        end = time.monotonic() + timeout
        while len(found := self.find(action, ok=ok)) < count:
            if time.monotonic() > end:
                raise TimeoutError(_missing(action, count, len(found), timeout))
            await asyncio.sleep(0.002)
        return found

    def lines(self) -> str:
        """Return all entries as JSON lines."""
        return "".join(f"{entry.as_json()}\n" for entry in self.find())

    def export(self, path: Path | str) -> None:
        """Write all entries to a file of JSON lines.

        Raises:
            OSError: The file cannot be written.
        """
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.lines())


def _missing(action: str | None, count: int, found: int, timeout: float) -> str:
    return f"{found} of {count} requests {action or ''} within {timeout:g} s"
