"""The tools that run inside a session: what they are called, what they take, what they answer."""

from __future__ import annotations
