"""The local service on systems other than Linux: what it needs, and a container that has it.

Imported there, so it needs nothing that only Linux has.
"""

from __future__ import annotations

__all__ = ["RECIPE", "explain", "report"]

#: Starts the service in a container of Docker or Podman, for clients of the machine around it.
RECIPE = """\
docker run --rm --name agentbay -p 127.0.0.1:8080:8080 -v agentbay:/data \\
  --security-opt seccomp=unconfined --security-opt apparmor=unconfined \\
  --security-opt systempaths=unconfined -e AGENTBAY_API_KEY=local-key \\
  python:3.13-slim sh -c 'pip install --quiet "agentbay-async[local]" &&
    exec agentbay local --host 0.0.0.0 --port 8080 --home /data'"""

_WEAKENS = (
    "This takes from the container its filter of system calls, its AppArmor profile and the masks",
    "over /proc and /sys, which the sandboxes inside need; use a container for nothing else, and",
    "in a virtual machine, as Docker Desktop has. The port is open to this machine only.",
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
        "A local service in a container:",
        "",
        *RECIPE.splitlines(),
        "",
        "Clients use it with AGENTBAY_ENDPOINT=http://127.0.0.1:8080 and "
        "AGENTBAY_API_KEY=local-key.",
        "",
        *_WEAKENS,
    ]
