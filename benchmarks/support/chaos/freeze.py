"""A service that stands still: every call ends by its deadline."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

from agentbay_async import AsyncAgentBay, Config
from support.chaos.scenario import PARAMS, Scenario
from support.chaos.service_process import API_KEY, ServiceProcess

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from agentbay_async import AsyncSession
    from support.chaos.scenario import Trial

# Seconds for one answer, and for a call with all its attempts.
_ANSWER = 1.0
_CALL = 3.0
# Seconds for the listing of duplicates, part of the clean-up of a bulk run.
_LISTING = 5.0
# Seconds that the answer to a command may take longer than its time limit.
_ANSWER_GRACE = 15.0


def freeze_service(trial: Trial) -> None:
    """Stop the process of a service during calls, and let it go on when they have ended."""
    asyncio.run(_freeze_service(trial))


async def _freeze_service(trial: Trial) -> None:
    service = await asyncio.to_thread(ServiceProcess, trial, trial.directory / "home")
    config = Config(endpoint=service.endpoint, timeout_ms=int(_ANSWER * 1000), deadline=_CALL)
    async with AsyncAgentBay(API_KEY, config) as bay:
        session = (await bay.create(PARAMS)).unwrap()
        (await session.command.run("true", timeout=50)).unwrap()
        calls = [
            asyncio.create_task(trial.tally.timed(name, call, seconds))
            for name, (call, seconds) in _calls(bay, session, trial.variant).items()
        ]
        # Some calls are sent before the service stands still, some afterwards.
        await asyncio.sleep(trial.random.uniform(0, 0.05))
        await asyncio.to_thread(service.signal, signal.SIGSTOP)
        await asyncio.gather(*calls)
        await asyncio.to_thread(service.signal, signal.SIGCONT)


def _calls(
    bay: AsyncAgentBay, session: AsyncSession, variant: str
) -> dict[str, tuple[Awaitable[Any], float]]:
    """Return calls by name, each with its deadline."""
    if variant == "command":
        run = session.command.run("sleep 100", timeout=_CALL)
        return {"run": (run, _CALL + _ANSWER_GRACE)}
    return {
        "get": (bay.get(session.session_id), _CALL),
        "list": (bay.list_by_labels({}), _CALL),
        "set labels": (session.set_labels({"a": "b"}), _CALL),
        "sync": (session.context.sync(timeout=_CALL), _CALL),
        "create": (bay.create(PARAMS), _CALL),
        # At its end, a run lists duplicates.
        "create many": (bay.create_many(PARAMS, 3, deadline=_CALL).run(), _CALL + _LISTING),
        "delete": (session.delete(timeout=_CALL), _CALL),
    }


FREEZE_SERVICE = Scenario("freeze-service", freeze_service, ("calls", "command"))
