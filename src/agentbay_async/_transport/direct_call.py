"""Direct calls: tools called at a session's own address, without the API in between.

The token is sent in a header and in the body, as the official clients do (Python since 0.17, Go and
Java): it is not documented which of the two a gateway reads.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from agentbay_async._protocol import codec, schema
from agentbay_async._protocol.byte_calls import MEDIA_TYPE, encode_call
from agentbay_async._protocol.envelope import Answer
from agentbay_async._protocol.error_codes import error_type
from agentbay_async._transport.base import HttpRequest
from agentbay_async.errors import AgentBayError, BadAnswerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_async._transport.access import Access
    from agentbay_async._transport.base import Transport


async def call_directly(
    transport: Transport,
    access: Access,
    server: str,
    tool: str,
    args: Mapping[str, Any],
    timeout: float,
    *,
    accept_bytes: bool = False,
) -> Answer[schema.ToolAnswer]:
    """Call a tool at the address of its session, once.

    Args:
        transport: Sends the request.
        access: The address, and its token.
        server: The server that offers the tool.
        tool: The name of the tool.
        args: Its arguments; ``content`` may be bytes, if the tool takes them.
        timeout: Seconds for the whole exchange.
        accept_bytes: Ask for bytes as they are.

    Raises:
        TransportError: There was no answer; the class says whether the call may have been made.
        APIError: The gateway refused the call.
    """
    request_id = _request_id()
    plain = dict(args)
    content = (
        plain.pop("content") if isinstance(plain.get("content"), (bytes, memoryview)) else None
    )
    document = {
        "tool": tool,
        "server": server,
        "args": plain,
        "requestId": request_id,
        "token": access.token,
    }
    headers = {"Content-Type": "application/json", "X-Access-Token": access.token}
    if content is None:
        body = codec.compact_json(document).encode("ascii")
    else:
        headers["Content-Type"] = MEDIA_TYPE
        body = encode_call(document, content)
    if accept_bytes:
        headers["Accept"] = f"{MEDIA_TYPE}, application/json"
    response = await transport.send(
        HttpRequest(
            f"{tool} (direct)",
            f"{access.link_url.rstrip('/')}/callTool",
            body,
            headers,
            timeout,
            max_size=schema.CallMcpTool.MAX_ANSWER,
        )
    )
    if (
        accept_bytes
        and response.headers.get("Content-Type") == MEDIA_TYPE
        and response.status == 200
    ):
        return Answer(schema.BytesAnswer(body=response.body), request_id)
    answer = _read(tool, response.status, response.body, request_id, access.session_id)
    return Answer(answer, request_id)


def _request_id() -> str:
    number = random.randrange(10**9)  # noqa: S311  # not a secret
    return f"link-{time.time_ns() // 1_000_000}-{number:09d}"


def _read(
    tool: str, status: int, body: bytes, request_id: str, session_id: str
) -> schema.ToolAnswer:
    document = _document(body)
    if status >= 300 or (document.get("code") and not document.get("data")):
        raise _refused(tool, status, document, request_id, session_id)
    try:
        data = _object(document.get("data"))
        return _answer(_object(data.get("result")))
    except ValueError as error:
        raise BadAnswerError(
            f"{tool} (direct): the answer {error}",
            http_status=status,
            request_id=request_id,
            session_id=session_id,
        ) from None


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = codec.read_json(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _object(value: Any) -> dict[str, Any]:
    """Return a non-empty object, which may arrive as JSON text."""
    if isinstance(value, str):
        value = _document(value.encode("utf-8", "surrogatepass"))
    if not isinstance(value, dict) or not value:
        raise ValueError("holds no tool result")
    return value


def _answer(result: dict[str, Any]) -> schema.ToolAnswer:
    content = result.get("content", [])
    if not isinstance(content, list):
        raise ValueError("has no content")
    plain = {**result, "content": [_item(item) for item in content]}
    answer: schema.ToolAnswer = codec.from_json(schema.ToolAnswer, plain)
    return answer


def _item(item: Any) -> Any:
    """Return a content item in the API's form: this gateway sends bare texts, or other keys."""
    if isinstance(item, str):
        return {"type": "text", "text": item}
    if isinstance(item, dict) and item.get("type", "text") == "text" and item.get("text") is None:
        text = next((item[name] for name in ("blob", "data") if item.get(name) is not None), None)
        return {"type": "text", "text": text}
    return item


def _refused(
    tool: str, status: int, document: dict[str, Any], request_id: str, session_id: str
) -> AgentBayError:
    message = next(
        (document[name] for name in _MESSAGES if isinstance(document.get(name), str)), ""
    )
    code = document.get("code")
    return error_type(code if isinstance(code, str) else "", status)(
        f"{tool} (direct): {message or 'the gateway gave no reason'} [HTTP {status}]",
        code=code if isinstance(code, str) else "",
        http_status=status,
        request_id=request_id,
        session_id=session_id,
    )


_MESSAGES = ("message", "Message", "msg", "error")
