"""Selection of the paths to synchronize, from the white lists of a policy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs

from agentbay_local.trees.atomic_write import PARTIAL_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentbay_async.models.sync_policy import SyncPolicy, WhiteList

__all__ = ["Selection", "is_below", "parents"]

# The names under which clients write files before they rename them.
_CLIENT_PARTIAL = re.compile(r"(^|/)\.agentbay-[^/]*\.part(64)?($|/)")


def is_below(path: str, top: str) -> bool:
    """Return whether `path` is `top` or below it; every path is below ``""``.

    Example:
        >>> is_below("a/b", "a"), is_below("ab", "a")
        (True, False)
    """
    return not top or path == top or path.startswith(f"{top}/")


@attrs.frozen
class Selection:
    """The part of a tree to synchronize.

    Attributes:
        policy: Its white lists select paths; without any, all paths are selected.
        only: Select only this path and the paths below it.
        inner: Mount points of other contexts inside this one, which are never selected.
    """

    policy: SyncPolicy
    only: str = ""
    inner: Sequence[str] = ()

    @property
    def has_all(self) -> bool:
        """Whether the policy surely selects every path, and no other context is inside."""
        lists = self.policy.bw_list.white_lists
        whole = (not (e.path.strip("/") or e.is_path_regex or e.exclude_paths) for e in lists)
        return not self.inner and (not lists or any(whole))

    def matcher(self) -> Callable[[str], bool]:
        """Return a function that returns whether a path is selected."""
        lists = [_white_list_matcher(entry) for entry in self.policy.bw_list.white_lists]

        def matches(path: str) -> bool:
            return (
                is_below(path, self.only)
                and self.may_contain(path)
                and (not lists or any(in_list(path) for in_list in lists))
            )

        return matches

    def may_contain(self, path: str) -> bool:
        """Return whether a path, or a path below it, may be selected."""
        if any(is_below(path, inner) for inner in self.inner):
            return False
        if PARTIAL_PREFIX in path or _CLIENT_PARTIAL.search(path):
            return False
        return is_below(path, self.only) or is_below(self.only, path)


def _white_list_matcher(entry: WhiteList) -> Callable[[str], bool]:
    is_covered = _path_matcher([entry.path], entry.is_path_regex)
    is_excluded = (
        _path_matcher(entry.exclude_paths, entry.is_exclude_regex) if entry.exclude_paths else None
    )
    literal = "" if entry.is_path_regex else entry.path.strip("/")

    def in_list(path: str) -> bool:
        if not is_covered(path):
            return False
        # Excludes are relative to the path of the white list, which a pattern does not have.
        rest = path[len(literal) :].strip("/") if literal else path
        return is_excluded is None or not (rest and is_excluded(rest))

    return in_list


def _path_matcher(paths: Sequence[str], is_regex: bool) -> Callable[[str], bool]:
    if not is_regex:
        tops = [path.strip("/") for path in paths]
        return lambda path: any(is_below(path, top) for top in tops)
    patterns = [re.compile(path) for path in paths]

    def matches(path: str) -> bool:
        # A pattern that matches a directory selects all below it. Clients write patterns with or
        # without a leading slash.
        return any(
            pattern.fullmatch(form)
            for pattern in patterns
            for top in (*parents(path), path)
            for form in (top, f"/{top}")
        )

    return matches


def parents(path: str) -> list[str]:
    """Return the directories that a path is in, without the top.

    Example:
        >>> parents("a/b/c")
        ['a', 'a/b']
    """
    names = path.split("/")
    return ["/".join(names[:end]) for end in range(1, len(names))]
