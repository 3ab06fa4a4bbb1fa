"""``agentbay context``: persistent stores of files, and directories that are kept in them."""

# Without `from __future__ import annotations`: typer reads the annotations at run time.
import os
import posixpath
from typing import TYPE_CHECKING, Annotated

import typer

from agentbay_cli import options
from agentbay_cli.client import connect, explain
from agentbay_cli.options import Endpoint, Json
from agentbay_cli.output import print_message, print_row, print_rows

if TYPE_CHECKING:
    from agentbay import AgentBay, Context, ContextChange, ContextChangesResult

__all__ = ["register"]

Name = Annotated[str, typer.Argument(metavar="CONTEXT", help="Its name, or its id.")]
Directory = Annotated[str, typer.Argument(metavar="DIR", help="A directory of this machine.")]
Folder = Annotated[
    str, typer.Option("--path", metavar="FOLDER", help="A folder of the context; its root.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="Only show what would be done.")]
Delete = Annotated[bool, typer.Option("--delete", help="Delete what the other side lacks.")]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="PATTERN",
        help="Leave files out, as a line of .agentbayignore does; may be repeated.",
    ),
]
_COLUMNS = ("action", "path", "size")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Persistent stores of files.", no_args_is_help=True)
    group.command("ls")(ls)
    group.command("create")(create)
    group.command("rm")(rm)
    group.command("files")(files)
    group.command("push")(push)
    group.command("pull")(pull)
    group.command("diff")(diff)
    app.add_typer(group, name="context")


def ls(endpoint: Endpoint = None, as_json: Json = False) -> int:
    """List the contexts."""
    with connect(endpoint) as bay:
        rows = [(one.name, one.id, one.state, one.last_used_at) for one in bay.context.iterate()]
    print_rows(("name", "id", "state", "last_used"), sorted(rows), as_json=as_json)
    return 0


def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name.")],
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> int:
    """Create a context, unless there is one of this name; print its id."""
    with connect(endpoint) as bay:
        context = bay.context.create(name).unwrap()
    print_row(("id",), (context.id,), as_json=as_json)
    return 0


def rm(
    names: Annotated[list[str], typer.Argument(metavar="CONTEXT...", help="Names or ids.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> int:
    """Delete contexts, with all their files."""
    with connect(endpoint) as bay:
        found = [_find(bay, name) for name in names]
        if not yes:
            options.confirm(f"Delete {', '.join(one.name for one in found)} with all files?")
        for context in found:
            bay.context.delete(context).unwrap()
            print_row(("id",), (context.id,), as_json=as_json)
    return 0


def files(name: Name, path: Folder = "/", endpoint: Endpoint = None, as_json: Json = False) -> int:
    """List the files of a context, also those in folders."""
    folder = f"/{path.strip('/')}"
    with connect(endpoint) as bay:
        rows = sorted(
            (posixpath.relpath(one.file_path, folder), one.size, one.gmt_modified)
            for one in bay.context.iterate_files(_find(bay, name).id, folder, recursive=True)
            if one.file_type != "FOLDER"
        )
    print_rows(("path", "size", "modified"), rows, as_json=as_json)
    return 0


def push(
    name: Name,
    directory: Directory,
    path: Folder = "/",
    dry_run: DryRun = False,
    delete: Delete = False,
    exclude: Exclude = None,
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> int:
    """Make a context have the files of a directory. Only what has changed is sent."""
    _check_input(directory, path)
    with connect(endpoint) as bay:
        context = _find(bay, name) if dry_run else bay.context.create(name).unwrap()
        printer = _Printer(as_json=as_json)
        result = bay.context.push(
            context,
            directory,
            folder=path,
            delete=delete,
            exclude=exclude or (),
            dry_run=dry_run,
            on_change=printer.show,
        )
    return printer.finish(result, is_plan=dry_run)


def pull(
    name: Name,
    directory: Directory,
    path: Folder = "/",
    dry_run: DryRun = False,
    delete: Delete = False,
    exclude: Exclude = None,
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> int:
    """Make a directory have the files of a context. Only what has changed is fetched."""
    with connect(endpoint) as bay:
        printer = _Printer(as_json=as_json)
        result = bay.context.pull(
            _find(bay, name),
            directory,
            folder=path,
            delete=delete,
            exclude=exclude or (),
            dry_run=dry_run,
            on_change=printer.show,
        )
    return printer.finish(result, is_plan=dry_run)


def diff(
    name: Name,
    directory: Directory,
    path: Folder = "/",
    exclude: Exclude = None,
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> int:
    """Show what a push with --delete would do. The exit code is 1 if there is anything."""
    _check_input(directory, path)
    with connect(endpoint) as bay:
        result = bay.context.push(
            _find(bay, name),
            directory,
            folder=path,
            delete=True,
            exclude=exclude or (),
            dry_run=True,
        )
    _Printer(as_json=as_json).finish(result, is_plan=True)
    return 1 if result.changes else 0


def _check_input(directory: str, folder: str) -> None:
    # Before a context is created for it.
    if not os.path.isdir(directory):
        raise options.usage_error(f"there is no directory {directory!r}")
    if ".." in folder.split("/"):
        raise options.usage_error("--path must not contain '..'")
    ignore_file = os.path.join(directory, ".agentbayignore")
    if os.path.lexists(ignore_file):
        options.read_text(ignore_file)


class _Printer:
    """Prints the changes of a push or a pull, as they are made or planned."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def show(self, one: "ContextChange") -> None:
        """Print a change, or why it was not made."""
        if one.error is not None:
            print_message(f"agentbay: {one.path}: {explain(one.error)}")
        else:
            print_row(_COLUMNS, (one.action, one.path, one.size), as_json=self._as_json)

    def finish(self, result: "ContextChangesResult", *, is_plan: bool) -> int:
        """Print a plan, or how many changes were made; return the exit code."""
        changes = result.changes
        if is_plan:
            for one in changes:
                self.show(one)
            return 0
        wrong = len(result.failures)
        print_message(f"{len(changes) - wrong} of {len(changes)} done, {wrong} failed")
        return 1 if wrong else 0


def _find(bay: "AgentBay", name: str) -> "Context":
    """Return a context by its name or its id.

    Raises:
        ContextNotFoundError: There is none; the error says where to look.
    """
    from agentbay import ContextNotFoundError

    found = bay.context.get(name)
    if isinstance(found.error, ContextNotFoundError):
        found = bay.context.get(context_id=name)
    if isinstance(found.error, ContextNotFoundError):
        found.error.hint = found.error.hint or "To list the contexts, run: agentbay context ls"
    return found.unwrap()
