"""``agentbay cp`` and ``watch``: files of sessions."""

# Without `from __future__ import annotations`: typer reads the annotations at run time.
import contextlib
import os
import posixpath
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from agentbay_cli import options
from agentbay_cli.client import connect, find_session
from agentbay_cli.options import Endpoint, Json, SessionId
from agentbay_cli.output import ProgressLine, print_row, print_value

if TYPE_CHECKING:
    from agentbay import Session, TransferProgress, TransferReceipt

__all__ = ["register", "shown_progress"]

_MIB = 1024 * 1024
Place = Annotated[str, typer.Argument(metavar="PATH|ID:PATH", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("cp")(copy)
    app.command("watch")(watch)


def copy(
    source: Place,
    target: Place,
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> int:
    """Copy a file or a directory into a session, or out of it.

    One of the two is ID:PATH. As with docker, what is copied to a directory that exists is put
    into it; a source that ends with /. gives its content.
    """
    from_session, to_session = _split(source), _split(target)
    if (from_session is None) == (to_session is None):
        raise options.usage_error(
            "one of the two must be ID:PATH, the other a path of this machine"
        )
    if to_session is not None and not os.path.exists(source):
        raise options.usage_error(f"there is no file or directory {source!r}")
    with connect(endpoint) as bay:
        if to_session is not None:
            session = find_session(bay, to_session[0])
            receipt = _upload(session, source, to_session[1])
        else:
            session_id, path = from_session or ("", "")
            receipt = _download(find_session(bay, session_id), path, target)
    if as_json:
        print_value({"path": receipt.path, "size": receipt.size, "verified": receipt.verified})
    return 0


def _split(text: str) -> tuple[str, str] | None:
    """Return id and path of ``ID:PATH``; None for a path of this machine, such as ``./a:b``.

    Example:
        >>> _split("s-1:/tmp/a"), _split("./a:b"), _split("s-1:")
        (('s-1', '/tmp/a'), None, ('s-1', '.'))
    """
    name, colon, path = text.partition(":")
    return (name, path or ".") if colon and name and "/" not in name else None


def _upload(session: "Session", source: str, target: str) -> "TransferReceipt":
    files = session.file_system
    is_content = posixpath.basename(source) == "."
    if not is_content and _is_remote_directory(session, target):
        target = posixpath.join(target, os.path.basename(os.path.abspath(source)))
    with shown_progress(source) as progress:
        if os.path.isdir(source):
            return files.upload_directory(source, target, progress=progress).unwrap()
        return files.upload_file(source, target, progress=progress).unwrap()


def _download(session: "Session", source: str, target: str) -> "TransferReceipt":
    files = session.file_system
    is_directory = files.get_file_info(source).unwrap().is_directory
    is_content = posixpath.basename(source) == "."
    if not is_content and os.path.isdir(target):
        target = os.path.join(target, posixpath.basename(posixpath.normpath(source)))
    with shown_progress(source) as progress:
        if is_directory:
            os.makedirs(target, exist_ok=True)
            return files.download_directory(source, target, progress=progress).unwrap()
        return files.download_file(source, target, progress=progress).unwrap()


def _is_remote_directory(session: "Session", path: str) -> bool:
    from agentbay import FileError

    found = session.file_system.get_file_info(path)
    if isinstance(found.error, FileError):
        # It is created.
        return False
    return found.unwrap().is_directory


@contextlib.contextmanager
def shown_progress(what: str) -> Iterator[Callable[["TransferProgress"], None]]:
    """Show the progress of a transfer on standard error, if a person looks at it."""
    name = os.path.basename(what) or what
    with ProgressLine() as line:

        def show(state: "TransferProgress") -> None:
            total = "" if state.total is None else f" of {state.total / _MIB:.1f}"
            line.show(f"{name}: {state.done / _MIB:.1f}{total} MiB")

        yield show


def watch(
    session_id: SessionId,
    path: Annotated[str, typer.Argument(metavar="DIR", help="The directory.")] = ".",
    endpoint: Endpoint = None,
    as_json: Json = False,
) -> int:
    """Print the changes of files below a directory of a session, until Ctrl-C."""
    with connect(endpoint) as bay:
        session = find_session(bay, session_id)
        for change in session.file_system.watch(path):
            row = change.event_type, change.path_type, change.path
            print_row(("event", "type", "path"), row, as_json=as_json)
    return 0
