"""AgentBay: isolated sessions in which agents run commands and edit files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async._lazy import lazy

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay_async._clock import Clock
    from agentbay_async._retry import RetryPolicy
    from agentbay_async._version import __version__
    from agentbay_async.bulk import AsyncBulkCreation, AsyncBulkDeletion
    from agentbay_async.client import AsyncAgentBay
    from agentbay_async.config import Config
    from agentbay_async.contexts import AsyncContextService
    from agentbay_async.errors import (
        AgentBayError,
        APIError,
        ArgumentTypeError,
        Attempt,
        AuthenticationError,
        BadAnswerError,
        BlockingCallError,
        BlockingCallInAsyncContext,
        BudgetExceededError,
        ClearanceTimeoutError,
        ClosedError,
        CodeError,
        CommandError,
        ConfigurationError,
        ConnectionFailedError,
        ConnectionLostError,
        ContextNotFoundError,
        ContextSyncError,
        EngineError,
        FileError,
        FunctionError,
        GitAuthError,
        GitConflictError,
        GitError,
        GitNotARepoError,
        GitNotFoundError,
        InvalidArgumentError,
        OperationTimeoutError,
        PageTokenError,
        PtyError,
        PtyNotConnectedError,
        QuotaExceededError,
        RequestTimeoutError,
        RolledBackError,
        ServiceError,
        SessionError,
        SessionNotFoundError,
        SessionStateError,
        SyncFailedError,
        SyncMissingError,
        SyncTimeoutError,
        ThrottledError,
        ToolError,
        TransferError,
        TransportError,
        UsageError,
        WorkerLostError,
    )
    from agentbay_async.listing import AsyncSessionListing
    from agentbay_async.models.agent import AgentTask
    from agentbay_async.models.browser import BrowserOption, BrowserProxy
    from agentbay_async.models.budget import Budget
    from agentbay_async.models.bulk import BulkOutcome, BulkResult, MapOutcome, Progress
    from agentbay_async.models.code import (
        CodeEvent,
        CodeFailure,
        CodeLogs,
        CodeOutcome,
        CodeOutput,
        CodeResult,
    )
    from agentbay_async.models.commands import CommandOutput, CommandResult
    from agentbay_async.models.context_status import ContextStatusData
    from agentbay_async.models.contexts import (
        Context,
        ContextBinding,
        ContextBindingsResult,
        ContextFileEntry,
        ContextFileListResult,
        ContextFilePage,
        ContextInfoResult,
        ContextListParams,
        ContextListResult,
        ContextPage,
        ContextResult,
        ContextSyncResult,
        FileUrl,
        FileUrlResult,
        SyncReceipt,
        TransferProgress,
        TransferReceipt,
        TransferResult,
    )
    from agentbay_async.models.files import (
        DirectoryEntry,
        DirectoryListResult,
        EditResult,
        FileChange,
        FileContentResult,
        FileInfo,
        FileInfoResult,
        FileSearchResult,
        FileTexts,
        MultipleFileContentResult,
    )
    from agentbay_async.models.git import (
        GitBranches,
        GitBranchInfo,
        GitBranchListResult,
        GitCloneResult,
        GitCommitResult,
        GitFileStatus,
        GitInitResult,
        GitLogEntry,
        GitLogResult,
        GitStatus,
        GitStatusResult,
    )
    from agentbay_async.models.pty import PtySession
    from agentbay_async.models.results import (
        DeleteResult,
        OperationResult,
        ReapResult,
        Result,
        SessionListResult,
        SessionResult,
        SessionStatusResult,
    )
    from agentbay_async.models.sessions import (
        CreateSessionParams,
        LifecyclePolicy,
        ListSessionParams,
        Reaping,
        SessionInfo,
        SessionPage,
        SessionStatus,
    )
    from agentbay_async.models.sync_policy import (
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
    from agentbay_async.models.tools import (
        BoolResult,
        EnvResult,
        LinkResult,
        McpTool,
        McpToolResult,
        McpToolsResult,
        OssResult,
        SessionMetrics,
        SessionMetricsResult,
        ToolContent,
    )
    from agentbay_async.models.ui import (
        AppProcess,
        CursorPosition,
        InstalledApp,
        Screenshot,
        ScreenSize,
        UIElements,
        Window,
    )
    from agentbay_async.services.agent import (
        AsyncAgent,
        AsyncBrowserAgent,
        AsyncComputerAgent,
        AsyncMobileAgent,
    )
    from agentbay_async.services.browser import AsyncBrowser
    from agentbay_async.services.code import AsyncCode
    from agentbay_async.services.command import AsyncCommand
    from agentbay_async.services.computer import AsyncComputer
    from agentbay_async.services.env import AsyncEnv
    from agentbay_async.services.file_system import AsyncFileSystem
    from agentbay_async.services.git import AsyncGit
    from agentbay_async.services.mobile import AsyncMobile
    from agentbay_async.services.oss import AsyncOss
    from agentbay_async.services.process import AsyncProcess
    from agentbay_async.services.pty import AsyncPty, AsyncPtyHandle
    from agentbay_async.services.watch import AsyncDirectoryWatch
    from agentbay_async.session import AsyncSession
    from agentbay_async.session_context import AsyncSessionContext

__getattr__: Callable[[str], object] = lazy(
    __name__,
    {
        "._clock": "Clock",
        "._retry": "RetryPolicy",
        "._version": "__version__",
        ".bulk": "AsyncBulkCreation AsyncBulkDeletion",
        ".client": "AsyncAgentBay",
        ".config": "Config",
        ".contexts": "AsyncContextService",
        ".errors": (
            "AgentBayError APIError ArgumentTypeError Attempt AuthenticationError "
            "BadAnswerError BlockingCallError BlockingCallInAsyncContext "
            "BudgetExceededError ClearanceTimeoutError ClosedError CodeError CommandError "
            "ConfigurationError ConnectionFailedError ConnectionLostError "
            "ContextNotFoundError ContextSyncError EngineError FileError FunctionError "
            "GitAuthError GitConflictError GitError GitNotARepoError GitNotFoundError "
            "InvalidArgumentError OperationTimeoutError PageTokenError PtyError "
            "PtyNotConnectedError QuotaExceededError RequestTimeoutError RolledBackError "
            "ServiceError SessionError SessionNotFoundError SessionStateError "
            "SyncFailedError SyncMissingError SyncTimeoutError ThrottledError ToolError "
            "TransferError TransportError UsageError WorkerLostError"
        ),
        ".listing": "AsyncSessionListing",
        ".models.agent": "AgentTask",
        ".models.browser": "BrowserOption BrowserProxy",
        ".models.budget": "Budget",
        ".models.bulk": "BulkOutcome BulkResult MapOutcome Progress",
        ".models.code": "CodeEvent CodeFailure CodeLogs CodeOutcome CodeOutput CodeResult",
        ".models.commands": "CommandOutput CommandResult",
        ".models.context_status": "ContextStatusData",
        ".models.contexts": (
            "Context ContextBinding ContextBindingsResult ContextFileEntry "
            "ContextFileListResult ContextFilePage ContextInfoResult ContextListParams "
            "ContextListResult ContextPage ContextResult ContextSyncResult FileUrl "
            "FileUrlResult SyncReceipt TransferProgress TransferReceipt TransferResult"
        ),
        ".models.files": (
            "DirectoryEntry DirectoryListResult EditResult FileChange FileContentResult "
            "FileInfo FileInfoResult FileSearchResult FileTexts MultipleFileContentResult"
        ),
        ".models.git": (
            "GitBranches GitBranchInfo GitBranchListResult GitCloneResult GitCommitResult "
            "GitFileStatus GitInitResult GitLogEntry GitLogResult GitStatus "
            "GitStatusResult"
        ),
        ".models.pty": "PtySession",
        ".models.results": (
            "DeleteResult OperationResult ReapResult Result SessionListResult "
            "SessionResult SessionStatusResult"
        ),
        ".models.sessions": (
            "CreateSessionParams LifecyclePolicy ListSessionParams Reaping SessionInfo "
            "SessionPage SessionStatus"
        ),
        ".models.sync_policy": (
            "BWList ContextSync DeletePolicy DownloadPolicy DownloadStrategy "
            "ExtractPolicy Lifecycle MappingPolicy RecyclePolicy SyncPolicy UploadMode "
            "UploadPolicy UploadStrategy WhiteList"
        ),
        ".models.tools": (
            "BoolResult EnvResult LinkResult McpTool McpToolResult McpToolsResult "
            "OssResult SessionMetrics SessionMetricsResult ToolContent"
        ),
        ".models.ui": (
            "AppProcess CursorPosition InstalledApp Screenshot ScreenSize UIElements Window"
        ),
        ".services.agent": "AsyncAgent AsyncBrowserAgent AsyncComputerAgent AsyncMobileAgent",
        ".services.browser": "AsyncBrowser",
        ".services.code": "AsyncCode",
        ".services.command": "AsyncCommand",
        ".services.computer": "AsyncComputer",
        ".services.env": "AsyncEnv",
        ".services.file_system": "AsyncFileSystem",
        ".services.git": "AsyncGit",
        ".services.mobile": "AsyncMobile",
        ".services.oss": "AsyncOss",
        ".services.process": "AsyncProcess",
        ".services.pty": "AsyncPty AsyncPtyHandle",
        ".services.watch": "AsyncDirectoryWatch",
        ".session": "AsyncSession",
        ".session_context": "AsyncSessionContext",
    },
)

__all__ = [
    "APIError",
    "AgentBayError",
    "AgentTask",
    "AppProcess",
    "ArgumentTypeError",
    "AsyncAgent",
    "AsyncAgentBay",
    "AsyncBrowser",
    "AsyncBrowserAgent",
    "AsyncBulkCreation",
    "AsyncBulkDeletion",
    "AsyncCode",
    "AsyncCommand",
    "AsyncComputer",
    "AsyncComputerAgent",
    "AsyncContextService",
    "AsyncDirectoryWatch",
    "AsyncEnv",
    "AsyncFileSystem",
    "AsyncGit",
    "AsyncMobile",
    "AsyncMobileAgent",
    "AsyncOss",
    "AsyncProcess",
    "AsyncPty",
    "AsyncPtyHandle",
    "AsyncSession",
    "AsyncSessionContext",
    "AsyncSessionListing",
    "Attempt",
    "AuthenticationError",
    "BWList",
    "BadAnswerError",
    "BlockingCallError",
    "BlockingCallInAsyncContext",
    "BoolResult",
    "BrowserOption",
    "BrowserProxy",
    "Budget",
    "BudgetExceededError",
    "BulkOutcome",
    "BulkResult",
    "ClearanceTimeoutError",
    "Clock",
    "ClosedError",
    "CodeError",
    "CodeEvent",
    "CodeFailure",
    "CodeLogs",
    "CodeOutcome",
    "CodeOutput",
    "CodeResult",
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
    "CursorPosition",
    "DeletePolicy",
    "DeleteResult",
    "DirectoryEntry",
    "DirectoryListResult",
    "DownloadPolicy",
    "DownloadStrategy",
    "EditResult",
    "EngineError",
    "EnvResult",
    "ExtractPolicy",
    "FileChange",
    "FileContentResult",
    "FileError",
    "FileInfo",
    "FileInfoResult",
    "FileSearchResult",
    "FileTexts",
    "FileUrl",
    "FileUrlResult",
    "FunctionError",
    "GitAuthError",
    "GitBranchInfo",
    "GitBranchListResult",
    "GitBranches",
    "GitCloneResult",
    "GitCommitResult",
    "GitConflictError",
    "GitError",
    "GitFileStatus",
    "GitInitResult",
    "GitLogEntry",
    "GitLogResult",
    "GitNotARepoError",
    "GitNotFoundError",
    "GitStatus",
    "GitStatusResult",
    "InstalledApp",
    "InvalidArgumentError",
    "Lifecycle",
    "LifecyclePolicy",
    "LinkResult",
    "ListSessionParams",
    "MapOutcome",
    "MappingPolicy",
    "McpTool",
    "McpToolResult",
    "McpToolsResult",
    "MultipleFileContentResult",
    "OperationResult",
    "OperationTimeoutError",
    "OssResult",
    "PageTokenError",
    "Progress",
    "PtyError",
    "PtyNotConnectedError",
    "PtySession",
    "QuotaExceededError",
    "ReapResult",
    "Reaping",
    "RecyclePolicy",
    "RequestTimeoutError",
    "Result",
    "RetryPolicy",
    "RolledBackError",
    "ScreenSize",
    "Screenshot",
    "ServiceError",
    "SessionError",
    "SessionInfo",
    "SessionListResult",
    "SessionMetrics",
    "SessionMetricsResult",
    "SessionNotFoundError",
    "SessionPage",
    "SessionResult",
    "SessionStateError",
    "SessionStatus",
    "SessionStatusResult",
    "SyncFailedError",
    "SyncMissingError",
    "SyncPolicy",
    "SyncReceipt",
    "SyncTimeoutError",
    "ThrottledError",
    "ToolContent",
    "ToolError",
    "TransferError",
    "TransferProgress",
    "TransferReceipt",
    "TransferResult",
    "TransportError",
    "UIElements",
    "UploadMode",
    "UploadPolicy",
    "UploadStrategy",
    "UsageError",
    "WhiteList",
    "Window",
    "WorkerLostError",
    "__version__",
]
