"""Say which extra has a package that is missing."""

from __future__ import annotations

from importlib.util import find_spec

__all__ = ["require"]


def require(**modules: str) -> None:
    """Check that modules are installed; they are imported where they are used.

    Args:
        modules: The name of each module, and of its package.

    Raises:
        ImportError: One is missing.
    """
    for module, package in modules.items():
        if find_spec(module) is None:
            install = "pip install 'agentbay-async[anthropic]'"
            raise ImportError(f"this toolset needs {package}: {install}", name=module)
