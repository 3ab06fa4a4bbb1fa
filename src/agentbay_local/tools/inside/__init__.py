"""Programs that tools run in a session, passed to its Python as text."""

from __future__ import annotations
