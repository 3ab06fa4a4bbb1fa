"""Files of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async.services._files.contents import Contents
from agentbay_async.services._files.directories import Places
from agentbay_async.services._files.transfers import Transfers

if TYPE_CHECKING:
    import builtins
    import threading
    from collections.abc import AsyncIterator, Awaitable, Callable

    from agentbay_async.models.files import FileChange
    from agentbay_async.services.watch import AsyncDirectoryWatch


class AsyncFileSystem(Contents, Places, Transfers):
    """Reads and writes the files of one session.

    Paths are those of the session; a relative path is relative to the home directory. What the
    file tools cannot do (bytes, large files, directories) is done by short scripts of ``sh``, so
    it needs an image that has one; Windows images do not.
    """

    __slots__ = ()

    def watch(self, path: str, *, interval: float = 0.5) -> AsyncIterator[FileChange]:
        """Yield each change below a directory, for as long as one iterates.

        Changes are pushed where the session offers that, also after its line broke and was made
        anew; otherwise the session is asked for them. A new file is a creation and a modification.

        Args:
            path: The directory. What changes before the first iteration is not told.
            interval: Seconds between two questions, where changes are not pushed.

        Raises:
            InvalidArgumentError: `path` is blank, or `interval` is not above 0.
            AgentBayError: The session cannot tell, or is gone: raised while iterating.

        Example:
            ::

                async for change in session.file_system.watch("/workspace"):
                    print(change.event_type, change.path)
        """
        from agentbay_async.services._file_changes import one_by_one

        pause = _check.seconds(interval, "interval")
        return one_by_one(self._api, self._session_id, _check.text(path, "path"), pause)

    def watch_directory(
        self,
        path: str,
        callback: Callable[[builtins.list[FileChange]], Awaitable[None] | None],
        interval: float = 0.5,
        stop_event: threading.Event | None = None,
    ) -> AsyncDirectoryWatch:
        """Make a watch that calls back with the changes below a directory; it is to be started.

        The official client hands out a thread; this looks like one, but runs in the event loop.

        Args:
            path: The directory.
            callback: Called with the changes that came together.
            interval: Seconds between two looks at the stop event, and between two questions where
                changes are not pushed.
            stop_event: Setting it ends the watch; by default one of its own.

        Raises:
            InvalidArgumentError: `path` is blank, or `interval` is not above 0.

        Example:
            ::

                watch = session.file_system.watch_directory("/workspace", print)
                await watch.start()
                await watch.stop()
        """
        from agentbay_async.services.watch import AsyncDirectoryWatch

        pause = _check.seconds(interval, "interval")
        place = _check.text(path, "path")
        return AsyncDirectoryWatch(self._api, self._session_id, place, callback, pause, stop_event)
