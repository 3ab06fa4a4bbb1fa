"""Contexts that a session mounts directly, without copies to keep in step."""

from __future__ import annotations

from enum import Enum

import attrs

from agentbay_async import _check


class BetaContextMountAccessMode(str, Enum):
    """Whether the session may write to the context."""

    READ_WRITE = "readWrite"
    READ_ONLY = "readOnly"


class BetaContextMountStrategy(str, Enum):
    """How the service mounts the context."""

    STANDARD = "standard"
    PERFORMANCE = "performance"


@attrs.frozen
class BetaContextMount:
    """A context, and the path where a session mounts it directly.

    What the session writes is in the context at once; nothing is copied or synced. A trial feature
    of the cloud's image ``aio-ubuntu-2404``; the local service does not offer it.

    Attributes:
        context_id: The id of the context.
        path: Absolute path in the session.
        access_mode: Whether the session may write.
        strategy: How the service mounts it.
        source_path: A directory of the context to mount; ``""`` is the whole context.

    Example:
        >>> BetaContextMount.new("SdkCtx-1", "/mnt/data").access_mode.value
        'readWrite'
    """

    context_id: str
    path: str
    access_mode: BetaContextMountAccessMode = attrs.field(
        default=BetaContextMountAccessMode.READ_WRITE, converter=BetaContextMountAccessMode
    )
    strategy: BetaContextMountStrategy = attrs.field(
        default=BetaContextMountStrategy.STANDARD, converter=BetaContextMountStrategy
    )
    source_path: str = ""

    def __attrs_post_init__(self) -> None:
        _check.identifier(self.context_id, "context_id")
        _check.mount_path(self.path, "path")
        _check.string(self.source_path, "source_path")

    @classmethod
    def new(
        cls,
        context_id: str,
        path: str,
        access_mode: BetaContextMountAccessMode | None = None,
        strategy: BetaContextMountStrategy | None = None,
        source_path: str | None = None,
    ) -> BetaContextMount:
        """Create a mount, as calling the class does; ``None`` takes the default."""
        return cls(
            context_id,
            path,
            access_mode or BetaContextMountAccessMode.READ_WRITE,
            strategy or BetaContextMountStrategy.STANDARD,
            source_path or "",
        )

    def with_access_mode(self, access_mode: BetaContextMountAccessMode) -> BetaContextMount:
        """Return a copy with another access mode."""
        return attrs.evolve(self, access_mode=access_mode)

    def with_strategy(self, strategy: BetaContextMountStrategy) -> BetaContextMount:
        """Return a copy with another strategy."""
        return attrs.evolve(self, strategy=strategy)

    def with_source_path(self, source_path: str) -> BetaContextMount:
        """Return a copy that mounts a directory of the context."""
        return attrs.evolve(self, source_path=source_path)
