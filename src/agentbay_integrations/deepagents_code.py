"""Deep Agents Code: ``dcode --sandbox agentbay``.

It finds :class:`AgentBayProvider` by the entry point ``deepagents_code.sandbox_providers``.
"""

from __future__ import annotations

from typing import Any

from deepagents_code.integrations.sandbox_provider import (
    SandboxError,
    SandboxInstallHint,
    SandboxNotFoundError,
    SandboxProvider,
    SandboxProviderMetadata,
)

from agentbay import AgentBay
from agentbay_async import AgentBayError, CreateSessionParams, SessionNotFoundError
from agentbay_integrations.deepagents import AgentBaySandbox

__all__ = ["AgentBayProvider"]

_ENDED = ("DELETING", "DELETED", "FINISH")


class AgentBayProvider(SandboxProvider):
    """Create, find and delete sessions for Deep Agents Code.

    The settings come from the environment.
    """

    @property
    def metadata(self) -> SandboxProviderMetadata:
        """What the program shows of it."""
        return SandboxProviderMetadata(
            name="agentbay",
            working_dir="/tmp",  # noqa: S108  # in the session
            install=SandboxInstallHint(kind="package", name="agentbay-async"),
        )

    def get_or_create(
        self, *, sandbox_id: str | None = None, image_id: str | None = None, **kwargs: Any
    ) -> AgentBaySandbox:
        """Return a session as a sandbox.

        Args:
            sandbox_id: A session that exists. Default: a new one.
            image_id: The image of a new session; ``params.image_id`` in the program's settings.
            **kwargs: Nothing.

        Raises:
            SandboxNotFoundError: There is no such session.
            SandboxError: The session could not be created.
            TypeError: There is another parameter.
        """
        if kwargs:
            raise TypeError(f"agentbay takes no parameter {', '.join(map(repr, kwargs))}")
        sandbox = AgentBaySandbox(
            session_id=sandbox_id, params=CreateSessionParams(image_id=image_id)
        )
        try:
            sandbox.id  # noqa: B018  # it is made now, so that errors come here
        except SessionNotFoundError as error:
            sandbox.close()
            raise SandboxNotFoundError(f"no sandbox {sandbox_id!r}: {error}") from error
        except AgentBayError as error:
            sandbox.close()
            raise SandboxError(str(error)) from error
        return sandbox

    def delete(self, *, sandbox_id: str, **kwargs: Any) -> None:
        """Delete a session; it is a success if it is gone already.

        Raises:
            SandboxError: It could not be deleted.
        """
        with AgentBay() as bay:
            error = bay.delete(sandbox_id).error
        if error is not None:
            raise SandboxError(str(error)) from error
