"""Contexts: get or create, list, rename, clear, delete."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from agentbay_async._protocol import error_codes, schema
from agentbay_local.clock import iso
from agentbay_local.protocol import paging
from agentbay_local.protocol.answers import Answer
from agentbay_local.protocol.errors import (
    context_error,
    invalid,
    missing,
    no_context,
    required,
)
from agentbay_local.store.contexts import AVAILABLE, CLEARING, NameTakenError

if TYPE_CHECKING:
    from agentbay_local.state import ServiceState
    from agentbay_local.store import Context

_MAX_NAME = 256


async def get(state: ServiceState, request: schema.GetContext) -> Answer:
    """Look up a context by id or name; create it if the request allows that."""
    if request.context_id:
        return Answer(_record(state.context(request.context_id)))
    if not (request.name or "").strip():
        raise missing("Name or ContextId")
    name = _checked_name(request.name)
    context = state.store.contexts.by_name(name)
    if context is None and not request.allow_create:
        raise no_context(name)
    return Answer(_record(context or _create(state, name)))


def _create(state: ServiceState, name: str) -> Context:
    context_id = f"SdkCtx-{secrets.token_hex(10)}"
    return state.store.contexts.add(context_id, name, state.clock.time())


def _checked_name(name: str | None) -> str:
    text = required(name, "Name")
    if len(text) > _MAX_NAME or not text.isprintable():
        raise invalid("Name", f"must be printable and at most {_MAX_NAME} characters long.")
    return text


async def list_page(state: ServiceState, request: schema.ListContexts) -> Answer:
    """List contexts, newest first; with a session id, the contexts of that session."""
    size = state.pages.size(request.max_results)
    if request.session_id:
        rows = state.store.contexts.of_session(request.session_id)
        return Answer([_record(entry) for entry in rows], "", size, len(rows))
    cursor = state.pages.cursor(request.next_token, ["contexts"])
    total = cursor.total if cursor else state.store.contexts.count()
    rows = state.store.contexts.page(size + 1, cursor.last if cursor else None)
    page, more = rows[:size], rows[size:]
    following = paging.Cursor(page[-1].seq, total) if more else None
    return Answer(
        [_record(entry) for entry in page],
        next_token=state.pages.token(following, ["contexts"]),
        max_results=size,
        total_count=total,
    )


async def rename(state: ServiceState, request: schema.ModifyContext) -> Answer:
    """Rename a context."""
    context = state.context(request.id, "Id")
    name = _checked_name(request.name)
    try:
        state.store.contexts.rename(context.id, name)
    except NameTakenError:
        message = f"Another context has the name {name!r}."
        raise context_error(error_codes.CONTEXT_NAME_TAKEN, message) from None
    return Answer()


async def delete(state: ServiceState, request: schema.DeleteContext) -> Answer:
    """Delete a context with its files, unless a session uses it.

    A session that is not released yet may still upload files to the context.
    """
    context = state.context(request.id, "Id")
    if state.store.bindings.in_use(context.id):
        message = f"The context {context.name!r} is in use by a session; release it first."
        raise context_error(error_codes.CONTEXT_IN_USE, message)
    state.store.contexts.remove(context.id)
    removal = state.files.remove(context.id)
    if state.store.is_in_memory:
        # On a full disk, only the removal makes the room that this change needs to last.
        await removal
        state.store.move_to_file()
    else:
        state.background.launch(removal, f"remove context {context.id}")
    return Answer()


async def clear(state: ServiceState, request: schema.ClearContext) -> Answer:
    """Start to delete all files of a context.

    Sessions with the context keep their copies; files that they have not changed do not return with
    the next upload.
    """
    context = state.context(request.id, "Id")
    if context.state != CLEARING:
        state.store.contexts.set_state(context.id, CLEARING)
        state.background.launch(_clear(state, context.id), f"clear context {context.id}")
    return Answer()


async def _clear(state: ServiceState, context_id: str) -> None:
    try:
        await state.instruments.transitions.pass_through("clear")
        await state.files.clear(context_id)
        state.store.contexts.set_expiry(context_id, None)
    finally:
        state.store.contexts.set_state(context_id, AVAILABLE)


def _record(context: Context) -> schema.ContextRecord:
    return schema.ContextRecord(
        id=context.id,
        name=context.name,
        state=context.state,
        os_type="linux",
        create_time=iso(context.created),
        last_used_time=iso(context.used),
    )
