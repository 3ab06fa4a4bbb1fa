"""Calls with bytes: tool calls at a session's own address whose content is not written as JSON.

Base64 in JSON makes a file a third longer, and costs most of the time of reading or writing one. So
our local service takes a line of JSON, and after it the argument ``content`` as it is; and it
answers bytes as they are to a call that asks for them by ``Accept``. Its list of tools marks the
tools that can do that. The cloud's has no such mark, so only the local service gets such calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentbay_async._protocol.codec import compact_json

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The media type of a call with bytes, and of an answer that is bytes.
MEDIA_TYPE = "application/octet-stream"
#: The member of an entry in the list of tools that is true if calls of the tool may carry bytes.
TAKES_BYTES = "takesBytes"


def encode_call(document: Mapping[str, Any], content: bytes | memoryview) -> bytes:
    r"""Return the body of a call with bytes.

    Example:
        >>> encode_call({"tool": "write_file"}, b"content")
        b'{"tool":"write_file"}\ncontent'
    """
    return b"".join((compact_json(document).encode("ascii"), b"\n", content))


def split_call(body: bytes | bytearray) -> tuple[bytes | bytearray, memoryview | None]:
    r"""Return the JSON and the bytes of a call; ``None`` if it has no bytes.

    Example:
        >>> head, content = split_call(b'{"tool":"write_file"}\ncontent')
        >>> bytes(head), bytes(content)
        (b'{"tool":"write_file"}', b'content')
    """
    end = body.find(b"\n")
    if end < 0:
        return body, None
    return body[:end], memoryview(body)[end + 1 :]
