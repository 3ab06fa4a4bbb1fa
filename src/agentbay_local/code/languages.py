"""Languages of `run_code`, and the command that starts the kernel of each on this machine.

Python is the interpreter that runs the service, because the service's IPython fits it. The packages
of the service's environment are mounted read-only in every session; a session installs its own
packages for itself.
"""

from __future__ import annotations

import functools
import importlib.util
import shutil
import sys
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from agentbay_local.protocol.arguments import ToolError
from agentbay_local.sandbox.host.programs import current_interpreter
from agentbay_local.sandbox.values import Isolation

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["canonical_name", "kernel_command", "read_only_mounts"]

LANGUAGES = ("python", "javascript", "r", "java")
_ALIASES = {
    "py": "python",
    "python3": "python",
    "js": "javascript",
    "node": "javascript",
    "nodejs": "javascript",
}
_MOUNT_ROOT = "/opt/agentbay"
_PYTHON_KERNEL, _JAVASCRIPT_KERNEL = "python_kernel.py", "javascript_kernel.js"
_KERNELS = Path(__file__).with_name("inside")
# Replaces the packages of the base Python by those of the service's virtual environment.
_BOOTSTRAP = (
    "import sys, runpy; "
    "own = [p for p in sys.path if not (p.startswith(sys.prefix) and p.endswith('-packages'))]; "
    "sys.path[:] = own + sys.argv[2:]; "
    "runpy.run_path(sys.argv[1], run_name='kernel')"
)


def canonical_name(language: str) -> str:
    """Return the canonical name of a language.

    Raises:
        ToolError: The language is unknown.

    Example:
        >>> canonical(" Node ")
        'javascript'
    """
    name = language.strip().lower()
    name = _ALIASES.get(name, name)
    if name not in LANGUAGES:
        known = ", ".join(LANGUAGES)
        raise ToolError(f"Unsupported language: {language[:100]}. Supported languages are {known}.")
    return name


def kernel_command(language: str, isolation: Isolation) -> list[str]:
    """Return the command that starts a kernel, with the paths that a session sees.

    Args:
        language: A canonical name.
        isolation: The session's level. Without namespaces there are no mounts, so the paths are
            those of the host.

    Raises:
        ToolError: The language is not installed here; the text says how to install it.
    """
    if language == "python":
        return _python(isolation)
    if language == "javascript":
        return _javascript(isolation)
    raise ToolError(
        f"Language {language} is not installed here: the local service runs python and javascript; "
        f"use the cloud service for {language}."
    )


@functools.cache
def read_only_mounts() -> Mapping[str, Path]:
    """Return the directories to mount in every session: path inside to directory of the host."""
    mounts = {f"{_MOUNT_ROOT}/kernels": _KERNELS}
    mounts.update((inside, path) for path, inside in _packages().items() if inside != str(path))
    needs = current_interpreter().needs
    if needs is not None:
        mounts[str(needs)] = needs
    return MappingProxyType(mounts)


def _python(isolation: Isolation) -> list[str]:
    if importlib.util.find_spec("IPython") is None:
        raise ToolError(
            "Language python needs IPython in the environment of the local service, "
            "which lacks it: pip install 'agentbay-async[local]'."
        )
    options = ["-u", "-X", "utf8", "-c", _BOOTSTRAP]
    # The base Python, because that of a virtual environment is a link in a directory that no
    # session can read.
    program = str(current_interpreter().program)
    if isolation is not Isolation.NAMESPACES:
        packages = [str(path) for path in _packages()]
        return [program, *options, str(_KERNELS / _PYTHON_KERNEL), *packages]
    return [program, *options, f"{_MOUNT_ROOT}/kernels/{_PYTHON_KERNEL}", *_packages().values()]


def _javascript(isolation: Isolation) -> list[str]:
    found = shutil.which("node")
    program = Path(found).resolve() if found else None
    # With namespaces a session sees only the system's directories, not a Node in a home directory.
    if program is None or (isolation is Isolation.NAMESPACES and not _in_system(program)):
        raise ToolError(
            "Language javascript is not installed here: it needs Node.js in the system's "
            "directories (apt install nodejs)."
        )
    directory = f"{_MOUNT_ROOT}/kernels" if isolation is Isolation.NAMESPACES else str(_KERNELS)
    return [str(program), "--no-warnings", f"{directory}/{_JAVASCRIPT_KERNEL}"]


@functools.cache
def _packages() -> Mapping[Path, str]:
    """Return the package directories of the service, and the path of each in a session."""
    directories = dict.fromkeys(Path(p).resolve() for p in sys.path if p.endswith("-packages"))
    base = Path(sys.base_prefix).resolve()
    inside = {}
    for index, path in enumerate(directories):
        visible = _in_system(path) or path.is_relative_to(base)
        if path.is_dir():
            inside[path] = str(path) if visible else f"{_MOUNT_ROOT}/{index}/{path.name}"
    return MappingProxyType(inside)


def _in_system(path: Path) -> bool:
    return path.is_relative_to("/usr")
