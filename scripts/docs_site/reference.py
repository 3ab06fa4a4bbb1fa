"""Pages of the reference: every public name of `agentbay_async`, by subject."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

STUB = Path(__file__).parents[2] / "src" / "agentbay_async" / "__init__.pyi"

#: The title of each page, its file, and the modules whose names it describes. A name belongs to the
#: page with the longest module that its own begins with.
PAGES = (
    ("API Reference: AgentBay", "agentbay", ("client",)),
    ("API Reference: Session", "session", ("session",)),
    ("Parameters and lists of sessions", "sessions",
     ("models.sessions", "models.extra_configs", "listing")),
    ("Settings and logs", "config",
     ("config", "_retry", "_installation", "_clock", "logger", "models.local")),
    ("Commands, processes and terminals", "commands",
     ("services.command", "services.process", "services.pty", "models.commands", "models.pty")),
    ("Files", "files", ("services.file_system", "services.watch", "models.files")),
    ("Code", "code", ("services.code", "models.code")),
    ("Git", "git", ("services.git", "models.git")),
    ("Variables, tools and links", "tools", ("services.env", "services.oss", "models.tools")),
    ("Contexts", "contexts", ("contexts", "models.contexts", "models.context_changes")),
    ("Contexts in sessions", "session-contexts",
     ("session_context", "models.sync_policy", "models.context_status")),
    ("Bulk", "bulk", ("bulk", "models.bulk", "models.budget")),
    ("Browsers", "browser",
     ("services.browser", "services.browser_operator", "services.extensions",
      "services.fingerprint", "models.browser", "models.fingerprint", "models.extensions")),
    ("Desktops", "computer", ("services.computer", "models.ui", "models.input", "models.key_code")),
    ("Phones", "mobile", ("services.mobile", "models.mobile")),
    ("Agents", "agents", ("services.agent", "models.agent")),
    ("Beta", "beta", ("services.beta", "models.beta", "models.context_mount")),
    ("Results", "results", ("models.results", "models._later")),
    ("Errors", "errors", ("errors",)),
    ("Ledger", "ledger", ("_lifecycle",)),
    ("Transports", "transports", ("_transport",)),
)  # fmt: skip

#: Above each page: how the names of the blocking package follow from those of the page.
INTRODUCTION = """\
These are the names of `agentbay_async`. In `agentbay`, a class lacks the prefix `Async` and a
method is called without `await`; see [the two styles](../start/styles.md).
"""


class PublicNames(NamedTuple):
    """The public names by the module that defines them, and other names for some of them."""

    modules: dict[str, str]
    aliases: dict[str, str]


def public_names(stub: str) -> PublicNames:
    """Return what the list of exports says."""
    modules, aliases = {}, {}
    for statement in ast.parse(stub).body:
        if isinstance(statement, ast.ImportFrom):
            module = (statement.module or "").removeprefix("agentbay_async").lstrip(".")
            modules.update({name.asname or name.name: module for name in statement.names})
        elif isinstance(statement, ast.Assign):
            [target] = statement.targets
            aliases[ast.unparse(target)] = ast.unparse(statement.value)
    return PublicNames(modules, aliases)


def reference_pages() -> dict[str, str]:
    """Return the Markdown of each page of the reference, by its path in the documents.

    Raises:
        LookupError: A public name belongs to no page, or a page has no name.
    """
    names = public_names(STUB.read_text("utf-8"))
    members: dict[str, list[str]] = {file: [] for _title, file, _modules in PAGES}
    for name, module in names.modules.items():
        members[_page_of(name, module)].append(name)
    empty = [file for file, held in members.items() if not held]
    if empty:
        raise LookupError(f"pages of the reference without names: {', '.join(empty)}")
    pages = {file: _page(title, members[file]) for title, file, _modules in PAGES}
    pages["other-names"] = _other_names(names.aliases)
    pages["index"] = _index(members, names.aliases)
    return {f"reference/{file}.md": text for file, text in pages.items()}


def navigation() -> list[str]:
    """Return the paths of the pages in the order of their subjects."""
    files = ["index", *(file for _title, file, _modules in PAGES), "other-names"]
    files.insert(3, "session-creation")
    return [f"reference/{file}.md" for file in files]


def _page_of(name: str, module: str) -> str:
    found = [
        (len(prefix), file)
        for _title, file, modules in PAGES
        for prefix in modules
        if module == prefix or module.startswith((f"{prefix}.", f"{prefix}_"))
    ]
    if not found:
        raise LookupError(f"no page of the reference has {name} of {module}: add it to PAGES")
    return max(found)[1]


def _page(title: str, names: list[str]) -> str:
    directives = "\n\n".join(f"::: agentbay_async.{name}" for name in names)
    return f"# {title}\n\n{INTRODUCTION}\n{directives}\n"


def _linked(name: str) -> str:
    return f"[`{name}`][agentbay_async.{name}]"


def _other_names(aliases: dict[str, str]) -> str:
    rows = "\n".join(
        f'| <a id="agentbay_async.{name}"></a>`{name}` | {_linked(own)} |'
        for name, own in sorted(aliases.items())
    )
    return f"""# Other names

Names of the official client that are other words for names of this library. Members of classes
that have such names are [listed, too](../official-names.md).

| name | the same as |
| --- | --- |
{rows}
"""


def _index(members: dict[str, list[str]], aliases: dict[str, str]) -> str:
    rows = "\n".join(
        f"| [{title}]({file}.md) | {', '.join(map(_linked, members[file]))} |"
        for title, file, _modules in PAGES
    )
    return f"""# Reference

Every public name, from the docstrings of the code.

{INTRODUCTION}
| page | names |
| --- | --- |
{rows}
| [Other names](other-names.md) | {len(aliases)} words of the official client |

[Examples: Session Creation](session-creation.md) shows the usual ways to create a session.
"""
