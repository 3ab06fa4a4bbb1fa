"""Code in a session: what it answers, whole and as a stream."""

from __future__ import annotations
