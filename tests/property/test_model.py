"""Client and service against a model of sessions, labels, contexts and files.

The model is a few dictionaries. Whatever hypothesis asks the blocking client to do is done to them
as well, and every answer is compared. ``MODEL_RUNS=1000`` tries longer than the suite has time for.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from agentbay import AgentBay
from agentbay_async import (
    ContextListParams,
    ContextNotFoundError,
    CreateSessionParams,
    ListSessionParams,
    PageTokenError,
    SessionNotFoundError,
)
from agentbay_local import LocalService

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentbay_async.models.results import Result

_RUNS, _STEPS = int(os.environ.get("MODEL_RUNS", "40")), 50

_keys = st.sampled_from(["project", "env", "ü", "a b"])
_values = st.sampled_from(["1", "2", "100%", "🚀"])
_labels = st.dictionaries(_keys, _values, max_size=3)
_sizes = st.integers(1, 4)
_names = st.sampled_from(["one", "two", "drei ü", "a/b", "%41"])
_paths = st.sampled_from(["a", "b.txt", "ü 1", "%41", "dir/a", "dir/b", "dir/sub/c", "~x/y"])
_contents = st.binary(max_size=40)


@attrs.define
class Stored:
    """A context of the model."""

    name: str
    files: dict[str, bytes] = attrs.field(factory=dict)


class Model(RuleBasedStateMachine):
    """Applies the same operations to a service and to dictionaries."""

    service: ClassVar[LocalService]
    sessions = Bundle("sessions")
    contexts = Bundle("contexts")

    def __init__(self) -> None:
        super().__init__()
        self.service.reset()
        self.bay = AgentBay(self.service.api_key, endpoint=self.service.endpoint)
        self.folder = TemporaryDirectory()
        self.file = Path(self.folder.name) / "file"
        # Both oldest first; listings are newest first.
        self.living: dict[str, dict[str, str]] = {}
        self.stored: dict[str, Stored] = {}

    def teardown(self) -> None:
        """Close what was opened."""
        self.bay.close()
        self.folder.cleanup()

    # sessions

    @rule(target=sessions, labels=_labels)
    def create(self, labels: dict[str, str]) -> str:
        """Create a session; it has the given labels."""
        session = self.bay.create(CreateSessionParams(labels)).session
        assert session.session_id not in self.living
        self.living[session.session_id] = labels
        return session.session_id

    @rule(session=sessions, labels=_labels.filter(bool))
    def set_labels(self, session: str, labels: dict[str, str]) -> None:
        """Replace the labels of a session."""
        found = self.bay.get(session)
        if session in self.living:
            found.session.set_labels(labels).unwrap()
            self.living[session] = labels
        else:
            assert isinstance(found.error, SessionNotFoundError)

    @rule(session=sessions)
    def get_labels(self, session: str) -> None:
        """Read the labels; they are those that were set last."""
        if session in self.living:
            assert self.bay.get(session).session.get_labels().unwrap() == self.living[session]

    @rule(session=sessions)
    def delete(self, session: str) -> None:
        """Delete a session; a second time is a success too."""
        self.bay.delete(session).unwrap()
        self.living.pop(session, None)

    @rule(session=sessions)
    def pause_and_resume(self, session: str) -> None:
        """Pause and resume a session; nothing else changes."""
        if session in self.living:
            self.bay.pause(session).unwrap()
            self.bay.resume(session).unwrap()

    def _matching(self, labels: dict[str, str]) -> list[str]:
        return [one for one, has in reversed(self.living.items()) if labels.items() <= has.items()]

    @rule(labels=_labels, size=_sizes)
    def list_by_labels(self, labels: dict[str, str], size: int) -> None:
        """List by labels, page by page: full pages, newest first, no duplicates."""
        expected, token = self._matching(labels), ""
        for start in range(0, max(1, len(expected)), size):
            page = self.bay.list_by_labels(ListSessionParams(size, token, labels)).unwrap()
            found = [session.session_id for session in page.sessions]
            assert found == expected[start : start + size]
            assert page.total_count == len(expected)
            token = page.next_token
            assert bool(token) == (start + size < len(expected))

    @rule(labels=_labels, size=_sizes)
    def iterate(self, labels: dict[str, str], size: int) -> None:
        """Iterate over all sessions; each comes once."""
        found = [session.session_id for session in self.bay.list(labels, limit=size)]
        assert found == self._matching(labels)

    @rule(labels=_labels, size=_sizes, number=st.integers(1, 4))
    def list_page(self, labels: dict[str, str], size: int, number: int) -> None:
        """Request a page by its number; it equals the page of an iteration."""
        expected = self._matching(labels)
        result = self.bay.list(labels, page=number, limit=size).first()
        start = (number - 1) * size
        if number > 1 and start >= len(expected):
            assert isinstance(result.error, PageTokenError)
        else:
            found = [session.session_id for session in result.unwrap().sessions]
            assert found == expected[start : start + size]

    @rule(labels=_labels.filter(bool))
    def delete_many(self, labels: dict[str, str]) -> None:
        """Delete the sessions that have all of the labels, and no others."""
        self.bay.delete_many(labels=labels).run().raise_for_failures()
        for session in self._matching(labels):
            del self.living[session]

    # contexts

    def _by_name(self, name: str) -> str | None:
        return next((one for one, has in self.stored.items() if has.name == name), None)

    def _ends(self, context: str, result: Result[Any]) -> bool:
        """Compare whether a context exists in the result and in the model."""
        if context in self.stored:
            result.unwrap()
            return True
        assert isinstance(result.error, ContextNotFoundError)
        return False

    @rule(target=contexts, name=_names)
    def get_or_create(self, name: str) -> str:
        """Get or create a context by its name."""
        known, context = self._by_name(name), self.bay.context.create(name).context
        assert context.name == name
        if known is None:
            assert context.id not in self.stored
            self.stored[context.id] = Stored(name)
        else:
            assert context.id == known
        return context.id

    @rule(name=_names)
    def look_up(self, name: str) -> None:
        """Look up a context by its name; nothing is created."""
        result, known = self.bay.context.get(name), self._by_name(name)
        if known is None:
            assert isinstance(result.error, ContextNotFoundError)
        else:
            assert result.context.id == known

    @rule(context=contexts)
    def look_up_by_id(self, context: str) -> None:
        """Look up a context by its id."""
        result = self.bay.context.get(context_id=context)
        if self._ends(context, result):
            assert result.context.name == self.stored[context].name

    @rule(context=contexts, name=_names)
    def rename(self, context: str, name: str) -> None:
        """Rename a context, unless another one has that name."""
        found = self.bay.context.get(context_id=context)
        if not self._ends(context, found):
            return
        result = self.bay.context.update(attrs.evolve(found.context, name=name))
        if self._by_name(name) in (None, context):
            result.unwrap()
            self.stored[context].name = name
        else:
            assert result.error is not None

    @rule(context=contexts)
    def remove(self, context: str) -> None:
        """Delete a context with its files; a second time is a success too."""
        self.bay.context.delete(context).unwrap()
        self.stored.pop(context, None)

    @rule(context=contexts)
    def clear(self, context: str) -> None:
        """Clear a context; its files are deleted."""
        if self._ends(context, self.bay.context.clear(context)):
            self.stored[context].files.clear()

    @rule(size=_sizes)
    def list_contexts(self, size: int) -> None:
        """List the contexts page by page, newest first."""
        expected, found, token = list(reversed(self.stored)), list[str](), ""
        while True:
            params = ContextListParams(max_results=size, next_token=token)
            page = self.bay.context.list(params).unwrap()
            assert page.total_count == len(expected)
            assert len(page.contexts) <= size
            found += [context.id for context in page.contexts]
            token = page.next_token
            if not token:
                break
        assert found == expected

    # files

    @rule(context=contexts, path=_paths, content=_contents)
    def put(self, context: str, path: str, content: bytes) -> None:
        """Upload a file, which replaces an earlier one."""
        if self._ends(context, self.bay.context.upload_file(context, path, content)):
            self.stored[context].files[path] = content

    @rule(context=contexts, path=_paths)
    def fetch(self, context: str, path: str) -> None:
        """Download a file; it has the content of the last upload."""
        result = self.bay.context.download_file(context, path, self.file)
        there = self.stored[context].files if context in self.stored else {}
        if path in there:
            result.unwrap()
            assert self.file.read_bytes() == there[path]
        else:
            assert result.error is not None

    @rule(context=contexts, path=_paths)
    def discard(self, context: str, path: str) -> None:
        """Delete a file; the others stay."""
        result = self.bay.context.delete_file(context, path)
        files = self.stored[context].files if context in self.stored else {}
        if files.pop(path, None) is not None:
            result.unwrap()

    @rule(context=contexts, folder=st.sampled_from(["/", "/dir", "dir/sub", "none"]), size=_sizes)
    def list_files(self, context: str, folder: str, size: int) -> None:
        """List the entries of a folder by name, with page numbers and with tokens."""
        if context not in self.stored:
            assert self.bay.context.list_files(context).error is not None
            return
        expected = self._entries(context, folder)
        for number in range(1, len(expected) // size + 2):
            page = self.bay.context.list_files(context, folder, number, size)
            start = (number - 1) * size
            assert [one.file_name for one in page.entries] == expected[start : start + size]
            assert page.unwrap().count == len(expected)
        walked = [one.file_name for one in self.bay.context.iterate_files(context, folder)]
        assert walked == expected

    def _entries(self, context: str, folder: str) -> list[str]:
        top = folder.strip("/")
        inside = f"{top}/" if top else ""
        paths = [path for path in self.stored[context].files if path.startswith(inside)]
        return sorted({path.removeprefix(inside).partition("/")[0] for path in paths})

    @invariant()
    def nothing_leaks(self) -> None:
        """Compare the sessions of the service with those of the model."""
        assert self.service.living().keys() == self.living.keys()


@pytest.fixture
def service() -> Iterator[LocalService]:
    """Return a service whose sessions run nothing, and so need no isolation."""
    with LocalService(isolation="none") as running:
        yield running


@pytest.mark.slow
def test_client_and_service_agree_with_the_model(
    service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After 2,000 operations on both."""
    monkeypatch.setattr(Model, "service", service, raising=False)
    run_state_machine_as_test(
        Model,
        settings=settings(
            max_examples=_RUNS,
            stateful_step_count=_STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
