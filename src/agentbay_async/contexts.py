"""``bay.context``: the account's persistent stores of files, and the files in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from agentbay_async import _check
from agentbay_async._context_files import WALK_PAGE, ContextFiles, once
from agentbay_async._polling import poll
from agentbay_async._protocol import schema
from agentbay_async._sync import convert as convert
from agentbay_async.errors import (
    ArgumentTypeError,
    ClearanceTimeoutError,
    ContextNotFoundError,
    InvalidArgumentError,
    OperationTimeoutError,
)
from agentbay_async.models._returns_result import returns_result
from agentbay_async.models.contexts import (
    Context,
    ContextListParams,
    ContextListResult,
    ContextPage,
    ContextResult,
)
from agentbay_async.models.results import OperationResult

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import timedelta


class AsyncContextService(ContextFiles):
    """Named stores of files that outlive sessions."""

    __slots__ = ()

    @returns_result(ContextResult)
    async def get(
        self, name: str | None = None, create: bool = False, context_id: str | None = None
    ) -> ContextResult:
        """Look a context up by its name or its id.

        Args:
            name: Its name.
            create: Make it when there is none of that name.
            context_id: Its id; excludes `name` and `create`.

        Raises:
            InvalidArgumentError: Neither or both of name and id are given, or `create` with an id.
        """
        if (name is None) == (context_id is None):
            raise InvalidArgumentError("give either name or context_id")
        if context_id is not None and create:
            raise InvalidArgumentError("create=True needs a name; an id is given by the service")
        request = schema.GetContext(
            allow_create=_check.boolean(create, "create"),
            name=None if name is None else _check.text(name, "name"),
            context_id=None if context_id is None else _check.identifier(context_id, "context_id"),
            login_region_id=self._api.settings.region_id if create else None,
        )
        return await self._get(request)

    async def _get(self, request: schema.GetContext) -> ContextResult:
        answer = await self._api.call(request)
        if answer.data is None or not answer.data.id:
            # The service answers a look-up that found nothing with an empty context.
            wanted = request.name or request.context_id
            raise ContextNotFoundError(
                f"there is no context {wanted!r}", request_id=answer.request_id
            )
        return ContextResult.ok(convert.context(answer.data), answer.request_id)

    async def create(self, name: str) -> ContextResult:
        """Return the context of that name; make it when there is none."""
        return await self.get(name, create=True)

    @returns_result(ContextListResult)
    async def list(self, params: ContextListParams | None = None) -> ContextListResult:
        """Return one page of the account's contexts.

        Args:
            params: Which page; by default the first, of 10.
        """
        params = ContextListParams() if params is None else params
        if not isinstance(params, ContextListParams):
            raise ArgumentTypeError(
                f"params must be ContextListParams, not {type(params).__name__}"
            )
        request = schema.ListContexts(
            max_results=params.max_results,
            next_token=params.next_token or None,
            session_id=params.session_id,
        )
        answer = await self._api.call(request)
        contexts = [convert.context(record) for record in answer.data or () if record.id]
        page = ContextPage(contexts, answer.next_token, answer.max_results, answer.total_count)
        return ContextListResult.ok(page, answer.request_id)

    async def iterate(self) -> AsyncIterator[Context]:
        """Yield every context of the account, fetching page after page.

        Raises:
            AgentBayError: A page could not be had; those before it were yielded.
        """
        params = ContextListParams(max_results=WALK_PAGE)
        seen: set[str] = set()
        while True:
            page = (await self.list(params)).unwrap()
            for context in page.contexts:
                yield context
            if not page.next_token:
                return
            once(page.next_token, seen)
            params = attrs.evolve(params, next_token=page.next_token)

    @returns_result(OperationResult)
    async def update(self, context: Context) -> OperationResult[bool]:
        """Give a context the name that the value bears.

        Args:
            context: A context whose ``name`` was changed, for example by ``attrs.evolve``.
        """
        if not isinstance(context, Context):
            raise ArgumentTypeError(f"context must be a Context, not {type(context).__name__}")
        request = schema.ModifyContext(
            id=_check.identifier(context.id, "context.id"),
            name=_check.text(context.name, "context.name"),
        )
        answer = await self._api.call(request)
        return OperationResult.ok(True, answer.request_id)

    @returns_result(OperationResult)
    async def delete(self, context: Context | str) -> OperationResult[bool]:
        """Delete a context and all its files. What is gone already is a success.

        Args:
            context: The context, or its id.
        """
        try:
            answer = await self._api.call(schema.DeleteContext(id=_context_id(context)))
        except ContextNotFoundError as gone:
            return OperationResult.ok(True, gone.request_id)
        return OperationResult.ok(True, answer.request_id)

    @returns_result(OperationResult)
    async def start_clear(self, context_id: str) -> OperationResult[str]:
        """Begin to delete all files of a context, and do not wait; ``data`` is its new state."""
        request = schema.ClearContext(id=_check.identifier(context_id, "context_id"))
        answer = await self._api.call(request)
        return OperationResult.ok("clearing", answer.request_id)

    clear_async = start_clear

    @returns_result(OperationResult)
    async def get_clear_status(self, context_id: str) -> OperationResult[str]:
        """Ask for the state of a context: ``"clearing"``, then ``"available"``."""
        result = await self.get(context_id=context_id)
        return OperationResult.ok(result.context.state, result.request_id)

    @returns_result(OperationResult)
    async def clear(
        self, context_id: str, timeout: float | timedelta = 60, poll_interval: float = 2.0
    ) -> OperationResult[str]:
        """Delete all files of a context and wait until they are gone; it keeps its id.

        Args:
            context_id: The context.
            timeout: Seconds (or a timedelta) to wait.
            poll_interval: Seconds between two looks at its state, at most.
        """
        limit = _check.seconds(timeout, "timeout")
        interval = _check.seconds(poll_interval, "poll_interval")
        started = (await self.start_clear(context_id)).unwrap()

        async def ask() -> OperationResult[str]:
            return await self.get_clear_status(context_id)

        try:
            result = await poll(
                ask,
                lambda status: status.data not in (started, "pre-available", ""),
                clock=self._api.clock,
                timeout=limit,
                what=f"the clearing of {context_id}",
                interval=interval,
            )
        except OperationTimeoutError as error:
            raise ClearanceTimeoutError(error.message) from None
        return OperationResult.ok(result.data, result.request_id)


def _context_id(context: Context | str) -> str:
    return _check.identifier(context.id if isinstance(context, Context) else context, "context")
