# The list of exports. The module imports each name on first use; see agentbay_async/_lazy.py.

from agentbay_async._protocol.schema.base import Request as Request
from agentbay_async._protocol.schema.beta import BindContextSkillAsync as BindContextSkillAsync
from agentbay_async._protocol.schema.beta import ContextSkills as ContextSkills
from agentbay_async._protocol.schema.beta import CreateNetwork as CreateNetwork
from agentbay_async._protocol.schema.beta import DescribeNetwork as DescribeNetwork
from agentbay_async._protocol.schema.beta import GetSkillMetaData as GetSkillMetaData
from agentbay_async._protocol.schema.beta import ListSkillMetaData as ListSkillMetaData
from agentbay_async._protocol.schema.beta import Network as Network
from agentbay_async._protocol.schema.beta import NetworkState as NetworkState
from agentbay_async._protocol.schema.beta import SkillList as SkillList
from agentbay_async._protocol.schema.beta import SkillRecord as SkillRecord
from agentbay_async._protocol.schema.beta import UnbindContextSkillAsync as UnbindContextSkillAsync
from agentbay_async._protocol.schema.contexts import ClearContext as ClearContext
from agentbay_async._protocol.schema.contexts import ContextRecord as ContextRecord
from agentbay_async._protocol.schema.contexts import DeleteContext as DeleteContext
from agentbay_async._protocol.schema.contexts import GetContext as GetContext
from agentbay_async._protocol.schema.contexts import ListContexts as ListContexts
from agentbay_async._protocol.schema.contexts import ModifyContext as ModifyContext
from agentbay_async._protocol.schema.files import ContextFileRecord as ContextFileRecord
from agentbay_async._protocol.schema.files import DeleteContextFile as DeleteContextFile
from agentbay_async._protocol.schema.files import DescribeContextFiles as DescribeContextFiles
from agentbay_async._protocol.schema.files import FileUrl as FileUrl
from agentbay_async._protocol.schema.files import (
    GetContextFileDownloadUrl as GetContextFileDownloadUrl,
)
from agentbay_async._protocol.schema.files import GetContextFileUploadUrl as GetContextFileUploadUrl
from agentbay_async._protocol.schema.labels import GetLabel as GetLabel
from agentbay_async._protocol.schema.labels import LabelSet as LabelSet
from agentbay_async._protocol.schema.labels import SetLabel as SetLabel
from agentbay_async._protocol.schema.links import BrowserPort as BrowserPort
from agentbay_async._protocol.schema.links import GetAdbLink as GetAdbLink
from agentbay_async._protocol.schema.links import (
    GetAndLoadInternalContext as GetAndLoadInternalContext,
)
from agentbay_async._protocol.schema.links import GetCdpLink as GetCdpLink
from agentbay_async._protocol.schema.links import GetLink as GetLink
from agentbay_async._protocol.schema.links import InitBrowser as InitBrowser
from agentbay_async._protocol.schema.links import InternalContext as InternalContext
from agentbay_async._protocol.schema.links import Link as Link
from agentbay_async._protocol.schema.sessions import CreatedSession as CreatedSession
from agentbay_async._protocol.schema.sessions import CreateMcpSession as CreateMcpSession
from agentbay_async._protocol.schema.sessions import DeleteSessionAsync as DeleteSessionAsync
from agentbay_async._protocol.schema.sessions import DesktopInfo as DesktopInfo
from agentbay_async._protocol.schema.sessions import GetMcpResource as GetMcpResource
from agentbay_async._protocol.schema.sessions import GetSession as GetSession
from agentbay_async._protocol.schema.sessions import GetSessionDetail as GetSessionDetail
from agentbay_async._protocol.schema.sessions import ListedSession as ListedSession
from agentbay_async._protocol.schema.sessions import ListSession as ListSession
from agentbay_async._protocol.schema.sessions import McpResource as McpResource
from agentbay_async._protocol.schema.sessions import PauseSessionAsync as PauseSessionAsync
from agentbay_async._protocol.schema.sessions import (
    RefreshSessionIdleTime as RefreshSessionIdleTime,
)
from agentbay_async._protocol.schema.sessions import ReleaseMcpSession as ReleaseMcpSession
from agentbay_async._protocol.schema.sessions import ResumeSessionAsync as ResumeSessionAsync
from agentbay_async._protocol.schema.sessions import SessionContext as SessionContext
from agentbay_async._protocol.schema.sessions import SessionDetail as SessionDetail
from agentbay_async._protocol.schema.sessions import SessionRecord as SessionRecord
from agentbay_async._protocol.schema.sync import BindContexts as BindContexts
from agentbay_async._protocol.schema.sync import BindingRecord as BindingRecord
from agentbay_async._protocol.schema.sync import ContextInfo as ContextInfo
from agentbay_async._protocol.schema.sync import ContextTask as ContextTask
from agentbay_async._protocol.schema.sync import DescribeSessionContexts as DescribeSessionContexts
from agentbay_async._protocol.schema.sync import GetContextInfo as GetContextInfo
from agentbay_async._protocol.schema.sync import MountConfig as MountConfig
from agentbay_async._protocol.schema.sync import Persistence as Persistence
from agentbay_async._protocol.schema.sync import SyncContext as SyncContext
from agentbay_async._protocol.schema.tools import BytesAnswer as BytesAnswer
from agentbay_async._protocol.schema.tools import CallMcpTool as CallMcpTool
from agentbay_async._protocol.schema.tools import ContentItem as ContentItem
from agentbay_async._protocol.schema.tools import ListMcpTools as ListMcpTools
from agentbay_async._protocol.schema.tools import Tool as Tool
from agentbay_async._protocol.schema.tools import ToolAnswer as ToolAnswer
