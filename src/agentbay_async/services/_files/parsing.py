"""What file tools and ``find`` answer, as values; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from agentbay_async import _check
from agentbay_async.errors import ArgumentTypeError, InvalidArgumentError
from agentbay_async.models.files import DirectoryEntry, FileInfo

#: Lists a directory for :func:`found_entries`: kind, size and name, each entry ended by NUL.
LIST = """\
cd -- "$D" || exit 101
find . -mindepth 1 -maxdepth 1 -printf '%y %s %f\\0' && printf end"""
# No file is longer than 2**63 bytes, which has 19 digits.
_ENTRY = re.compile(r"(.) (\d{1,19}) (.*)", re.DOTALL)
_FENCED = re.compile(r"`{3,}diff\n(.*?)\n?`{3,}\s*\Z", re.DOTALL)
_PLAIN_FACTS = ("permissions", "owner", "group", "created", "modified", "accessed")


def found_entries(output: str) -> list[DirectoryEntry] | None:
    """Read what ``LIST`` wrote; ``None`` when that is not what it writes, on an odd image."""
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


def marked_entries(text: str) -> list[DirectoryEntry]:
    """Read the lines ``[DIR] name`` and ``[FILE] name`` of the tool; others are passed over.

    A name with a line break in it cannot be told from two names here.
    """
    entries: list[DirectoryEntry] = []
    for line in text.split("\n"):
        kind, _, name = line.partition(" ")
        if kind in ("[DIR]", "[FILE]") and name:
            entries.append(DirectoryEntry(name, is_directory=kind == "[DIR]"))
    return entries


def matches(text: str) -> list[str]:
    """Read the paths that search_files found, one on each line."""
    lines = [line for line in text.split("\n") if line]
    return [] if lines == ["No matches found"] else lines


def file_info(path: str, text: str) -> FileInfo:
    """Read ``key: value`` lines. Permissions stay text: ``0644`` is no number, ``007`` a name."""
    lines = [line.partition(":") for line in text.split("\n") if ":" in line]
    facts = {key.strip(): value.strip() for key, _, value in lines}
    return FileInfo(
        path=facts.get("path", path),
        name=facts.get("name", path.rstrip("/").rpartition("/")[2]),
        size=_size(facts.get("size", "")),
        is_directory=facts.get("isDirectory", "").lower() == "true",
        is_file=facts.get("isFile", "").lower() == "true",
        **{name: facts.get(name, "") for name in _PLAIN_FACTS},
    )


def _size(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def checked_edits(edits: object) -> list[dict[str, str]]:
    """Return edits as the tool takes them.

    Raises:
        ArgumentTypeError: They are no list of mappings with two texts.
        InvalidArgumentError: There are none, or one looks for nothing.
    """
    listed = _check.sequence(edits, "edits", object)
    if not listed:
        raise InvalidArgumentError("edits must not be empty; give at least one")
    return [_edit(edit, f"edits[{index}]") for index, edit in enumerate(listed)]


def _edit(edit: object, name: str) -> dict[str, str]:
    if not isinstance(edit, Mapping) or edit.keys() != {"oldText", "newText"}:
        raise ArgumentTypeError(f"{name} must be a mapping with the keys 'oldText' and 'newText'")
    texts = {
        key: _check.encodable(_check.string(value, f"{name}[{key!r}]"), f"{name}[{key!r}]")
        for key, value in edit.items()
    }
    if not texts["oldText"]:
        raise InvalidArgumentError(f"{name}['oldText'] must not be empty; say what to replace")
    return texts


def edited(text: str, edits: Sequence[Mapping[str, str]]) -> str:
    """Return `text` with each edit done at its first match."""
    for edit in edits:
        text = text.replace(edit["oldText"], edit["newText"], 1)
    return text


def told_diff(answer: str) -> str | None:
    """Return the difference that the tool's answer holds; ``None`` when it holds none."""
    fenced = _FENCED.search(answer)
    inner = fenced[1] if fenced else answer
    return inner if re.search(r"^@@ .* @@", inner, re.MULTILINE) else None
