"""Tests of the suite that the framework itself contradicts."""

from __future__ import annotations

import pytest

_GLOB = "deepagents 0.7 answers with absolute paths; the suite still expects relative ones"
_ENTRIES = "deepagents 0.7 lists only files"
_WRITE = "deepagents 0.7 replaces an existing file; the suite still expects an error"

#: Each of them is about code of the framework. Strict: a suite that agrees again fails here.
CONTRADICTED = {
    "test_glob": _GLOB,
    "test_glob_basic_pattern": _GLOB,
    "test_glob_hidden_files_explicitly": _GLOB,
    "test_glob_with_character_class": _GLOB,
    "test_glob_with_question_mark": _GLOB,
    "test_glob_with_directories": _ENTRIES,
    "test_write_existing_file_fails": _WRITE,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect them to fail."""
    for item in items:
        reason = CONTRADICTED.get(item.name)
        if reason is not None and item.path.parent.name == "deepagents":
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
