"""Access to allowed hosts from a session's closed network, through a proxy of the service.

`allow_list` is the list of hosts, `requests` parses requests, `proxy` and `tunnel` carry them out.
"""

from __future__ import annotations

from agentbay_local.sandbox.outbound.allow_list import NO_HOSTS, AllowedHosts

__all__ = ["NO_HOSTS", "AllowedHosts"]
