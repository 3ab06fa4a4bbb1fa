"""AgentBay: isolated sessions in which agents run commands and edit files."""

from agentbay_async._lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__)
