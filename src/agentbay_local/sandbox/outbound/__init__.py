"""The way out of a session's closed network: a proxy of the service, and the list it obeys.

`hosts` is the list, `requests` reads what a session asks for, `proxy` carries it.
"""

from __future__ import annotations

from agentbay_local.sandbox.outbound.allow_list import NO_HOSTS, AllowedHosts

__all__ = ["NO_HOSTS", "AllowedHosts"]
