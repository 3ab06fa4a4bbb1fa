"""What tools of a session tell: values without any I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from agentbay_async.errors import AgentBayError


@attrs.frozen
class CommandOutput:
    """How a command ended and what it wrote."""

    stdout: str = ""
    stderr: str = ""
    exit_code: int = 0
    trace_id: str = ""


@attrs.frozen
class FileInfo:
    """What is known of a file or directory of a session.

    Attributes:
        path: Where it is.
        size: Bytes.
        permissions: As ``"644"`` or ``"rw-r--r--"``; as the image writes them.
        created: When it was made, as the image writes it.
        modified: When its content last changed.
        accessed: When it was last read.
    """

    path: str
    name: str = ""
    size: int = 0
    is_directory: bool = False
    is_file: bool = False
    permissions: str = ""
    owner: str = ""
    group: str = ""
    created: str = ""
    modified: str = ""
    accessed: str = ""


@attrs.frozen
class DirectoryEntry:
    """A name in a directory of a session.

    Attributes:
        size: Bytes, or ``None`` where the image does not tell.
        is_symlink: Whether it is a symbolic link; a link to a directory is none itself.
    """

    name: str
    is_directory: bool = False
    size: int | None = None
    is_symlink: bool = False

    @property
    def is_file(self) -> bool:
        """Whether it is anything but a directory."""
        return not self.is_directory


@attrs.frozen
class FileTexts:
    """What reading several files gave.

    Attributes:
        contents: Paths and texts of those that were read.
        errors: Paths of the others, and why.
    """

    contents: dict[str, str] = attrs.field(factory=dict)
    errors: dict[str, AgentBayError] = attrs.field(factory=dict)


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
class FileChange:
    """Something that happened to a file or directory that is watched.

    Attributes:
        event_type: ``"create"``, ``"modify"`` or ``"delete"``.
        path: Where it is.
        path_type: ``"file"`` or ``"directory"``.
    """

    event_type: str
    path: str
    path_type: str = "file"


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
