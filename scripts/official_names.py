"""Write the names of the official client that are other words for ours, from one table.

    python scripts/official_names.py            write the files that differ
    python scripts/official_names.py --check    write nothing; print what differs and exit 1

The table is ``official_names.toml`` beside this script. From it come the last section of each class
that it names, the renamed exports of ``__init__.pyi``, and ``docs/official-names.md``. They are
source text, so type checkers, editors and the generator of the blocking package see them as they
see all other names. Run this before ``generate_facade.py``.

From it, and from the table of names that this library does not have, comes also what
``agentbay migrate`` looks for.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "scripts" / "official_names.toml"
DIFFERENCES = Path("tests", "conformance", "parity", "differences.toml")
MIGRATION = Path("src", "agentbay_cli", "migrate", "official_names.json")
PACKAGE = "agentbay_async"
MARK = "    # Names of the official client, from scripts/official_names.toml."
_WARN = "_check.warn_deprecated"
_HEADER = """\
<!-- Written by scripts/official_names.py; do not edit. -->

# Names of the official client

These names of the official client are other words for names of this library, and mean the same
here. Most names of the official client are also names of this library; they are not listed.
Names marked *deprecated* warn once, and say what to use.
"""

Function = (ast.FunctionDef, ast.AsyncFunctionDef)


class TableError(Exception):
    """A row of the table does not fit the source."""


@dataclass(frozen=True)
class Member:
    """One row of a class.

    Attributes:
        name: The official name.
        ours: Our name: a method, a property or an attribute of the class.
        type: The type of an attribute that the class inherits.
        call: Whether the official name is a method and ours is read as an attribute.
        deprecated: Whether the official client, too, tells not to use the name.
    """

    name: str
    ours: str
    type: str = ""
    call: bool = False
    deprecated: bool = False

    @property
    def shown(self) -> str:
        """The official name as it is used."""
        return f"{self.name}()" if self.call else self.name


def main(arguments: list[str] | None = None, root: Path = ROOT, table: Path = TABLE) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(description="Write the names of the official client.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 on a change")
    options = parser.parse_args(arguments)
    try:
        texts = write(root, tomllib.loads(table.read_text("utf-8")))
    except TableError as error:
        print(error, file=sys.stderr)
        return 1
    changed = [path for path, text in texts.items() if _read(path) != text]
    for path in changed:
        print(f"{path.relative_to(root)}: {'differs from the table' if options.check else 'wrote'}")
        if not options.check:
            path.write_text(texts[path], "utf-8", newline="\n")
    return 1 if options.check and changed else 0


def write(root: Path, table: dict[str, Any]) -> dict[Path, str]:
    """Return the text of each file that holds such names, or may hold them."""
    package = root / "src" / PACKAGE
    members = {kind: _members(rows) for kind, rows in table.get("members", {}).items()}
    exports: dict[str, str] = table.get("exports", {})
    sources = {path: path.read_text("utf-8") for path in sorted(package.rglob("*.py"))}
    texts = {path: _source(text, members) for path, text in sources.items()}
    missing = members.keys() - {name for text in sources.values() for name in _classes(text)}
    if missing:
        raise TableError(f"no such classes: {', '.join(sorted(missing))}")
    stub = package / "__init__.pyi"
    texts[stub] = _stub(stub.read_text("utf-8"), exports)
    texts[root / "docs" / "official-names.md"] = _page(exports, members)
    differences = tomllib.loads((root / DIFFERENCES).read_text("utf-8"))["difference"]
    texts[root / MIGRATION] = _migration([*texts.values()], differences)
    return texts


def _migration(sources: list[str], differences: list[dict[str, Any]]) -> str:
    """Return the names of which `agentbay migrate` tells: deprecated ones and missing ones."""
    deprecated = {
        f"{node.name.removeprefix('Async')}.{part.name}": warning
        for text in sources
        if _WARN in text
        for node in _classes(text).values()
        for part in node.body
        if isinstance(part, Function) and (warning := _warned(part))
    }
    missing = {
        name: f"{row['reason']} {row['instead']}"
        for row in differences
        if "instead" in row
        for name in row["names"]
    }
    return json.dumps({"deprecated": deprecated, "missing": missing}, indent=2) + "\n"


def _warned(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Return the name of ours that a function tells to use instead of its own, if it warns."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == _WARN:
            return str(ast.literal_eval(node.args[1]))
    return ""


def _members(rows: dict[str, Any]) -> list[Member]:
    return [
        Member(name, **({"ours": row} if isinstance(row, str) else row))
        for name, row in rows.items()
    ]


def _classes(text: str) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}


def _source(text: str, members: dict[str, list[Member]]) -> str:
    """Return a module with the section of each of its classes as the table says."""
    text = _without_sections(text)
    lines = text.split("\n")
    for node in reversed(_classes(text).values()):
        if rows := members.get(node.name):
            # Assignments first: in the project's format, a blank line follows a method.
            code = sorted((_code(node, row) for row in rows), key=lambda text: "\n" in text)
            section = "\n".join(["", MARK, *code])
            lines[node.end_lineno : node.end_lineno] = section.split("\n")
    return "\n".join(lines)


def _without_sections(text: str) -> str:
    """Return a module without the sections, each of which ends with its class."""
    return re.sub(rf"\n\n{re.escape(MARK)}\n(?:(?:    .*)?\n)*?(?=\n\n\S|\Z)", "\n", text)


def _code(node: ast.ClassDef, row: Member) -> str:
    """Return the code of one name: a second name where that is enough, or else a member."""
    own = next((part for part in node.body if getattr(part, "name", "") == row.ours), None)
    if isinstance(own, Function) and not (row.call or row.deprecated):
        return f"    {row.name} = {row.ours}"
    if any(isinstance(part, ast.Assign) and _assigned(part) == row.ours for part in node.body):
        # A member of an enumeration.
        return f"    {row.name} = {row.ours}"
    if isinstance(own, Function) and not _is_property(own):
        return _method(row, own)
    returns = row.type or _type(node, own, row.ours)
    if not returns:
        raise TableError(f"{node.name}.{row.name}: give the type of {row.ours}")
    head = "" if row.call else "    @property\n"
    return _member(row, f"{head}    def {row.name}(self) -> {returns}:", f"self.{row.ours}")


def _member(row: Member, head: str, value: str) -> str:
    doc, warning = "", ""
    if row.deprecated:
        doc = "; deprecated"
        warning = f'        {_WARN}("{row.shown}", "{row.ours}")\n'
    kind = "meth" if value.endswith(")") else "attr"
    text = f'        """Return :{kind}:`{row.ours}`, under the name of the official client{doc}."""'
    return f"\n{head}\n{text}\n{warning}        return {value}"


def _method(row: Member, own: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Return a deprecated method, which passes all its arguments on."""
    given = own.args
    names = [arg.arg for arg in (*given.posonlyargs, *given.args)][1:]
    names += [f"*{given.vararg.arg}"] if given.vararg else []
    names += [f"{arg.arg}={arg.arg}" for arg in given.kwonlyargs]
    word, wait = ("async def", "await ") if isinstance(own, ast.AsyncFunctionDef) else ("def", "")
    returns = ast.unparse(own.returns) if own.returns else "None"
    head = f"    {word} {row.name}({ast.unparse(given)}) -> {returns}:"
    return _member(row, head, f"{wait}self.{row.ours}({', '.join(names)})")


