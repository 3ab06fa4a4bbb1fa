# The list of exports. The module imports each name on first use; see agentbay_async/_lazy.py.

from agentbay_async._clock import Clock as Clock
from agentbay_async._installation import __version__ as __version__
from agentbay_async._lifecycle.ledger import LedgerEntry as LedgerEntry
from agentbay_async._lifecycle.ledger import read_ledger as read_ledger
from agentbay_async._lifecycle.processes import ProcessState as ProcessState
from agentbay_async._retry import RetryPolicy as RetryPolicy
from agentbay_async._transport.base import HttpRequest as HttpRequest
from agentbay_async._transport.base import HttpResponse as HttpResponse
from agentbay_async._transport.base import Transport as Transport
from agentbay_async._transport.mock import MockTransport as MockTransport
from agentbay_async.bulk import AsyncBulkCreation as AsyncBulkCreation
from agentbay_async.bulk import AsyncBulkDeletion as AsyncBulkDeletion
from agentbay_async.client import AsyncAgentBay as AsyncAgentBay
from agentbay_async.config import Config as Config
from agentbay_async.contexts import AsyncContextService as AsyncContextService
from agentbay_async.errors import AgentBayError as AgentBayError
from agentbay_async.errors import AgentError as AgentError
from agentbay_async.errors import AnswerTooLargeError as AnswerTooLargeError
from agentbay_async.errors import APIError as APIError
from agentbay_async.errors import ArgumentTypeError as ArgumentTypeError
from agentbay_async.errors import Attempt as Attempt
from agentbay_async.errors import AuthenticationError as AuthenticationError
from agentbay_async.errors import BadAnswerError as BadAnswerError
from agentbay_async.errors import BlockingCallError as BlockingCallError
from agentbay_async.errors import BlockingCallInAsyncContext as BlockingCallInAsyncContext
from agentbay_async.errors import BrowserError as BrowserError
from agentbay_async.errors import BudgetExceededError as BudgetExceededError
from agentbay_async.errors import ClearanceTimeoutError as ClearanceTimeoutError
from agentbay_async.errors import ClosedError as ClosedError
from agentbay_async.errors import CodeError as CodeError
from agentbay_async.errors import CommandError as CommandError
from agentbay_async.errors import ConfigurationError as ConfigurationError
from agentbay_async.errors import ConnectionFailedError as ConnectionFailedError
from agentbay_async.errors import ConnectionLostError as ConnectionLostError
from agentbay_async.errors import ContextNotFoundError as ContextNotFoundError
from agentbay_async.errors import ContextSyncError as ContextSyncError
from agentbay_async.errors import EngineError as EngineError
from agentbay_async.errors import FileError as FileError
from agentbay_async.errors import FunctionError as FunctionError
from agentbay_async.errors import GitAuthError as GitAuthError
from agentbay_async.errors import GitConflictError as GitConflictError
from agentbay_async.errors import GitError as GitError
from agentbay_async.errors import GitNotARepoError as GitNotARepoError
from agentbay_async.errors import GitNotFoundError as GitNotFoundError
from agentbay_async.errors import InvalidArgumentError as InvalidArgumentError
from agentbay_async.errors import NotRecordedError as NotRecordedError
from agentbay_async.errors import OperationTimeoutError as OperationTimeoutError
from agentbay_async.errors import OssError as OssError
from agentbay_async.errors import OtherServerError as OtherServerError
from agentbay_async.errors import PageTokenError as PageTokenError
from agentbay_async.errors import PtyError as PtyError
from agentbay_async.errors import PtyNotConnectedError as PtyNotConnectedError
from agentbay_async.errors import PtySessionNotFoundError as PtySessionNotFoundError
from agentbay_async.errors import QuotaExceededError as QuotaExceededError
from agentbay_async.errors import RemoteFileExistsError as RemoteFileExistsError
from agentbay_async.errors import RemoteFileNotFoundError as RemoteFileNotFoundError
from agentbay_async.errors import RemoteIsADirectoryError as RemoteIsADirectoryError
from agentbay_async.errors import RemoteNotADirectoryError as RemoteNotADirectoryError
from agentbay_async.errors import RemotePermissionError as RemotePermissionError
from agentbay_async.errors import RequestTimeoutError as RequestTimeoutError
from agentbay_async.errors import RolledBackError as RolledBackError
from agentbay_async.errors import ServiceError as ServiceError
from agentbay_async.errors import SessionError as SessionError
from agentbay_async.errors import SessionNotFoundError as SessionNotFoundError
from agentbay_async.errors import SessionStateError as SessionStateError
from agentbay_async.errors import SyncFailedError as SyncFailedError
from agentbay_async.errors import SyncMissingError as SyncMissingError
from agentbay_async.errors import SyncTimeoutError as SyncTimeoutError
from agentbay_async.errors import SyncUnknownError as SyncUnknownError
from agentbay_async.errors import ThrottledError as ThrottledError
from agentbay_async.errors import ToolError as ToolError
from agentbay_async.errors import TransferError as TransferError
from agentbay_async.errors import TransportError as TransportError
from agentbay_async.errors import UsageError as UsageError
from agentbay_async.errors import WorkerLostError as WorkerLostError
from agentbay_async.listing import AsyncSessionListing as AsyncSessionListing
from agentbay_async.logger import AgentBayLogger as AgentBayLogger
from agentbay_async.logger import get_logger as get_logger
from agentbay_async.logger import log as log
from agentbay_async.models._later import ClosingIterator as ClosingIterator
from agentbay_async.models.agent import AgentEvent as AgentEvent
from agentbay_async.models.agent import AgentTask as AgentTask
from agentbay_async.models.agent import ExecutionResult as ExecutionResult
from agentbay_async.models.agent import QueryResult as QueryResult
from agentbay_async.models.beta import ContextSkills as ContextSkills
from agentbay_async.models.beta import Network as Network
from agentbay_async.models.beta import NetworkResult as NetworkResult
from agentbay_async.models.beta import NetworkStatusResult as NetworkStatusResult
from agentbay_async.models.beta import SkillInfo as SkillInfo
from agentbay_async.models.beta import SkillsMetadata as SkillsMetadata
from agentbay_async.models.beta import SkillsMetadataResult as SkillsMetadataResult
from agentbay_async.models.browser import BrowserFingerprint as BrowserFingerprint
from agentbay_async.models.browser import BrowserNotifyMessage as BrowserNotifyMessage
from agentbay_async.models.browser import BrowserOption as BrowserOption
from agentbay_async.models.browser import BrowserProxy as BrowserProxy
from agentbay_async.models.browser import BrowserScreen as BrowserScreen
from agentbay_async.models.browser import BrowserViewport as BrowserViewport
from agentbay_async.models.browser_agent import ActOptions as ActOptions
from agentbay_async.models.browser_agent import ActResult as ActResult
from agentbay_async.models.browser_agent import ExtractOptions as ExtractOptions
from agentbay_async.models.browser_agent import ObserveOptions as ObserveOptions
from agentbay_async.models.browser_agent import ObserveResult as ObserveResult
from agentbay_async.models.browser_context import BrowserContext as BrowserContext
from agentbay_async.models.browser_context import (
    BrowserFingerprintContext as BrowserFingerprintContext,
)
from agentbay_async.models.browser_context import BrowserSyncMode as BrowserSyncMode
from agentbay_async.models.browser_context import Extension as Extension
from agentbay_async.models.browser_context import ExtensionOption as ExtensionOption
from agentbay_async.models.budget import Budget as Budget
from agentbay_async.models.bulk import BulkOutcome as BulkOutcome
from agentbay_async.models.bulk import BulkResult as BulkResult
from agentbay_async.models.bulk import MapOutcome as MapOutcome
from agentbay_async.models.bulk import Progress as Progress
from agentbay_async.models.code import CodeEvent as CodeEvent
from agentbay_async.models.code import CodeFailure as CodeFailure
from agentbay_async.models.code import CodeLogs as CodeLogs
from agentbay_async.models.code import CodeOutcome as CodeOutcome
from agentbay_async.models.code import CodeOutput as CodeOutput
from agentbay_async.models.code import CodeResult as CodeResult
from agentbay_async.models.commands import CommandOutput as CommandOutput
from agentbay_async.models.commands import CommandResult as CommandResult
from agentbay_async.models.context_changes import ContextChange as ContextChange
from agentbay_async.models.context_changes import ContextChangesResult as ContextChangesResult
from agentbay_async.models.context_mount import BetaContextMount as BetaContextMount
from agentbay_async.models.context_mount import (
    BetaContextMountAccessMode as BetaContextMountAccessMode,
)
from agentbay_async.models.context_mount import (
    BetaContextMountStrategy as BetaContextMountStrategy,
)
from agentbay_async.models.context_status import ContextStatusData as ContextStatusData
from agentbay_async.models.contexts import ClearContextResult as ClearContextResult
from agentbay_async.models.contexts import Context as Context
from agentbay_async.models.contexts import ContextBinding as ContextBinding
from agentbay_async.models.contexts import ContextBindingsResult as ContextBindingsResult
from agentbay_async.models.contexts import ContextFileEntry as ContextFileEntry
from agentbay_async.models.contexts import ContextFileListResult as ContextFileListResult
from agentbay_async.models.contexts import ContextFilePage as ContextFilePage
from agentbay_async.models.contexts import ContextInfoResult as ContextInfoResult
from agentbay_async.models.contexts import ContextListParams as ContextListParams
from agentbay_async.models.contexts import ContextListResult as ContextListResult
from agentbay_async.models.contexts import ContextPage as ContextPage
from agentbay_async.models.contexts import ContextResult as ContextResult
from agentbay_async.models.contexts import ContextSyncResult as ContextSyncResult
from agentbay_async.models.contexts import FileUrl as FileUrl
from agentbay_async.models.contexts import FileUrlResult as FileUrlResult
from agentbay_async.models.contexts import SyncReceipt as SyncReceipt
from agentbay_async.models.contexts import TransferProgress as TransferProgress
from agentbay_async.models.contexts import TransferReceipt as TransferReceipt
from agentbay_async.models.contexts import TransferResult as TransferResult
from agentbay_async.models.extra_configs import AppManagerRule as AppManagerRule
from agentbay_async.models.extra_configs import ExtraConfigs as ExtraConfigs
from agentbay_async.models.extra_configs import MobileExtraConfig as MobileExtraConfig
from agentbay_async.models.extra_configs import MobileSimulateConfig as MobileSimulateConfig
from agentbay_async.models.extra_configs import MobileSimulateMode as MobileSimulateMode
from agentbay_async.models.files import DirectoryEntry as DirectoryEntry
from agentbay_async.models.files import DirectoryListResult as DirectoryListResult
from agentbay_async.models.files import EditResult as EditResult
from agentbay_async.models.files import FileChange as FileChange
from agentbay_async.models.files import FileChangeResult as FileChangeResult
from agentbay_async.models.files import FileChanges as FileChanges
from agentbay_async.models.files import FileContentResult as FileContentResult
from agentbay_async.models.files import FileInfo as FileInfo
from agentbay_async.models.files import FileInfoResult as FileInfoResult
from agentbay_async.models.files import FileSearchResult as FileSearchResult
from agentbay_async.models.files import FileTexts as FileTexts
from agentbay_async.models.files import MultipleFileContentResult as MultipleFileContentResult
from agentbay_async.models.fingerprint import Brand as Brand
from agentbay_async.models.fingerprint import ExtraProperties as ExtraProperties
from agentbay_async.models.fingerprint import Fingerprint as Fingerprint
from agentbay_async.models.fingerprint import FingerprintFormat as FingerprintFormat
from agentbay_async.models.fingerprint import NavigatorFingerprint as NavigatorFingerprint
from agentbay_async.models.fingerprint import ScreenFingerprint as ScreenFingerprint
from agentbay_async.models.fingerprint import UserAgentData as UserAgentData
from agentbay_async.models.fingerprint import VideoCard as VideoCard
from agentbay_async.models.git import GitBranches as GitBranches
from agentbay_async.models.git import GitBranchInfo as GitBranchInfo
from agentbay_async.models.git import GitBranchListResult as GitBranchListResult
from agentbay_async.models.git import GitCloneResult as GitCloneResult
from agentbay_async.models.git import GitCommitResult as GitCommitResult
from agentbay_async.models.git import GitFileStatus as GitFileStatus
from agentbay_async.models.git import GitInitResult as GitInitResult
from agentbay_async.models.git import GitLogEntry as GitLogEntry
from agentbay_async.models.git import GitLogResult as GitLogResult
from agentbay_async.models.git import GitStatus as GitStatus
from agentbay_async.models.git import GitStatusResult as GitStatusResult
from agentbay_async.models.input import MouseButton as MouseButton
from agentbay_async.models.input import ScreenshotMode as ScreenshotMode
from agentbay_async.models.input import ScrollDirection as ScrollDirection
from agentbay_async.models.key_code import KeyCode as KeyCode
from agentbay_async.models.local import Limits as Limits
from agentbay_async.models.local import LocalOptions as LocalOptions
from agentbay_async.models.mobile_simulate import (
    MobileSimulateUploadResult as MobileSimulateUploadResult,
)
from agentbay_async.models.pty import PtySession as PtySession
from agentbay_async.models.results import DeleteResult as DeleteResult
from agentbay_async.models.results import OperationResult as OperationResult
from agentbay_async.models.results import ReapResult as ReapResult
from agentbay_async.models.results import Result as Result
from agentbay_async.models.results import SessionListResult as SessionListResult
from agentbay_async.models.results import SessionResult as SessionResult
from agentbay_async.models.results import SessionStatusResult as SessionStatusResult
from agentbay_async.models.sessions import CreateSessionParams as CreateSessionParams
from agentbay_async.models.sessions import GetSessionData as GetSessionData
from agentbay_async.models.sessions import LifecyclePolicy as LifecyclePolicy
from agentbay_async.models.sessions import ListSessionParams as ListSessionParams
from agentbay_async.models.sessions import Reaping as Reaping
from agentbay_async.models.sessions import SessionId as SessionId
from agentbay_async.models.sessions import SessionInfo as SessionInfo
from agentbay_async.models.sessions import SessionPage as SessionPage
from agentbay_async.models.sessions import SessionStatus as SessionStatus
from agentbay_async.models.sync_policy import BWList as BWList
from agentbay_async.models.sync_policy import ContextSync as ContextSync
from agentbay_async.models.sync_policy import DeletePolicy as DeletePolicy
from agentbay_async.models.sync_policy import DownloadPolicy as DownloadPolicy
from agentbay_async.models.sync_policy import DownloadStrategy as DownloadStrategy
from agentbay_async.models.sync_policy import ExtractPolicy as ExtractPolicy
from agentbay_async.models.sync_policy import Lifecycle as Lifecycle
from agentbay_async.models.sync_policy import MappingPolicy as MappingPolicy
from agentbay_async.models.sync_policy import RecyclePolicy as RecyclePolicy
from agentbay_async.models.sync_policy import SyncPolicy as SyncPolicy
from agentbay_async.models.sync_policy import UploadMode as UploadMode
from agentbay_async.models.sync_policy import UploadPolicy as UploadPolicy
from agentbay_async.models.sync_policy import UploadStrategy as UploadStrategy
from agentbay_async.models.sync_policy import WhiteList as WhiteList
from agentbay_async.models.tools import BoolResult as BoolResult
from agentbay_async.models.tools import EnvResult as EnvResult
from agentbay_async.models.tools import LinkResult as LinkResult
from agentbay_async.models.tools import McpTool as McpTool
from agentbay_async.models.tools import McpToolResult as McpToolResult
from agentbay_async.models.tools import McpToolsResult as McpToolsResult
from agentbay_async.models.tools import OssResult as OssResult
from agentbay_async.models.tools import SessionMetrics as SessionMetrics
from agentbay_async.models.tools import SessionMetricsResult as SessionMetricsResult
from agentbay_async.models.tools import ToolContent as ToolContent
from agentbay_async.models.ui import AppProcess as AppProcess
from agentbay_async.models.ui import CursorPosition as CursorPosition
from agentbay_async.models.ui import InstalledApp as InstalledApp
from agentbay_async.models.ui import Screenshot as Screenshot
from agentbay_async.models.ui import ScreenshotResult as ScreenshotResult
from agentbay_async.models.ui import ScreenSize as ScreenSize
from agentbay_async.models.ui import UIElementListResult as UIElementListResult
from agentbay_async.models.ui import UIElements as UIElements
from agentbay_async.models.ui import Window as Window
from agentbay_async.models.ui import WindowInfoResult as WindowInfoResult
from agentbay_async.models.ui import WindowListResult as WindowListResult
from agentbay_async.services.agent import AsyncAgent as AsyncAgent
from agentbay_async.services.agent import AsyncBrowserAgent as AsyncBrowserAgent
from agentbay_async.services.agent import AsyncComputerAgent as AsyncComputerAgent
from agentbay_async.services.agent import AsyncMobileAgent as AsyncMobileAgent
from agentbay_async.services.agent import AsyncTaskExecution as AsyncTaskExecution
from agentbay_async.services.beta import AsyncBeta as AsyncBeta
from agentbay_async.services.beta_network import AsyncBetaNetwork as AsyncBetaNetwork
from agentbay_async.services.beta_skills import AsyncBetaSkills as AsyncBetaSkills
from agentbay_async.services.browser import AsyncBrowser as AsyncBrowser
from agentbay_async.services.browser_operator import AsyncBrowserOperator as AsyncBrowserOperator
from agentbay_async.services.code import AsyncCode as AsyncCode
from agentbay_async.services.command import AsyncCommand as AsyncCommand
from agentbay_async.services.computer import AsyncComputer as AsyncComputer
from agentbay_async.services.env import AsyncEnv as AsyncEnv
from agentbay_async.services.extensions import AsyncExtensionsService as AsyncExtensionsService
from agentbay_async.services.file_system import AsyncFileSystem as AsyncFileSystem
from agentbay_async.services.fingerprint import (
    AsyncBrowserFingerprintGenerator as AsyncBrowserFingerprintGenerator,
)
from agentbay_async.services.git import AsyncGit as AsyncGit
from agentbay_async.services.mobile import AsyncMobile as AsyncMobile
from agentbay_async.services.mobile_simulate import (
    AsyncMobileSimulateService as AsyncMobileSimulateService,
)
from agentbay_async.services.oss import AsyncOss as AsyncOss
from agentbay_async.services.process import AsyncProcess as AsyncProcess
from agentbay_async.services.pty import AsyncPty as AsyncPty
from agentbay_async.services.pty import AsyncPtyHandle as AsyncPtyHandle
from agentbay_async.services.watch import AsyncDirectoryWatch as AsyncDirectoryWatch
from agentbay_async.session import AsyncSession as AsyncSession
from agentbay_async.session_context import AsyncSessionContext as AsyncSessionContext

AdbUrlResult = LinkResult
ApiResponse = Result
AppOperationResult = BoolResult
AsyncContextManager = AsyncSessionContext
AsyncFileTransfer = AsyncFileSystem
BaseResult = Result
BinaryFileContentResult = FileContentResult
CodeExecutionResult = CodeOutput
ContextBindResult = ContextSyncResult
DownloadResult = TransferResult
EnhancedCodeExecutionResult = CodeResult
ExecutionError = CodeFailure
ExecutionLogs = CodeLogs
FileChangeEvent = FileChange
GetSessionResult = OperationResult
InstalledAppListResult = OperationResult
OSSClientResult = OssResult
OSSDownloadResult = OssResult
OSSUploadResult = OssResult
ProcessListResult = OperationResult
SessionPauseResult = SessionStatusResult
SessionResumeResult = SessionStatusResult
UploadResult = TransferResult
