"""What all methods for files stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async.services._files.remote_io import Files
from agentbay_async.services.command import AsyncCommand

if TYPE_CHECKING:
    from agentbay_async._api import Api
    from agentbay_async.services._files.transfer import Carrier


class FileBase:
    """Holds what reaches the files of one session.

    Args:
        api: The client's.
        session_id: The session.
    """

    __slots__ = ("__weakref__", "_api", "_carrier", "_files", "_session_id", "_tells_diffs")

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id
        self._files = Files(api, session_id, AsyncCommand(api, session_id))
        self._carrier: Carrier | None = None
        self._tells_diffs = False
