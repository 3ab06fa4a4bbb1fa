"""The session's end of the outbound proxy: a listening socket for the service."""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing would cost each session some milliseconds
if TYPE_CHECKING:
    import socket

    from .files import View
else:
    import _socket as socket

WAITING = 64
OWN = "localhost,127.0.0.1,::1"
"""The hosts of the session itself, which programs reach without the proxy."""


def listen(view: View) -> socket.socket:
    """Listen on the session's loopback, and set the variables of later programs to this proxy."""
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    one.bind(("127.0.0.1", 0))
    one.listen(WAITING)
    proxy = f"http://127.0.0.1:{one.getsockname()[1]}"
    for name in ("http_proxy", "https_proxy"):
        view.variables.update({name: proxy, name.upper(): proxy})
    view.variables.update({"no_proxy": OWN, "NO_PROXY": OWN})
    return one
