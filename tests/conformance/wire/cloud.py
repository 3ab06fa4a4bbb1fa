"""What the stand-in for the cloud answers: sessions, contexts and transfers, without I/O.

It knows nothing of our own protocol code: it is a witness, so its answers are written out as the
vendor's clients read them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from wire.tools import CHANGE, answer_of_tool, text_answer, tool_list

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Document = dict[str, Any]


class Cloud:
    """The state of the stand-in during one operation, and its answers to actions.

    Args:
        url: The URL of the recorder, to which links and store URLs lead.

    Attributes:
        changed: Whether a file of the watched directory has changed since the last look.
    """

    def __init__(self, url: str) -> None:
        self.changed = False
        self._url = url
        self._was_busy = False
        self._created = 0
        self._status: dict[str, str] = {}
        self._contexts: list[tuple[str, str]] = []
        self._tasks: list[Document] = []

    def answer(self, action: str, values: Mapping[str, str]) -> tuple[int, Document]:
        """Return the HTTP status and the document for an action with these values."""
        refusal = self._refusal(action, values.get("SessionId", ""))
        if refusal is not None:
            return refusal
        envelope: Document = {"RequestId": "R-1", "HttpStatusCode": 200, "Code": "ok"}
        if action in _ANSWERS:
            envelope["Data"] = _ANSWERS[action](self, values)
        if action in _CHANGES:
            _CHANGES[action](self, values)
        return 200, {**envelope, "Success": True, **_MORE.get(action, {})}

    def _refusal(self, action: str, session: str) -> tuple[int, Document] | None:
        """Return the answer to a request that is not accepted: names of sessions tell which."""
        if action == "GetSession":
            return None
        if session.startswith("s-ended") or self._status.get(session) == "DELETED":
            text = "Resource [McpSession] is not found."
            return 400, _failure("InvalidMcpSession.NotFound", text)
        if session.startswith("s-busy") and not self._was_busy:
            self._was_busy = True
            return 503, _failure("ServiceUnavailable", "The service is busy.")
        return None

    def create(self, values: Mapping[str, str]) -> Document:
        """Create a session."""
        self._created += 1
        self.attach(values)
        return {"Success": True, **_session(f"s-new-{self._created}")}

    def session(self, values: Mapping[str, str]) -> Document:
        """Describe a session; one that is named so has an address of its own."""
        session = values["SessionId"]
        data = {**_session(session), "Status": self._status.get(session, "RUNNING")}
        if session.startswith("s-direct"):
            data["LinkUrl"] = f"{self._url}/link/{session}"
            data["WsUrl"] = f"ws{self._url.removeprefix('http')}/ws/{session}"
            data["Token"] = "token-1"
            data["ToolList"] = json.dumps(tool_list())
        return data

    def set_status(self, values: Mapping[str, str], status: str) -> None:
        """Let a session be in another state."""
        self._status[values["SessionId"]] = status

    def attach(self, values: Mapping[str, str]) -> None:
        """Attach contexts to the session, and download the files of those that are copied."""
        for entry in json.loads(values.get("PersistenceDataList", "[]")):
            self._contexts.append((entry["ContextId"], entry["Path"]))
            if entry.get("Type") != "mount":
                self._add_task(entry["ContextId"], entry["Path"], "download")

    def _add_task(self, context: str, path: str, kind: str) -> None:
        began = 1_700_000_000 + len(self._tasks)
        self._tasks.append(
            {
                "contextId": context,
                "path": path,
                "status": "Success",
                "taskType": kind,
                "startTime": began,
                "finishTime": began,
                "errorMessage": "",
            }
        )

    def sync(self, values: Mapping[str, str]) -> None:
        """Transfer the files of one context, or of all."""
        named = [(values["ContextId"], values.get("Path", ""))] if "ContextId" in values else None
        for context, path in named or self._contexts:
            self._add_task(context, path, values.get("Mode", "upload"))

    def transfers(self, values: Mapping[str, str]) -> Document:
        """List the transfers."""
        filters = {"contextId": "ContextId", "path": "Path", "taskType": "TaskType"}
        tasks = [
            task
            for task in self._tasks
            if all(values.get(wire, task[key]) == task[key] for key, wire in filters.items())
        ]
        return {"ContextStatus": json.dumps([{"type": "data", "data": json.dumps(tasks)}])}

    def contexts(self, _values: Mapping[str, str]) -> list[Document]:
        """List the contexts of the session."""
        return [
            {"ContextId": context, "ContextName": context, "Path": path, "BindTime": "2026-01-01"}
            for context, path in self._contexts
        ]

    def store_url(self, values: Mapping[str, str]) -> Document:
        """Return a signed URL."""
        url = f"{self._url}/store{values['FilePath']}?Signature=s-1"
        return {"Url": url, "ExpireTime": 4_000_000_000}


def _failure(code: str, message: str) -> Document:
    return {"RequestId": "R-1", "Code": code, "Message": message, "Success": False}


def _session(session: str) -> Document:
    url = "https://example.com/?resourceId=r-1"
    return {"SessionId": session, "AppInstanceId": "a-1", "ResourceUrl": url}


def _call_tool(cloud: Cloud, values: Mapping[str, str]) -> Document:
    if values["Name"] == "get_file_change" and cloud.changed:
        cloud.changed = False
        return text_answer(json.dumps([CHANGE]))
    return answer_of_tool(values["Name"], json.loads(values["Args"]))


def _constant(data: object) -> Callable[[Cloud, Mapping[str, str]], object]:
    return lambda _cloud, _values: data


_SKILL = {"SkillId": "k-1", "Name": "pdf", "Description": "Reads documents."}
_TOOL = {"name": "shell", "description": "", "inputSchema": {}, "server": "wuying_shell"}
_FILE = {
    "FileId": "f-1",
    "FileName": "note.txt",
    "FilePath": "/mnt/a/note.txt",
    "FileType": "FILE",
    "Size": 5,
}
_STORE = {
    "ContextId": "c-files",
    "ContextPath": "/tmp/file-transfer",
    "ContextType": "file_transfer",
}
_RESOURCE = {
    "SessionId": "s-plain",
    "ResourceUrl": "https://example.com/?resourceId=r-1",
    "DesktopInfo": {"AppId": "a-1", "AuthCode": "x", "ResourceId": "p-1", "Ticket": "t"},
}

#: ``Data`` of the answer to each action that has some.
_ANSWERS: dict[str, Callable[[Cloud, Mapping[str, str]], object]] = {
    "CallMcpTool": _call_tool,
    "CreateMcpSession": Cloud.create,
    "CreateNetwork": _constant({"NetworkId": "n-1", "NetworkToken": "x"}),
    "DescribeContextFiles": _constant([_FILE]),
    "DescribeNetwork": _constant({"Online": True}),
    "DescribeSessionContexts": Cloud.contexts,
    "GetAdbLink": _constant({"Url": "adb connect 192.0.2.1:5555"}),
    "GetAndLoadInternalContext": _constant([_STORE]),
    "GetCdpLink": _constant({"Url": "wss://gateway.example.com/devtools"}),
    "GetContext": lambda _cloud, values: {
        "Id": values.get("ContextId", "c-1"),
        "Name": "store",
        "State": "available",
    },
    "GetContextFileDownloadUrl": Cloud.store_url,
    "GetContextFileUploadUrl": Cloud.store_url,
    "GetContextInfo": Cloud.transfers,
    "GetLabel": _constant({"Labels": '{"project": "demo"}'}),
    "GetLink": _constant({"Url": "wss://gateway.example.com:8008/websocket_ai/token"}),
    "GetMcpResource": _constant(_RESOURCE),
    "GetSession": Cloud.session,
    "GetSessionDetail": _constant({"Status": "RUNNING"}),
    "GetSkillMetaData": _constant({"SkillPath": "/skills", "MetaDataList": [_SKILL]}),
    "InitBrowser": _constant({"Port": 9333}),
    "ListContexts": _constant([{"Id": "c-1", "Name": "store", "State": "available"}]),
    "ListMcpTools": _constant(json.dumps([_TOOL])),
    "ListSession": _constant(
        [{"SessionId": f"s-{number}", "SessionStatus": "RUNNING"} for number in range(2)]
    ),
    "ListSkillMetaData": _constant([_SKILL]),
}
#: What stands beside ``Data``.
_MORE: dict[str, Document] = {
    "DescribeContextFiles": {"Count": 1},
    "GetSkillMetaData": {"TotalCount": 1},
    "ListContexts": {"MaxResults": 10, "TotalCount": 1},
    "ListSession": {"NextToken": "t-2", "MaxResults": 2, "TotalCount": 4},
    "ListSkillMetaData": {"TotalCount": 1},
}
#: The actions that are acknowledged only, and change something that others tell.
_CHANGES: dict[str, Callable[[Cloud, Mapping[str, str]], None]] = {
    "BindContexts": Cloud.attach,
    "DeleteSessionAsync": lambda cloud, values: cloud.set_status(values, "DELETED"),
    "PauseSessionAsync": lambda cloud, values: cloud.set_status(values, "PAUSED"),
    "ResumeSessionAsync": lambda cloud, values: cloud.set_status(values, "RUNNING"),
    "SyncContext": Cloud.sync,
}

#: The answers to the methods of WebSocket frames; the others have none.
FRAMES: dict[str, tuple[Document, ...]] = {
    "exec_task": ({"phase": "end", "status": "finished", "result": "done"},),
    "pty.connect": ({"result": {"ptySessionId": "pty-1"}},),
    "pty.create": ({"result": {"ptySessionId": "pty-1"}},),
    "pty.kill": (
        {"result": {}},
        {"eventType": "pty.exit", "ptySessionId": "pty-1", "exitCode": 137},
    ),
    "pty.list": ({"result": {"ptySessionIds": ["pty-1"]}},),
    "run_code": (
        {"phase": "event", "eventType": "stdout", "chunk": "1\n"},
        {"phase": "end", "status": "finished", "executionCount": 1, "executionTime": 0.1},
    ),
    "subscribe_file_change": ({"phase": "end"},),
}
