"""AgentBay: isolated sessions in which agents run commands and edit files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async._lazy import lazy

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay_async._clock import Clock
    from agentbay_async._retry import RetryPolicy
    from agentbay_async._version import __version__
    from agentbay_async.client import AsyncAgentBay
    from agentbay_async.config import Config
    from agentbay_async.context_params import ContextListParams
    from agentbay_async.context_records import (
        Context,
        ContextBinding,
        ContextFileEntry,
        ContextFilePage,
        ContextPage,
        ContextStatusData,
        FileUrl,
        SyncReceipt,
        TransferProgress,
        TransferReceipt,
    )
    from agentbay_async.context_results import (
        ContextBindingsResult,
        ContextFileListResult,
        ContextInfoResult,
        ContextListResult,
        ContextResult,
        ContextSyncResult,
        FileUrlResult,
        TransferResult,
    )
    from agentbay_async.context_sync import (
        BWList,
        ContextSync,
        DeletePolicy,
        DownloadPolicy,
        DownloadStrategy,
        ExtractPolicy,
        Lifecycle,
        MappingPolicy,
        RecyclePolicy,
        SyncPolicy,
        UploadMode,
        UploadPolicy,
        UploadStrategy,
        WhiteList,
    )
    from agentbay_async.contexts import AsyncContextService
    from agentbay_async.errors import (
        AgentBayError,
        APIError,
        ArgumentTypeError,
        AuthenticationError,
        BadAnswerError,
        BlockingCallError,
        BlockingCallInAsyncContext,
        ClearanceTimeoutError,
        ClosedError,
        CommandError,
        ConfigurationError,
        ConnectionFailedError,
        ConnectionLostError,
        ContextNotFoundError,
        ContextSyncError,
        FileError,
        InvalidArgumentError,
        OperationTimeoutError,
        PageTokenError,
        RequestTimeoutError,
        ServiceError,
        SessionError,
        SessionNotFoundError,
        SessionStateError,
        ThrottledError,
        ToolError,
        TransferError,
        TransportError,
        UsageError,
    )
    from agentbay_async.listing import AsyncSessionListing
    from agentbay_async.records import SessionInfo, SessionPage, SessionStatus
    from agentbay_async.results import (
        DeleteResult,
        OperationResult,
        Result,
        SessionListResult,
        SessionResult,
        SessionStatusResult,
    )
    from agentbay_async.services.command import AsyncCommand
    from agentbay_async.services.file_system import AsyncFileSystem
    from agentbay_async.session import AsyncSession
    from agentbay_async.session_params import (
        CreateSessionParams,
        LifecyclePolicy,
        ListSessionParams,
    )
    from agentbay_async.syncing import AsyncSessionContext
    from agentbay_async.tool_records import (
        CommandOutput,
        DirectoryEntry,
        FileInfo,
        McpTool,
        ToolContent,
    )
    from agentbay_async.tool_results import (
        BoolResult,
        CommandResult,
        DirectoryListResult,
        FileContentResult,
        FileInfoResult,
        McpToolResult,
        McpToolsResult,
    )

__getattr__: Callable[[str], object] = lazy(
    __name__,
    {
        "._clock": "Clock",
        "._retry": "RetryPolicy",
        "._version": "__version__",
        ".client": "AsyncAgentBay",
        ".config": "Config",
        ".context_params": "ContextListParams",
        ".context_results": (
            "ContextBindingsResult ContextFileListResult ContextInfoResult ContextListResult "
            "ContextResult ContextSyncResult FileUrlResult TransferResult"
        ),
        ".context_sync": (
            "BWList ContextSync DeletePolicy DownloadPolicy DownloadStrategy ExtractPolicy "
            "Lifecycle MappingPolicy RecyclePolicy SyncPolicy UploadMode UploadPolicy "
            "UploadStrategy WhiteList"
        ),
        ".contexts": "AsyncContextService",
        ".errors": (
            "AgentBayError APIError ArgumentTypeError AuthenticationError BadAnswerError "
            "BlockingCallError BlockingCallInAsyncContext ClearanceTimeoutError ClosedError "
            "CommandError ConfigurationError ConnectionFailedError ConnectionLostError "
            "ContextNotFoundError ContextSyncError FileError InvalidArgumentError "
            "OperationTimeoutError PageTokenError RequestTimeoutError ServiceError "
            "SessionError SessionNotFoundError SessionStateError ThrottledError ToolError "
            "TransferError TransportError UsageError"
        ),
        ".listing": "AsyncSessionListing",
        ".context_records": (
            "Context ContextBinding ContextFileEntry ContextFilePage ContextPage "
            "ContextStatusData FileUrl SyncReceipt TransferProgress TransferReceipt"
        ),
        ".records": "SessionInfo SessionPage SessionStatus",
        ".tool_records": "CommandOutput DirectoryEntry FileInfo McpTool ToolContent",
        ".results": (
            "DeleteResult OperationResult Result SessionListResult SessionResult "
            "SessionStatusResult"
        ),
        ".services.command": "AsyncCommand",
        ".services.file_system": "AsyncFileSystem",
        ".session": "AsyncSession",
        ".session_params": "CreateSessionParams LifecyclePolicy ListSessionParams",
        ".syncing": "AsyncSessionContext",
        ".tool_results": (
            "BoolResult CommandResult DirectoryListResult FileContentResult FileInfoResult "
            "McpToolResult McpToolsResult"
        ),
    },
)

__all__ = [
    "APIError",
    "AgentBayError",
    "ArgumentTypeError",
    "AsyncAgentBay",
    "AsyncCommand",
    "AsyncContextService",
    "AsyncFileSystem",
    "AsyncSession",
    "AsyncSessionContext",
    "AsyncSessionListing",
    "AuthenticationError",
    "BWList",
    "BadAnswerError",
    "BlockingCallError",
    "BlockingCallInAsyncContext",
    "BoolResult",
    "ClearanceTimeoutError",
    "Clock",
    "ClosedError",
    "CommandError",
    "CommandOutput",
    "CommandResult",
    "Config",
    "ConfigurationError",
    "ConnectionFailedError",
    "ConnectionLostError",
    "Context",
    "ContextBinding",
    "ContextBindingsResult",
    "ContextFileEntry",
    "ContextFileListResult",
    "ContextFilePage",
    "ContextInfoResult",
    "ContextListParams",
    "ContextListResult",
    "ContextNotFoundError",
    "ContextPage",
    "ContextResult",
    "ContextStatusData",
    "ContextSync",
    "ContextSyncError",
    "ContextSyncResult",
    "CreateSessionParams",
    "DeletePolicy",
    "DeleteResult",
    "DirectoryEntry",
    "DirectoryListResult",
    "DownloadPolicy",
    "DownloadStrategy",
    "ExtractPolicy",
    "FileContentResult",
    "FileError",
    "FileInfo",
    "FileInfoResult",
    "FileUrl",
    "FileUrlResult",
    "InvalidArgumentError",
    "Lifecycle",
    "LifecyclePolicy",
    "ListSessionParams",
    "MappingPolicy",
    "McpTool",
    "McpToolResult",
    "McpToolsResult",
    "OperationResult",
    "OperationTimeoutError",
    "PageTokenError",
    "RecyclePolicy",
    "RequestTimeoutError",
    "Result",
    "RetryPolicy",
    "ServiceError",
    "SessionError",
    "SessionInfo",
    "SessionListResult",
    "SessionNotFoundError",
    "SessionPage",
    "SessionResult",
    "SessionStateError",
    "SessionStatus",
    "SessionStatusResult",
    "SyncPolicy",
    "SyncReceipt",
    "ThrottledError",
    "ToolContent",
    "ToolError",
    "TransferError",
    "TransferProgress",
    "TransferReceipt",
    "TransferResult",
    "TransportError",
    "UploadMode",
    "UploadPolicy",
    "UploadStrategy",
    "UsageError",
    "WhiteList",
    "__version__",
]
