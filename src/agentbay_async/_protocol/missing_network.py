"""Recognize the output of a command that needs a network, and has none.

The local service tells the cure for its sessions with the end of a terminal. The client knows the
standard error too, which may come by another terminal, so that both look.
"""

from __future__ import annotations

import re

__all__ = ["LOOKED_AT", "lacks_network"]

# What curl, wget, git, pip, apt, Python and Node.js say if no name resolves and no route leads out.
_NO_NETWORK = re.compile(
    r"Could not resolve|Temporary failure (in name resolution|resolving)|Name or service not known"
    r"|unable to resolve host|Network is unreachable|getaddrinfo|NameResolutionError"
)
LOOKED_AT = 8192
"""Characters at the end of a stream in which the reason of a failure is looked for."""


def lacks_network(output: str) -> bool:
    """Return whether the end of a failed output says that no host was reached."""
    return _NO_NETWORK.search(output[-LOOKED_AT:]) is not None
