"""Trees of files: what is in them, which part is meant, and how they are copied.

Everything here works below an open directory and never follows a link out of it, because one side
of every copy belongs to a session, which may be running and may be hostile. All of it blocks;
callers use a thread.
"""

from __future__ import annotations
