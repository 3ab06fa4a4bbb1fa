"""What this library assumes of the cloud, and can be seen there without changing anything.

The table in docs/fidelity.md has the same lines, and those that only a recording can show.
"""

from __future__ import annotations

import secrets
import time
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import attrs

from agentbay import (
    AgentBay,
    AuthenticationError,
    ContextNotFoundError,
    SessionStatus,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay import AgentBayError

__all__ = ["ASSUMPTIONS", "Assumption", "Finding", "Verdict"]

_PAGE = 100
_A_MONTH = 31 * 86_400
_CONTEXTS_SEARCHED = 5


class Verdict(str, Enum):
    """What a look at the service says of an assumption."""

    HOLDS = "holds"
    DIFFERS = "differs"
    UNKNOWN = "unknown"


class Finding(NamedTuple):
    """A verdict, and what was seen."""

    verdict: Verdict
    seen: str


@attrs.frozen
class Assumption:
    """An assumption, and the requests that show whether it holds; all of them only read.

    Attributes:
        name: Its name in docs/fidelity.md.
        statement: What is assumed.
        check: Looks at the service of a client.
    """

    name: str
    statement: str
    check: Callable[[AgentBay, Callable[[str], AgentBay]], Finding]


def _key_in_form(bay: AgentBay, _other: Callable[[str], AgentBay]) -> Finding:
    result = bay.list(limit=1)
    if result.error is None:
        return Finding(Verdict.HOLDS, "a listing succeeded")
    refused = isinstance(result.error, AuthenticationError)
    return Finding(Verdict.DIFFERS if refused else Verdict.UNKNOWN, _shown(result.error))


def _wrong_key(_bay: AgentBay, other: Callable[[str], AgentBay]) -> Finding:
    with other(f"akm-{secrets.token_hex(16)}") as stranger:
        return _expect(stranger.list(limit=1).error, code="NOT_LOGIN")


def _no_session(bay: AgentBay, _other: Callable[[str], AgentBay]) -> Finding:
    error = bay.get(f"s-{secrets.token_hex(10)}").error
    return _expect(error, code="InvalidMcpSession.NotFound", status=400)


def _no_context(bay: AgentBay, _other: Callable[[str], AgentBay]) -> Finding:
    error = bay.context.get(f"agentbay-doctor-{secrets.token_hex(8)}").error
    if isinstance(error, ContextNotFoundError):
        return Finding(Verdict.HOLDS, error.code or "an answer without a context")
    return _expect(error, code="Context.NotFound")


def _request_ids(bay: AgentBay, _other: Callable[[str], AgentBay]) -> Finding:
    result = bay.list(limit=1)
    if result.error is not None:
        return Finding(Verdict.UNKNOWN, _shown(result.error))
    verdict = Verdict.HOLDS if result.request_id else Verdict.DIFFERS
    return Finding(verdict, f"an id of {len(result.request_id)} characters")


def _total_count(bay: AgentBay, _other: Callable[[str], AgentBay]) -> Finding:
    result = bay.list(limit=1)
    if result.error is not None:
        return Finding(Verdict.UNKNOWN, _shown(result.error))
    verdict = Verdict.DIFFERS if result.total_count is None else Verdict.HOLDS
    return Finding(verdict, f"TotalCount is {result.total_count}")


def _page_size(bay: AgentBay, _other: Callable[[str], AgentBay]) -> Finding:
    result = bay.list(limit=_PAGE)
    if result.error is not None:
        return Finding(Verdict.DIFFERS, _shown(result.error))
    verdict = Verdict.HOLDS if result.max_results in (None, _PAGE) else Verdict.DIFFERS
    return Finding(verdict, f"MaxResults is {result.max_results}")


def _label_filter(bay: AgentBay, _other: Callable[[str], AgentBay]) -> Finding:
    result = bay.list({"doctor-of-agentbay": secrets.token_hex(8)}, limit=1)
    if result.error is not None:
        return Finding(Verdict.UNKNOWN, _shown(result.error))
    verdict = Verdict.DIFFERS if result.sessions else Verdict.HOLDS
    return Finding(verdict, f"{len(result.sessions)} sessions have a label that none has")


def _states(bay: AgentBay, _other: Callable[[str], AgentBay]) -> Finding:
    result = bay.list(limit=_PAGE)
    if result.error is not None or not result.sessions:
        return Finding(Verdict.UNKNOWN, "there are no sessions")
    known = {status.value for status in SessionStatus}
    unknown = sorted({session.status for session in result.sessions} - known)
    if unknown:
        return Finding(Verdict.DIFFERS, f"unknown: {', '.join(unknown)}")
    return Finding(Verdict.HOLDS, f"{len(result.sessions)} sessions have states that are known")


def _expiry(bay: AgentBay, _other: Callable[[str], AgentBay]) -> Finding:
    found = _any_file(bay)
    if found is None:
        return Finding(Verdict.UNKNOWN, "no context has a file")
    result = bay.context.get_file_download_url(*found)
    if result.error is not None:
        return Finding(Verdict.UNKNOWN, _shown(result.error))
    left = None if result.expire_time is None else result.expire_time - time.time()
    if left is not None and 0 < left < _A_MONTH:
        return Finding(Verdict.HOLDS, f"it expires in {left / 60:.0f} minutes")
    return Finding(Verdict.DIFFERS, f"ExpireTime is {result.expire_time}")


def _any_file(bay: AgentBay) -> tuple[str, str] | None:
    """Return a context and the path of a file in it, from its first contexts."""
    listing = bay.context.list()
    contexts = [] if listing.error is not None else listing.contexts
    for context in contexts[:_CONTEXTS_SEARCHED]:
        files = bay.context.list_files(context.id, "/")
        for entry in [] if files.error is not None else files.entries:
            if entry.file_type == "FILE":
                return context.id, entry.file_path
    return None


def _expect(error: AgentBayError | None, *, code: str, status: int | None = None) -> Finding:
    """Return the finding about a request that should have failed."""
    if error is None:
        return Finding(Verdict.DIFFERS, "the request succeeded")
    if not error.code and error.http_status is None:
        return Finding(Verdict.UNKNOWN, _shown(error))
    as_expected = error.code == code and status in (None, error.http_status)
    return Finding(Verdict.HOLDS if as_expected else Verdict.DIFFERS, _shown(error))


def _shown(error: AgentBayError) -> str:
    facts = [error.code, f"HTTP {error.http_status}" if error.http_status else ""]
    return " ".join(filter(None, facts)) or type(error).__name__


ASSUMPTIONS = (
    Assumption("C1", "The key is accepted in the form, not only in the URL", _key_in_form),
    Assumption("C2", "A wrong key is answered with the code NOT_LOGIN", _wrong_key),
    Assumption(
        "C3",
        "A session that does not exist is answered with InvalidMcpSession.NotFound and HTTP 400",
        _no_session,
    ),
    Assumption(
        "C4", "A context that does not exist is answered as such, and not created", _no_context
    ),
    Assumption("C5", "Every answer has a request id", _request_ids),
    Assumption("C6", "A listing counts all that match", _total_count),
    Assumption("C7", "A page may have 100 entries", _page_size),
    Assumption("C8", "A filter by a label that no session has lists no session", _label_filter),
    Assumption("C9", "Sessions have the states that we know", _states),
    Assumption("C10", "The URL of a file expires at a time in seconds since 1970", _expiry),
)
"""All of them, in the order of docs/fidelity.md."""
