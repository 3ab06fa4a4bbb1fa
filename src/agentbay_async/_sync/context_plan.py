"""What a push or pull would do, and the checksums of what earlier ones have done.

The service lists the size and the time of the files of a context, and no checksums. So each
transfer is noted in a file of this user: checksum and time of the file in the context. As long as
the service lists the same size and time, the checksum holds.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_async._paths import data_dir
from agentbay_async.errors import ConfigurationError
from agentbay_async.models.context_changes import ContextChange

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agentbay_async._sync.ignore_file import IgnorePatterns

logger = logging.getLogger("agentbay")

_CHUNK = 1024 * 1024


@attrs.frozen
class RemoteFile:
    """A file of a context: its size, and the time of its last change, as the service lists them."""

    size: int
    modified: str


class LocalFiles:
    """The files of a directory of this machine, without those that are left out."""

    def __init__(self, root: Path, ignored: IgnorePatterns) -> None:
        self.root = root
        self.sizes = dict(self._find(ignored))
        self._checksums: dict[str, str] = {}

    def _find(self, ignored: IgnorePatterns) -> Iterator[tuple[str, int]]:
        for folder, _, names in os.walk(self.root):
            for name in sorted(names):
                place = Path(folder, name)
                path = place.relative_to(self.root).as_posix()
                # Links, sockets and pipes are no content that a context can keep.
                if not place.is_symlink() and place.is_file() and not ignored.is_ignored(path):
                    yield path, place.stat().st_size

    def checksum(self, path: str) -> str:
        """Return the MD5 of a file, in hexadecimal.

        Raises:
            OSError: It cannot be read.
        """
        if path not in self._checksums:
            digest = hashlib.md5(usedforsecurity=False)
            with open(self.root / path, "rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
            self._checksums[path] = digest.hexdigest()
        return self._checksums[path]


class Checksums:
    """The checksums of the files of one context, as far as transfers from here told them.

    Args:
        endpoint: The service.
        context_id: The context.
    """

    def __init__(self, endpoint: str, context_id: str) -> None:
        self._name = hashlib.sha256(f"{endpoint} {context_id}".encode()).hexdigest()[:32]
        self._known: dict[str, list[Any]] = {}

    def load(self) -> None:
        """Read what was saved; without it, files are transferred that need not be."""
        try:
            found = json.loads(self._file().read_bytes())
        except (OSError, ValueError, ConfigurationError):
            found = {}
        self._known = found if isinstance(found, dict) else {}

    def _file(self) -> Path:
        return data_dir(os.environ) / "contexts" / f"{self._name}.json"

    def of(self, path: str, remote: RemoteFile) -> str:
        """Return the checksum of a file as it is listed now, or ``""`` if that is not known."""
        known = self._known.get(path)
        if known is None or known[0] != remote.size:
            return ""
        # None: the transfer was the last that is known of, and the time is not noted yet.
        return str(known[1]) if known[2] in (None, remote.modified) else ""

    def note(self, path: str, size: int, checksum: str) -> None:
        """Note the checksum of a file that was transferred just now."""
        self._known[path] = [size, checksum, None]

    def forget(self, path: str) -> None:
        """Forget a file that was deleted."""
        self._known.pop(path, None)

    def settle(self, remote: Mapping[str, RemoteFile]) -> None:
        """Note the times that are listed after the transfers; forget what is not listed."""
        self._known = {
            path: [one.size, checksum, one.modified]
            for path, one in remote.items()
            if (checksum := self.of(path, one))
        }

    def save(self) -> None:
        """Write what is known, whole or not at all. A failure costs transfers only."""
        try:
            file = self._file()
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = file.with_suffix(f".{os.getpid()}.part")
            part.write_text(json.dumps(self._known), encoding="utf-8")
            os.replace(part, file)
        except (OSError, ConfigurationError) as error:
            logger.warning("the checksums of transferred files were not noted: %s", error)


def make_plan(
    local: LocalFiles,
    remote: Mapping[str, RemoteFile],
    checksums: Checksums,
    *,
    is_push: bool,
    delete: bool,
) -> list[ContextChange]:
    """Return what to do so that one side has what the other has.

    Args:
        local: The files of this machine.
        remote: The files of the context, by path.
        checksums: What is known of their content.
        is_push: Change the context; otherwise this machine.
        delete: Delete what the other side does not have.
    """
    remote_sizes = {path: one.size for path, one in remote.items()}
    source, target = (local.sizes, remote_sizes) if is_push else (remote_sizes, local.sizes)
    plan = [
        ContextChange("change" if path in target else "add", path, size)
        for path, size in sorted(source.items())
        if path not in target or _differ(path, local, remote[path], checksums)
    ]
    if delete:
        plan += [ContextChange("delete", path) for path in sorted(target.keys() - source.keys())]
    return plan


def _differ(path: str, local: LocalFiles, remote: RemoteFile, checksums: Checksums) -> bool:
    if local.sizes[path] != remote.size:
        return True
    try:
        return checksums.of(path, remote) != local.checksum(path)
    except OSError:
        # The transfer says why it cannot be read, and goes on with the others.
        return True
