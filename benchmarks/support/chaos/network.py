"""Networks that deliver requests twice, and services that list no task of a sync."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, TypeVar

from agentbay_async import AsyncAgentBay, Config, ContextSync, CreateSessionParams
from agentbay_local import LocalService, Repeat
from support.chaos.proxy import Proxy
from support.chaos.saved_files import SavedFiles
from support.chaos.scenario import Scenario, UnavailableError
from support.chaos.sessions_left import compare, service, settled, start, wait

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from agentbay_async import AsyncSession
    from support.chaos.scenario import Trial

# Any result: each has `success` and `error_message`.
R = TypeVar("R", bound=Any)

_MOUNT = "/mnt/data"
# Seconds in which a task must be listed, and seconds within which calls that wait for one end.
_LISTING = 0.3
_DEADLINE = 30.0


def deliver_twice(trial: Trial) -> None:
    """Deliver creates twice, and both times successfully; the client gets one answer."""
    shape = trial.variant.split()[1]
    with service() as running:
        running.faults.add(
            Repeat(),
            "CreateMcpSession",
            probability=trial.random.choice((0.1, 0.5, 1.0)),
            seed=trial.random.randrange(2**32),
        )
        # The client is closed later than the last create.
        child = start(trial, running, seconds=2.0)
        wait(trial, child, time.monotonic())
        compare(trial, running, child, held=shape in ("awaited", "iterated", "creates"))


def list_no_tasks(trial: Trial) -> None:
    """Use contexts on a service that lists no task, or only tasks from before the sync."""
    with LocalService(isolation=trial.isolation) as running:
        if not running.isolation.available:
            raise UnavailableError(running.isolation.reason)
        hider = _TaskHider()
        with Proxy(running.endpoint, change=hider) as proxy:
            asyncio.run(_use_contexts(trial, running, proxy.endpoint, hider))


class _TaskHider:
    """Takes new tasks out of the answers of a service.

    Attributes:
        active: Whether to list only tasks that were listed before this was set.
    """

    def __init__(self) -> None:
        self.active = False
        self._shown: dict[tuple[str, str], str] = {}

    def __call__(self, action: str, form: Mapping[str, str], body: bytes) -> bytes:
        """Return the body of the answer to send."""
        document = json.loads(body) if action == "GetContextInfo" else {}
        data = document.get("Data")
        if not isinstance(data, dict):
            return body
        key = (form["SessionId"], form.get("TaskType", ""))
        if self.active:
            data["ContextStatus"] = self._shown.get(key, "[]")
        self._shown[key] = data.get("ContextStatus") or "[]"
        return json.dumps(document).encode()


async def _use_contexts(
    trial: Trial, running: LocalService, endpoint: str, hider: _TaskHider
) -> None:
    config = Config(endpoint=endpoint, task_listing_timeout=_LISTING)
    async with AsyncAgentBay(running.api_key, config) as bay:
        files = SavedFiles(bay, trial)
        for number in range(max(1, trial.size // 20)):
            hider.active = trial.variant == "none"
            await _use_context(trial, bay, files, f"context-{number}", hider)
        await files.compare()
    left = await asyncio.to_thread(settled, running)
    trial.tally.unheld.extend(f"{trial.variant}: {one}" for one in left)


async def _use_context(
    trial: Trial, bay: AsyncAgentBay, files: SavedFiles, name: str, hider: _TaskHider
) -> None:
    """Create, write, sync and delete; each must succeed, and the sync must not be confirmed."""
    context = (await bay.context.create(name)).unwrap().id
    session = await _create(trial, bay, context)
    if session is None:
        return
    if trial.variant == "old":
        (await session.file_system.write_file(f"{_MOUNT}/{name}", "the first version")).unwrap()
        await _sync(trial, session, confirmed=True)
        hider.active = True
    content = trial.random.randbytes(trial.random.randrange(1, 5000)).hex()
    (await session.file_system.write_file(f"{_MOUNT}/{name}", content)).unwrap()
    await _sync(trial, session, confirmed=False)
    if await _call(trial, "delete", session.delete(sync_context=True)) is not None:
        files.expect(context, name, content.encode())


async def _sync(trial: Trial, session: AsyncSession, *, confirmed: bool) -> None:
    synced = await _call(trial, "sync", session.context.sync(timeout=_DEADLINE))
    if synced is not None and synced.receipt.confirmed != confirmed:
        trial.tally.problems.append(f"{trial.variant}: a receipt is confirmed: {not confirmed}")


async def _create(trial: Trial, bay: AsyncAgentBay, context: str) -> AsyncSession | None:
    """Create a session with the context, or bind the context to it."""
    binds = trial.random.random() < 0.3
    sync = ContextSync(context, _MOUNT)
    params = CreateSessionParams(context_syncs=[] if binds else [sync])
    created = await _call(trial, "create", bay.create(params))
    if created is None:
        return None
    if binds:
        await _call(trial, "bind", created.session.context.bind(sync))
    return created.session


async def _call(trial: Trial, what: str, call: Awaitable[R]) -> R | None:
    """Await a call that must succeed in time; return its result, or ``None`` if it failed."""
    result = await trial.tally.timed(what, call, _DEADLINE)
    if result is not None and result.success:
        return result
    reason = result.error_message if result is not None else "no result"
    trial.tally.problems.append(f"{trial.variant}: a {what} failed: {reason}")
    return None


DELIVER_TWICE = Scenario(
    "deliver-twice",
    deliver_twice,
    tuple(
        f"{flavour} {shape}"
        for shape in ("awaited", "iterated", "mapped", "creates")
        for flavour in ("async", "blocking")
    ),
)
LIST_NO_TASKS = Scenario("list-no-tasks", list_no_tasks, ("none", "old"))
