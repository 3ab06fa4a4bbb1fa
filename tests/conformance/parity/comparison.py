"""The public names that the official client has and ours lacks, and the table that explains them.

A difference is written as a program would meet it: ``Name`` for an export, ``Class.member``,
``Class.method(parameter)`` for a parameter that is missing or stands elsewhere, and
``Class.method(parameter=)`` for one with another default. Those of a constructor are
``Class(parameter)``.
"""

from __future__ import annotations

import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

if sys.version_info >= (3, 11):
    import tomllib
else:
    # pytest needs it there.
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE = Path(__file__).parent / "differences.toml"

Names = dict[str, Any]

#: Official classes that are not exported and have another name with us.
RENAMED = {
    "AsyncBetaNamespace": "AsyncBeta",
    "AsyncBetaNetworkService": "AsyncBetaNetwork",
    "AsyncBetaSkillsService": "AsyncBetaSkills",
    "AsyncSkillsService": "AsyncBetaSkills",
    "Process": "AppProcess",
    "SyncBetaNamespace": "Beta",
    "SyncBetaNetworkService": "BetaNetwork",
    "SyncBetaSkillsService": "BetaSkills",
    "SyncGit": "Git",
    "SyncSkillsService": "BetaSkills",
}
#: Members of the code that the vendor generates for requests, and of classes that have no others.
_MACHINERY = {"from_map", "to_map", "validate"}
#: Classes that only the library makes: what a constructor takes there is no program's concern.
_MADE_BY_LIBRARY = {"ApiResponse", "BaseService", "AsyncBaseService", "Result"}
#: Such classes without one of these bases.
_SERVICES = {
    "BetaNamespace",
    "BetaNetwork",
    "BetaNetworkService",
    "BetaSkillsService",
    "BrowserOperator",
    "ContextManager",
    "ContextService",
    "ExtensionsService",
    "FileSystem",
    "FileTransfer",
    "MobileSimulateService",
    "Pty",
    "PtyHandle",
    "PtySession",
    "Session",
    "SkillsService",
    "TaskExecution",
}
_POSITIONAL = "POSITIONAL_OR_KEYWORD"


@attrs.define
class Parity:
    """The comparison of two dumps.

    Attributes:
        names: The public names of the official client.
        parameters: The parameters of its functions, methods and constructors.
        differences: What differs, in the words of this module.
    """

    names: set[str] = attrs.field(factory=set)
    parameters: set[str] = attrs.field(factory=set)
    differences: set[str] = attrs.field(factory=set)

    def share(self, names: set[str]) -> float:
        """Return the share of `names` that do not differ, in percent."""
        differing = {name.replace("=", "") for name in self.differences} & names
        return 100 * (1 - len(differing) / len(names))


@attrs.frozen
class Row:
    """A row of the table: differences that are meant to be, with their reason.

    Attributes:
        names: The differences, as patterns.
        reason: Why they are meant to be.
        instead: What a program writes instead, where it could meet the difference.
    """

    names: list[str]
    reason: str
    instead: str = ""

    def explains(self, name: str) -> bool:
        """Whether the row is about this difference."""
        return any(name == one or ("*" in one and fnmatchcase(name, one)) for one in self.names)


def read_table() -> list[Row]:
    """Return the rows of the table."""
    return [Row(**row) for row in tomllib.loads(TABLE.read_text("utf-8"))["difference"]]


def compare(official: Names, ours: Names) -> Parity:
    """Compare two dumps."""
    found = Parity()
    for name in official["exports"]:
        _note(found, name, name in ours["exports"])
    for name, parameters in official["functions"].items():
        if name in ours["functions"]:
            _compare_parameters(found, name, parameters, ours["functions"][name])
    for name, kind in official["classes"].items():
        _compare_class(found, name, kind, ours["classes"].get(RENAMED.get(name, name)))
    return found


def _note(found: Parity, name: str, equal: bool) -> None:
    found.names.add(name)
    if not equal:
        found.differences.add(name)


def _compare_class(found: Parity, name: str, official: Names, ours: Names | None) -> None:
    if ours is None:
        _note(found, name, False)
    for member, value in official["members"].items():
        if member in _MACHINERY:
            continue
        place = f"{name}.{member}"
        other = None if ours is None else ours["members"].get(member)
        _note(found, place, other is not None and other["kind"] == value["kind"])
        if value["kind"] == "method":
            _compare_parameters(found, place, value["parameters"], (other or {}).get("parameters"))
    for member, value in official["values"].items():
        if ours is not None and ours["values"].get(member) not in (None, value):
            found.differences.add(f"{name}.{member}")
    is_service = name.removeprefix("Async").removeprefix("Sync") in _SERVICES
    bases = {*official["bases"], *(ours["bases"] if ours else ())}
    if not (is_service or _MADE_BY_LIBRARY & bases):
        _compare_parameters(found, name, official["constructor"], ours and ours["constructor"])


def _compare_parameters(
    found: Parity, place: str, official: list[Any], ours: list[Any] | None
) -> None:
    given = {name: (index, kind, default) for index, (name, kind, default) in enumerate(ours or ())}
    for index, (name, kind, default) in enumerate(official):
        if kind.startswith("VAR_") or name[0] == "_":
            continue
        shown = f"{place}({name})"
        found.parameters.add(shown)
        place_, kind_, default_ = given.get(name, (-1, "", ""))
        if not kind_ or (kind == _POSITIONAL and (kind_ != _POSITIONAL or place_ != index)):
            found.differences.add(shown)
        elif default and default != default_:
            found.differences.add(f"{place}({name}=)")
    optional = {name for name, (_, kind, default) in given.items() if default or "VAR" in kind}
    # A call in the official way must not miss an argument.
    for name in given.keys() - optional - {name for name, _, _ in official}:
        found.differences.add(f"{place}({name}) is required")


def unexplained(differences: set[str], rows: list[Row]) -> list[str]:
    """Return the differences that no row is about."""
    return sorted(name for name in differences if not any(row.explains(name) for row in rows))


def unused(differences: set[str], rows: list[Row]) -> Iterator[str]:
    """Yield the patterns that no difference needs any more."""
    for row in rows:
        for one in row.names:
            if not any(Row([one], "").explains(name) for name in differences):
                yield one