def _is_property(node: ast.AST) -> bool:
    return any(ast.unparse(one) == "property" for one in getattr(node, "decorator_list", ()))


def _type(node: ast.ClassDef, own: ast.AST | None, name: str) -> str:
    """Return the type of a property or attribute of a class, or an empty string."""
    returns = getattr(own, "returns", None)
    if returns is not None:
        return ast.unparse(returns)
    for part in node.body:
        if isinstance(part, ast.AnnAssign) and _assigned(part) == name:
            return ast.unparse(part.annotation)
    init = next((part for part in node.body if getattr(part, "name", "") == "__init__"), None)
    return _set_by(init, name) if isinstance(init, ast.FunctionDef) else ""


def _set_by(init: ast.FunctionDef, name: str) -> str:
    """Return the type of an attribute that a constructor sets."""
    given = {arg.arg: arg.annotation for arg in (*init.args.args, *init.args.kwonlyargs)}
    for part in init.body:
        if isinstance(part, ast.AnnAssign) and ast.unparse(part.target) == f"self.{name}":
            return ast.unparse(part.annotation)
        if isinstance(part, ast.Assign) and ast.unparse(part.targets[0]) == f"self.{name}":
            annotation = given.get(ast.unparse(part.value))
            return ast.unparse(annotation) if annotation else ""
    return ""


def _assigned(node: ast.AST) -> str:
    if isinstance(node, ast.AnnAssign):
        return ast.unparse(node.target)
    return ast.unparse(node.targets[0]) if isinstance(node, ast.Assign) else ""


def _stub(text: str, exports: dict[str, str]) -> str:
    """Return the stub with the exports of the table at its end."""
    body = ast.parse(text).body
    imports = [node for node in body if isinstance(node, ast.ImportFrom)]
    missing = set(exports.values()) - {node.names[0].name for node in imports}
    if missing:
        raise TableError(f"no such exports of ours: {', '.join(sorted(missing))}")
    lines = text.split("\n")[: imports[-1].end_lineno]
    # Not `import ... as`: in a stub, type checkers export that under an equal name only.
    lines += ["", *(f"{official} = {ours}" for official, ours in exports.items())]
    return "\n".join(lines).rstrip() + "\n"


def _page(exports: dict[str, str], members: dict[str, list[Member]]) -> str:
    sections = {"Exports": [Member(*item) for item in exports.items()], **members}
    return "\n".join([_HEADER, *(_section(name, rows) for name, rows in sections.items() if rows)])


def _section(name: str, rows: list[Member]) -> str:
    lines = [f"## {name.removeprefix('Async')}", "", "| official | ours |", "| --- | --- |"]
    lines += [
        f"| `{row.shown}`{' *deprecated*' if row.deprecated else ''} | `{row.ours}` |"
        for row in rows
    ]
    return "\n".join([*lines, ""])


def _read(path: Path) -> str | None:
    return path.read_text("utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
