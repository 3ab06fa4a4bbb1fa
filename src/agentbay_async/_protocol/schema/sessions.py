"""Actions on sessions: create, look up, list, pause, resume, release."""

from __future__ import annotations

from typing import ClassVar

import attrs

from agentbay_async._protocol.schema.base import (
    Request,
    as_json,
    named,
    numbered,
    recurring,
    secret,
)
from agentbay_async._protocol.schema.sync import Persistence


@attrs.define
class CreatedSession:
    """``Data`` of CreateMcpSession. ``success`` false means failure, whatever the envelope says."""

    session_id: str | None = None
    success: bool | None = None
    err_msg: str | None = None
    resource_url: str | None = secret()
    resource_id: str | None = None
    app_instance_id: str | None = None
    # Not parsed here: it is long, and the same for every session of an image.
    tool_list: str | None = None
    link_url: str | None = secret()
    ws_url: str | None = secret(also="wsUrl")
    token: str | None = secret()
    vpc_ip: str | None = None
    vpc_id: str | None = None


@attrs.define
class CreateMcpSession(Request[CreatedSession]):
    """Create a session.

    The unit of ``timeout`` on the wire is minutes if ``max_runtime`` is set, seconds otherwise. No
    client offers ``external_user_id``, ``session_id`` and ``vpc_resource`` to its users.
    """

    ACTION: ClassVar[str] = "CreateMcpSession"
    DATA: ClassVar[type] = CreatedSession

    sdk_stats: str | None = recurring()
    login_region_id: str | None = recurring()
    image_id: str | None = recurring()
    labels: dict[str, str] | None = as_json()
    persistence_data_list: list[Persistence] | None = as_json()
    timeout: int | None = None
    max_runtime: int | None = None
    manual_release: bool | None = None
    mcp_policy_id: str | None = None
    context_id: str | None = None
    network_id: str | None = None
    enable_record: bool | None = None
    load_skill: bool | None = None
    skills: list[str] | None = as_json()
    external_user_id: str | None = None
    session_id: str | None = None
    vpc_resource: bool | None = None
    # The gateway's form of nested objects: dots between the names, and numbers in lists.
    lock_resolution: bool | None = named("ExtraConfigs.Mobile.LockResolution")
    hide_navigation_bar: bool | None = named("ExtraConfigs.Mobile.HideNavigationBar")
    uninstall_blacklist: list[str] | None = numbered("ExtraConfigs.Mobile.UninstallBlacklist")
    app_rule_type: str | None = named("ExtraConfigs.Mobile.AppManagerRule.RuleType")
    app_package_names: list[str] | None = numbered(
        "ExtraConfigs.Mobile.AppManagerRule.AppPackageNameList"
    )


@attrs.define
class SessionContext:
    """A context of a session, in the answer to GetSession."""

    id: str | None = named("id")
    name: str | None = named("name")


@attrs.define
class SessionRecord:
    """``Data`` of GetSession."""

    session_id: str | None = None
    status: str | None = None
    app_instance_id: str | None = None
    resource_id: str | None = None
    resource_url: str | None = secret()
    token: str | None = secret()
    link_url: str | None = secret()
    ws_url: str | None = secret(also="wsUrl")
    tool_list: str | None = None
    http_port: str | None = None
    network_interface_ip: str | None = None
    vpc_resource: bool | None = None
    vpc_ip: str | None = None
    vpc_id: str | None = None
    contexts: list[SessionContext] | None = named("contexts")


@attrs.define
class GetSession(Request[SessionRecord]):
    """Look up a session, with its access data."""

    ACTION: ClassVar[str] = "GetSession"
    DATA: ClassVar[type] = SessionRecord
    REPEATABLE: ClassVar[bool] = True

    session_id: str | None = None


@attrs.define
class SessionDetail:
    """``Data`` of GetSessionDetail: the fields that the client uses."""

    status: str | None = None
    image_id: str | None = None
    end_reason: str | None = None
    region_id: str | None = None


@attrs.define
class GetSessionDetail(Request[SessionDetail]):
    """Get the state of a session. Its ``session_id`` is sent in the query."""

    ACTION: ClassVar[str] = "GetSessionDetail"
    DATA: ClassVar[type] = SessionDetail
    REPEATABLE: ClassVar[bool] = True
    IN_QUERY: ClassVar[frozenset[str]] = frozenset({"session_id"})

    session_id: str | None = None


@attrs.define
class ListedSession:
    """One entry of ListSession."""

    session_id: str | None = None
    session_status: str | None = None
    app_instance_id: str | None = None
    image_id: str | None = None


@attrs.define
class ListSession(Request[list[ListedSession]]):
    """List the sessions that have all of the labels."""

    ACTION: ClassVar[str] = "ListSession"
    DATA: ClassVar[object] = list[ListedSession]
    REPEATABLE: ClassVar[bool] = True

    labels: dict[str, str] | None = as_json()
    max_results: int | None = None
    next_token: str | None = None
    status: str | None = None
    image_id: str | None = None


@attrs.define
class DesktopInfo:
    """Access data for the desktop of a session, for a person."""

    app_id: str | None = None
    auth_code: str | None = secret()
    connection_properties: str | None = None
    resource_id: str | None = None
    resource_type: str | None = None
    ticket: str | None = secret()


@attrs.define
class McpResource:
    """``Data`` of GetMcpResource."""

    session_id: str | None = None
    resource_url: str | None = secret()
    desktop_info: DesktopInfo | None = None


@attrs.define
class GetMcpResource(Request[McpResource]):
    """Get the access data of a session for a person."""

    ACTION: ClassVar[str] = "GetMcpResource"
    DATA: ClassVar[type] = McpResource
    REPEATABLE: ClassVar[bool] = True

    session_id: str | None = None


@attrs.define
class DeleteSessionAsync(Request[None]):
    """Start to release a session. A second release has no effect."""

    ACTION: ClassVar[str] = "DeleteSessionAsync"
    REPEATABLE: ClassVar[bool] = True

    session_id: str | None = None


@attrs.define
class ReleaseMcpSession(Request[None]):
    """Release a session; sent by clients before version 0.13."""

    ACTION: ClassVar[str] = "ReleaseMcpSession"
    REPEATABLE: ClassVar[bool] = True

    session_id: str | None = None


@attrs.define
class PauseSessionAsync(Request[None]):
    """Start to pause a session."""

    ACTION: ClassVar[str] = "PauseSessionAsync"

    session_id: str | None = None


@attrs.define
class ResumeSessionAsync(Request[None]):
    """Start to resume a paused session."""

    ACTION: ClassVar[str] = "ResumeSessionAsync"

    session_id: str | None = None


@attrs.define
class RefreshSessionIdleTime(Request[None]):
    """Restart the idle time of a session."""

    ACTION: ClassVar[str] = "RefreshSessionIdleTime"
    REPEATABLE: ClassVar[bool] = True

    session_id: str | None = None
