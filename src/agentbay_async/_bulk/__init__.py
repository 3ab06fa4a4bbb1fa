"""Many sessions at once: the crew that works, its pace, and what becomes of a run."""

from __future__ import annotations
