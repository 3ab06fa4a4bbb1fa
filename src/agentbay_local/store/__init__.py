"""The rows of the service in one SQLite file; the only package with SQL.

`Store` opens the file and holds one table object for each subject. Calls take tens of microseconds
and run directly on the event loop: a hop to a thread would take longer.
"""

from __future__ import annotations

from agentbay_local.store.bindings import Binding, Bindings, Task
from agentbay_local.store.contexts import Context, Contexts
from agentbay_local.store.database import Database, StateFullError
from agentbay_local.store.sessions import Filter, NewSession, Session, Sessions, new_session_id
from agentbay_local.store.store import Store

__all__ = [
    "Binding",
    "Bindings",
    "Context",
    "Contexts",
    "Database",
    "Filter",
    "NewSession",
    "Session",
    "Sessions",
    "StateFullError",
    "Store",
    "Task",
    "new_session_id",
]
