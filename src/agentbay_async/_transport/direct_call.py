"""Tools called directly at a session's own address, without the API between.

The token travels in a header alone. The official client repeats it in the body, where gateways log
it; a gateway that should want it there turns the call away unread, and the API is asked instead.
"""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING, Any

from agentbay_async._protocol import codec, schema
from agentbay_async._protocol.envelope import Answer
from agentbay_async._protocol.error_codes import error_type
from agentbay_async._transport.http import CAUGHT, body_of, limits, translated
from agentbay_async._transport.pool import address, proxy_for
from agentbay_async.errors import AgentBayError, BadAnswerError, ConnectionFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_async._transport.access import Access
    from agentbay_async._transport.pool import Pools


async def call_directly(
    pools: Pools,
    access: Access,
    server: str,
    tool: str,
    args: Mapping[str, Any],
    timeout: float,
) -> Answer[schema.ToolAnswer]:
    """Call a tool at the address of its session, once.

    Args:
        pools: The connections to use.
        access: The address, and the token that opens it.
        server: The server that offers the tool.
        tool: Its name.
        args: Its arguments.
        timeout: Seconds for the whole exchange.

    Raises:
        TransportError: There was no answer; the class says what may have reached the session.
        APIError: The gateway refused.
    """
    request_id = _request_id()
    document = {"tool": tool, "server": server, "args": dict(args), "requestId": request_id}
    url = address(f"{access.link_url.rstrip('/')}/callTool", "http", "https")
    if url is None:
        raise ConnectionFailedError("the direct address of the session is no URL of HTTP")
    pool = await pools.current()
    async with pool as http:
        try:
            async with http.post(
                url,
                data=body_of(codec.compact_json(document)),
                headers={"Content-Type": "application/json", "X-Access-Token": access.token},
                timeout=limits(timeout),
                proxy=proxy_for(access.link_url),
                allow_redirects=False,
            ) as response:
                status, body = response.status, await response.read()
        except CAUGHT as error:
            raise translated(error, f"{tool} (direct)", timeout) from None
    return Answer(_read(tool, status, body, request_id, access.session_id), request_id)


def _request_id() -> str:
    number = random.randrange(10**9)  # noqa: S311  # tells requests apart; no secret
    return f"link-{time.time_ns() // 1_000_000}-{number:09d}"


def _read(
    tool: str, status: int, body: bytes, request_id: str, session_id: str
) -> schema.ToolAnswer:
    document = _document(body)
    if status >= 300:
        raise _refusal(tool, status, document, request_id, session_id)
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
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _object(value: Any) -> dict[str, Any]:
    """Return an object, which may come as JSON text."""
    if isinstance(value, str):
        value = _document(value.encode("utf-8", "surrogatepass"))
    if not isinstance(value, dict) or not value:
        raise ValueError("holds no result of a tool")
    return value


def _answer(result: dict[str, Any]) -> schema.ToolAnswer:
    content = result.get("content")
    if not isinstance(content, list):
        raise ValueError("has no content")
    plain = {**result, "content": [_item(item) for item in content]}
    answer: schema.ToolAnswer = codec.from_json(schema.ToolAnswer, plain)
    return answer


def _item(item: Any) -> Any:
    """Return an item as the API writes it: this gateway sends texts bare, or under other names."""
    if isinstance(item, str):
        return {"type": "text", "text": item}
    if isinstance(item, dict) and item.get("type", "text") == "text" and item.get("text") is None:
        text = next((item[name] for name in ("blob", "data") if item.get(name) is not None), None)
        return {"type": "text", "text": text}
    return item


def _refusal(
    tool: str, status: int, document: dict[str, Any], request_id: str, session_id: str
) -> AgentBayError:
    said = next((document[name] for name in _MESSAGES if isinstance(document.get(name), str)), "")
    code = document.get("code")
    return error_type(code if isinstance(code, str) else "", status)(
        f"{tool} (direct): {said or 'the gateway refused without saying why'} [HTTP {status}]",
        code=code if isinstance(code, str) else "",
        http_status=status,
        request_id=request_id,
        session_id=session_id,
    )


_MESSAGES = ("message", "Message", "msg", "error")
