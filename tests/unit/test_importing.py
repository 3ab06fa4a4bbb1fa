"""Importing has no side effects: no aiohttp, thread, file, socket or log handler."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_SCRIPT = """
import sys, threading, logging

seen = []

def watch(event, args):
    if event == "open":
        mode, flags = args[1], args[2] or 0
        if isinstance(args[0], str) and ("w" in (mode or "") or "a" in (mode or "") or flags & 3):
            seen.append((event, args[0]))
    elif event.startswith(("socket.", "subprocess.", "os.mkdir", "os.rename", "os.remove")):
        seen.append((event, str(args)))

loggers = set(logging.root.manager.loggerDict)
sys.dont_write_bytecode = True
sys.addaudithook(watch)
import PACKAGE
PACKAGE.CreateSessionParams, PACKAGE.ContextSync, PACKAGE.AgentBayError
print(sorted(name for name in ("aiohttp", "ssl", "cattrs") if name in sys.modules))
print(threading.active_count())
print(seen)
print(logging.root.handlers, logging.getLogger("agentbay").handlers)
print(logging.getLogger("agentbay").level)
"""


@pytest.mark.parametrize("package", ["agentbay_async", "agentbay"])
def test_importing_has_no_side_effect(
    run_child: Callable[..., str], package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor has the use of values that need no network."""
    monkeypatch.chdir(tmp_path)
    output = run_child(_SCRIPT.replace("PACKAGE", package), "-W", "error").splitlines()
    assert output == ["[]", "1", "[]", "[] []", "0"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("package", "client"), [("agentbay_async", "AsyncAgentBay"), ("agentbay", "AgentBay")]
)
def test_client_opens_nothing_until_it_is_used(
    run_child: Callable[..., str], package: str, client: str
) -> None:
    """Creating one starts no thread, opens no connection and imports no rare module."""
    code = f"""
    import sys, threading
    import {package}
    opened = []
    sys.addaudithook(lambda event, args: opened.append(event) if "socket.c" in event else None)
    bay = {package}.{client}("akm-1", endpoint="https://service.invalid")
    bay.context
    print(threading.active_count(), opened)
    rare = ("agentbay_local", "agentbay_async._transport.websocket", "agentbay_async.models.bulk")
    print([name for name in rare if name in sys.modules])
    """
    assert run_child(code, "-W", "error").splitlines() == ["1 []", "[]"]


def test_a_local_service_loads_aiohttp_while_it_starts(run_child: Callable[..., str]) -> None:
    """Beside the try of a sandbox: before, its import would delay that."""
    code = """
    import sys
    from agentbay_local import LocalService
    LocalService()
    late = ("aiohttp", "agentbay_local.actions", "agentbay_local.cassettes")
    print([name for name in late if name in sys.modules])
    """
    assert run_child(code).splitlines() == ["[]"]
