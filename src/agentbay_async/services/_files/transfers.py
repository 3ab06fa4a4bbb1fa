"""Files and directories carried between this machine and a session."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async._sync import transfers
from agentbay_async.errors import ArgumentTypeError, InvalidArgumentError
from agentbay_async.models._returns_result import returns_result
from agentbay_async.models.contexts import TransferResult
from agentbay_async.models.results import OperationResult
from agentbay_async.services._files.base import FileBase

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta

    from agentbay_async.models.contexts import TransferProgress
    from agentbay_async.services._files.transfer import Carrier

_TIMEOUT = 300.0


class Transfers(FileBase):
    """Carries files and directories."""

    __slots__ = ()

    @returns_result(TransferResult)
    async def upload_file(
        self,
        local_path: str | os.PathLike[str] | bytes,
        remote_path: str,
        *,
        progress: Callable[[TransferProgress], Awaitable[None] | None] | None = None,
        timeout: float | timedelta = _TIMEOUT,
    ) -> TransferResult:
        """Bring a file of this machine into the session, streamed and verified.

        It takes its place when it is complete; until then, and after a failure, what was there
        stays. Large files go through the service's store for files, where there is one.

        Args:
            local_path: The file of this machine, or bytes.
            remote_path: Where in the session; missing directories are made.
            progress: Told of every chunk.
            timeout: Seconds (or a timedelta) to wait for the store to hand the file over.

        Raises:
            InvalidArgumentError: `local_path` is a path and there is no such file.

        Example:
            ::

                receipt = (await session.file_system.upload_file("in.csv", "data/in.csv")).unwrap()
                print(receipt.size, receipt.verified)
        """
        source = transfers.check_source(local_path)
        path, limit = _check.text(remote_path, "remote_path"), _check.seconds(timeout, "timeout")
        return TransferResult.ok(await self._carry().upload(source, path, progress, limit))

    @returns_result(TransferResult)
    async def download_file(
        self,
        remote_path: str,
        local_path: str | os.PathLike[str],
        *,
        progress: Callable[[TransferProgress], Awaitable[None] | None] | None = None,
        timeout: float | timedelta = _TIMEOUT,
    ) -> TransferResult:
        """Bring a file of the session to this machine, streamed and verified.

        The target is replaced when all has arrived, and left alone otherwise.

        Args:
            remote_path: The file of the session.
            local_path: Where on this machine; its directory must exist.
            progress: Told of every chunk.
            timeout: Seconds (or a timedelta) to wait for the store to take the file over.

        Raises:
            InvalidArgumentError: The target's directory does not exist.
        """
        target = transfers.check_target(local_path)
        path, limit = _check.text(remote_path, "remote_path"), _check.seconds(timeout, "timeout")
        return TransferResult.ok(await self._carry().download(path, target, progress, limit))

    @returns_result(TransferResult)
    async def upload_directory(
        self,
        local_path: str | os.PathLike[str],
        remote_path: str,
        *,
        progress: Callable[[TransferProgress], Awaitable[None] | None] | None = None,
        timeout: float | timedelta = _TIMEOUT,
    ) -> TransferResult:
        """Bring all that is in a directory of this machine into one of the session.

        What is there already and has another name stays. The session needs ``tar``.

        Args:
            local_path: The directory of this machine.
            remote_path: The directory of the session; it is made if it is missing.
            progress: Told of every chunk of the archive.
            timeout: Seconds (or a timedelta) to wait for the store.

        Raises:
            InvalidArgumentError: `local_path` is not a directory.
        """
        source = _local_directory(local_path)
        path, limit = _check.text(remote_path, "remote_path"), _check.seconds(timeout, "timeout")
        return TransferResult.ok(await self._carry().upload_tree(source, path, progress, limit))

    @returns_result(TransferResult)
    async def download_directory(
        self,
        remote_path: str,
        local_path: str | os.PathLike[str],
        *,
        progress: Callable[[TransferProgress], Awaitable[None] | None] | None = None,
        timeout: float | timedelta = _TIMEOUT,
    ) -> TransferResult:
        """Bring all that is in a directory of the session into one of this machine.

        What the session packs is not trusted: an archive with names or links that lead out of the
        directory is refused whole. The session needs ``tar``.

        Args:
            remote_path: The directory of the session.
            local_path: An existing directory of this machine; other files in it stay.
            progress: Told of every chunk of the archive.
            timeout: Seconds (or a timedelta) to wait for the store.

        Raises:
            InvalidArgumentError: `local_path` is not a directory.
        """
        target = _local_directory(local_path)
        path, limit = _check.text(remote_path, "remote_path"), _check.seconds(timeout, "timeout")
        return TransferResult.ok(await self._carry().download_tree(path, target, progress, limit))

    @returns_result(OperationResult)
    async def get_file_transfer_context_path(self) -> OperationResult[str | None]:
        """Ask where the session sees the service's store for files; ``None`` if there is none.

        Nobody needs it to carry files: they may lie anywhere.
        """
        store = await self._carry().store()
        return OperationResult.ok(None if store is None else store.path)

    upload_dir = upload_directory
    download_dir = download_directory

    def _carry(self) -> Carrier:
        if self._carrier is None:
            from agentbay_async.services._files.transfer import Carrier

            self._carrier = Carrier(self._files)
        return self._carrier


def _local_directory(path: object) -> Path:
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentTypeError(f"local_path must be a path, not {type(path).__name__}")
    directory = Path(path)
    if not directory.is_dir():
        raise InvalidArgumentError(
            f"local_path must be an existing directory: {str(directory)!r} is none"
        )
    return directory
