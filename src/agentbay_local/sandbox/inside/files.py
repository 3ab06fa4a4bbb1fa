"""File operations on paths as the session sees them.

Each function takes a request and returns the fields of its answer, or the records of a long one.
Bytes of a path that are not UTF-8 are kept by surrogate escapes.
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False  # importing typing would cost each session some milliseconds
if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Sequence
    from typing import Any, TypeVar

    from . import wire

    Item = TypeVar("Item")

FLAGS = {
    "r": os.O_RDONLY,
    "w": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    "a": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
    "r+": os.O_RDWR,
}


MOST_LISTED = 20_000
"""Entries of one listing. With more, the answer would keep the service busy for too long."""

MOST_FOUND = 50_000
"""Paths of one search or survey."""


class View:
    """The session's paths, users and variables, as this process sees them.

    Inside namespaces they are the same. Without isolation the session's "/" is a directory of the
    host, and `prefix` names it.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.home: str = settings["home"]
        self.prefix: str = settings["prefix"]
        self.variables: dict[str, str] = {}
        self.users = {int(uid): name for uid, name in settings["users"].items()}
        self.groups = {int(gid): name for gid, name in settings["groups"].items()}

    def named(self, path: str) -> str:
        """Return the absolute session path of a path as the caller wrote it."""
        return os.path.join(self.home, path)

    def real(self, path: str) -> str:
        """Return the path to open for a session path."""
        path = self.named(path)
        return self.prefix + os.path.normpath("/" + path.lstrip("/")) if self.prefix else path


def stat_path(message: wire.Message, view: View) -> wire.Message:
    """Describe one path."""
    return {"entry": describe(view, view.named(message["path"]))}


def list_directory(message: wire.Message, view: View) -> Sequence[Any]:
    """Describe the entries of a directory by name."""
    path = view.named(message["path"])
    with os.scandir(view.real(path)) as entries:
        names = sorted(entry.name for entry in limited(entries, MOST_LISTED))
    found = (describe_if_exists(view, os.path.join(path, name)) for name in names)
    return [entry for entry in found if entry is not None]


def limited(found: Iterator[Item], most: int) -> Iterator[Item]:
    """Yield what is found, and raise EOVERFLOW if there is more than an answer may have."""
    for number, one in enumerate(found):
        if number >= most:
            raise OSError(errno.EOVERFLOW, "")
        yield one


def describe_if_exists(view: View, path: str) -> dict[str, Any] | None:
    """Describe a path; return None if it was removed since it was listed."""
    try:
        return describe(view, path)
    except FileNotFoundError:
        return None


def describe(view: View, path: str) -> dict[str, Any]:
    """Return the fields of an `Entry` for a path."""
    own = facts = os.lstat(view.real(path))
    linked = stat.S_ISLNK(own.st_mode)
    if linked:
        try:
            facts = os.stat(view.real(path))
        except OSError:  # a dangling or looping link describes itself
            facts = own
    return {
        "path": path,
        "name": os.path.basename(path.rstrip("/")) or "/",
        "size": facts.st_size,
        "mode": facts.st_mode,
        "modified": facts.st_mtime,
        "accessed": facts.st_atime,
        "changed": facts.st_ctime,
        "is_dir": stat.S_ISDIR(facts.st_mode),
        "is_file": stat.S_ISREG(facts.st_mode),
        "is_symlink": linked,
        "owner": view.users.get(facts.st_uid, str(facts.st_uid)),
        "group": view.groups.get(facts.st_gid, str(facts.st_gid)),
    }


def make_directory(message: wire.Message, view: View) -> wire.Message:
    """Create a directory and its parents."""
    os.makedirs(view.real(message["path"]), exist_ok=True)
    return {}


def remove(message: wire.Message, view: View) -> wire.Message:
    """Remove a file, a link or an empty directory, or a whole tree if `recursive`."""
    path = view.real(message["path"])
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        os.unlink(path)
    elif message["recursive"]:
        import shutil  # large, and rarely needed

        shutil.rmtree(path)
    else:
        os.rmdir(path)
    return {}


