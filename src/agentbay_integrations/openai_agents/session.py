"""A sandbox in a session of AgentBay."""

from __future__ import annotations

import asyncio
import io
import logging
import shlex
import shutil
import tarfile
import tempfile
import time
import uuid
from collections import deque
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agents.sandbox import (
    ExecResult,
    ExecTimeoutError,
    ExecTransportError,
    ExposedPortEndpoint,
    ExposedPortUnavailableError,
    WorkspaceArchiveReadError,
    WorkspaceArchiveWriteError,
    WorkspaceReadNotFoundError,
)
from agents.sandbox.errors import WorkspaceStartError
from agents.sandbox.session import BaseSandboxSession
from agents.sandbox.session.mount_lifecycle import with_ephemeral_mounts_removed
from agents.sandbox.session.pty_output import collect_pty_output
from agents.sandbox.session.pty_types import (
    PTY_PROCESSES_MAX,
    PtyExecUpdate,
    allocate_pty_process_id,
    clamp_pty_yield_time_ms,
    process_id_to_prune_from_meta,
    resolve_pty_write_yield_time_ms,
)
from agents.sandbox.session.runtime_helpers import RESOLVE_WORKSPACE_PATH_HELPER
from agents.sandbox.session.tar_workspace import shell_tar_exclude_args
from agents.sandbox.session.workspace_payloads import coerce_write_payload
from agents.sandbox.util.tar_utils import UnsafeTarMemberError, validate_tarfile
from agents.sandbox.workspace_paths import sandbox_path_str

