"""`Cassette`: recorded requests, answers and WebSocket frames, as a file of JSON lines.

The first line is a header. Each other line is an exchange or a frame, in the order of their
beginnings. The values have no secrets; see `agentbay_local.cassettes.redaction`.

- Header: ``cassette`` (the version of the format, 1), ``service`` (its host), ``recorded`` (UTC),
  and ``complete``, false if the recording stopped at its limit.
- Exchange: ``exchange`` (its number), ``request``, and ``response``, null if none came. A WebSocket
  is an exchange whose response has the status 101.
- Request: ``method``, ``target`` (``/`` for actions, else a URL), ``query``, ``form``, ``headers``
  and ``body``; those that are not empty.
- Response: ``status``, ``headers``, ``body``; or ``failed``, why the service did not answer.
- Frame: ``frame_of`` (the number of its exchange), ``from`` (``client`` or ``service``), ``body``.
- Body: ``{"json": ...}``, ``{"text": ...}``, ``{"base64": ...}``; or ``{"omitted": bytes}`` for one
  that was too large.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from typing_extensions import Self

__all__ = ["Cassette", "CassetteError", "Exchange", "Frame", "Request", "Response", "read_body"]

VERSION = 1
CLIENT, SERVICE = "client", "service"
WEBSOCKET = 101
"""The status of the response that opens a WebSocket."""

_NOTHING: Mapping[str, Any] = {}


class CassetteError(ValueError):
    """A file is not a cassette, or of a later version of the format; the message names the line."""


@attrs.frozen
class Request:
    """A request.

    Attributes:
        method: The HTTP method.
        target: ``/`` for actions; else a URL whose beginning is a placeholder.
        query: The fields of the query, without nonce and time stamp.
        form: The fields of the form.
        headers: The headers that matter to the service.
        body: A body that is no form.
    """

    method: str = "POST"
    target: str = "/"
    query: Mapping[str, str] = _NOTHING
    form: Mapping[str, str] = _NOTHING
    headers: Mapping[str, str] = _NOTHING
    body: Mapping[str, Any] = _NOTHING

    @property
    def action(self) -> str:
        """The name of its action; "" for a request that is none."""
        if self.target != "/":
            return ""
        return str(self.query.get("Action") or self.form.get("Action") or self._action_header())

    def _action_header(self) -> str:
        return next((v for k, v in self.headers.items() if k.lower() == "x-acs-action"), "")

    @property
    def name(self) -> str:
        """The action, or the method and the target."""
        return self.action or f"{self.method} {self.target}"


@attrs.frozen
class Response:
    """A response.

    Attributes:
        status: The HTTP status; 0 if there was none.
        headers: The headers that matter to clients.
        body: Its body.
        failed: Why the service did not answer, or "".
    """

    status: int = 0
    headers: Mapping[str, str] = _NOTHING
    body: Mapping[str, Any] = _NOTHING
    failed: str = ""


@attrs.define
class Exchange:
    """A request and its response, which is None if none came."""

    number: int
    request: Request
    response: Response | None = None


@attrs.frozen
class Frame:
    """A WebSocket frame.

    Attributes:
        connection: The number of the exchange that opened its connection.
        sender: ``client`` or ``service``.
        body: Its content.
    """

    connection: int
    sender: str
    body: Mapping[str, Any]


@attrs.frozen
class Cassette:
    """The traffic of one recording.

    Attributes:
        entries: Exchanges and frames, in order.
        service: The host of the service.
        recorded: When, in UTC.
        is_complete: Whether everything was recorded; false if the recording reached its limit.

    Example:
        ::

            cassette = Cassette.read("cassette.jsonl")
            print([exchange.request.action for exchange in cassette.exchanges()])
    """

    entries: tuple[Exchange | Frame, ...] = ()
    service: str = ""
    recorded: str = ""
    is_complete: bool = True

    def exchanges(self) -> Iterator[Exchange]:
        """Return the exchanges, in order."""
        return (entry for entry in self.entries if isinstance(entry, Exchange))

    def frames_of(self, number: int) -> list[Frame]:
        """Return the frames of one connection, in order."""
        return [
            entry
            for entry in self.entries
            if isinstance(entry, Frame) and entry.connection == number
        ]

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read a file.

        Raises:
            OSError: The file cannot be read.
            CassetteError: It is not a cassette, or of a later version.
        """
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise CassetteError(f"{str(path)!r} is not a cassette: it is no text") from error
        documents = [_document(path, number, line) for number, line in enumerate(lines, 1) if line]
        head = documents[0] if documents else {}
        if "cassette" not in head:
            raise CassetteError(f"{str(path)!r} is not a cassette: its first line is no header")
        if head["cassette"] != VERSION:
            raise CassetteError(
                f"{str(path)!r} has version {head['cassette']!r:.20} of the format; this release "
                f"reads version {VERSION}: use the release that recorded it, or record it again"
            )
        entries = tuple(_entry(path, number, line) for number, line in enumerate(documents[1:], 2))
        return cls(
            entries,
            str(head.get("service", "")),
            str(head.get("recorded", "")),
            head.get("complete") is not False,
        )

    def write(self, path: Path | str) -> None:
        """Write a file, which appears whole or not at all; only its owner may read it.

        Raises:
            OSError: The file cannot be written.
        """
        target = Path(path)
        head = {"cassette": VERSION, "service": self.service, "recorded": self.recorded}
        if not self.is_complete:
            head["complete"] = False
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                for document in (head, *map(_line, self.entries)):
                    file.write(f"{json.dumps(document, ensure_ascii=True)}\n")
            os.replace(partial, target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def describe_body(content: bytes) -> dict[str, Any]:
    r"""Return content as the body of a line: JSON or text where it can be read as such.

    Example:
        >>> describe_body(b'{"a": 1}'), describe_body(b"a"), describe_body(b"\xff")
        ({'json': {'a': 1}}, {'text': 'a'}, {'base64': '/w=='})
    """
    if not content:
        return {}
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode("ascii")}
    value = parse_container(text)
    return {"text": text} if value is None else {"json": value}


