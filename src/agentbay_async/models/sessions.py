"""Values and parameters of sessions."""

from __future__ import annotations

import warnings
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

from agentbay_async import _check
from agentbay_async.errors import ArgumentTypeError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentbay_async.models.browser_context import BrowserContext
    from agentbay_async.models.context_mount import BetaContextMount
    from agentbay_async.models.extra_configs import ExtraConfigs
    from agentbay_async.models.sync_policy import ContextSync


S = TypeVar("S")


class SessionStatus(str, Enum):
    """The states of a session. ``FINISH`` is the state of a released session."""

    RUNNING = "RUNNING"
    PAUSING = "PAUSING"
    PAUSED = "PAUSED"
    RESUMING = "RESUMING"
    DELETING = "DELETING"
    DELETED = "DELETED"
    FINISH = "FINISH"


#: The states of a session that is ending or has ended.
ENDING = frozenset({SessionStatus.DELETING, SessionStatus.DELETED, SessionStatus.FINISH})


class SessionId(str):
    """The id of a listed session, which also answers to the keys of the official client.

    Attributes:
        status: The state of the session when it was listed, or ``"UNKNOWN"``.

    Example:
        >>> listed = SessionId("s-1", "RUNNING")
        >>> listed, listed["sessionId"], listed["sessionStatus"]
        ('s-1', 's-1', 'RUNNING')
    """

    __slots__ = ("status",)

    status: str

    def __new__(cls, value: str, status: str = "") -> SessionId:
        """Make an id."""
        made = super().__new__(cls, value)
        made.status = status or "UNKNOWN"
        return made

    def __reduce__(self) -> tuple[type[SessionId], tuple[str, str]]:
        return SessionId, (str(self), self.status)

    # Any, because the base class tells another type of the key.
    def __getitem__(self, key: Any) -> str:
        if not isinstance(key, str):
            return str(super().__getitem__(key))
        return {"sessionId": str(self), "sessionStatus": self.status}[key]

    def get(self, key: str, default: str | None = None) -> str | None:
        """Return what a key of the official client stands for, or `default`."""
        try:
            return self[key]
        except KeyError:
            return default


@attrs.frozen
class SessionPage(Generic[S]):
    """One page of a listing of sessions.

    Attributes:
        sessions: The sessions on this page.
        next_token: The token of the next page; ``""`` on the last.
        max_results: The size of a page.
        total_count: The number of all matching sessions, or ``None`` if unknown.
    """

    sessions: list[S] = attrs.field(factory=list)
    next_token: str = ""
    max_results: int | None = None
    total_count: int | None = None


@attrs.frozen
class Reaping:
    """The outcome of reaping the sessions of one owner.

    Attributes:
        deleted: Ids of the sessions that had outlived their process, and were deleted.
        kept: Ids of the sessions whose process lives, or is not known to be dead.
        failed: Error texts of the sessions that could not be deleted, by id.
    """

    deleted: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    failed: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen
class SessionInfo:
    """Access data of a session's desktop. ``auth_code`` and ``ticket`` are secrets."""

    session_id: str = ""
    resource_url: str = attrs.field(default="", repr=False)
    app_id: str = ""
    auth_code: str = attrs.field(default="", repr=False)
    connection_properties: str = ""
    resource_id: str = ""
    resource_type: str = ""
    ticket: str = attrs.field(default="", repr=False)


def _copy_contexts(value: Sequence[Mapping[str, str]] | None) -> list[dict[str, str]]:
    return [dict(one) for one in value or ()]


@attrs.frozen
class GetSessionData:
    """What the service says of a session. ``token`` and the URLs are secrets.

    Attributes:
        contexts: The ``"id"`` and the ``"name"`` of each context.
        tool_list: The tools of its image, as JSON text, if the service sends them.
        vpc_ip: Its address in a private network, as other fields of that network.
    """

    app_instance_id: str = ""
    resource_id: str = ""
    session_id: str = ""
    success: bool = False
    http_port: str = ""
    network_interface_ip: str = ""
    token: str = attrs.field(default="", repr=False)
    link_url: str = attrs.field(default="", repr=False)
    ws_url: str = attrs.field(default="", repr=False)
    vpc_resource: bool = False
    vpc_ip: str = ""
    vpc_id: str = ""
    resource_url: str = attrs.field(default="", repr=False)
    status: str = ""
    tool_list: str = attrs.field(default="", repr=False)
    contexts: list[dict[str, str]] = attrs.field(default=None, converter=_copy_contexts)


def _copy_labels(value: Mapping[str, str] | None) -> dict[str, str]:
    return {} if value is None else _check.labels(value)


def _copy_envs(value: Mapping[str, str] | None) -> dict[str, str]:
    return {} if value is None else _check.variables(value)


