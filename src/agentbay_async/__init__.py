"""AgentBay: isolated sessions in which agents run commands and edit files."""

from agentbay_async._installation import warn_of_mixture
from agentbay_async._lazy import attach_stub

warn_of_mixture(__path__[0])
__getattr__, __dir__, __all__ = attach_stub(__name__)
