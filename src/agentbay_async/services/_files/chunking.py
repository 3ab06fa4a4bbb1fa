"""Content in pieces that the service accepts; pure.

By way of the API one call takes arguments of at most 63 KiB as JSON; a session's direct address
takes more. What does not fit into one call is written beside its target, piece by piece, and takes
the target's place when it is complete and verified.
"""

from __future__ import annotations

import base64
import os
import posixpath
from typing import TYPE_CHECKING

from agentbay_async._protocol.codec import compact_json

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Bytes of JSON for the content of one call; what a path and the rest need is left free.
ARGUMENT_LIMIT = 48 * 1024
#: Bytes that become at most that many in base64, and as many as a shell takes in one variable.
BYTES_LIMIT = 36 * 1024
#: How many times as much goes in one call to a session's direct address.
DIRECT = 20

#: Writes bytes that fit into one call. Path and data come in variables, so that no byte of either
#: is read as shell. What the shell can do by itself costs no process.
WRITE_BYTES = '{{ [ -d "$D" ] || mkdir -p -- "$D"; }} && printf %s "$B" | base64 -d {} "$F"'

#: Brings a finished piece of work to where it belongs. T is where it stands, P a name beside the
#: target, F the target, D its directory, H the MD5 that it must have. CODED says that it is base64,
#: APPEND that it is to be added. Links are followed and permissions kept, as by writing in place.
PLACE = """\
fail() { printf '%s: %s\\n' "$F" "$2" >&2; rm -f -- "$T" "$P"; exit "$1"; }
[ ! -d "$F" ] || fail 21 'Is a directory'
[ -d "$D" ] || mkdir -p -- "$D" || fail 1 'its directory cannot be made'
if [ -n "$CODED" ]; then
  base64 -d < "$T" > "$P" || fail 1 'cannot be written'
  rm -f -- "$T"
elif [ "$T" != "$P" ]; then
  mv -f -- "$T" "$P" || fail 1 'cannot be written'
fi
said=
if command -v md5sum > /dev/null; then
  sum="$(md5sum < "$P")"
  [ "${sum%% *}" = "$H" ] || fail 22 'the checksum does not match'
  said=verified
fi
if [ -n "$APPEND" ]; then
  cat < "$P" >> "$F" || fail 1 'cannot be written'
  rm -f -- "$P"
else
  [ ! -L "$F" ] || F="$(readlink -f -- "$F")"
  [ ! -e "$F" ] || chmod --reference="$F" -- "$P" 2> /dev/null || :
  mv -f -- "$P" "$F" || fail 1 'cannot be written'
fi
printf %s "$said"
"""


def text_pieces(text: str, times: int = 1) -> Iterator[str]:
    """Cut text so that each piece, written as JSON, is within so many times the limit."""
    if len(compact_json(text)) <= ARGUMENT_LIMIT * times or len(text) <= 1:
        yield text
        return
    middle = len(text) // 2
    yield from text_pieces(text[:middle], times)
    yield from text_pieces(text[middle:], times)


def byte_pieces(content: bytes, times: int = 1) -> Iterator[str]:
    """Cut bytes into pieces of base64 within the limit; joined, they are base64 of the whole."""
    step = BYTES_LIMIT * times
    for start in range(0, max(len(content), 1), step):
        yield base64.b64encode(content[start : start + step]).decode("ascii")


def directory(path: str) -> str:
    """Return the directory of a path, for a shell."""
    return posixpath.dirname(path) or "."


def beside(path: str) -> str:
    """Return a name in the directory of `path` that nobody else has."""
    return posixpath.join(posixpath.dirname(path), f".agentbay-{os.urandom(8).hex()}.part")


def below(path: str) -> str:
    """Return a path that no program takes for an option."""
    return path if path.startswith("/") else f"./{path}"
