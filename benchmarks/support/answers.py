"""Answers of the stub: sessions and labels in memory, with mostly prebuilt bodies.

The stub must not be the bottleneck, so parts that do not change from call to call are prebuilt JSON
text. The answers have the form of the service, and about the size of real answers.
"""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TOOLS = 32
_MOST_ON_A_PAGE = 100


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _tool_list() -> str:
    servers = ("wuying_shell", "wuying_filesystem", "wuying_browseruse", "wuying_codespace")
    return _compact(
        [
            {"Name": f"a_tool_named_{number:02}", "Server": servers[number % len(servers)]}
            for number in range(_TOOLS)
        ]
    )


_ID = "@session@"
_SESSION_HEAD, _SESSION_TAIL = _compact(
    {
        "SessionId": _ID,
        "Success": True,
        "Status": "RUNNING",
        "AppInstanceId": "ai-0123456789abcdef",
        "ResourceId": "p-0123456789abcdef",
        "ResourceUrl": "https://stub.invalid/app/index.html?authcode=0123456789abcdef",
        "NetworkInterfaceIp": "10.0.0.2",
        "HttpPort": "30100",
        "VpcResource": False,
        "ToolList": _tool_list(),
    }
).split(_ID)


@attrs.define
class _Stored:
    """A session: its labels, and its entry in listings, as JSON text."""

    labels: dict[str, str]
    entry: str


class RejectedError(Exception):
    """The service rejects the request with an error code and a message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Answers:
    """The service, as a function from an action and its fields to the body of an answer.

    Args:
        sessions: How many sessions exist at the start.
    """

    def __init__(self, sessions: int) -> None:
        self._stored: dict[str, _Stored] = {}
        self._count = 0
        self._actions: dict[str, Callable[[Mapping[str, str]], str]] = {
            "CreateMcpSession": self._create,
            "GetSession": self._get,
            "GetSessionDetail": self._detail,
            "ListSession": self._list,
            "SetLabel": self._set_labels,
            "GetLabel": self._get_labels,
            "CallMcpTool": self._call_tool,
            "GetContextInfo": self._context_info,
            "DeleteSessionAsync": self._delete,
        }
        for _ in range(sessions):
            self._store({"project": "stored"})

    def body(self, action: str, fields: Mapping[str, str]) -> tuple[int, str]:
        """Return the HTTP status and the body that answer a request."""
        try:
            handler = self._actions.get(action)
            if handler is None:
                raise RejectedError("InvalidAction.NotFound", f"there is no action {action}")
            return 200, _envelope("ok", "", f',"Success":true{handler(fields)}', 200)
        except RejectedError as error:
            return 400, _envelope(error.code, str(error), ',"Success":false', 400)

    def _store(self, labels: dict[str, str]) -> str:
        self._count += 1
        session_id = f"s-{self._count:016x}"
        entry = {
            "SessionId": session_id,
            "SessionStatus": "RUNNING",
            "AppInstanceId": "ai-0123456789abcdef",
            "ImageId": "linux_latest",
        }
        self._stored[session_id] = _Stored(labels, _compact(entry))
        return session_id

    def _session(self, fields: Mapping[str, str]) -> str:
        session_id = fields.get("SessionId", "")
        if session_id not in self._stored:
            raise RejectedError("InvalidMcpSession.NotFound", "Resource [McpSession] is not found.")
        return session_id

    def _create(self, fields: Mapping[str, str]) -> str:
        session_id = self._store(json.loads(fields.get("Labels", "{}")))
        return f',"Data":{_SESSION_HEAD}{session_id}{_SESSION_TAIL}'

    def _get(self, fields: Mapping[str, str]) -> str:
        return f',"Data":{_SESSION_HEAD}{self._session(fields)}{_SESSION_TAIL}'

    def _detail(self, fields: Mapping[str, str]) -> str:
        self._session(fields)
        return ',"Data":{"Status":"RUNNING","ImageId":"linux_latest"}'

    def _list(self, fields: Mapping[str, str]) -> str:
        wanted = json.loads(fields.get("Labels") or "{}").items()
        size = min(int(fields.get("MaxResults") or 10), _MOST_ON_A_PAGE)
        start = int(fields.get("NextToken") or 0)
        found: Any = self._stored.values()
        if wanted:
            found = [stored for stored in found if wanted <= stored.labels.items()]
        page = [stored.entry for stored in islice(found, start, start + size)]
        end = start + len(page)
        token = f'"{end}"' if end < len(found) else '""'
        return (
            f',"Data":[{",".join(page)}],"NextToken":{token}'
            f',"MaxResults":{size},"TotalCount":{len(found)}'
        )

    def _set_labels(self, fields: Mapping[str, str]) -> str:
        self._stored[self._session(fields)].labels = json.loads(fields.get("Labels") or "{}")
        return ""

    def _get_labels(self, fields: Mapping[str, str]) -> str:
        labels = _compact(self._stored[self._session(fields)].labels)
        return f',"Data":{{"Labels":{json.dumps(labels)}}}'

    def _call_tool(self, fields: Mapping[str, str]) -> str:
        self._session(fields)
        text = json.dumps({"stdout": "hi\n", "stderr": "", "exit_code": 0})
        return (
            f',"Data":{_compact({"content": [{"type": "text", "text": text}], "isError": False})}'
        )

    def _context_info(self, fields: Mapping[str, str]) -> str:
        self._session(fields)
        return ',"Data":{"ContextStatus":"[]"}'

    def _delete(self, fields: Mapping[str, str]) -> str:
        del self._stored[self._session(fields)]
        return ""


def _envelope(code: str, message: str, rest: str, status: int) -> str:
    return (
        f'{{"RequestId":"01234567-89AB-CDEF-0123-456789ABCDEF","HttpStatusCode":{status},'
        f'"Code":"{code}","Message":"{message}"{rest}}}'
    )
