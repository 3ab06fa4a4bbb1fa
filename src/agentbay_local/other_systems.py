"""The local service on systems other than Linux: what it needs, and a container that has it.

Imported there, so it needs nothing that only Linux has.
"""

from __future__ import annotations

__all__ = ["RECIPE", "explain", "report"]

#: Starts the service in a container of Docker, for clients of the machine around it. One line with
#: double quotes alone is the same for cmd, PowerShell and sh. The service runs as an ordinary user:
#: as root, it would have to mount directories, which the root of a container may not.
RECIPE = (
    "docker run --rm --name agentbay -p 127.0.0.1:8080:8080 -v agentbay:/data"
    " --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
    " --security-opt systempaths=unconfined -e AGENTBAY_API_KEY python:3.13-slim"
    ' sh -c "pip install -q agentbay-async[local] && chown 1000:1000 /data &&'
    " HOME=/data exec setpriv --reuid 1000 --regid 1000 --clear-groups"
    ' agentbay local --host 0.0.0.0 --port 8080 --home /data"'
)

_WEAKENS = (
    "This takes from the container its filter of system calls, its AppArmor profile and the masks",
    "over /proc and /sys, which the sandboxes inside need; use a container for nothing else, and",
    "in a virtual machine, as Docker Desktop has. The port is open to this machine only: everybody",
    "here who knows the key may use the service.",
)


def explain(subject: str, platform: str) -> str:
    """Return what is missing, and what to do.

    Args:
        subject: What needs Linux, such as ``endpoint="local"``.
        platform: The system, as ``sys.platform`` names it.
    """
    system = {"win32": "Windows", "darwin": "macOS"}.get(platform, platform)
    return (
        f"{subject} needs Linux, because sandboxes are made of Linux namespaces; this is {system}. "
        "Run it in WSL 2, a virtual machine or a container (`agentbay doctor` prints a command "
        "for that), or use the cloud"
    )


def report(platform: str) -> list[str]:
    """Return the lines of ``agentbay doctor``."""
    return [
        f"local service: not available. {explain('The local service', platform)}.",
        "cloud client: available. Everything else of this library works here.",
        "",
        "A local service in a container: choose a key, set AGENTBAY_API_KEY to it, and run",
        "",
        RECIPE,
        "",
        "Clients use it with that key, and with AGENTBAY_ENDPOINT=http://127.0.0.1:8080.",
        "",
        *_WEAKENS,
    ]
