"""Which paths of a mount are synchronised: the white lists of a policy, as one question."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs

from agentbay_local.trees.atomic_write import PARTIAL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentbay_async.models.sync_policy import SyncPolicy, WhiteList

__all__ = ["Selection", "is_below"]


def is_below(path: str, top: str) -> bool:
    """Tell whether `path` is `top` or lies below it; everything lies below ``""``.

    Example:
        >>> below("a/b", "a"), below("ab", "a")
        (True, False)
    """
    return not top or path == top or path.startswith(f"{top}/")


@attrs.frozen
class Selection:
    """A part of a tree.

    Attributes:
        policy: Whose white lists say what belongs to it; none at all means everything.
        only: Nothing but this path and what is below it.
        inner: Mount points of other contexts inside this one, which do not belong to it.
    """

    policy: SyncPolicy
    only: str = ""
    inner: Sequence[str] = ()

    def picker(self) -> Callable[[str], bool]:
        """Return what tells whether a file or link belongs to the selection."""
        lists = [_listed(entry) for entry in self.policy.bw_list.white_lists]

        def picked(path: str) -> bool:
            return (
                is_below(path, self.only)
                and self.enters(path)
                and (not lists or any(listed(path) for listed in lists))
            )

        return picked

    def enters(self, path: str) -> bool:
        """Tell whether a path is on the way to what may be selected."""
        if any(is_below(path, inner) for inner in self.inner) or PARTIAL in path:
            return False
        return is_below(path, self.only) or is_below(self.only, path)


def _listed(entry: WhiteList) -> Callable[[str], bool]:
    covers = _matcher([entry.path], entry.is_path_regex)
    excluded = (
        _matcher(entry.exclude_paths, entry.is_exclude_regex) if entry.exclude_paths else None
    )
    literal = "" if entry.is_path_regex else entry.path.strip("/")

    def listed(path: str) -> bool:
        if not covers(path):
            return False
        # Excludes are relative to the white-list path; below a pattern there is no such place.
        rest = path[len(literal) :].strip("/") if literal else path
        return excluded is None or not (rest and excluded(rest))

    return listed


def _matcher(paths: Sequence[str], is_regex: bool) -> Callable[[str], bool]:
    if not is_regex:
        tops = [path.strip("/") for path in paths]
        return lambda path: any(is_below(path, top) for top in tops)
    patterns = [re.compile(path) for path in paths]

    def matches(path: str) -> bool:
        # A matching directory stands for all that is in it; patterns may be written with or
        # without the leading slash.
        return any(
            pattern.fullmatch(form)
            for pattern in patterns
            for top in _tops(path)
            for form in (top, f"/{top}")
        )

    return matches


def _tops(path: str) -> list[str]:
    names = path.split("/")
    return ["/".join(names[:end]) for end in range(1, len(names) + 1)]