def read_body(body: Mapping[str, Any]) -> bytes:
    """Return the content that `describe_body` described.

    Raises:
        CassetteError: It was too large to be recorded.
    """
    if "omitted" in body:
        raise CassetteError(f"a body of {body['omitted']} bytes was too large to be recorded")
    if "json" in body:
        return json.dumps(body["json"]).encode()
    if "base64" in body:
        return base64.b64decode(body["base64"])
    return str(body.get("text", "")).encode("utf-8", "surrogatepass")


def parse_container(text: str) -> Any:
    """Return the object or list that a text holds as JSON, or None."""
    if text[:1] not in ("{", "["):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, (dict, list)) else None


def _line(entry: Exchange | Frame) -> dict[str, Any]:
    if isinstance(entry, Frame):
        return {"frame_of": entry.connection, "from": entry.sender, "body": entry.body}
    return {
        "exchange": entry.number,
        "request": _present(entry.request),
        "response": entry.response and _present(entry.response),
    }


def _present(value: Request | Response) -> dict[str, Any]:
    """Return the members that are not empty."""
    return {name: member for name, member in attrs.asdict(value).items() if member}


def _document(path: Path | str, number: int, line: str) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise CassetteError(f"{str(path)!r}, line {number}: not a JSON object")
    return document


def _entry(path: Path | str, number: int, line: dict[str, Any]) -> Exchange | Frame:
    try:
        if "frame_of" in line:
            return Frame(int(line["frame_of"]), str(line["from"]), dict(line["body"]))
        answer = line["response"]
        return Exchange(
            int(line["exchange"]),
            _message(Request, line["request"]),
            None if answer is None else _message(Response, answer),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CassetteError(f"{str(path)!r}, line {number}: not an exchange or a frame") from error


def _message(kind: Any, members: Mapping[str, Any]) -> Any:
    value = kind(**members)
    maps: Iterable[str] = ("query", "form", "headers", "body")
    if any(not isinstance(getattr(value, name, {}), dict) for name in maps):
        raise ValueError("a member must be an object")
    return value
