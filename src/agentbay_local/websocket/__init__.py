"""A session's direct channels: its address for tools, its WebSocket, and who speaks on it.

`access` says how a session is reached, and who may; `frames` is how the WebSocket's text is read
and written, and `line` one client's connection. `desk` hands each question to whom it is for:
`terminals` (over one `screen` each), `coding`, `watching`. `rooms` keeps what outlives a line.
"""

from __future__ import annotations
