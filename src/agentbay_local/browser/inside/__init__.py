"""Programs that run inside a session, with its rights: the relay to a proxy."""

from __future__ import annotations
