"""Parse the output of file tools and of ``find``, and check edits; no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from agentbay_async import _check
from agentbay_async.errors import (
    ArgumentTypeError,
    FileError,
    InvalidArgumentError,
    RemoteFileExistsError,
    RemoteFileNotFoundError,
    RemoteIsADirectoryError,
    RemoteNotADirectoryError,
    RemotePermissionError,
)
from agentbay_async.models.files import DirectoryEntry, FileInfo

#: List a directory for :func:`parse_find`: type, size and name, each entry followed by NUL. The
#: tool of the image cannot tell a line break in a name from two names, and knows no sizes. ``end``
#: shows that the output is complete and that ``find`` is GNU's.
LIST = """\
cd -- "$D" && find . -mindepth 1 -maxdepth 1 -printf '%y %s %f\\0' && printf end"""
# A size is at most 2**63, which has 19 digits.
_ENTRY = re.compile(r"(.) (\d{1,19}) (.*)", re.DOTALL)
_FENCED = re.compile(r"`{3,}diff\n(.*?)\n?`{3,}\s*\Z", re.DOTALL)
_TEXT_FACTS = ("permissions", "owner", "group", "created", "modified", "accessed")


def parse_find(output: str) -> list[DirectoryEntry] | None:
    """Read the output of :data:`LIST`; ``None`` if the image has no GNU ``find``."""
    *records, last = output.split("\0")
    found = [_ENTRY.fullmatch(record) for record in records]
    if last != "end" or not all(found):
        return None
    entries = [
        DirectoryEntry(match[3], match[1] == "d", int(match[2]), match[1] == "l")
        for match in found
        if match is not None
    ]
    return sorted(entries, key=lambda entry: entry.name)


def parse_entries(text: str) -> list[DirectoryEntry]:
    """Read the lines ``[DIR] name`` and ``[FILE] name`` of the tool, and skip other lines."""
    entries: list[DirectoryEntry] = []
    for line in _lines(text):
        kind, _, name = line.partition(" ")
        if kind in ("[DIR]", "[FILE]") and name:
            entries.append(DirectoryEntry(name, is_directory=kind == "[DIR]"))
    return entries


def parse_matches(text: str) -> list[str]:
    """Read the answer of search_files: one path on each line."""
    lines = _lines(text)
    return [] if lines == ["No matches found"] else lines


def _lines(text: str) -> list[str]:
    """Return the lines that are not empty; Windows images end each of them with CR LF."""
    lines = [line for line in text.split("\n") if line]
    if all(line.endswith("\r") for line in lines):
        lines = [line[:-1] for line in lines if line != "\r"]
    return lines


def parse_file_info(path: str, text: str) -> FileInfo:
    """Read ``key: value`` lines. Values such as ``0644`` stay text, to keep their zeros."""
    lines = [line.partition(":") for line in text.split("\n") if ":" in line]
    facts = {key.strip(): value.strip() for key, _, value in lines}
    return FileInfo(
        path=facts.get("path", path),
        name=facts.get("name", path.rstrip("/").rpartition("/")[2]),
        size=_parse_size(facts.get("size", "")),
        is_directory=facts.get("isDirectory", "").lower() == "true",
        is_file=facts.get("isFile", "").lower() == "true",
        **{name: facts.get(name, "") for name in _TEXT_FACTS},
    )


def _parse_size(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def check_edits(edits: object) -> list[dict[str, str]]:
    """Return edits in the form that the tool accepts.

    Raises:
        ArgumentTypeError: `edits` is not a list of mappings with the two texts.
        InvalidArgumentError: `edits` is empty, or an ``oldText`` is.
    """
    checked = _check.sequence(edits, "edits", object)
    if not checked:
        raise InvalidArgumentError("edits must not be empty; give at least one")
    return [_check_edit(edit, f"edits[{index}]") for index, edit in enumerate(checked)]


def _check_edit(edit: object, name: str) -> dict[str, str]:
    if not isinstance(edit, Mapping) or edit.keys() != {"oldText", "newText"}:
        raise ArgumentTypeError(f"{name} must be a mapping with the keys 'oldText' and 'newText'")
    texts = {
        key: _check.encodable(_check.string(value, f"{name}[{key!r}]"), f"{name}[{key!r}]")
        for key, value in edit.items()
    }
    if not texts["oldText"]:
        raise InvalidArgumentError(f"{name}['oldText'] must not be empty; say what to replace")
    return texts


def apply_edits(text: str, edits: Sequence[Mapping[str, str]]) -> str:
    """Return `text` with each edit applied at its first match."""
    for edit in edits:
        text = text.replace(edit["oldText"], edit["newText"], 1)
    return text


def parse_diff(answer: str) -> str | None:
    """Return the diff in the answer of edit_file, or ``None`` if there is none."""
    fenced = _FENCED.search(answer)
    inner = fenced[1] if fenced else answer
    return inner if re.search(r"^@@ .* @@", inner, re.MULTILINE) else None


# Texts of the operating system, the usual words for them, and their errors.
_REASONS: dict[str, tuple[str, type[FileError]]] = {
    "no such file or directory": ("no such file", RemoteFileNotFoundError),
    "permission denied": ("permission denied", RemotePermissionError),
    "operation not permitted": ("not permitted", RemotePermissionError),
    "is a directory": ("is a directory", RemoteIsADirectoryError),
    "not a directory": ("not a directory", RemoteNotADirectoryError),
    "file exists": ("already exists", RemoteFileExistsError),
    "directory not empty": ("directory not empty", FileError),
    "no space left on device": ("no space left on device", FileError),
    "disk quota exceeded": ("disk quota exceeded", FileError),
    "read-only file system": ("read-only file system", FileError),
    "file name too long": ("file name too long", FileError),
    "too many levels of symbolic links": ("too many levels of symbolic links", FileError),
}
# What `mkdir -p` says if a parent of the file to write is a file itself.
_FILE_AS_PARENT = re.compile(r"mkdir: .+: File exists")
# The tools of the service write "Failed to move file: /a, error: Is a directory".
_TOOL_FAILURE = re.compile(r"Failed to [^:\n]+: (.+), error: (.+)")


def describe_failure(text: str, path: str) -> tuple[type[FileError], str]:
    """Return the error and a plain message for the text of a tool or program that failed on `path`.

    A text without a known reason is returned as it is.

    Example:
        >>> describe_failure("cat: x: No such file or directory", "x")
        (<class 'agentbay_async.errors.RemoteFileNotFoundError'>, 'no such file: x')
    """
    last = text.strip().rpartition("\n")[2]
    if failure := _TOOL_FAILURE.search(last):
        # A move has two paths; the tool names the one that failed.
        path, last = failure[1], failure[2]
    if _FILE_AS_PARENT.fullmatch(last):
        last = "Not a directory"
    lower = last.rstrip(".").lower()
    for reason, (words, kind) in _REASONS.items():
        if lower == reason or lower.endswith((f": {reason}", f" {reason}")):
            return kind, f"{words}: {path}"
    return FileError, text
