"""The client that makes sandboxes."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from agents.sandbox import (
    Manifest,
    resolve_snapshot,
)
from agents.sandbox.session import (
    BaseSandboxClient,
    Instrumentation,
    SandboxSession,
    SandboxSessionState,
)

from agentbay_integrations.openai_agents.session import AgentBaySandboxSession
from agentbay_integrations.openai_agents.values import (
    AgentBaySandboxClientOptions,
    AgentBaySandboxSessionState,
)

if TYPE_CHECKING:
    from agents.sandbox import SnapshotSpec
    from agents.sandbox.session import Dependencies
    from agents.sandbox.snapshot import SnapshotBase

    from agentbay_async import (
        AsyncAgentBay,
        AsyncSession,
        CreateSessionParams,
    )


class AgentBaySandboxClient(BaseSandboxClient[AgentBaySandboxClientOptions | None]):
    """Makes sandboxes in sessions of AgentBay, one session for each.

    Args:
        session: One session of yours for all sandboxes; it is never deleted here.
        bay: The client. Default: one with the settings of the environment for each sandbox, which
            is closed with it.
        params: The parameters of new sessions. Their label ``framework`` is ``"openai-agents"``;
            ``run`` is the id of the sandbox.
        instrumentation: What the framework does with events of sandboxes.
        dependencies: What sandboxes find by name, such as a :class:`ContextSnapshotClient`.

    Example:
        ::

            client = AgentBaySandboxClient(params=CreateSessionParams(image_id="code_latest"))
            run_config = RunConfig(sandbox=SandboxRunConfig(client=client))
            await Runner.run(agent, "Plot a sine curve", run_config=run_config)
    """

    backend_id = "agentbay"
    supports_default_options = True

    def __init__(
        self,
        *,
        session: AsyncSession | None = None,
        bay: AsyncAgentBay | None = None,
        params: CreateSessionParams | None = None,
        instrumentation: Instrumentation | None = None,
        dependencies: Dependencies | None = None,
    ) -> None:
        self._session = session
        self._bay = bay
        self._params = params
        self._instrumentation = instrumentation or Instrumentation()
        self._dependencies = dependencies

    async def create(
        self,
        *,
        snapshot: SnapshotSpec | SnapshotBase | None = None,
        manifest: Manifest | None = None,
        options: AgentBaySandboxClientOptions | None = None,
    ) -> SandboxSession:
        """Return a new sandbox. Its start creates the session.

        Args:
            snapshot: Where its workspace is kept; :class:`ContextSnapshotClient` shows how to keep
                it in a context.
            manifest: The files of its workspace.
            options: Its ports, and what becomes of the session at the end.

        Raises:
            TypeError: `options` is of another client.
        """
        options = AgentBaySandboxClientOptions() if options is None else options
        if not isinstance(options, AgentBaySandboxClientOptions):
            raise TypeError("options must be AgentBaySandboxClientOptions")
        manifest = self._validate_manifest_for_create(Manifest() if manifest is None else manifest)
        sandbox_id = uuid.uuid4()
        state = AgentBaySandboxSessionState(
            session_id=sandbox_id,
            snapshot=resolve_snapshot(snapshot, str(sandbox_id)),
            manifest=manifest,
            exposed_ports=options.exposed_ports,
            owned=self._session is None,
            pause_on_exit=options.pause_on_exit,
        )
        return self._wrap(state)

    async def resume(self, state: SandboxSessionState) -> SandboxSession:
        """Return the sandbox of a state, which may come from another process.

        Its start attaches to the session, and resumes one that was paused. If that is gone, it
        creates another one with the files of the snapshot.

        Raises:
            TypeError: `state` is of another client.
        """
        if not isinstance(state, AgentBaySandboxSessionState):
            raise TypeError("state must be an AgentBaySandboxSessionState")
        state.assert_path_grants_rebound()
        return self._wrap(state)

    async def delete(self, session: SandboxSession) -> SandboxSession:
        """Delete the session of a sandbox, unless it was handed in or is to be paused.

        Raises:
            TypeError: The sandbox is of another client.
            AgentBayError: The session could not be deleted.
        """
        inner = session._inner
        if not isinstance(inner, AgentBaySandboxSession):
            raise TypeError("session must be a sandbox of AgentBaySandboxClient")
        await inner.delete()
        return session

    def deserialize_session_state(self, payload: dict[str, object]) -> SandboxSessionState:
        """Return the state that ``serialize_session_state`` has written."""
        return self._deserialize_session_state_payload(payload, AgentBaySandboxSessionState)

    def _wrap(self, state: AgentBaySandboxSessionState) -> SandboxSession:
        inner = AgentBaySandboxSession(
            state, bay=self._bay, session=self._session, params=self._params
        )
        return self._wrap_session(inner, instrumentation=self._instrumentation)
