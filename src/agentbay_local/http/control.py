"""Test controls over HTTP, below ``/_control/``: for tests in other processes and languages.

======== ============================= ===========================================================
GET      ``/_control/faults``          the rules, with their counts
POST     ``/_control/faults``          add a rule, or a list of them; returns all
DELETE   ``/_control/faults``          remove all rules
GET      ``/_control/journal``         JSON lines; ``?action=`` and ``?ok=true`` select
DELETE   ``/_control/journal``         remove all entries
GET      ``/_control/calls``           the newest calls; ``?session=`` selects, ``?after=`` goes on
POST     ``/_control/clock``           ``{"advance": 60}``, for a `ManualClock`
POST     ``/_control/transitions``     ``{"pause": "manual", "delete": 30, "clear": "immediate"}``
POST     ``/_control/finish``          ``{"kind": "pause"}``: finish transitions under way
POST     ``/_control/reset``           delete everything: sessions, contexts, rules, entries
GET      ``/_control/status``          the number of sessions, past rules and journal
======== ============================= ===========================================================

Every request needs the API key, in the header ``Authorization``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs
from aiohttp import web

from agentbay_async._protocol import error_codes
from agentbay_local.dashboard.calls import calls_after
from agentbay_local.http.bodies import read_body
from agentbay_local.http.connections import trust
from agentbay_local.http.error_responses import error_response
from agentbay_local.http.middleware import check_api_key
from agentbay_local.manual_clock import ManualClock
from agentbay_local.protocol.errors import ApiError, invalid
from agentbay_local.testing.fault_file import faults_from_text

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from agentbay_local.state import ServiceState
    from agentbay_local.testing.instruments import Instruments

__all__ = ["add"]


def add(app: web.Application, state: ServiceState, api_key: str) -> None:
    """Add the routes."""
    control = _Control(state, state.instruments, api_key.encode())
    routes: list[tuple[str, str, Handler]] = [
        ("GET", "faults", control.faults),
        ("POST", "faults", control.add_faults),
        ("DELETE", "faults", control.clear_faults),
        ("GET", "journal", control.journal),
        ("DELETE", "journal", control.clear_journal),
        ("GET", "calls", control.calls),
        ("POST", "clock", control.advance),
        ("POST", "transitions", control.transitions),
        ("POST", "finish", control.finish),
        ("POST", "reset", control.reset),
        ("GET", "status", control.status),
    ]
    for method, name, handler in routes:
        app.router.add_route(method, f"/_control/{name}", control.guarded(handler))


@attrs.frozen
class _Control:
    state: ServiceState
    instruments: Instruments
    key: bytes

    def guarded(self, handler: Handler) -> Handler:
        """Return the handler behind a check of the key; what it raises becomes an answer."""

        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                check_api_key(request.headers.get("Authorization", ""), self.key, 403)
                trust(request)
                return await handler(request)
            except ApiError as error:
                return error_response(error)
            except (ValueError, RecursionError) as error:
                return error_response(ApiError(error_codes.INVALID_PARAMETER, f"{error!s:.300}"))

        return answer

    async def faults(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response([rule.as_json() for rule in self.instruments.faults])

    async def add_faults(self, request: web.Request) -> web.StreamResponse:
        self.instruments.faults.include(*faults_from_text(bytes(await read_body(request))))
        return await self.faults(request)

    async def clear_faults(self, request: web.Request) -> web.StreamResponse:
        self.instruments.faults.clear()
        return await self.faults(request)

    async def journal(self, request: web.Request) -> web.StreamResponse:
        ok = {"true": True, "false": False}.get(request.query.get("ok", ""))
        entries = self.instruments.journal.find(request.query.get("action"), ok=ok)
        text = "".join(f"{entry.as_json()}\n" for entry in entries)
        headers = {"X-Dropped": str(self.instruments.journal.dropped)}
        return web.Response(text=text, content_type="application/x-ndjson", headers=headers)

    async def calls(self, request: web.Request) -> web.StreamResponse:
        after = request.query.get("after", "0")
        if not (after.isascii() and after.isdigit()):
            raise invalid("after", "must be the next of an earlier answer.")
        session_id = request.query.get("session")
        return web.json_response(calls_after(self.instruments.journal, int(after), session_id))

    async def clear_journal(self, _request: web.Request) -> web.StreamResponse:
        self.instruments.journal.clear()
        return web.json_response({})

    async def advance(self, request: web.Request) -> web.StreamResponse:
        clock, seconds = self.instruments.clock, (await _json_object(request)).get("advance")
        if not isinstance(clock, ManualClock):
            raise invalid("advance", "needs a service with a manual clock.")
        if not isinstance(seconds, (int, float)):
            raise invalid("advance", f"must be a number of seconds, not {seconds!r:.80}.")
        await clock.aadvance(seconds)
        return web.json_response({"time": clock.time()})

    async def transitions(self, request: web.Request) -> web.StreamResponse:
        for kind, how in (await _json_object(request)).items():
            if how == "manual":
                self.instruments.transitions.manual(kind)
            elif how == "immediate":
                self.instruments.transitions.immediate(kind)
            elif isinstance(how, (int, float)):
                self.instruments.transitions.timed(kind, how)
            else:
                raise invalid(kind, "must be 'immediate', 'manual' or a number of seconds.")
        return web.json_response({})

    async def finish(self, request: web.Request) -> web.StreamResponse:
        kind = (await _json_object(request)).get("kind")
        return web.json_response({"finished": self.instruments.transitions.finish(str(kind))})

    async def reset(self, _request: web.Request) -> web.StreamResponse:
        await self.state.reset()
        return web.json_response({})

    async def status(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"sessions": self.state.store.sessions.alive()})


async def _json_object(request: web.Request) -> dict[str, Any]:
    document = json.loads(await read_body(request) or b"{}")
    if not isinstance(document, dict):
        raise invalid("The body", "must be a JSON object.")
    return document
