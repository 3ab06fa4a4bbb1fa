"""AgentBay: isolated sessions in which agents run commands and edit files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async._lazy import lazy

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay_async._clock import Clock
    from agentbay_async._retry import RetryPolicy
    from agentbay_async._version import __version__
    from agentbay_async.agent_records import AgentTask
    from agentbay_async.browser_params import BrowserOption, BrowserProxy
    from agentbay_async.budget import Budget
    from agentbay_async.bulk import AsyncBulkCreation, AsyncBulkDeletion
    from agentbay_async.bulk_results import BulkOutcome, BulkResult, MapOutcome, Progress
    from agentbay_async.client import AsyncAgentBay
    from agentbay_async.code_records import (
        CodeEvent,
        CodeFailure,
        CodeLogs,
        CodeOutcome,
        CodeOutput,
    )
    from agentbay_async.code_results import CodeResult
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
    from agentbay_async.git_records import (
        GitBranches,
        GitBranchInfo,
        GitFileStatus,
        GitLogEntry,
        GitStatus,
    )
    from agentbay_async.git_results import (
        GitBranchListResult,
        GitCloneResult,
        GitCommitResult,
        GitInitResult,
        GitLogResult,
        GitStatusResult,
    )
    from agentbay_async.listing import AsyncSessionListing
    from agentbay_async.records import (
        Reaping,
        SessionInfo,
        SessionPage,
        SessionStatus,
    )
    from agentbay_async.results import (
        DeleteResult,
        OperationResult,
        ReapResult,
        Result,
        SessionListResult,
        SessionResult,
        SessionStatusResult,
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
    from agentbay_async.session_params import (
        CreateSessionParams,
        LifecyclePolicy,
        ListSessionParams,
    )
    from agentbay_async.syncing import AsyncSessionContext
    from agentbay_async.terminal_records import PtySession
    from agentbay_async.tool_records import (
        CommandOutput,
        DirectoryEntry,
        FileChange,
        FileInfo,
        FileTexts,
        McpTool,
        SessionMetrics,
        ToolContent,
    )
    from agentbay_async.tool_results import (
        BoolResult,
        CommandResult,
        DirectoryListResult,
        EditResult,
        EnvResult,
        FileContentResult,
        FileInfoResult,
        FileSearchResult,
        LinkResult,
        McpToolResult,
        McpToolsResult,
        MultipleFileContentResult,
        OssResult,
        SessionMetricsResult,
    )
    from agentbay_async.ui_records import (
        AppProcess,
        CursorPosition,
        InstalledApp,
        Screenshot,
        ScreenSize,
        UIElements,
        Window,
    )

__getattr__: Callable[[str], object] = lazy(
    __name__,
    {
        "._clock": "Clock",
        "._retry": "RetryPolicy",
        "._version": "__version__",
        ".budget": "Budget",
        ".bulk": "AsyncBulkCreation AsyncBulkDeletion",
        ".bulk_results": "BulkOutcome BulkResult MapOutcome Progress",
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
            "APIError AgentBayError ArgumentTypeError Attempt AuthenticationError "
            "BadAnswerError BlockingCallError BlockingCallInAsyncContext "
            "BudgetExceededError ClearanceTimeoutError ClosedError CodeError "
            "CommandError ConfigurationError ConnectionFailedError "
            "ConnectionLostError ContextNotFoundError ContextSyncError EngineError FileError "
            "FunctionError GitAuthError GitConflictError GitError GitNotARepoError "
            "GitNotFoundError InvalidArgumentError OperationTimeoutError "
            "PageTokenError PtyError PtyNotConnectedError QuotaExceededError "
            "RequestTimeoutError RolledBackError ServiceError SessionError "
            "SessionNotFoundError SessionStateError SyncFailedError SyncMissingError "
            "SyncTimeoutError ThrottledError ToolError TransferError TransportError "
            "UsageError WorkerLostError"
        ),
        ".listing": "AsyncSessionListing",
        ".context_records": (
            "Context ContextBinding ContextFileEntry ContextFilePage ContextPage "
            "ContextStatusData FileUrl SyncReceipt TransferProgress TransferReceipt"
        ),
        ".records": "Reaping SessionInfo SessionPage SessionStatus",
        ".tool_records": (
            "CommandOutput DirectoryEntry FileChange FileInfo FileTexts McpTool "
            "SessionMetrics ToolContent"
        ),
        ".results": (
            "DeleteResult OperationResult ReapResult Result SessionListResult SessionResult "
            "SessionStatusResult"
        ),
        ".services.command": "AsyncCommand",
        ".services.file_system": "AsyncFileSystem",
        ".session": "AsyncSession",
        ".session_params": "CreateSessionParams LifecyclePolicy ListSessionParams",
        ".syncing": "AsyncSessionContext",
        ".tool_results": (
            "BoolResult CommandResult DirectoryListResult EditResult EnvResult "
            "FileContentResult FileInfoResult FileSearchResult LinkResult McpToolResult "
            "McpToolsResult MultipleFileContentResult OssResult SessionMetricsResult"
        ),
        ".services.pty": "AsyncPty AsyncPtyHandle",
        ".services.process": "AsyncProcess",
        ".terminal_records": "PtySession",
        ".services.code": "AsyncCode",
        ".code_records": "CodeEvent CodeFailure CodeLogs CodeOutcome CodeOutput",
        ".code_results": "CodeResult",
        ".git_records": "GitBranchInfo GitBranches GitFileStatus GitLogEntry GitStatus",
        ".git_results": (
            "GitBranchListResult GitCloneResult GitCommitResult GitInitResult GitLogResult "
            "GitStatusResult"
        ),
        ".services.computer": "AsyncComputer",
        ".services.env": "AsyncEnv",
        ".services.git": "AsyncGit",
        ".services.mobile": "AsyncMobile",
        ".services.oss": "AsyncOss",
        ".ui_records": (
            "AppProcess CursorPosition InstalledApp ScreenSize Screenshot UIElements Window"
        ),
        ".services.watch": "AsyncDirectoryWatch",
        ".agent_records": "AgentTask",
        ".browser_params": "BrowserOption BrowserProxy",
        ".services.agent": "AsyncAgent AsyncBrowserAgent AsyncComputerAgent AsyncMobileAgent",
        ".services.browser": "AsyncBrowser",
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
