"""Values and results of tools, metrics, links, variables and object storage."""

from __future__ import annotations

import json
from typing import Any

import attrs

from agentbay_async.models.results import Result


@attrs.frozen
class SessionMetrics:
    """The load of a session's machine. ``None`` means that its image does not report the value.

    Attributes:
        cpu_count: Processors.
        cpu_used_pct: Processor use, from 0 to 100.
        disk_total: Disk space, in bytes.
        disk_used: Disk space in use, in bytes.
        mem_total: Memory, in bytes.
        mem_used: Memory in use, in bytes.
        rx_rate_kbyte_per_s: KiB received per second.
        tx_rate_kbyte_per_s: KiB sent per second.
        rx_used_kbyte: KiB received.
        tx_used_kbyte: KiB sent.
        timestamp: The time of the measurement, as the image writes it.
        raw: All that the image reports, under its own names.
    """

    cpu_count: int | None = 0
    cpu_used_pct: float | None = 0.0
    disk_total: int | None = 0
    disk_used: int | None = 0
    mem_total: int | None = 0
    mem_used: int | None = 0
    rx_rate_kbyte_per_s: float | None = 0.0
    tx_rate_kbyte_per_s: float | None = 0.0
    rx_used_kbyte: float | None = 0.0
    tx_used_kbyte: float | None = 0.0
    timestamp: str = ""
    # The names of metrics are the image's.
    raw: dict[str, Any] = attrs.field(factory=dict, repr=False, eq=False)

    # Names of the official client, from scripts/official_names.toml.

    @property
    def rx_rate_kbps(self) -> float | None:
        """Return :attr:`rx_rate_kbyte_per_s`, under the name of the official client."""
        return self.rx_rate_kbyte_per_s

    @property
    def tx_rate_kbps(self) -> float | None:
        """Return :attr:`tx_rate_kbyte_per_s`, under the name of the official client."""
        return self.tx_rate_kbyte_per_s

    @property
    def rx_used_kb(self) -> float | None:
        """Return :attr:`rx_used_kbyte`, under the name of the official client."""
        return self.rx_used_kbyte

    @property
    def tx_used_kb(self) -> float | None:
        """Return :attr:`tx_used_kbyte`, under the name of the official client."""
        return self.tx_used_kbyte


@attrs.frozen
class McpTool:
    """A tool that an image offers; ``input_schema`` is a JSON Schema, or any other text."""

    name: str
    server: str = ""
    description: str = ""
    # Any: nearly always a dictionary, as which programs read it.
    input_schema: Any = attrs.field(factory=dict, eq=False)

    # Names of the official client, from scripts/official_names.toml.

    def get_name(self) -> str:
        """Return :attr:`name`, under the name of the official client."""
        return self.name

    def get_server(self) -> str:
        """Return :attr:`server`, under the name of the official client."""
        return self.server


@attrs.frozen
class ToolContent:
    """One item of a tool's answer: text, or ``data`` in base64 of type ``mime_type``."""

    type: str = "text"
    text: str = ""
    data: str = ""
    mime_type: str = ""


class BoolResult(Result[bool]):
    """The result of a file operation without further data."""

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
    """The result of a tool for object storage."""

    __slots__ = ()

    @property
    def content(self) -> str:
        """The text of the tool; raises the error of a failed result."""
        return self.unwrap()

    @property
    def client_config(self) -> dict[str, Any]:
        """The text of the tool as a JSON object; ``{"content": text}`` if it is none."""
        try:
            config = json.loads(self.content)
        except ValueError:
            config = None
        return config if isinstance(config, dict) else {"content": self.content}


class LinkResult(Result[str]):
    """A URL that grants access to a session by itself: a secret."""

    __slots__ = ()

    def _show_value(self) -> str:
        return "..."

    @property
    def data(self) -> str:
        """The URL; raises the error of a failed result."""
        return self.unwrap()

    @property
    def url(self) -> str:
        """The URL; raises the error of a failed result."""
        return self.unwrap()


class SessionMetricsResult(Result["SessionMetrics"]):
    """The load of a session's machine."""

    __slots__ = ()

    @property
    def metrics(self) -> SessionMetrics:
        """The numbers; raises the error of a failed result."""
        return self.unwrap()

    @property
    def raw(self) -> dict[str, Any]:
        """All that the image reports, under its own names."""
        return self.unwrap().raw


class McpToolsResult(Result["list[McpTool]"]):
    """The tools of an image."""

    __slots__ = ()

    @property
    def tools(self) -> list[McpTool]:
        """The tools; raises the error of a failed result."""
        return self.unwrap()


class McpToolResult(Result["list[ToolContent]"]):
    """The whole answer of a tool."""

    __slots__ = ()

    @property
    def content(self) -> list[ToolContent]:
        """The items of the answer; raises the error of a failed result."""
        return self.unwrap()

    @property
    def data(self) -> str:
        """The texts of the answer, joined by line breaks."""
        return "\n".join(item.text for item in self.content if item.type == "text")
