"""Bulk runs that blocking code leaves early, each in a child process."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from .conftest import take_session_ids

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay_local import LocalService

    Child = Callable[[str], list[str]]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent to one thread")

_PRELUDE = """
from agentbay import AgentBay, Config, CreateSessionParams

bay = AgentBay({key!r}, Config(endpoint={endpoint!r}, ledger=None))
params = CreateSessionParams()
"""

_BODIES = {
    "break": """
with bay:
    for one in bay.create_many(params, 30, max_concurrency=8):
        say(one.session.session_id)
        break
""",
    "exception": """
try:
    with bay:
        for one in bay.create_many(params, 30, max_concurrency=8):
            say(one.session.session_id)
            raise LookupError
except LookupError:
    pass
""",
    "SystemExit": """
with bay:
    for one in bay.create_many(params, 30, max_concurrency=8):
        say(one.session.session_id)
        sys.exit(0)
""",
    "Ctrl-C": """
try:
    with bay:
        for one in bay.create_many(params, 30, max_concurrency=8):
            say(one.session.session_id)
            interrupt()
except KeyboardInterrupt:
    pass
""",
    "map": """
with bay:
    for one in bay.map_sessions(lambda session, item: item, range(30), max_concurrency=8):
        break
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("body", list(_BODIES))
def test_only_yielded_sessions_remain(child: Child, service: LocalService, body: str) -> None:
    """The sessions that the loop did not see are deleted before the client is closed."""
    prelude = _PRELUDE.format(key=service.api_key, endpoint=service.endpoint)
    printed = child(prelude + _BODIES[body])
    assert take_session_ids(service) == set(printed)
    assert len(printed) == (body != "map")
