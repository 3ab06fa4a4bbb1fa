"""One attrs class for each action's request, and one for what it answers.

A request class carries the facts of its action:

* ``ACTION``: the name on the wire,
* ``DATA``: the type of ``Data`` in the answer, or ``None`` for a bare acknowledgement,
* ``REPEATABLE``: whether sending it twice does no more than sending it once,
* ``IN_QUERY``: the fields that travel in the query instead of the form.

Field names are ours; :mod:`agentbay_async._protocol.codec` derives the wire's names
(``session_id`` is ``SessionId``) unless a field says otherwise. ``None`` means absent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async._lazy import lazy

if TYPE_CHECKING:
    from agentbay_async._protocol.schema.base import Request
    from agentbay_async._protocol.schema.contexts import (
        ClearContext,
        ContextRecord,
        DeleteContext,
        GetContext,
        ListContexts,
        ModifyContext,
    )
    from agentbay_async._protocol.schema.files import (
        ContextFileRecord,
        DeleteContextFile,
        DescribeContextFiles,
        FileUrl,
        GetContextFileDownloadUrl,
        GetContextFileUploadUrl,
    )
    from agentbay_async._protocol.schema.labels import GetLabel, LabelSet, SetLabel
    from agentbay_async._protocol.schema.links import (
        BrowserPort,
        GetAdbLink,
        GetAndLoadInternalContext,
        GetCdpLink,
        GetLink,
        InitBrowser,
        InternalContext,
        Link,
    )
    from agentbay_async._protocol.schema.sessions import (
        CreatedSession,
        CreateMcpSession,
        DeleteSessionAsync,
        DesktopInfo,
        GetMcpResource,
        GetSession,
        GetSessionDetail,
        ListedSession,
        ListSession,
        McpResource,
        PauseSessionAsync,
        RefreshSessionIdleTime,
        ReleaseMcpSession,
        ResumeSessionAsync,
        SessionContext,
        SessionDetail,
        SessionRecord,
    )
    from agentbay_async._protocol.schema.sync import (
        BindContexts,
        BindingRecord,
        ContextInfo,
        ContextTask,
        DescribeSessionContexts,
        GetContextInfo,
        Persistence,
        SyncContext,
    )
    from agentbay_async._protocol.schema.tools import (
        CallMcpTool,
        ContentItem,
        ListMcpTools,
        Tool,
        ToolAnswer,
    )

__getattr__ = lazy(
    __name__,
    {
        ".base": "Request",
        ".contexts": (
            "ClearContext ContextRecord DeleteContext GetContext ListContexts ModifyContext"
        ),
        ".files": (
            "ContextFileRecord DeleteContextFile DescribeContextFiles FileUrl "
            "GetContextFileDownloadUrl GetContextFileUploadUrl"
        ),
        ".labels": "GetLabel LabelSet SetLabel",
        ".links": (
            "BrowserPort GetAdbLink GetAndLoadInternalContext GetCdpLink GetLink InitBrowser "
            "InternalContext Link"
        ),
        ".sessions": (
            "CreatedSession CreateMcpSession DeleteSessionAsync DesktopInfo GetMcpResource "
            "GetSession GetSessionDetail ListedSession ListSession McpResource "
            "PauseSessionAsync RefreshSessionIdleTime ReleaseMcpSession ResumeSessionAsync "
            "SessionContext SessionDetail SessionRecord"
        ),
        ".sync": (
            "BindContexts BindingRecord ContextInfo ContextTask DescribeSessionContexts "
            "GetContextInfo Persistence SyncContext"
        ),
        ".tools": "CallMcpTool ContentItem ListMcpTools Tool ToolAnswer",
    },
)

__all__ = [
    "BindContexts",
    "BindingRecord",
    "BrowserPort",
    "CallMcpTool",
    "ClearContext",
    "ContentItem",
    "ContextFileRecord",
    "ContextInfo",
    "ContextRecord",
    "ContextTask",
    "CreateMcpSession",
    "CreatedSession",
    "DeleteContext",
    "DeleteContextFile",
    "DeleteSessionAsync",
    "DescribeContextFiles",
    "DescribeSessionContexts",
    "DesktopInfo",
    "FileUrl",
    "GetAdbLink",
    "GetAndLoadInternalContext",
    "GetCdpLink",
    "GetContext",
    "GetContextFileDownloadUrl",
    "GetContextFileUploadUrl",
    "GetContextInfo",
    "GetLabel",
    "GetLink",
    "GetMcpResource",
    "GetSession",
    "GetSessionDetail",
    "InitBrowser",
    "InternalContext",
    "LabelSet",
    "Link",
    "ListContexts",
    "ListMcpTools",
    "ListSession",
    "ListedSession",
    "McpResource",
    "ModifyContext",
    "PauseSessionAsync",
    "Persistence",
    "RefreshSessionIdleTime",
    "ReleaseMcpSession",
    "Request",
    "ResumeSessionAsync",
    "SessionContext",
    "SessionDetail",
    "SessionRecord",
    "SetLabel",
    "SyncContext",
    "Tool",
    "ToolAnswer",
]
