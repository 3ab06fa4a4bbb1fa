"""The journal as the pages show it: the newest calls, and those after a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentbay_local.clock import iso

if TYPE_CHECKING:
    from agentbay_local.testing.journal import Entry, Journal

__all__ = ["calls_after"]

# Rows of one answer: a page that was just opened shows the newest ones.
_MOST = 200


def calls_after(journal: Journal, after: int, session_id: str | None = None) -> dict[str, Any]:
    """Return the calls that came after a number, the oldest first, and the number to ask with next.

    Args:
        journal: The journal.
        after: The ``next`` of an earlier answer, or 0. One of a journal that was cleared counts
            as 0.
        session_id: Only the calls for this session.
    """
    first, entries = journal.numbered()
    end = first + len(entries)
    new = entries[max(0, after - first) :] if after <= end else entries
    shown = [entry for entry in new if session_id in (None, entry.form.get("SessionId"))]
    return {"calls": [_describe(entry) for entry in shown[-_MOST:]], "next": end}


def _describe(entry: Entry) -> dict[str, Any]:
    return {
        "time": iso(entry.time),
        "action": entry.action,
        "name": entry.form.get("Name", "") if entry.action in _TOOL_CALLS else "",
        "session": entry.form.get("SessionId", ""),
        "status": entry.status,
        "code": entry.code,
        "fault": entry.fault,
        "seconds": round(entry.duration, 4),
        "request": entry.request_id,
    }


_TOOL_CALLS = frozenset({"CallMcpTool", "callTool"})