def move(message: wire.Message, view: View) -> wire.Message:
    """Rename, or copy and remove if the paths are on different mounts."""
    source, destination = view.real(message["source"]), view.real(message["destination"])
    try:
        os.lstat(source)
    except OSError as error:
        raise OSError(error.errno, "", message["source"]) from None
    try:
        relocate(source, destination)
    except OSError as error:
        raise OSError(error.errno, "", message["destination"]) from None
    return {}


def relocate(source: str, destination: str) -> None:
    """Rename, or copy and remove across mounts."""
    try:
        os.rename(source, destination)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        import shutil  # large, and rarely needed

        shutil.move(source, destination)


def search(message: wire.Message, view: View) -> Sequence[str]:
    """Find names below a directory."""
    top = view.named(message["path"])
    os.listdir(view.real(top))  # raises an error if it cannot be read; os.walk would yield nothing
    wanted = wildcard(message["pattern"])
    unwanted = [wildcard(pattern) for pattern in message["excludes"]]
    return sorted(limited(matches(view, top, wanted, unwanted), MOST_FOUND))


def matches(
    view: View, top: str, wanted: re.Pattern[str], unwanted: Sequence[re.Pattern[str]]
) -> Iterator[str]:
    """Yield the session paths below `top` whose name is wanted."""
    shift = len(view.real(top).rstrip("/"))
    for directory, directories, names in os.walk(view.real(top)):
        directories[:] = kept(directories, unwanted)
        for name in directories + kept(names, unwanted):
            if wanted.match(name):
                yield top.rstrip("/") + directory[shift:].rstrip("/") + "/" + name


def survey(message: wire.Message, view: View) -> Sequence[Any]:
    """Return the marks of a path and of everything below it."""
    return list(limited(marks(view, view.named(message["path"])), MOST_FOUND))


def marks(view: View, top: str) -> Iterator[list[Any]]:
    """Yield the marks of a path and of everything below it."""
    try:
        yield mark(top, os.lstat(view.real(top)))
    except (FileNotFoundError, NotADirectoryError):
        return
    waiting = [top] if os.path.isdir(view.real(top)) else []
    while waiting:
        for path, facts in below(view, waiting.pop()):
            yield mark(path, facts)
            if stat.S_ISDIR(facts.st_mode):
                waiting.append(path)


def below(view: View, path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield path and status of the content of a directory, without what is removed meanwhile."""
    try:
        with os.scandir(view.real(path)) as entries:
            for entry in entries:
                try:
                    facts = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                yield os.path.join(path, entry.name), facts
    except OSError:
        return


def mark(path: str, facts: os.stat_result) -> list[Any]:
    """Return the fields of a `Mark`, after its path."""
    return [path, stat.S_ISDIR(facts.st_mode), facts.st_size, facts.st_mtime_ns, facts.st_ino]


def kept(names: list[str], unwanted: Sequence[re.Pattern[str]]) -> list[str]:
    """Return the names no pattern excludes."""
    return [name for name in names if not any(pattern.match(name) for pattern in unwanted)]


def wildcard(pattern: str) -> re.Pattern[str]:
    """Compile a name pattern in which only `*` and `?` are special."""
    import re  # large, and rarely needed

    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(c, re.escape(c)) for c in pattern) + r"\Z", re.DOTALL)


def make_parents(path: str) -> None:
    """Make the directories above a file, unless they exist."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    except FileExistsError:
        raise OSError(errno.ENOTDIR, "", path) from None


def open_file(message: wire.Message, view: View) -> int:
    """Open a regular file without blocking, and return its descriptor."""
    path, flags = view.real(message["path"]), FLAGS[message["mode"]]
    if flags & os.O_CREAT:
        make_parents(path)
    # O_NONBLOCK, or opening a FIFO would block; truncation has to wait until it is known to be a
    # file.
    fd = os.open(path, flags & ~os.O_TRUNC | os.O_NONBLOCK | os.O_NOCTTY, 0o666)
    kind = os.fstat(fd).st_mode
    if not stat.S_ISREG(kind):
        os.close(fd)
        raise OSError(errno.EISDIR if stat.S_ISDIR(kind) else errno.EINVAL, "", path)
    if flags & os.O_TRUNC:
        os.ftruncate(fd, 0)
    return fd
