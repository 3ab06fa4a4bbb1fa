"""How git is set up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from agentbay_async import _check
from agentbay_async.errors import GitError, InvalidArgumentError
from agentbay_async.models._returns_result import returns_result
from agentbay_async.models.results import OperationResult
from agentbay_async.services._git.base import GitBase
from agentbay_async.services._git.command import Limit

if TYPE_CHECKING:
    from datetime import timedelta


class Settings(GitBase):
    """Reads and writes what git is set up with."""

    __slots__ = ()

    @returns_result(OperationResult)
    async def configure_user(
        self,
        repo_path: str,
        name: str,
        email: str,
        *,
        scope: Literal["global", "local"] = "global",
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Say who makes commits: for all repositories, or with ``"local"`` for this one."""
        limit, config = Limit(timeout_ms, timeout), ["config", scope_flag(scope), "--"]
        address = _check.text(email, "email")
        await self._run(repo_path, [*config, "user.name", _check.text(name, "name")], limit)
        return await self._done(repo_path, [*config, "user.email", address], limit)

    @returns_result(OperationResult)
    async def set_config(
        self,
        repo_path: str,
        key: str,
        value: str,
        *,
        scope: Literal["global", "local"] = "global",
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[None]:
        """Set a value such as ``"pull.rebase"``: for all repositories, or this one."""
        args = [
            "config",
            scope_flag(scope),
            "--",
            _check.text(key, "key"),
            _check.string(value, "value"),
        ]
        return await self._done(repo_path, args, Limit(timeout_ms, timeout))

    @returns_result(OperationResult)
    async def get_config(
        self,
        repo_path: str,
        key: str,
        *,
        scope: Literal["global", "local"] = "global",
        timeout_ms: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> OperationResult[str | None]:
        """Ask for a value; ``data`` is ``None`` if it is not set in that scope."""
        args = ["config", scope_flag(scope), "-z", "--get", "--", _check.text(key, "key")]
        try:
            output, request_id = await self._run(repo_path, args, Limit(timeout_ms, timeout))
        except GitError as error:
            # Not set is told by an exit code alone; a wrong key has something to say.
            if error.exit_code == 1 and not error.stderr.strip():
                return OperationResult.ok(None, error.request_id)
            raise
        return OperationResult.ok(output.removesuffix("\0"), request_id)


def scope_flag(scope: object) -> str:
    if scope not in ("global", "local"):
        raise InvalidArgumentError(f"scope must be 'global' or 'local', not {scope!r}")
    return f"--{scope}"
