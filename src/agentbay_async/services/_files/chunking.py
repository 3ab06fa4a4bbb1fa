"""Split content into chunks that one call accepts, and the scripts that put it in place; no I/O.

The API accepts at most 63 KiB of JSON arguments in one call; a session's direct address accepts
more, and that of our local service takes bytes as they are. Larger content is written in chunks to
a part file beside the target, which replaces the target by a rename once it is complete and
verified. Readers so never see half of a file.
"""

from __future__ import annotations

import base64
import os
import posixpath
from typing import TYPE_CHECKING, NamedTuple

from agentbay_async._protocol.codec import compact_json

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Bytes of JSON for the content of one call. The rest of the 63 KiB is left for the path.
ARGUMENT_LIMIT = 48 * 1024
#: Bytes that are at most ``ARGUMENT_LIMIT`` in base64, which also fits into one shell variable.
BYTES_LIMIT = 36 * 1024
#: How many times more one call to a session's direct address accepts.
DIRECT_FACTOR = 20
#: Bytes that one call carries where calls may carry bytes.
PLAIN_LIMIT = 8 * 1024 * 1024

#: Write bytes that fit into one call. Path and data come in variables, so that no byte of them is
#: parsed by the shell. The test before ``mkdir`` saves a process.
WRITE_BYTES = '{{ [ -d "$D" ] || mkdir -p -- "$D"; }} && printf %s "$B" | base64 -d {} "$F"'

#: Verify a complete file and replace the target with it. T is the complete file, P a part file
#: beside the target, F the target, D its directory, H the expected MD5. CODED is set if T is
#: base64, APPEND if it is to be appended. Links are followed and permissions kept, as if the
#: target were written in place. P is in the target's directory because a rename is atomic only
#: within one file system.
REPLACE_FILE = """\
fail() { [ -z "$2" ] || printf '%s: %s\\n' "$F" "$2" >&2; rm -f -- "$T" "$P"; exit "$1"; }
[ ! -d "$F" ] || fail 21 'Is a directory'
[ -d "$D" ] || mkdir -p -- "$D" || fail 1 ''
if [ -n "$CODED" ]; then
  base64 -d < "$T" > "$P" || fail 1 'cannot be written'
  rm -f -- "$T"
elif [ "$T" != "$P" ]; then
  mv -f -- "$T" "$P" || fail 1 'cannot be written'
fi
verified=
if command -v md5sum > /dev/null; then
  sum="$(md5sum < "$P")"
  [ "${sum%% *}" = "$H" ] || fail 22 'the checksum does not match'
  verified=verified
fi
if [ -n "$APPEND" ]; then
  cat < "$P" >> "$F" || fail 1 'cannot be written'
  rm -f -- "$P"
else
  [ ! -L "$F" ] || F="$(readlink -f -- "$F")"
  [ ! -e "$F" ] || chmod --reference="$F" -- "$P" 2> /dev/null || :
  mv -f -- "$P" "$F" || fail 1 'cannot be written'
fi
printf %s "$verified"
"""


class TextChunk(NamedTuple):
    """A chunk of a file that was read as text.

    Attributes:
        text: Whole characters.
        size: The bytes that they have in the file.
        is_last: Whether the file ends after it.
        must_end: Whether this is exact only if the file ends after it.
    """

    text: str
    size: int
    is_last: bool
    must_end: bool


# The bytes by which a chunk may be shorter or longer than asked for: some services cut inside a
# character and mark that, others add the rest of it.
_CUT = 3
# What services send in place of bytes that are no UTF-8; it may also stand in the file.
_REPLACEMENT = "\ufffd"


def exact_text(answer: str, length: int, *, is_last: bool | None) -> TextChunk | None:
    """Return what a chunk of text says about the bytes of a file.

    Args:
        answer: The text that arrived.
        length: The number of bytes that were asked for.
        is_last: Whether the file ends there; ``None`` if that is unknown.

    Returns:
        ``None`` if the text does not tell which bytes the file has.

    Example:
        >>> exact_text("ab\ufffd", 3, is_last=False)
        TextChunk(text='ab', size=2, is_last=False, must_end=False)
        >>> exact_text("ab\ufffd", 3, is_last=True) is None
        True
    """
    try:
        size = len(answer.encode())
    except UnicodeEncodeError:
        return None
    ends = size < length - _CUT if is_last is None else is_last
    text = answer if ends else answer.rstrip(_REPLACEMENT)
    if _REPLACEMENT in text:
        return None
    if ends:
        return TextChunk(text, size, is_last=True, must_end=True)
    # Without a mark, fewer bytes may mean that the file ends, or that bytes were left out anywhere.
    least, most = length - _CUT * (is_last is None), length + _CUT
    if text != answer:
        size = len(text.encode())
        least, most = length - _CUT, length - 1
    if not least <= size <= most:
        return None
    return TextChunk(text, size, is_last=False, must_end=text == answer and size < length)


def split_text(text: str, factor: int = 1) -> Iterator[str]:
    """Split text into chunks, each at most `factor` times ``ARGUMENT_LIMIT`` bytes as JSON."""
    if len(compact_json(text)) <= ARGUMENT_LIMIT * factor or len(text) <= 1:
        yield text
        return
    middle = len(text) // 2
    yield from split_text(text[:middle], factor)
    yield from split_text(text[middle:], factor)


def split_bytes(content: bytes, factor: int = 1) -> Iterator[str]:
    """Split bytes into chunks of base64, which joined are the base64 of the whole.

    The limit is a multiple of 3, so that no chunk but the last ends with padding.
    """
    step = BYTES_LIMIT * factor
    for start in range(0, max(len(content), 1), step):
        yield base64.b64encode(content[start : start + step]).decode("ascii")


def split_plain(content: bytes) -> Iterator[memoryview]:
    """Split bytes into chunks of ``PLAIN_LIMIT``, without copying them."""
    view = memoryview(content)
    for start in range(0, len(view), PLAIN_LIMIT):
        yield view[start : start + PLAIN_LIMIT]


def parent_directory(path: str) -> str:
    """Return the directory of a path; ``"."`` if it has none."""
    return posixpath.dirname(path) or "."


def part_file(path: str) -> str:
    """Return a unique name in the directory of `path`."""
    return posixpath.join(posixpath.dirname(path), f".agentbay-{os.urandom(8).hex()}.part")


def escape_dash(path: str) -> str:
    """Return a path that no program takes for an option, even if it begins with ``-``."""
    return path if path.startswith("/") else f"./{path}"
