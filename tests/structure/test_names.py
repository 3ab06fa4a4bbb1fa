"""Names follow the field's terms: a retired name does not come back.

The project's first draft called many things by private metaphors. Each retired word is listed
with the term that replaced it. The words stay legal in prose; as a part of an identifier or of a
file name they are not.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).parents[2]
_TREES = (
    "src/agentbay_async",
    "src/agentbay_local",
    "src/agentbay_cli",
    "src/agentbay_integrations",
    "src/agentbay_mcp",
    "tests",
    "benchmarks",
    "examples",
    "scripts",
)

#: Retired words, each with its replacement. They are matched as parts of an identifier:
#: ``crew`` forbids ``crew``, ``_crew`` and ``CrewMember``, not ``screw``.
RETIRED = {
    "breath": "retry pause",
    "census": "process tree",
    "chores": "background tasks",
    "crew": "worker pool",
    "crowd": "shared cost",
    "dealer": "scheduler",
    "dealing": "scheduler",
    "desk": "dispatcher",
    "dialect": "protocol",
    "hostfs": "offline files",
    "intent": "idempotency key",
    "intents": "idempotency keys",
    "invocations": "pending calls",
    "kit": "instruments",
    "owning": "lifecycle",
    "parcel": "pickling",
    "parcels": "pickling",
    "portions": "quota",
    "purse": "budget share",
    "relaying": "websocket proxy",
    "rooms": "hub",
    "shelter": "shielded task",
    "spreading": "distributed map",
    "sweeping": "cleanup",
    "taps": "stream reader",
    "teller": "progress reporter",
    "viewer": "subscriber",
    "workplace": "tool context",
}

#: Retired module names; as other identifiers these words are ordinary.
RETIRED_MODULES = {
    "bench", "blobs", "by_tools", "carrier", "carrying", "catalogue", "cell", "channels", "coding",
    "demand", "dialling", "effects", "ending", "engines", "feeding", "forwarding", "gate",
    "holdings", "keeping", "kinds", "landing", "link", "live", "making", "mapping", "metering",
    "movement", "origins_of", "ownership", "pace", "pieces", "places", "problems", "refusals",
    "running", "sharing", "sleepers", "spawned", "spread", "staging", "starting",
    "syncing", "taps", "watched", "watching", "web", "writing",
}  # fmt: skip

#: Fields of a browser's fingerprint, which have the names of JavaScript.
_OF_JAVASCRIPT = {"pdfViewerEnabled"}

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[a-z0-9]+")


def words_of(identifier: str) -> set[str]:
    """Split an identifier at underscores and capitals."""
    return {word.lower() for word in _WORD.findall(identifier)}


def identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield every name that a module defines or uses, with its line."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Name):
            yield line, node.id
        elif isinstance(node, ast.Attribute):
            yield line, node.attr
        elif isinstance(node, ast.arg):
            yield line, node.arg
        elif isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield line, node.name
        elif isinstance(node, ast.keyword) and node.arg:
            yield line, node.arg


def _files() -> list[Path]:
    return [path for tree in _TREES for path in sorted((_ROOT / tree).rglob("*.py"))]


def test_no_retired_name_is_an_identifier() -> None:
    """Say the file, the line, the name and the term to use instead."""
    found = {
        f"{path.relative_to(_ROOT)}:{line}: {name} has {word!r}; say {RETIRED[word]!r}"
        for path in _files()
        for line, name in identifiers(ast.parse(path.read_text("utf-8")))
        if name not in _OF_JAVASCRIPT
        for word in words_of(name) & RETIRED.keys()
    }
    assert not found, "\n".join(sorted(found))


def test_no_retired_name_is_a_file_or_package() -> None:
    """A module and the packages around it have current names."""
    parts = {
        part.removesuffix(".py").strip("_")
        for path in _files()
        for part in path.relative_to(_ROOT).parts
    }
    assert not {part for part in parts if words_of(part) & RETIRED.keys()}
    assert not parts & RETIRED_MODULES


def test_a_retired_word_is_found_in_every_kind_of_name() -> None:
    """The check reads classes, functions, arguments, attributes, variables and keywords."""
    source = "class CrewMember: ...\ndef f(crew): crew_size = self._crew.run(the_crew=1)"
    found = [name for _, name in identifiers(ast.parse(source)) if "crew" in words_of(name)]
    assert sorted(found) == ["CrewMember", "_crew", "crew", "crew_size", "the_crew"]
    assert words_of("screw") == {"screw"}
