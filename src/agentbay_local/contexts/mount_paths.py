"""Mount paths: where a context is mounted in sessions, and where its files are for each path.

Clients name a file of a context by the path that it had in a session, or by its path relative to
the mount. So the files of the first mount path are at the top of the context, and those of any
other mount path are below that path. Files of one mount path do not appear at another, except by
a mapping policy.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from agentbay_local.trees.selection import is_below

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentbay_async.models.sync_policy import SyncPolicy

__all__ = ["candidate_keys", "inner_keys", "key_of_mount_path", "mount_path_of"]


def mount_path_of(path: str, policy: SyncPolicy) -> str:
    r"""Return the mount path whose files a policy mounts at `path`: that, or another one.

    A mapping policy names another one, which may be a path of Windows.

    Example:
        >>> from agentbay_async.models.sync_policy import MappingPolicy, SyncPolicy
        >>> mount_path_of("/mnt/a", SyncPolicy(mapping_policy=MappingPolicy("C:\\Users\\me")))
        'C:/Users/me'
    """
    mapping = policy.mapping_policy
    if mapping is None or not mapping.path:
        return path.strip("/")
    return posixpath.normpath(mapping.path.replace("\\", "/")).strip("/")


def key_of_mount_path(
    mount_paths: Mapping[str, str], mount_path: str, has_files: Callable[[str], bool]
) -> str:
    """Return where a context has the files of a mount path: ``""`` is its top.

    Args:
        mount_paths: The known mount paths, with their keys.
        mount_path: The mount path, new or known.
        has_files: Says whether the context has a directory at a path.
    """
    if mount_path in mount_paths:
        return mount_paths[mount_path]
    top = next((known for known, key in mount_paths.items() if not key), None)
    if top is None:
        # Files may have been uploaded under that path before anything was mounted.
        return mount_path if has_files(mount_path) else ""
    return mount_path[len(top) + 1 :] if is_below(mount_path, top) else mount_path


def candidate_keys(mount_paths: Mapping[str, str], address: str) -> list[str]:
    """Return where a file of this address may be: by its path in a session first, or as it is.

    Example:
        >>> candidate_keys({"tmp/a": ""}, "tmp/a/b.txt")
        ['b.txt', 'tmp/a/b.txt']
    """
    around = [mount_path for mount_path in mount_paths if is_below(address, mount_path)]
    if not around:
        return [address]
    mount_path = max(around, key=len)
    parts = (mount_paths[mount_path], address[len(mount_path) + 1 :])
    return list(dict.fromkeys(["/".join(part for part in parts if part), address]))


def inner_keys(mount_paths: Mapping[str, str], key: str) -> list[str]:
    """Return the keys of other mount paths inside this one, relative to it."""
    start = len(key) + 1 if key else 0
    return [
        other[start:] for other in mount_paths.values() if other != key and is_below(other, key)
    ]
