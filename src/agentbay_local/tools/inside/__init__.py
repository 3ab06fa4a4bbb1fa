"""What tools run within a session: programs handed to the session's Python as text."""

from __future__ import annotations
