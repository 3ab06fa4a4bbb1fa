"""Let phones pretend to be another device, whose description a context keeps."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async.errors import ArgumentTypeError, InvalidArgumentError
from agentbay_async.models.extra_configs import (
    MOBILE_INFO_FILE,
    MOBILE_INFO_FOLDER,
    MOBILE_INFO_PATH,
    MobileSimulateConfig,
    MobileSimulateMode,
)
from agentbay_async.models.mobile_simulate import MobileSimulateUploadResult
from agentbay_async.models.results import returns_result
from agentbay_async.models.sync_policy import ContextSync, WhiteList

if TYPE_CHECKING:
    from agentbay_async.client import AsyncAgentBay
    from agentbay_async.contexts import AsyncContextService


class AsyncMobileSimulateService:
    """Upload the description of a device, and let new phones pretend to be that device.

    Offered by the cloud's phones; the local service keeps the description, but has no phones.

    Args:
        agent_bay: The client.

    Attributes:
        agent_bay: The client.
        simulate_enable: Whether new phones simulate; see :meth:`set_simulate_enable`.
        simulate_mode: What they show; see :meth:`set_simulate_mode`.
        context_id: The context with the description; ``None`` before there is one.
        context_sync: The caller's own context with the description, or ``None``.
        mobile_dev_info_path: The directory of the phone with the description, or ``None``.
        use_internal_context: Whether the context is one that this service made.

    Example:
        ::

            simulation = AsyncMobileSimulateService(bay)
            await simulation.upload_mobile_info(Path("device.json").read_text())
            simulation.set_simulate_enable(True)
            mobile = MobileExtraConfig(simulate_config=simulation.get_simulate_config())
            params = CreateSessionParams(
                image_id="mobile_latest", extra_configs=ExtraConfigs(mobile=mobile)
            )
            session = (await bay.create(params)).session
    """

    def __init__(self, agent_bay: AsyncAgentBay) -> None:
        if not hasattr(agent_bay, "context"):
            raise ArgumentTypeError(
                f"agent_bay must be an AgentBay client, not {type(agent_bay).__name__}"
            )
        self.agent_bay = agent_bay
        self._contexts = agent_bay.context
        self.simulate_enable: bool = False
        self.simulate_mode: MobileSimulateMode = MobileSimulateMode.PROPERTIES_ONLY
        self.context_id: str | None = None
        self.context_sync: ContextSync | None = None
        self.mobile_dev_info_path: str | None = None
        self.use_internal_context: bool = True

    @property
    def context_service(self) -> AsyncContextService:
        """The contexts of the client."""
        return self._contexts

    def set_simulate_enable(self, enable: bool) -> None:
        """Let new phones simulate, or not."""
        self.simulate_enable = _check.boolean(enable, "enable")

    def get_simulate_enable(self) -> bool:
        """Return whether new phones simulate."""
        return self.simulate_enable

    def set_simulate_mode(self, mode: MobileSimulateMode) -> None:
        """Choose what new phones show of the device."""
        if not isinstance(mode, MobileSimulateMode):
            raise ArgumentTypeError(f"mode must be a MobileSimulateMode, not {type(mode).__name__}")
        self.simulate_mode = mode

    def get_simulate_mode(self) -> MobileSimulateMode:
        """Return what new phones show of the device."""
        return self.simulate_mode

    def set_simulate_context_id(self, context_id: str) -> None:
        """Use the context that an earlier :meth:`upload_mobile_info` made.

        Args:
            context_id: Its ``mobile_simulate_context_id``.
        """
        self._use_own(_check.identifier(context_id, "context_id"))

    def get_simulate_context_id(self) -> str | None:
        """Return the id of the context with the description; ``None`` before there is one."""
        return self.context_id

    def get_simulate_config(self) -> MobileSimulateConfig:
        """Return what has been chosen, for ``MobileExtraConfig(simulate_config=...)``."""
        return MobileSimulateConfig(
            self.simulate_enable,
            self.mobile_dev_info_path,
            self.simulate_mode,
            self.context_id if self.use_internal_context else None,
        )

    async def has_mobile_info(self, context_sync: ContextSync) -> bool:
        """Return whether a context of yours has a description; if it has, use it.

        Args:
            context_sync: The context, as it is given to ``CreateSessionParams(context_syncs=...)``.

        Raises:
            AgentBayError: The context could not be looked through.
        """
        folder = _checked(context_sync).path + MOBILE_INFO_FOLDER
        found = await self._contexts.list_files(context_sync.context_id, folder)
        if all(entry.file_name != MOBILE_INFO_FILE for entry in found.entries):
            return False
        self._use(context_sync)
        return True

    @returns_result(MobileSimulateUploadResult)
    async def upload_mobile_info(
        self, mobile_dev_info_content: str, context_sync: ContextSync | None = None
    ) -> MobileSimulateUploadResult:
        """Upload the description of a device.

        Args:
            mobile_dev_info_content: The description, as JSON.
            context_sync: A context of yours for it. By default a new one is made, whose id the
                result has; :meth:`set_simulate_context_id` uses it again later.

        Raises:
            InvalidArgumentError: The description is empty, or not JSON.
        """
        content = _check_json(mobile_dev_info_content)
        if context_sync is not None:
            self._use(_checked(context_sync))
        else:
            name = f"mobile_sim_{uuid.uuid4().hex}_{int(time.time())}"
            self._use_own((await self._contexts.create(name)).context.id)
        context_id = self.context_id or ""
        file = f"{self.mobile_dev_info_path}/{MOBILE_INFO_FILE}"
        uploaded = await self._contexts.upload_file(context_id, file, content.encode())
        uploaded.unwrap()
        return MobileSimulateUploadResult.ok(context_id, uploaded.request_id)

    def _use_own(self, context_id: str) -> None:
        self.use_internal_context, self.context_sync = True, None
        self.context_id, self.mobile_dev_info_path = context_id, MOBILE_INFO_PATH

    def _use(self, context_sync: ContextSync) -> None:
        lists = context_sync.policy and context_sync.policy.bw_list
        white_lists = lists.white_lists if lists else []
        # Without white lists all files are copied, the description too.
        if white_lists and all(one.path != MOBILE_INFO_FOLDER for one in white_lists):
            white_lists.append(WhiteList(MOBILE_INFO_FOLDER))
        self.use_internal_context, self.context_sync = False, context_sync
        self.context_id = context_sync.context_id
        self.mobile_dev_info_path = context_sync.path + MOBILE_INFO_FOLDER


def _checked(context_sync: object) -> ContextSync:
    if not isinstance(context_sync, ContextSync):
        raise ArgumentTypeError(
            f"context_sync must be a ContextSync, not {type(context_sync).__name__}"
        )
    return context_sync


def _check_json(content: str) -> str:
    try:
        described = json.loads(_check.text(content, "mobile_dev_info_content"))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InvalidArgumentError):
            raise
        raise InvalidArgumentError(f"mobile_dev_info_content must be JSON: {error}") from None
    if not described:
        raise InvalidArgumentError("mobile_dev_info_content must not be empty")
    return content
