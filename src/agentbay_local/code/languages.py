"""Which languages there are, and how the worker of each is started on this machine.

Python is the one that runs the service, because its IPython fits to it. Its libraries are laid
into every session, read-only, with those the service's environment has; packages that a session
installs for itself are its own.
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
from agentbay_local.sandbox.host.programs import own_interpreter
from agentbay_local.sandbox.values import Isolation

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["canonical", "command", "read_only"]

LANGUAGES = ("python", "javascript", "r", "java")
_ALIASES = {
    "py": "python",
    "python3": "python",
    "js": "javascript",
    "node": "javascript",
    "nodejs": "javascript",
}
_SHELF = "/opt/agentbay"
_PYTHON, _JAVASCRIPT = "python_kernel.py", "javascript_kernel.js"
_WORKERS = Path(__file__).with_name("inside")
# Packages are those of the service's environment, not those of the Python below it.
_BOOT = (
    "import sys, runpy; "
    "own = [p for p in sys.path if not (p.startswith(sys.prefix) and p.endswith('-packages'))]; "
    "sys.path[:] = own + sys.argv[2:]; "
    "runpy.run_path(sys.argv[1], run_name='worker')"
)


def canonical(language: str) -> str:
    """Return the name of a language, whichever of its names was given.

    Raises:
        ToolFailure: There is no such language.

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


def command(language: str, isolation: Isolation) -> list[str]:
    """Return the program and arguments of a language's worker, as a session sees them.

    Args:
        language: A canonical name.
        isolation: The session's level: only in namespaces are libraries where `read_only` says.

    Raises:
        ToolFailure: The language is not installed here; the text says what cures it.
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
def read_only() -> Mapping[str, Path]:
    """Return what a session's sandbox needs to see: paths inside, and directories of the host."""
    shelf = {f"{_SHELF}/workers": _WORKERS}
    shelf.update((place, path) for path, place in _packages().items() if place != str(path))
    needs = own_interpreter().needs
    if needs is not None:
        shelf[str(needs)] = needs
    return MappingProxyType(shelf)


def _python(isolation: Isolation) -> list[str]:
    if importlib.util.find_spec("IPython") is None:
        raise ToolError(
            "Language python needs IPython in the environment of the local service, "
            "which lacks it: pip install 'agentbay-async[local]'."
        )
    options = ["-u", "-X", "utf8", "-c", _BOOT]
    # Not that of a virtual environment, which is a link in a directory that no session can read.
    program = str(own_interpreter().program)
    if isolation is not Isolation.NAMESPACES:
        packages = [str(path) for path in _packages()]
        return [program, *options, str(_WORKERS / _PYTHON), *packages]
    return [program, *options, f"{_SHELF}/workers/{_PYTHON}", *_packages().values()]


def _javascript(isolation: Isolation) -> list[str]:
    found = shutil.which("node")
    program = Path(found).resolve() if found else None
    # In namespaces only the system's directories are there: a Node of somebody's home is not.
    if program is None or (isolation is Isolation.NAMESPACES and not _in_system(program)):
        raise ToolError(
            "Language javascript is not installed here: it needs Node.js in the system's "
            "directories (apt install nodejs)."
        )
    shelf = f"{_SHELF}/workers" if isolation is Isolation.NAMESPACES else str(_WORKERS)
    return [str(program), "--no-warnings", f"{shelf}/{_JAVASCRIPT}"]


@functools.cache
def _packages() -> Mapping[Path, str]:
    """Return where packages of the service are installed, and where a session sees each place."""
    places = dict.fromkeys(Path(p).resolve() for p in sys.path if p.endswith("-packages"))
    base = Path(sys.base_prefix).resolve()
    seen = {}
    for index, place in enumerate(places):
        visible = _in_system(place) or place.is_relative_to(base)
        if place.is_dir():
            seen[place] = str(place) if visible else f"{_SHELF}/{index}/{place.name}"
    return MappingProxyType(seen)


def _in_system(path: Path) -> bool:
    return path.is_relative_to("/usr")
