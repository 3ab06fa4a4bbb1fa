"""The table of actions and their handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from agentbay_async._protocol import schema
from agentbay_local.actions import (
    beta,
    browser,
    contexts,
    files,
    labels,
    links,
    sessions,
    sync,
    tools,
    transfers,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_local.protocol.answers import Answer
    from agentbay_local.state import ServiceState

__all__ = ["ROUTES", "Route"]

R = TypeVar("R", bound=schema.Request[Any])


@attrs.frozen
class Route:
    """The type of a request, and its handler."""

    kind: type[schema.Request[Any]]
    handle: Callable[[ServiceState, Any], Awaitable[Answer]]


def _route(
    kind: type[R], handle: Callable[[ServiceState, R], Awaitable[Answer]]
) -> tuple[str, Route]:
    return kind.ACTION, Route(kind, handle)


ROUTES: dict[str, Route] = dict(
    [
        _route(schema.CreateMcpSession, sessions.create),
        _route(schema.GetSession, sessions.get),
        _route(schema.GetSessionDetail, sessions.detail),
        _route(schema.GetMcpResource, sessions.resource),
        _route(schema.ListSession, sessions.list_page),
        _route(schema.DeleteSessionAsync, sessions.delete),
        _route(schema.ReleaseMcpSession, sessions.release),
        _route(schema.PauseSessionAsync, sessions.pause),
        _route(schema.ResumeSessionAsync, sessions.resume),
        _route(schema.RefreshSessionIdleTime, sessions.refresh),
        _route(schema.SetLabel, labels.replace),
        _route(schema.GetLabel, labels.get),
        _route(schema.GetContext, contexts.get),
        _route(schema.ListContexts, contexts.list_page),
        _route(schema.ModifyContext, contexts.rename),
        _route(schema.DeleteContext, contexts.delete),
        _route(schema.ClearContext, contexts.clear),
        _route(schema.DescribeContextFiles, files.list_folder),
        _route(schema.DeleteContextFile, files.delete),
        _route(schema.GetContextFileUploadUrl, files.upload_url),
        _route(schema.GetContextFileDownloadUrl, files.download_url),
        _route(schema.SyncContext, sync.start),
        _route(schema.GetContextInfo, sync.info),
        _route(schema.BindContexts, sync.bind),
        _route(schema.DescribeSessionContexts, sync.bindings),
        _route(schema.GetAndLoadInternalContext, transfers.load),
        _route(schema.GetLink, links.get),
        _route(schema.InitBrowser, browser.start),
        _route(schema.GetCdpLink, browser.link),
        _route(schema.GetAdbLink, links.no_phone),
        _route(schema.CallMcpTool, tools.call),
        _route(schema.ListMcpTools, tools.list_tools),
        _route(schema.CreateNetwork, beta.no_network),
        _route(schema.DescribeNetwork, beta.no_network),
        _route(schema.GetSkillMetaData, beta.no_skills),
        _route(schema.ListSkillMetaData, beta.no_skills),
        _route(schema.BindContextSkillAsync, beta.no_skills),
        _route(schema.UnbindContextSkillAsync, beta.no_skills),
    ]
)
