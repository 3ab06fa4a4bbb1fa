"""What tools of a session tell: values without any I/O."""

from __future__ import annotations

from typing import Any

import attrs


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
    """A name in a directory of a session."""

    name: str
    is_directory: bool = False

    @property
    def is_file(self) -> bool:
        """Whether it is anything but a directory."""
        return not self.is_directory


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
