"""The WebSocket of a session: terminals, streamed code and file watches.

`frames` parses and encodes frames, `connection` is one client. `dispatcher` hands each request to
its server: `pty` (with one `pty_session` for each terminal), `code` or `file_watch`. `hub` keeps
the servers of a session from its first connection to its end.
"""

from __future__ import annotations
