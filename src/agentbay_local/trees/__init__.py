"""Trees of files: scan, select, copy and archive them.

Everything here works below an open directory and never follows a link out of it, because one side
of every copy belongs to a session, which may be running and hostile. All functions block; callers
run them in a thread.
"""

from __future__ import annotations