from agentbay_async import (
    AgentBayError,
    AsyncAgentBay,
    CommandError,
    RemoteFileNotFoundError,
    SessionNotFoundError,
    SessionStatus,
)
from agentbay_async.errors import PtyNotConnectedError
from agentbay_integrations._commands import run_command
from agentbay_integrations._sessions import session_params, uninterrupted
from agentbay_integrations.openai_agents.files import CHUNK, enter_client, fetch, on_disk
from agentbay_integrations.openai_agents.values import (
    AgentBayPortEndpoint,
    AgentBaySandboxSessionState,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path
    from tempfile import SpooledTemporaryFile

    from agents.sandbox import User
    from agents.sandbox.session.runtime_helpers import RuntimeHelperScript

    from agentbay_async import AsyncProcess, AsyncSession, CreateSessionParams

logger = logging.getLogger("agentbay")

_FRAMEWORK = "openai-agents"
_FIRST_YIELD = 10_000
_LATER_YIELD = 250
# Bytes of an archive that are kept in memory; the rest is on disk.
_IN_MEMORY = 8 * CHUNK


class _Process:
    """A command that a model started, and its output that the model has not seen."""

    def __init__(self, tty: bool) -> None:
        self.tty = tty
        self.chunks: deque[bytes] = deque()
        self.lock = asyncio.Lock()
        self.arrived = asyncio.Event()
        self.ended = asyncio.Event()
        self.exit_code: int | None = None
        self.last_used = time.monotonic()
        self.process: AsyncProcess
        self._waiter: asyncio.Task[None]

    def start(self, process: AsyncProcess) -> None:
        """Wait for the end of the process in the background."""
        self.process = process
        self._waiter = asyncio.create_task(self._wait())

    def take(self, chunk: bytes) -> None:
        """Keep a chunk of output."""
        self.chunks.append(chunk)
        self.arrived.set()

    async def _wait(self) -> None:
        try:
            self.exit_code = await self.process.wait()
        except AgentBayError as error:
            self.take(f"\n[{error}]\n".encode())
            self.exit_code = -1
        self.ended.set()
        self.arrived.set()

    async def end(self) -> None:
        """Kill the process, unless it has ended."""
        try:
            if not self.ended.is_set():
                await self.process.kill()
        except PtyNotConnectedError:
            # It has just ended.
            return
        finally:
            self._waiter.cancel()


class AgentBaySandboxSession(BaseSandboxSession):
    """A sandbox in a session of AgentBay; :class:`AgentBaySandboxClient` makes it."""

    state: AgentBaySandboxSessionState

    def __init__(
        self,
        state: AgentBaySandboxSessionState,
        *,
        bay: AsyncAgentBay | None = None,
        session: AsyncSession | None = None,
        params: CreateSessionParams | None = None,
    ) -> None:
        self.state = state
        self._bay = bay
        self._given = session
        self._params = session_params(_FRAMEWORK, params, str(state.session_id))
        self._session: AsyncSession | None = None
        self._opened = AsyncExitStack()
        self._lock = asyncio.Lock()
        self._processes: dict[int, _Process] = {}

    async def session(self) -> AsyncSession:
        """Return the session of AgentBay, for what a sandbox cannot do.

        Raises:
            AgentBayError: It cannot be created or reached.
        """
        async with self._lock:
            if self._session is None:
                self._session = await self._connect()
            return self._session

    async def _connect(self) -> AsyncSession:
        """Return the session that was handed in, or that of the state, or a new one."""
        async with AsyncExitStack() as opened:
            session, found = self._given, True
            if session is None:
                bay = await enter_client(self._bay, opened)
                earlier = await self._find(bay)
                found = earlier is not None
                session = (await bay.create(self._params)).unwrap() if earlier is None else earlier
            self.state.agentbay_session_id = session.session_id
            self.state.workspace_root_ready = self.state.workspace_root_ready and found
            self._set_start_state_preserved(found)
            self._opened = opened.pop_all()
            return session

    async def _find(self, bay: AsyncAgentBay) -> AsyncSession | None:
        if not self.state.agentbay_session_id:
            return None
        result = await bay.get(self.state.agentbay_session_id)
        if isinstance(result.error, SessionNotFoundError):
            return None
        session = result.unwrap()
        status = (await session.get_status()).unwrap()
        if status in (SessionStatus.PAUSED, SessionStatus.PAUSING):
            (await session.resume()).unwrap()
        return session

    async def delete(self) -> None:
        """Delete the session, unless it was handed in, or is to be paused; also if cancelled.

        Raises:
            AgentBayError: It could not be deleted.
        """
        if self._session is None and self.state.agentbay_session_id and self.state.owned:
            # A state that was resumed, but never started.
            await uninterrupted(self._delete_unopened())
        else:
            await uninterrupted(self._release())

    async def _delete_unopened(self) -> None:
        if self.state.pause_on_exit:
            return
        async with AsyncExitStack() as stack:
            # A paused session is resumed: it cannot be deleted.
            session = await self._find(await enter_client(self._bay, stack))
            if session is not None:
                await self._end(session)

    async def _release(self) -> None:
        session, self._session = self._session, None
        opened, self._opened = self._opened, AsyncExitStack()
        async with opened:
            if session is not None and self.state.owned:
                await self._end(session)

    async def _end(self, session: AsyncSession) -> None:
        if self.state.pause_on_exit:
            status = (await session.get_status()).unwrap()
            if status == SessionStatus.RUNNING:
                (await session.pause()).unwrap()
            return
        # The files of contexts are saved first.
        (await session.delete(bool(self._params.context_syncs))).unwrap()
        self.state.agentbay_session_id = ""

    async def _ensure_backend_started(self) -> None:
        await self.session()

    async def _prepare_backend_workspace(self) -> None:
        root = shlex.quote(self.state.manifest.root)
        done = await run_command(await self.session(), f"mkdir -p -- {root}")
        if done.exit_code != 0:
            context = {"reason": "workspace_root_nonzero_exit", "stderr": done.stderr}
            raise WorkspaceStartError(path=self._workspace_root_path(), context=context)

    async def _after_start_failed(self) -> None:
        await self.delete()

    def _wrap_start_error(self, error: Exception) -> Exception:
        if isinstance(error, AgentBayError):
            return WorkspaceStartError(
                path=self._workspace_root_path(), cause=error, message=str(error)
            )
        return error

    async def _shutdown_backend(self) -> None:
        await self.delete()

    async def running(self) -> bool:
        """Return whether the session runs."""
        if self._session is None:
            return False
        result = await self._session.get_status()
        return result.success and result.status == SessionStatus.RUNNING

    async def _exec_internal(
        self, *command: str | Path, timeout: float | None = None
    ) -> ExecResult:
        words = [str(word) for word in command]
        try:
            done = await run_command(
                await self.session(),
                shlex.join(words),
                cwd=self._directory(),
                envs=await self.state.manifest.environment.resolve(),
                timeout=None if timeout is None else max(timeout, 0.001),
            )
        except AgentBayError as error:
            raise _transport_error(words, error) from error
        if done.timed_out:
            raise ExecTimeoutError(command=words, timeout_s=timeout)
        return ExecResult(
            stdout=done.stdout.encode("utf-8", "surrogatepass"),
            stderr=done.stderr.encode("utf-8", "surrogatepass"),
            exit_code=done.exit_code,
        )

    def _directory(self) -> str | None:
        # Helpers run before the root of the workspace exists.
        return self.state.manifest.root if self.state.workspace_root_ready else None

    def supports_pty(self) -> bool:
        """Return ``True``: a model may start a command, and come back to it."""
        return True

    async def pty_exec_start(
        self,
        *command: str | Path,
        timeout: float | None = None,
        shell: bool | list[str] = True,
        user: str | User | None = None,
        tty: bool = False,
        yield_time_s: float | None = None,
        max_output_tokens: int | None = None,
    ) -> PtyExecUpdate:
        """Start a command, and return what it writes at first.

        Raises:
            ExecTransportError: It was not started.
        """
        words = self._prepare_exec_command(*command, shell=shell, user=user)
        entry = _Process(tty)
        try:
            session = await self.session()
            process = await session.command.start(
                shlex.join(words) if tty else f"{shlex.join(words)} </dev/null",
                self._directory(),
                await self.state.manifest.environment.resolve(),
                on_stdout=entry.take,
            )
        except AgentBayError as error:
            raise _transport_error(words, error) from error
        entry.start(process)
        await self._make_room()
        number = allocate_pty_process_id(set(self._processes))
        self._processes[number] = entry
        wait = _FIRST_YIELD if yield_time_s is None else int(yield_time_s * 1000)
        return await self._update(number, entry, clamp_pty_yield_time_ms(wait), max_output_tokens)

    async def pty_write_stdin(
        self,
        *,
        session_id: int,
        chars: str,
        yield_time_s: float | None = None,
        max_output_tokens: int | None = None,
    ) -> PtyExecUpdate:
        """Type into a command, and return what it has written since.

        Raises:
            PtySessionNotFoundError: There is no such command, or its end was returned.
            RuntimeError: It was started without a terminal.
        """
        entry = self._resolve_pty_session_entry(
            pty_processes=self._processes, session_id=session_id
        )
        entry.last_used = time.monotonic()
        if chars and not entry.tty:
            raise RuntimeError("stdin is not available for this process")
        try:
            if chars:
                await entry.process.send_stdin(chars)
        except PtyNotConnectedError:
            logger.debug("%r has ended before its input came", entry.process)
        except AgentBayError as error:
            raise _transport_error(["write_stdin", str(session_id)], error) from error
        wait = _LATER_YIELD if yield_time_s is None else int(yield_time_s * 1000)
        wait = resolve_pty_write_yield_time_ms(yield_time_ms=wait, input_empty=not chars)
        return await self._update(session_id, entry, wait, max_output_tokens)

    async def _update(
        self, number: int, entry: _Process, wait: int, max_tokens: int | None
    ) -> PtyExecUpdate:
        output, tokens, closed = await collect_pty_output(
            output_chunks=entry.chunks,
            output_lock=entry.lock,
            output_notify=entry.arrived,
            is_done=entry.ended.is_set,
            yield_time_ms=wait,
            max_output_tokens=max_tokens,
        )
        if closed:
            self._processes.pop(number, None)
        return PtyExecUpdate(
            process_id=None if closed else number,
            output=output,
            exit_code=entry.exit_code if closed else None,
            original_token_count=tokens,
        )

    async def _make_room(self) -> None:
        if len(self._processes) < PTY_PROCESSES_MAX:
            return
        used = [(n, one.last_used, one.ended.is_set()) for n, one in self._processes.items()]
        number = process_id_to_prune_from_meta(used)
        if number is not None:
            await self._end_process(self._processes.pop(number))

    async def pty_terminate_all(self) -> None:
        """End the commands that a model has started."""
        processes, self._processes = list(self._processes.values()), {}
        await asyncio.gather(*map(self._end_process, processes))

    async def _end_process(self, entry: _Process) -> None:
        try:
            await entry.end()
        except AgentBayError as error:
            # The session ends it in any case, and may be gone already.
            logger.warning("%r may still run: %s", entry.process, error)

    async def _resolve_exposed_port(self, port: int) -> ExposedPortEndpoint:
        try:
            session = await self.session()
            http = (await session.get_link("https", port)).unwrap()
            socket = (await session.get_link("wss", port)).unwrap()
        except AgentBayError as error:
            raise ExposedPortUnavailableError(
                port=port,
                exposed_ports=self.state.exposed_ports,
                reason="backend_unavailable",
                context={"backend": "agentbay", "detail": str(error)},
                cause=error,
                retryable=error.retryable,
            ) from error
        parts = urlsplit(http)
        tls = parts.scheme == "https"
        return AgentBayPortEndpoint(
            host=parts.hostname or "",
            port=parts.port or (443 if tls else 80),
            tls=tls,
            query=parts.query,
            http_url=http,
            ws_url=socket,
        )

    def _runtime_helpers(self) -> tuple[RuntimeHelperScript, ...]:
        return (RESOLVE_WORKSPACE_PATH_HELPER,)

    def _current_runtime_helper_cache_key(self) -> object | None:
        return self.state.agentbay_session_id

    async def _validate_path_access(self, path: Path | str, *, for_write: bool = False) -> Path:
        return await self._validate_remote_path_access(path, for_write=for_write)

    async def read(self, path: Path, *, user: str | User | None = None) -> io.IOBase:
        """Read a file of the workspace.

        Raises:
            WorkspaceReadNotFoundError: There is no such file.
            WorkspaceArchiveReadError: It cannot be read.
        """
        if user is not None:
            await self._check_read_with_exec(path, user=user)
        target = sandbox_path_str(await self._validate_path_access(path))
        try:
            files = (await self.session()).file_system
            return io.BytesIO((await files.read_file(target, format="bytes")).unwrap())
        except RemoteFileNotFoundError as error:
            raise WorkspaceReadNotFoundError(path=path, cause=error) from error
        except AgentBayError as error:
            raise WorkspaceArchiveReadError(
                path=path, cause=error, retryable=error.retryable
            ) from error

    async def write(self, path: Path, data: io.IOBase, *, user: str | User | None = None) -> None:
        """Write a file of the workspace, and create missing directories.

        Raises:
            WorkspaceArchiveWriteError: It cannot be written.
            WorkspaceWriteTypeError: `data` is not binary.
        """
        if user is not None:
            await self._check_write_with_exec(path, user=user)
        target = await self._validate_path_access(path, for_write=True)
        content = coerce_write_payload(path=path, data=data).stream
        try:
            await self._upload(content, sandbox_path_str(target))
        except AgentBayError as error:
            raise _write_error(target, error) from error

    async def _upload(self, data: io.IOBase, target: str) -> None:
        files = (await self.session()).file_system
        async with on_disk(data) as copy:
            (await files.upload_file(copy, target)).unwrap()

    async def persist_workspace(self) -> io.IOBase:
        """Return the workspace as a tar archive.

        Raises:
            WorkspaceArchiveReadError: It cannot be read.
        """
        return await with_ephemeral_mounts_removed(
            self,
            self._pack,
            error_path=self._workspace_root_path(),
            error_cls=WorkspaceArchiveReadError,
            operation_error_context_key="snapshot_error_before_remount_corruption",
        )

    async def _pack(self) -> io.IOBase:
        root = self._workspace_root_path()
        skipped = " ".join(shell_tar_exclude_args(self._persist_workspace_skip_relpaths()))
        line = f"tar {skipped} -C {shlex.quote(root.as_posix())} -cf {{archive}} ."
        try:
            async with self._archive() as archive:
                await self._run_tar(line.format(archive=archive))
                files = (await self.session()).file_system
                return await fetch(lambda target: files.download_file(archive, target))
        except AgentBayError as error:
            raise WorkspaceArchiveReadError(
                path=root, cause=error, retryable=error.retryable
            ) from error

    async def hydrate_workspace(self, data: io.IOBase) -> None:
        """Unpack a tar archive into the workspace.

        Raises:
            WorkspaceArchiveWriteError: It leads out of the workspace, or cannot be unpacked.
        """
        await with_ephemeral_mounts_removed(
            self,
            lambda: self._unpack(data),
            error_path=self._workspace_root_path(),
            error_cls=WorkspaceArchiveWriteError,
            operation_error_context_key="hydrate_error_before_remount_corruption",
        )

    async def _unpack(self, data: io.IOBase) -> None:
        root = self._workspace_root_path()
        content = coerce_write_payload(path=root, data=data).stream
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as copy:
            await asyncio.to_thread(shutil.copyfileobj, content, copy, CHUNK)
            await asyncio.to_thread(_check_archive, root, copy)
            copy.seek(0)
            try:
                async with self._archive() as archive:
                    await self._upload(copy, archive)  # type: ignore[arg-type]
                    line = f"tar -C {shlex.quote(root.as_posix())} -xf {archive}"
                    await self._run_tar(f"mkdir -p {shlex.quote(root.as_posix())} && {line}")
            except AgentBayError as error:
                raise _write_error(root, error) from error

    @asynccontextmanager
    async def _archive(self) -> AsyncIterator[str]:
        """Yield a path in the session for an archive, and remove what is there at the end."""
        session = await self.session()
        path = f"/tmp/agentbay-{uuid.uuid4().hex}.tar"  # noqa: S108  # in the session
        try:
            yield path
        finally:
            await uninterrupted(_remove(session, path))

    async def _run_tar(self, line: str) -> None:
        done = await run_command(await self.session(), line)
        if done.exit_code != 0:
            raise CommandError(f"tar failed with exit code {done.exit_code}: {done.stderr[:1000]}")


async def _remove(session: AsyncSession, path: str) -> None:
    (await session.command.run(f"rm -f {path}")).unwrap()


def _check_archive(root: Path, archive: SpooledTemporaryFile[bytes]) -> None:
    archive.seek(0)
    try:
        with tarfile.open(fileobj=archive, mode="r:*") as opened:
            validate_tarfile(opened, allow_external_symlink_targets=False)
    except (UnsafeTarMemberError, tarfile.TarError, OSError) as error:
        context = {"reason": "unsafe_or_invalid_tar", "detail": str(error)}
        raise WorkspaceArchiveWriteError(path=root, context=context, cause=error) from error


def _transport_error(words: Sequence[str], error: AgentBayError) -> ExecTransportError:
    return ExecTransportError(
        command=words,
        context={"backend": "agentbay", "request_id": error.request_id},
        cause=error,
        message=str(error),
        retryable=error.retryable,
    )


def _write_error(path: Path, error: AgentBayError) -> WorkspaceArchiveWriteError:
    return WorkspaceArchiveWriteError(
        path=path, cause=error, retryable=error.retryable, message=str(error)
    )
