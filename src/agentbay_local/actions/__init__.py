"""The handlers of actions, without HTTP and SQL.

A handler gets the `ServiceState` and the decoded request, and returns an `Answer` or raises an
`ApiError`. ``ROUTES`` lists all actions that the service offers.
"""

from __future__ import annotations

from agentbay_local.actions.routes import ROUTES, Route

__all__ = ["ROUTES", "Route"]
