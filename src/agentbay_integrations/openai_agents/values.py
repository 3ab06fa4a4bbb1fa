"""What a sandbox is told and what finds it again: options, state, ports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from agents.sandbox import ExposedPortEndpoint
from agents.sandbox.session import (
    BaseSandboxClientOptions,
    SandboxSessionState,
)
from pydantic import Field

# The ports that a session has links to.
_Port = Annotated[int, Field(ge=30100, le=30199)]


class AgentBaySandboxClientOptions(BaseSandboxClientOptions):
    """What one sandbox has besides the parameters of its session.

    Attributes:
        exposed_ports: Ports that have a URL, from 30100 to 30199.
        pause_on_exit: Pause the session at the end instead of deleting it. Its state, such as
            ``RunState`` keeps it, resumes it.
    """

    type: Literal["agentbay"] = "agentbay"
    exposed_ports: tuple[_Port, ...] = ()
    pause_on_exit: bool = False


class AgentBaySandboxSessionState(SandboxSessionState):
    """What is needed to find a sandbox again.

    Attributes:
        agentbay_session_id: The id of its session, or ``""`` before the first start.
        owned: Whether the session is deleted with the sandbox.
        pause_on_exit: Whether it is paused instead.
    """

    type: Literal["agentbay"] = "agentbay"
    agentbay_session_id: str = ""
    owned: bool = True
    pause_on_exit: bool = False


@dataclass(frozen=True)
class AgentBayPortEndpoint(ExposedPortEndpoint):
    """A port of a session. Its URLs have a path, which must be kept.

    Attributes:
        http_url: The URL for HTTP.
        ws_url: The URL for WebSockets.
    """

    http_url: str = ""
    ws_url: str = ""

    def url_for(self, scheme: str) -> str:
        """Return the URL for ``"http"`` or ``"ws"``."""
        urls = {"http": self.http_url, "ws": self.ws_url}
        if scheme.lower() not in urls:
            raise ValueError("scheme must be either 'http' or 'ws'")
        return urls[scheme.lower()]
