"""The tools that run inside a session: their schemas, arguments and handlers."""

from __future__ import annotations
