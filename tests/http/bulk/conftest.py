"""A helper of the tests of bulk runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from agentbay_async import AsyncSession, BulkOutcome


async def collect(outcomes: AsyncIterable[BulkOutcome[AsyncSession]], into: list[str]) -> None:
    """Append the session id of each outcome to a list; "" stands for a failure."""
    async for outcome in outcomes:
        into.append(outcome.session.session_id if outcome.success else "")
