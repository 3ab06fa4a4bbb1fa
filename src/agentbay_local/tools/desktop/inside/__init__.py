"""Programs that run inside a session, with its rights: the display and the apps."""

from __future__ import annotations
