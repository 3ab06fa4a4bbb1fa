"""``agentbay context``: persistent stores of files, and directories that are kept in them."""

# Without `from __future__ import annotations`: typer reads the annotations at run time.
import contextlib
import os
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentbay_cli import options
from agentbay_cli.client import connect, explain
from agentbay_cli.context_plan import Change, Checksums, LocalFiles, RemoteFile, make_plan
from agentbay_cli.ignore_file import IGNORE_FILE, IgnorePatterns
from agentbay_cli.options import Endpoint, Json
from agentbay_cli.output import print_message, print_row, print_rows

if TYPE_CHECKING:
    from agentbay import AgentBay, Context

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
        help=f"Leave files out, as a line of {IGNORE_FILE} does; may be repeated.",
    ),
]
_COLUMNS = ("action", "path", "size")
# Deeper folders are a mistake, or meant to keep programs busy.
_MAX_DEPTH = 64


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
    with connect(endpoint) as bay:
        found = _remote_files(bay, _find(bay, name), path)
    rows = [(place, one.size, one.modified) for place, one in sorted(found.items())]
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
    root = _existing(directory)
    with _Sync(endpoint, name, root, path, exclude, create=not dry_run) as sync:
        plan = sync.plan(is_push=True, delete=delete)
        if dry_run:
            return _show(plan, as_json=as_json)
        return sync.carry_out(plan, is_push=True, as_json=as_json)


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
    root = Path(directory)
    with _Sync(endpoint, name, root, path, exclude, create=False) as sync:
        plan = sync.plan(is_push=False, delete=delete)
        if dry_run:
            return _show(plan, as_json=as_json)
        root.mkdir(parents=True, exist_ok=True)
        return sync.carry_out(plan, is_push=False, as_json=as_json)


def diff(
    name: Name,
    directory: Directory,
    path: Folder = "/",
    exclude: Exclude = None,
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> int:
    """Show what a push with --delete would do. The exit code is 1 if there is anything."""
    root = _existing(directory)
    with _Sync(endpoint, name, root, path, exclude, create=False) as sync:
        plan = sync.plan(is_push=True, delete=True)
        _show(plan, as_json=as_json)
        return 1 if plan else 0


def _existing(directory: str) -> Path:
    if not os.path.isdir(directory):
        raise options.usage_error(f"there is no directory {directory!r}")
    return Path(directory)


def _show(plan: Sequence[Change], *, as_json: bool) -> int:
    for one in plan:
        print_row(_COLUMNS, (one.action, one.path, one.size), as_json=as_json)
    return 0


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


def _remote_files(bay: "AgentBay", context: "Context", folder: str) -> dict[str, RemoteFile]:
    """Return all files below a folder of a context, by their path from the folder."""
    root = f"/{folder.strip('/')}"
    return {
        posixpath.relpath(path, root): one for path, one in _walk(bay, context.id, root, _MAX_DEPTH)
    }


def _walk(
    bay: "AgentBay", context_id: str, folder: str, depth: int
) -> Iterator[tuple[str, RemoteFile]]:
    for entry in bay.context.iterate_files(context_id, folder):
        path = posixpath.join(folder, entry.file_name)
        if entry.file_type == "FOLDER":
            if depth:
                yield from _walk(bay, context_id, path, depth - 1)
        else:
            yield path, RemoteFile(entry.size, entry.gmt_modified)


class _Sync:
    """A directory of this machine and a folder of a context."""

    def __init__(
        self,
        endpoint: str | None,
        name: str,
        root: Path,
        folder: str,
        exclude: Sequence[str] | None,
        *,
        create: bool,
    ) -> None:
        self._root = root
        self._folder = f"/{folder.strip('/')}"
        if ".." in self._folder.split("/"):
            raise options.usage_error("--path must not contain '..'")
        self._ignored = IgnorePatterns([*_ignore_lines(root), *(exclude or ())])
        self._stack = contextlib.ExitStack()
        self._bay = self._stack.enter_context(connect(endpoint))
        try:
            context = self._bay.context
            self._context = context.create(name).unwrap() if create else _find(self._bay, name)
            self._checksums = Checksums(repr(self._bay), f"{self._context.id}{self._folder}")
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> "_Sync":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def plan(self, *, is_push: bool, delete: bool) -> list[Change]:
        """Return what is to be done."""
        remote = {
            path: one for path, one in self._remote().items() if not self._ignored.is_ignored(path)
        }
        local = LocalFiles(self._root, self._ignored)
        return make_plan(local, remote, self._checksums, is_push=is_push, delete=delete)

    def carry_out(self, plan: Sequence[Change], *, is_push: bool, as_json: bool) -> int:
        """Do what is planned, print each step that is done, and return the exit code."""
        try:
            done = [one for one in plan if self._try(one, is_push=is_push, as_json=as_json)]
            self._checksums.settle(self._remote())
        finally:
            # Also after Ctrl-C: the next run goes on where this one has ended.
            self._checksums.save()
        print_message(f"{len(done)} of {len(plan)} done, {len(plan) - len(done)} failed")
        return 0 if len(done) == len(plan) else 1

    def _try(self, one: Change, *, is_push: bool, as_json: bool) -> bool:
        from agentbay import AgentBayError

        try:
            self._step(one, is_push=is_push)
        except (AgentBayError, OSError) as error:
            print_message(f"agentbay: {one.path}: {explain(error)}")
            return False
        print_row(_COLUMNS, (one.action, one.path, one.size), as_json=as_json)
        return True

    def _step(self, one: Change, *, is_push: bool) -> None:
        remote = posixpath.join(self._folder, one.path)
        local = self._root / one.path if is_push else _inside(self._root, one.path)
        files = self._bay.context
        if one.action != "delete":
            if is_push:
                receipt = files.upload_file(self._context.id, remote, local).unwrap()
            else:
                local.parent.mkdir(parents=True, exist_ok=True)
                receipt = files.download_file(self._context.id, remote, local).unwrap()
            self._checksums.note(one.path, receipt.size, receipt.md5)
        elif is_push:
            files.delete_file(self._context.id, remote).unwrap()
            self._checksums.forget(one.path)
        else:
            local.unlink(missing_ok=True)

    def _remote(self) -> dict[str, RemoteFile]:
        return _remote_files(self._bay, self._context, self._folder)


def _ignore_lines(root: Path) -> list[str]:
    try:
        return (root / IGNORE_FILE).read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise options.usage_error(f"{root / IGNORE_FILE} cannot be read: {error}") from None


def _inside(root: Path, path: str) -> Path:
    """Return the place of a file of a context, which is not trusted, below a directory.

    Raises:
        OSError: It would be elsewhere, by its name or by a link.
    """
    place = root / path
    parts = posixpath.normpath(path).split("/")
    is_below = not posixpath.isabs(path) and ".." not in parts and "\0" not in path
    if not is_below or not place.parent.resolve().is_relative_to(root.resolve()):
        raise OSError(f"it would be outside of {root}")
    return place
