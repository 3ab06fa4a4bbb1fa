"""Replay of a cassette: recorded answers for requests that are the same.

Answers to equal requests come in the order in which they were recorded, each once. A request
without a recorded answer is refused; nothing is invented.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_async._protocol import error_codes
from agentbay_local.cassettes.cassette import (
    CLIENT,
    WEBSOCKET,
    CassetteError,
    Exchange,
    Frame,
    read_body,
)
from agentbay_local.cassettes.matching import RANDOM, RandomValues, parameters, replace_texts
from agentbay_local.cassettes.redaction import PLACEHOLDER_URL
from agentbay_local.protocol.errors import ApiError

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Mapping

    from agentbay_local.cassettes.cassette import Cassette, Request
    from agentbay_local.cassettes.matching import Normalized

    UrlOf = Callable[[str, int], str]

__all__ = ["Conversation", "Player", "Recorded"]

_SHOWN = 300


@attrs.frozen
class Recorded:
    """A recorded answer, ready to be sent.

    Attributes:
        status: The HTTP status.
        headers: The headers.
        content: The body.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes


class Player:
    """Answers requests from a cassette.

    Args:
        cassette: The recorded traffic.
    """

    def __init__(self, cassette: Cassette) -> None:
        self._cassette = cassette
        self._values = RandomValues.of(cassette)
        self._left: dict[str, deque[tuple[Exchange, Normalized]]] = {}
        self._used: dict[str, int] = {}
        self._drawn: dict[str, str] = {}
        self.rewind()

    def rewind(self) -> None:
        """Start again: every answer may be given once more."""
        self._left, self._used = defaultdict(deque), defaultdict(int)
        self._drawn.clear()
        for exchange in self._cassette.exchanges():
            normalized = self._values.normalize_request(exchange.request)
            self._left[normalized.key].append((exchange, normalized))

    def answer(self, request: Request, url_of: UrlOf) -> Recorded:
        """Return the next recorded answer to a request.

        Args:
            request: The request, with placeholders as in the cassette.
            url_of: Returns the URL at which the replay offers a recorded URL, from its scheme and
                its number.

        Raises:
            ApiError: There is no answer, or none any more; or it was too large to be recorded.
        """
        response = self._next(request).response
        if response is None or response.failed:
            reason = response.failed if response else "no answer came"
            raise ApiError(
                error_codes.SERVICE_UNAVAILABLE, f"As it was recorded: {reason:.{_SHOWN}}", 502
            )
        body = dict(response.body)
        if "json" in body:
            content = json.dumps(self._restore(body["json"], url_of)).encode()
        else:
            body = self._restore(body, url_of)
            try:
                content = read_body(body)
            except CassetteError as error:
                raise _not_recorded(request, f"{error}") from error
        headers = self._restore(dict(response.headers), url_of)
        return Recorded(response.status, headers, content)

    def connect(self, request: Request, url_of: UrlOf) -> Conversation:
        """Return the recorded frames of the next WebSocket at a URL.

        Raises:
            ApiError: No other was opened there.
        """
        exchange = self._next(request)
        if exchange.response is None or exchange.response.status != WEBSOCKET:
            raise _not_recorded(request, "it was no WebSocket when it was recorded")
        frames = self._cassette.frames_of(exchange.number)
        return Conversation(self, request, frames, url_of)

    def _next(self, request: Request) -> Exchange:
        asked = self._values.normalize_request(request)
        left = self._left.get(asked.key)
        if not left:
            used = self._used[asked.key]
            raise _not_recorded(
                request,
                f"each of its {used} answers was given already"
                if used
                else self._nearest(request.action),
            )
        self._used[asked.key] += 1
        exchange, recorded = left.popleft()
        self.bind(recorded, asked)
        return exchange

    def _nearest(self, action: str) -> str:
        if action and any(one.request.action == action for one in self._cassette.exchanges()):
            return "the action was recorded with other parameters only"
        return "nothing like it was recorded"

    def bind(self, recorded: Normalized, asked: Normalized) -> None:
        """Remember which random values stand for the recorded ones."""
        if len(recorded.drawn) == len(asked.drawn):
            self._drawn.update(zip(recorded.drawn, asked.drawn, strict=True))

    def normalize_frame(self, body: Mapping[str, Any]) -> Normalized:
        """Return the normalised form of a frame."""
        return self._values.normalize_frame(body)

    def _restore(self, value: Any, url_of: UrlOf) -> Any:
        """Return recorded JSON with the URLs of the replay, and the random values of the client."""

        def replace_url(found: re.Match[str]) -> str:
            return url_of(found[1], int(found[2]))

        def replace(text: str) -> str:
            text = PLACEHOLDER_URL.sub(replace_url, text)
            return RANDOM.sub(lambda found: self._drawn.get(found[0], found[0]), text)

        return replace_texts(value, replace)

    def restore_frame(self, frame: Frame, url_of: UrlOf) -> str:
        """Return a frame of the service as text."""
        body = frame.body
        if "json" in body:
            return json.dumps(self._restore(body["json"], url_of))
        return str(self._restore(body.get("text", ""), url_of))


class Conversation:
    """The frames of one recorded connection, given out in reply to those of a client.

    A frame of the service follows the latest frame of the client about the same call, or the latest
    one at all if it belongs to no call.
    """

    def __init__(
        self, player: Player, request: Request, frames: list[Frame], url_of: UrlOf
    ) -> None:
        self._player, self._request, self._url_of = player, request, url_of
        self._opening: list[Frame] = []
        self._left: dict[str, deque[tuple[Normalized, list[Frame]]]] = defaultdict(deque)
        self._sort(frames)

    def _sort(self, frames: list[Frame]) -> None:
        latest = self._opening
        by_call: dict[str, list[Frame]] = {}
        for frame in frames:
            call = _call_of(frame.body)
            if frame.sender == CLIENT:
                latest = by_call[call] = []
                normalized = self._player.normalize_frame(frame.body)
                self._left[normalized.key].append((normalized, latest))
            else:
                by_call.get(call, latest).append(frame) if call else latest.append(frame)

    def opening(self) -> list[str]:
        """Return the frames that the service sends first."""
        return [self._player.restore_frame(frame, self._url_of) for frame in self._opening]

    def reply(self, body: Mapping[str, Any]) -> list[str]:
        """Return the frames that follow one of the client.

        Raises:
            ApiError: The frame was not recorded.
        """
        asked = self._player.normalize_frame(body)
        left = self._left.get(asked.key)
        if not left:
            shown = json.dumps(body.get("json", body.get("text", "")))
            raise _not_recorded(self._request, f"a frame is new: {shown:.{_SHOWN}}")
        recorded, frames = left.popleft()
        self._player.bind(recorded, asked)
        return [self._player.restore_frame(frame, self._url_of) for frame in frames]


def _call_of(body: Mapping[str, Any]) -> str:
    value = body.get("json")
    call = value.get("invocationId") if isinstance(value, dict) else None
    return call if isinstance(call, str) else ""


def _not_recorded(request: Request, why: str) -> ApiError:
    fields = parameters(request)
    fields.pop("Action", None)
    asked = json.dumps(fields or dict(request.body))
    return ApiError(
        error_codes.NOT_RECORDED,
        f"The cassette has no answer to {request.name} {asked:.{_SHOWN}}: {why}.",
    )