def _names(variables: Mapping[str, str]) -> str:
    return repr(dict.fromkeys(variables, "***"))


def _copy_syncs(value: Sequence[ContextSync] | None) -> list[ContextSync]:
    if value is None:
        return []
    # Imported here, because making its attrs classes takes time, and many programs use no contexts.
    from agentbay_async.models.sync_policy import ContextSync

    return _check.sequence(value, "context_syncs", ContextSync)


def _copy_mounts(value: Sequence[BetaContextMount] | None) -> list[BetaContextMount]:
    if value is None:
        return []
    from agentbay_async.models.context_mount import BetaContextMount

    return _check.sequence(value, "beta_context_mounts", BetaContextMount)


def _copy_names(value: Sequence[str] | None) -> list[str] | None:
    if value is None:
        return None
    return [
        _check.text(name, "each of skill_names")
        for name in _check.sequence(value, "skill_names", str)
    ]


def _text_or_none(value: str | None) -> str:
    return "" if value is None else value


def _configs(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is None:
        return
    from agentbay_async.models.extra_configs import ExtraConfigs

    if not isinstance(value, ExtraConfigs):
        raise ArgumentTypeError(f"{field.name} must be ExtraConfigs, not {type(value).__name__}")


def _browser(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is None:
        return
    from agentbay_async.models.browser_context import BrowserContext

    if not isinstance(value, BrowserContext):
        raise ArgumentTypeError(
            f"{field.name} must be a BrowserContext, not {type(value).__name__}"
        )


def _optional_flag(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        _check.boolean(value, field.name)


def _optional_id(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        _check.identifier(value, field.name)


def _optional_key(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        # It is kept in a label.
        _check.identifier(value, field.name, _check.MAX_LABEL_VALUE)


def _policy(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not isinstance(value, LifecyclePolicy):
        raise ArgumentTypeError(
            f"{field.name} must be a LifecyclePolicy, not {type(value).__name__}"
        )


def _string(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    _check.string(value, field.name)


def _boolean(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    _check.boolean(value, field.name)


def _optional_count(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        _check.positive_int(value, field.name)


@attrs.define
class LifecyclePolicy:
    """The lifetime of a session.

    Attributes:
        idle_release_timeout: Minutes without use after which the session is released. Default 5.
        max_runtime: Minutes after which it is released in any case. Default 30.
        manual_release: Keep the session until it is deleted; the other two must then be unset.

    Example:
        >>> LifecyclePolicy(idle_release_timeout=10).max_runtime
        30
    """

    idle_release_timeout: int | None = attrs.field(default=None, validator=_optional_count)
    max_runtime: int | None = attrs.field(default=None, validator=_optional_count)
    manual_release: bool = False

    def __attrs_post_init__(self) -> None:
        _check.boolean(self.manual_release, "manual_release")
        if not self.manual_release:
            self.idle_release_timeout = self.idle_release_timeout or 5
            self.max_runtime = self.max_runtime or 30
        elif self.idle_release_timeout is not None or self.max_runtime is not None:
            raise InvalidArgumentError(
                "manual_release=True cannot be combined with idle_release_timeout or max_runtime"
            )


#: A lifetime for ``Config(default_lifetime=...)``: 30 minutes without use, 12 hours in any case.
#: With it, a program that is killed never leaves a session for good.
DEFAULT_LIFETIME = LifecyclePolicy(idle_release_timeout=30, max_runtime=720)


@attrs.define
class CreateSessionParams:
    """The parameters of a new session.

    Attributes:
        labels: Labels to find it by; non-blank strings, keys of at most 128 characters and values
            of at most 256. A session has room for 20, of which the library needs 3, or 4 with an
            `idempotency_key`.
        image_id: The image, such as ``"linux_latest"``; ``None`` takes the service's default.
        idle_release_timeout: Deprecated: idle time in **seconds**; use `lifecycle_policy`.
        lifecycle_policy: The lifetime. Default: that of the client's settings
            (``Config.default_lifetime``), or else that of the service.
        context_syncs: The contexts to mount.
        policy_id: The id of a policy of the account to apply.
        framework: The name of the calling agent framework, for the service's statistics.
        context_id: Deprecated: one context by id, mounted at ``/mnt/data``; use `context_syncs`.
        beta_context_mounts: Contexts to mount directly; a trial feature of some images.
        beta_network_id: The network to join, from ``bay.beta_network``; a trial feature.
        browser_context: The context that keeps what the browser leaves, for the next session.
        enable_browser_replay: Whether the service records the browser; ``None`` leaves it to the
            service.
        extra_configs: Settings of phones.
        load_skills: Put the account's skills into the session; a trial feature.
        skill_names: With `load_skills`, only the skills with these names.
        idempotency_key: An id of your choice for this session, such as the id of a job. If a
            session that was created with the same key still lives, it is returned instead of a
            second one, so that a failed program can be run again. It costs one more request. Do not
            use one key from two programs at the same time: of several sessions of a key, one is
            kept.
        envs: Environment variables of everything that runs in the session, such as
            ``{"STAGE": "test"}``; they are there before the first command. It costs one more
            request. They may be secrets: neither ``repr`` nor a log shows the values.
        keep_on_failure: Keep the session if the files of its contexts do not arrive. The result is
            still a failed one; its ``session_id`` names the session.

    Raises:
        ArgumentTypeError: A value has the wrong type.
        InvalidArgumentError: A value is invalid, or two values exclude each other.

    Example:
        >>> params = CreateSessionParams(labels={"project": "demo"}, image_id="linux_latest")
        >>> params.labels["project"]
        'demo'
    """

    labels: dict[str, str] = attrs.field(default=None, converter=_copy_labels)
    image_id: str | None = attrs.field(default=None, validator=_optional_id)
    idle_release_timeout: int | None = attrs.field(default=None, validator=_optional_count)
    lifecycle_policy: LifecyclePolicy | None = attrs.field(default=None, validator=_policy)
    context_syncs: list[ContextSync] = attrs.field(default=None, converter=_copy_syncs)
    beta_context_mounts: list[BetaContextMount] = attrs.field(default=None, converter=_copy_mounts)
    browser_context: BrowserContext | None = attrs.field(default=None, validator=_browser)
    policy_id: str | None = attrs.field(default=None, validator=_optional_id)
    beta_network_id: str | None = attrs.field(default=None, validator=_optional_id)
    enable_browser_replay: bool | None = attrs.field(default=None, validator=_optional_flag)
    extra_configs: ExtraConfigs | None = attrs.field(default=None, validator=_configs)
    framework: str = attrs.field(default="", converter=_text_or_none, validator=_string)
    load_skills: bool | None = attrs.field(default=None, validator=_optional_flag)
    skill_names: list[str] | None = attrs.field(default=None, converter=_copy_names)
    context_id: str | None = attrs.field(default=None, validator=_optional_id)
    idempotency_key: str | None = attrs.field(default=None, validator=_optional_key)
    keep_on_failure: bool = attrs.field(default=False, validator=_boolean)
    envs: dict[str, str] = attrs.field(default=None, converter=_copy_envs, repr=_names)

    def __attrs_post_init__(self) -> None:
        if self.idle_release_timeout is not None and self.lifecycle_policy is not None:
            raise InvalidArgumentError(
                "idle_release_timeout and lifecycle_policy exclude each other; "
                "keep lifecycle_policy"
            )
        paths = [sync.path.rstrip("/") for sync in self.all_syncs()]
        paths += [mount.path.rstrip("/") for mount in self.beta_context_mounts]
        for path in paths:
            if paths.count(path) > 1:
                raise InvalidArgumentError(f"context_syncs has two contexts at the path {path!r}")
        if self.skill_names and not self.load_skills:
            raise InvalidArgumentError("skill_names needs load_skills=True")
        if self.context_id is not None:
            warnings.warn(
                "context_id is deprecated: pass context_syncs=[ContextSync.new(context_id, path)]",
                DeprecationWarning,
                stacklevel=3,
            )

    def all_syncs(self) -> list[ContextSync]:
        """Return :attr:`context_syncs`, of the phone and of the browser; its data is the last."""
        browser, phone = self.browser_context, self._simulated_phone()
        return [
            *self.context_syncs,
            *([] if phone is None else [phone]),
            *([] if browser is None else [*browser.parts(), browser.data()]),
        ]

    def _simulated_phone(self) -> ContextSync | None:
        mobile = None if self.extra_configs is None else self.extra_configs.mobile
        simulation = None if mobile is None else mobile.simulate_config
        if simulation is None or not simulation.simulated_context_id:
            return None
        from agentbay_async.models.extra_configs import MOBILE_INFO_PATH
        from agentbay_async.models.sync_policy import ContextSync

        return ContextSync(simulation.simulated_context_id, MOBILE_INFO_PATH)


@attrs.define
class ListSessionParams:
    """The page of sessions to list.

    Attributes:
        max_results: Sessions on a page. Default 10.
        next_token: The token of the page; ``""`` is the first page. May be assigned.
        labels: List only sessions with all of these labels.

    Example:
        >>> params = ListSessionParams(labels={"project": "demo"}, max_results=10)
        >>> params.next_token = "token from the previous page"
    """

    max_results: int = attrs.field(
        default=10, validator=lambda _self, field, value: _check.positive_int(value, field.name)
    )
    next_token: str = attrs.field(default="", validator=_string)
    labels: dict[str, str] = attrs.field(default=None, converter=_copy_labels)
