"""The session's end of the way out: a listening socket that the service takes over."""

from __future__ import annotations

import socket

TYPE_CHECKING = False  # importing typing would cost each session some milliseconds
if TYPE_CHECKING:
    from .files import View

WAITING = 64
OWN = "localhost,127.0.0.1,::1"
"""What is the session's own, and is not asked of the service."""


def listen(view: View) -> socket.socket:
    """Listen at the session's loopback, and name that as the proxy to all programs from now on."""
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    one.bind(("127.0.0.1", 0))
    one.listen(WAITING)
    proxy = f"http://127.0.0.1:{one.getsockname()[1]}"
    for name in ("http_proxy", "https_proxy"):
        view.variables.update({name: proxy, name.upper(): proxy})
    view.variables.update({"no_proxy": OWN, "NO_PROXY": OWN})
    return one
