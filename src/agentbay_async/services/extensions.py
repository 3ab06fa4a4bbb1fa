"""Extensions for browsers, kept in a context of the account."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import uuid
from pathlib import Path
from time import time
from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async.errors import ArgumentTypeError, InvalidArgumentError, PageTokenError
from agentbay_async.models.browser import EXTENSIONS_FOLDER
from agentbay_async.models.browser_context import Extension, ExtensionOption

if TYPE_CHECKING:
    import builtins
    from collections.abc import Sequence

    from agentbay_async.client import AsyncAgentBay
    from agentbay_async.contexts import AsyncContextService
    from agentbay_async.models.contexts import Context

logger = logging.getLogger("agentbay")

# Files of a context have the path at which a session has them.
_FOLDER = EXTENSIONS_FOLDER.rstrip("/")
_PAGE = 100


class AsyncExtensionsService:
    """Upload, list, replace and delete extensions for browsers, in one context.

    Args:
        agent_bay: The client.
        context_id: The name of the context, which is created if it is missing. Without one, the
            first call creates a context of a new name; :meth:`cleanup` deletes that.

    Attributes:
        agent_bay: The client.
        context_id: The id of the context; ``None`` before the first call.
        context_name: The name of the context; ``None`` before the first call.
        extension_context: The context; ``None`` before the first call.
        auto_created: Whether the context has a name that the service made up.

    Example:
        ::

            extensions = AsyncExtensionsService(bay, "my-extensions")
            extension = await extensions.create("/path/to/extension.zip")
            option = await extensions.create_extension_option([extension.id])
            browser = BrowserContext("my-browser-data", extension_option=option)
            session = (await bay.create(CreateSessionParams(browser_context=browser))).session
    """

    def __init__(self, agent_bay: AsyncAgentBay, context_id: str = "") -> None:
        if not hasattr(agent_bay, "context"):
            raise ArgumentTypeError(
                f"agent_bay must be an AgentBay client, not {type(agent_bay).__name__}"
            )
        self.agent_bay = agent_bay
        self._contexts = agent_bay.context
        self._wanted = _check.string(context_id, "context_id").strip()
        self._lock = asyncio.Lock()
        self.context_id: str | None = None
        self.context_name: str | None = None
        self.extension_context: Context | None = None
        self.auto_created: bool = False

    @property
    def context_service(self) -> AsyncContextService:
        """The contexts of the client."""
        return self._contexts

    async def list(self) -> builtins.list[Extension]:
        """Return the extensions in the context.

        Raises:
            PageTokenError: The service repeats a page, so that the listing would never end.
            AgentBayError: They could not be listed.
        """
        context, page = await self._context(), 1
        found: dict[str, Extension] = {}
        while True:
            listed = await self._contexts.list_files(context.id, _FOLDER, page, _PAGE)
            entries = listed.unwrap().entries
            names = {entry.file_name for entry in entries}
            repeated = names <= found.keys()
            for entry in entries:
                name = entry.file_name
                found[name] = Extension(name, name, entry.gmt_create or None)
            if len(entries) < _PAGE:
                return [*found.values()]
            if repeated:
                raise PageTokenError(
                    "the service repeated the extensions of earlier pages",
                    request_id=listed.request_id,
                )
            page += 1

    async def create(self, local_path: str) -> Extension:
        """Upload an extension.

        Args:
            local_path: Its ZIP file on this machine.

        Raises:
            FileNotFoundError: There is no such file.
            InvalidArgumentError: It is no ``.zip`` file.
            AgentBayError: The upload failed.
        """
        path = _existing(local_path, "local_path")
        if path.suffix.lower() != ".zip":
            raise InvalidArgumentError(f"local_path must be a .zip file: {local_path!r}")
        return await self._upload(f"ext_{uuid.uuid4().hex}{path.suffix.lower()}", path)

    async def update(self, extension_id: str, new_local_path: str) -> Extension:
        """Replace an extension by another file.

        Args:
            extension_id: Its id, as :meth:`list` returns it.
            new_local_path: The ZIP file on this machine.

        Raises:
            FileNotFoundError: There is no such file.
            InvalidArgumentError: The context has no such extension.
            AgentBayError: The upload failed.
        """
        path = _existing(new_local_path, "new_local_path")
        if extension_id not in [extension.id for extension in await self.list()]:
            raise InvalidArgumentError(
                f"extension_id: the context has no extension {extension_id!r}; create() adds one"
            )
        return await self._upload(extension_id, path)

    async def delete(self, extension_id: str) -> bool:
        """Delete an extension; return whether that succeeded. The log has the reason if not."""
        file = f"{_FOLDER}/{_check.text(extension_id, 'extension_id')}"
        result = await self._contexts.delete_file((await self._context()).id, file)
        if not result:
            logger.warning("%s was not deleted: %s", extension_id, result.error_message)
        return result.success

    async def create_extension_option(self, extension_ids: Sequence[str]) -> ExtensionOption:
        """Return the option that loads these extensions, for :class:`BrowserContext`.

        Args:
            extension_ids: The ids of the extensions; at least one.

        Raises:
            InvalidArgumentError: `extension_ids` is empty.
        """
        ids = _check.sequence(extension_ids, "extension_ids", str)
        if not ids:
            raise InvalidArgumentError("extension_ids must name at least one extension")
        return ExtensionOption((await self._context()).id, ids)

    async def cleanup(self) -> bool:
        """Delete the context if this service made up its name; return whether that succeeded."""
        if not self.auto_created or self.extension_context is None:
            return True
        result = await self._contexts.delete(self.extension_context)
        if not result:
            logger.warning("%s was not deleted: %s", self.context_name, result.error_message)
        return result.success

    async def _upload(self, name: str, path: Path) -> Extension:
        context = await self._context()
        (await self._contexts.upload_file(context.id, f"{_FOLDER}/{name}", path)).unwrap()
        return Extension(name, path.name)

    async def _context(self) -> Context:
        """Return the context; look it up, or create it, at the first call."""
        async with self._lock:
            if self.extension_context is None:
                name = self._wanted or f"extensions-{int(time())}"
                context = (await self._contexts.get(name, create=True)).context
                self.extension_context, self.context_id = context, context.id
                self.context_name, self.auto_created = name, not self._wanted
            return self.extension_context


def _existing(local_path: str, name: str) -> Path:
    path = Path(_check.text(local_path, name))
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, f"{name}: {os.strerror(errno.ENOENT)}", local_path)
    return path
