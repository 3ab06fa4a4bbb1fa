"""The result of uploading the description of a device that phones simulate."""

from __future__ import annotations

from agentbay_async.models.results import Result


class MobileSimulateUploadResult(Result[str]):
    """The result of uploading the description of a device."""

    __slots__ = ()

    @property
    def mobile_simulate_context_id(self) -> str:
        """The id of the context that keeps it; raises the error of a failed result."""
        return self.unwrap()
