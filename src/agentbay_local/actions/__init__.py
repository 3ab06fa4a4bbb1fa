"""The rules of the service: one handler for each action, without HTTP and without SQL.

A handler gets the service's `State` and the decoded request, and returns an `Answer` or raises a
`Problem`. ``ROUTES`` is the whole list of what the service can do.
"""

from __future__ import annotations

from agentbay_local.actions.routes import ROUTES, Route

__all__ = ["ROUTES", "Route"]
