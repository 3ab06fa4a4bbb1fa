"""What all of git's methods stand on: the command that runs it, and the checks of arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async.errors import InvalidArgumentError
from agentbay_async.models.results import OperationResult
from agentbay_async.services._git.command import Limit, run
from agentbay_async.services.command import AsyncCommand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentbay_async._api import Api

#: Seconds that what talks to a remote may take.
NETWORK_TIMEOUT = 120.0


class GitBase:
    """Runs git in the repositories of one session.

    Args:
        api: The client's.
        session_id: The session.
    """

    __slots__ = ("__weakref__", "_command")

    def __init__(self, api: Api, session_id: str) -> None:
        self._command = AsyncCommand(api, session_id)

    async def _run(
        self, repo_path: str, args: Sequence[str], limit: Limit, *, may_conflict: bool = False
    ) -> tuple[str, str]:
        repo = directory(repo_path, "repo_path")
        return await run(self._command, repo, args, limit, may_conflict=may_conflict)

    async def _done(
        self,
        repo_path: str,
        args: Sequence[str],
        limit: Limit,
        *,
        may_conflict: bool = False,
        literal: bool = False,
    ) -> OperationResult[None]:
        """Run git for what it does, not for what it says."""
        literally = ["--literal-pathspecs"] if literal else []
        _, request_id = await self._run(
            repo_path, [*literally, *args], limit, may_conflict=may_conflict
        )
        return OperationResult.ok(None, request_id)


def directory(path: object, name: str) -> str:
    """Return a directory that git does not take for an option."""
    checked = _check.text(path, name)
    return f"./{checked}" if checked.startswith("-") else checked


def ref(value: object, name: str) -> str:
    """Return the name of a branch, tag, commit or remote, if it is no option."""
    checked = _check.text(value, name)
    if checked.startswith("-"):
        raise InvalidArgumentError(f"{name} must not begin with '-': {checked!r}")
    return checked


def paths_of(paths: Sequence[str], name: str) -> list[str]:
    """Return paths, of which there must be one at least."""
    checked = [_check.text(path, f"each of {name}") for path in _check.sequence(paths, name, str)]
    if not checked:
        raise InvalidArgumentError(f"{name} must not be empty; give at least one")
    return checked
