"""`CodeRunner`: kernels in a sandbox, and helpers of their tests."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import attrs
import pytest

if TYPE_CHECKING:
    from agentbay_local.code import CodeOutcome, Kernels
    from agentbay_local.sandbox.base import Sandbox


needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
needs_r = pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
needs_java = pytest.mark.skipif(shutil.which("javac") is None, reason="a JDK is not installed")


@attrs.frozen
class CodeRunner:
    """Kernels whose sessions share one sandbox."""

    kernels: Kernels
    sandbox: Sandbox

    async def python(self, code: str, timeout: float = 120, **env: str) -> CodeOutcome:
        """Run Python."""
        return await self.kernels.run("s-1", "python", code, timeout, env)

    async def javascript(self, code: str, timeout: float = 120, **env: str) -> CodeOutcome:
        """Run JavaScript."""
        return await self.kernels.run("s-1", "javascript", code, timeout, env)

    async def value(self, code: str) -> Any:
        """Run Python code that must succeed, and return the text of its value."""
        outcome = await self.python(code)
        assert outcome.end.error is None, outcome
        return outcome.results[-1].mime["text/plain"]


async def begun(coder: CodeRunner) -> None:
    """Wait until the code has created the file ``begun``."""
    wait = "until [ -e begun ]; do sleep 0.01; done; rm begun"
    assert (await coder.sandbox.run(wait, timeout=60)).exit_code == 0


#: Whether a kernel is forked: what is left of the agent on its stack has run it.
IS_FORKED = "import inspect; any(one.filename == 'preload.py' for one in inspect.stack(0))"

BEGIN = "open('begun', 'w').close()\n"
