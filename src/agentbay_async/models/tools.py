"""Values and results of tools, metrics, links, variables and object storage."""

from __future__ import annotations

from typing import Any

import attrs

from agentbay_async.models.results import Result


@attrs.frozen
class SessionMetrics:
    """How busy the machine of a session is; ``None`` is what its image does not tell.

    Attributes:
        cpu_count: Processors.
        cpu_used_pct: How much of them is in use, from 0 to 100.
        mem_total: Memory in bytes.
        mem_used: Bytes of it in use.
        disk_total: Disk in bytes.
        disk_used: Bytes of it in use.
        rx_rate_kbyte_per_s: KiB that arrive in a second.
        tx_rate_kbyte_per_s: KiB that leave in a second.
        rx_used_kbyte: KiB that have arrived.
        tx_used_kbyte: KiB that have left.
        timestamp: When it was measured, as the image writes it.
    """

    cpu_count: int | None = None
    cpu_used_pct: float | None = None
    mem_total: int | None = None
    mem_used: int | None = None
    disk_total: int | None = None
    disk_used: int | None = None
    rx_rate_kbyte_per_s: float | None = None
    tx_rate_kbyte_per_s: float | None = None
    rx_used_kbyte: float | None = None
    tx_used_kbyte: float | None = None
    timestamp: str = ""


@attrs.frozen
class McpTool:
    """A tool that an image offers; ``input_schema`` is a JSON Schema."""

    name: str
    server: str = ""
    description: str = ""
    # A JSON Schema has no narrower type than a mapping of anything.
    input_schema: dict[str, Any] = attrs.field(factory=dict, eq=False)


@attrs.frozen
class ToolContent:
    """One piece of what a tool answers: text, or ``data`` in base64 of type ``mime_type``."""

    type: str = "text"
    text: str = ""
    data: str = ""
    mime_type: str = ""


class BoolResult(Result[bool]):
    """What an operation on files answers that has nothing else to say."""

    __slots__ = ()

    @property
    def data(self) -> bool:
        """``True``; raises the error of a failed result."""
        return self.unwrap()


class EnvResult(Result[dict[str, str]]):
    """The variables of a session."""

    __slots__ = ()

    @property
    def envs(self) -> dict[str, str]:
        """Names and values; raises the error of a failed result."""
        return self.unwrap()


class OssResult(Result[str]):
    """What the tools for OSS answer."""

    __slots__ = ()

    @property
    def content(self) -> str:
        """The tool's own words; raises the error of a failed result."""
        return self.unwrap()


class LinkResult(Result[str]):
    """A URL that leads into a session, and carries its own permission: a secret."""

    __slots__ = ()

    def __repr__(self) -> str:
        shown = "..." if self.error is None else f"error={self.error!r}"
        return f"{type(self).__name__}({shown}, request_id={self.request_id!r})"

    @property
    def data(self) -> str:
        """The URL; raises the error of a failed result."""
        return self.unwrap()

    @property
    def url(self) -> str:
        """The URL; raises the error of a failed result."""
        return self.unwrap()


class SessionMetricsResult(Result["SessionMetrics"]):
    """How busy the machine of a session is."""

    __slots__ = ()

    @property
    def metrics(self) -> SessionMetrics:
        """The numbers; raises the error of a failed result."""
        return self.unwrap()


class McpToolsResult(Result["list[McpTool]"]):
    """The tools that an image offers."""

    __slots__ = ()

    @property
    def tools(self) -> list[McpTool]:
        """The tools; raises the error of a failed result."""
        return self.unwrap()


class McpToolResult(Result["list[ToolContent]"]):
    """What a tool answered, all of it."""

    __slots__ = ()

    @property
    def content(self) -> list[ToolContent]:
        """Every piece of the answer; raises the error of a failed result."""
        return self.unwrap()

    @property
    def data(self) -> str:
        """The texts of the answer, joined by line breaks."""
        return "\n".join(item.text for item in self.content if item.type == "text")
