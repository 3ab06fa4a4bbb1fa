"""What a client of the MCP server may do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from agentbay_async import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["McpOptions"]


def _names(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(values)


def _at_least_one(_self: object, field: attrs.Attribute[int], value: int) -> None:
    if value < 1:
        raise InvalidArgumentError(f"{field.name} must be at least 1, not {value}")


def _resolved(path: Path | str | None) -> Path | None:
    return None if path is None else Path(path).resolve()


def _directory(_self: object, field: attrs.Attribute[Path | None], value: Path | None) -> None:
    if value is not None and not value.is_dir():
        raise InvalidArgumentError(f"{field.name} must be an existing directory, not {value}")


@attrs.frozen
class McpOptions:
    """The options of an MCP server.

    Attributes:
        images: The images that sessions may have; the first is the default. Empty allows all.
        max_sessions: Sessions at once.
        idle_minutes: The service releases a session that nobody has used for so long: a client
            that loses its connection cannot delete its sessions.
        keep: Leave the sessions alive when the server ends.
        files: The directory of this machine that ``upload`` and ``download`` may use. Without one
            they are not offered.

    Raises:
        InvalidArgumentError: A number is below 1, or `files` is no directory.

    Example:
        >>> McpOptions(images=("code_latest",), max_sessions=3).images[0]
        'code_latest'
    """

    images: tuple[str, ...] = attrs.field(default=(), converter=_names)
    max_sessions: int = attrs.field(default=10, validator=_at_least_one)
    idle_minutes: int = attrs.field(default=30, validator=_at_least_one)
    keep: bool = False
    files: Path | None = attrs.field(default=None, converter=_resolved, validator=_directory)

    def place(self, path: str) -> Path:
        """Return a path of this machine, which must be below the directory `files`.

        Raises:
            InvalidArgumentError: It is elsewhere, or there is no such directory.
        """
        if self.files is None:
            raise InvalidArgumentError(
                "This server was started without --files, so it reads no local files"
            )
        resolved = (self.files / path).resolve()
        if not resolved.is_relative_to(self.files):
            raise InvalidArgumentError(
                f"{path!r:.200} is outside of the directory that this server may use"
            )
        return resolved
