"""Languages of `run_code`, and the command that starts the kernel of each on this machine.

Python is the interpreter that runs the service, because the service's IPython fits it. The packages
of the service's environment are mounted read-only in every session. A virtual environment in the
session names both, for code and commands alike, and takes what the session installs for itself.
"""

from __future__ import annotations

import functools
import importlib.util
import shutil
import sys
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import attrs

from agentbay_local.protocol.arguments import ToolError
from agentbay_local.sandbox.host.programs import INTERPRETER, current_interpreter
from agentbay_local.sandbox.host.rootfs import visible_path
from agentbay_local.sandbox.values import Isolation, Preload, Python

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentbay_local.sandbox.base import Sandbox

__all__ = [
    "canonical_name",
    "kernel_command",
    "python_kernel",
    "read_only_mounts",
    "session_python",
]

LANGUAGES = ("python", "javascript", "r", "java")
_ALIASES = {
    "py": "python",
    "python3": "python",
    "js": "javascript",
    "node": "javascript",
    "nodejs": "javascript",
}
_MOUNT_ROOT = "/opt/agentbay"
_JAVA_OPTIONS = (
    # Start sooner, with fewer threads.
    *("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
    *("-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", "-Dstderr.encoding=UTF-8"),
    # Before Java 19, the last two had these names.
    *("-Dsun.stdout.encoding=UTF-8", "-Dsun.stderr.encoding=UTF-8"),
    # For the variables of a session, see setVariable in the kernel.
    *("--add-opens", "java.base/java.util=ALL-UNNAMED"),
)
_KERNELS = Path(__file__).with_name("inside")


def canonical_name(language: str) -> str:
    """Return the canonical name of a language.

    Raises:
        ToolError: The language is unknown.

    Example:
        >>> canonical_name(" Node ")
        'javascript'
    """
    name = language.strip().lower()
    name = _ALIASES.get(name, name)
    if name not in LANGUAGES:
        known = ", ".join(LANGUAGES)
        raise ToolError(f"Unsupported language: {language[:100]}. Supported languages are {known}.")
    return name


def kernel_command(language: str, sandbox: Sandbox) -> list[str]:
    """Return the command that starts a kernel, with the paths that a session sees.

    Args:
        language: A canonical name.
        sandbox: The session's sandbox.

    Raises:
        ToolError: The language is not installed here, or the session cannot read it; the text has
            the remedy.
    """
    return _COMMANDS[language](sandbox)


@functools.cache
def read_only_mounts() -> Mapping[str, Path]:
    """Return the directories to mount in every session: path inside to directory of the host."""
    mounts = {f"{_MOUNT_ROOT}/kernels": _KERNELS}
    mounts.update((inside, path) for path, inside in _packages().items() if _is_apart(inside))
    directory = current_interpreter().directory
    if directory is not None:
        mounts[str(INTERPRETER)] = directory
    return MappingProxyType(mounts)


@functools.cache
def session_python() -> Python:
    """Return the Python of every session, with the paths of `read_only_mounts`."""
    own = current_interpreter().moved_to(INTERPRETER)
    return Python(
        str(own.program),
        f"{sys.version_info.major}.{sys.version_info.minor}",
        tuple(_packages().values()),
        None if own.library is None else str(own.library),
    )


@functools.cache
def python_kernel() -> Preload:
    """Return the kernel of Python, with the paths of `read_only_mounts`."""
    script = f"{_MOUNT_ROOT}/kernels/python_kernel.py"
    return Preload(session_python(), ("-u", "-X", "utf8"), script)


def _python(sandbox: Sandbox) -> list[str]:
    if importlib.util.find_spec("IPython") is None:
        raise ToolError(
            "Language python needs IPython in the environment of the local service, "
            "which lacks it: pip install 'agentbay-async[local]'."
        )
    python = session_python()
    for path in (python.program, *python.packages):
        _visible(path, sandbox)
    kernel = python_kernel()
    return attrs.evolve(kernel, script=_visible(kernel.script, sandbox)).command


def _javascript(sandbox: Sandbox) -> list[str]:
    node = _system_program("node", sandbox, "javascript", "Node.js", "nodejs")
    return [str(node), "--no-warnings", _kernel("javascript_kernel.js", sandbox)]


def _r(sandbox: Sandbox) -> list[str]:
    program = _system_program("Rscript", sandbox, "r", "R", "r-base-core")
    return [*_relay(sandbox), str(program), "--vanilla", _kernel("r_kernel.R", sandbox)]


def _java(sandbox: Sandbox) -> list[str]:
    # Its compiler too, which not every Java has.
    compiler = _system_program("javac", sandbox, "java", "a JDK", "default-jdk-headless")
    program = str(compiler.with_name("java"))
    return [*_relay(sandbox), program, *_JAVA_OPTIONS, _kernel("java_kernel.java", sandbox)]


def _relay(sandbox: Sandbox) -> list[str]:
    python = session_python().program
    return [_visible(python, sandbox), "-I", _kernel("relay_kernel.py", sandbox)]


_COMMANDS: Mapping[str, Callable[[Sandbox], list[str]]] = MappingProxyType(
    {"python": _python, "javascript": _javascript, "r": _r, "java": _java}
)


def _system_program(name: str, sandbox: Sandbox, language: str, what: str, package: str) -> Path:
    """Return a program of the host that a session sees.

    Raises:
        ToolError: There is none; the text says which package has it.
    """
    found = shutil.which(name)
    program = Path(found).resolve() if found else None
    # An isolated session sees only the system's directories, not a program in a home directory.
    isolated = sandbox.isolation is not Isolation.NONE
    if program is None or (isolated and not _in_system(program)):
        raise ToolError(
            f"Language {language} is not installed here: it needs {what} in the system's "
            f"directories (apt install {package})."
        )
    return program


def _kernel(name: str, sandbox: Sandbox) -> str:
    return _visible(f"{_MOUNT_ROOT}/kernels/{name}", sandbox)


def _visible(path: str, sandbox: Sandbox) -> str:
    """Return the path at which a session sees a file below `read_only_mounts`, or of the system.

    Raises:
        ToolError: The session's user cannot read it.
    """
    mounts = read_only_mounts()
    visible = visible_path(path, sandbox.read_only, mounts)
    if visible is None:
        host = next(host for inside, host in mounts.items() if Path(path).is_relative_to(inside))
        raise ToolError(
            f"Code cannot run in this session: its user cannot enter {host}, which the local "
            "service runs from. Install Python and agentbay-async in directories that every user "
            "may enter, such as /opt, or run the service as an ordinary user."
        )
    return visible


@functools.cache
def _packages() -> Mapping[Path, str]:
    """Return the package directories of the service, and the path of each in a session."""
    directories = dict.fromkeys(Path(p).resolve() for p in sys.path if p.endswith("-packages"))
    base = current_interpreter().directory
    inside = {}
    for index, path in enumerate(path for path in directories if path.is_dir()):
        if _in_system(path):
            inside[path] = str(path)
        elif base is not None and path.is_relative_to(base):
            inside[path] = str(INTERPRETER / path.relative_to(base))
        else:
            inside[path] = f"{_MOUNT_ROOT}/{index}/{path.name}"
    return MappingProxyType(inside)


def _is_apart(inside: str) -> bool:
    """Return whether packages are neither the system's nor in the directory of the interpreter."""
    path = Path(inside)
    return not _in_system(path) and not path.is_relative_to(INTERPRETER)


def _in_system(path: Path) -> bool:
    return path.is_relative_to("/usr")
