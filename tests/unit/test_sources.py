"""Files with settings: ``.env`` and profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentbay_async.config import environment_file, profile_file, profile_path
from agentbay_async.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("  A = b  ", "b"),
        ("export A=b", "b"),
        ("A=", ""),
        ("A='b c'", "b c"),
        ('A="b # c" # comment', "b # c"),
        ("A=b # comment", "b"),
        ("A=b#c", "b#c"),
        ("A=b=c", "b=c"),
        ('A="unclosed', "unclosed"),
        ("A=b\r", "b"),
    ],
)
def test_an_assignment_is_read(tmp_path: Path, line: str, value: str) -> None:
    """With or without export, quotes and a comment."""
    (tmp_path / "file").write_text(f"\n# A=comment\nno assignment\n{line}\n")
    assert environment_file(tmp_path / "file").variables == {"A": value}


def test_the_last_assignment_wins(tmp_path: Path) -> None:
    """As in a shell."""
    (tmp_path / "file").write_text("A=1\nB=2\nA=3\n")
    assert environment_file(str(tmp_path / "file")).variables == {"A": "3", "B": "2"}


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    """The mark is not part of the first name."""
    (tmp_path / "file").write_bytes(b"\xef\xbb\xbfA=1\n")
    assert environment_file(tmp_path / "file").variables == {"A": "1"}


def test_the_nearest_parent_with_a_file_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the working directory to the root; a directory of that name is skipped."""
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / ".env").mkdir()
    (tmp_path / ".env").write_text("A=far\n")
    monkeypatch.chdir(deep)
    assert environment_file(None).variables == {"A": "far"}
    (tmp_path / "a" / ".env").write_text("A=near\n")
    assert environment_file(None).variables == {"A": "near"}


def test_a_missing_file_has_no_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is optional."""
    monkeypatch.chdir(tmp_path)
    assert "A" not in environment_file(None).variables


def test_a_removed_working_directory_has_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not an error."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert environment_file(None).variables == {}


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    """The message names it."""
    with pytest.raises(ConfigurationError, match="missing"):
        environment_file(tmp_path / "missing")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="binary"):
        environment_file(tmp_path / "binary")


def test_an_unreadable_file_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the caller has named it."""
    (tmp_path / ".env").write_bytes(b"\xff\xfe")
    monkeypatch.chdir(tmp_path)
    assert environment_file(None).variables == {}


def test_a_profile_is_read_with_the_names_of_variables(tmp_path: Path) -> None:
    """Unknown keys are ignored; a missing file has no settings."""
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "APPDATA": str(tmp_path)}
    assert profile_file(None, environ) == {}
    file = profile_path(environ)
    file.parent.mkdir()
    file.write_text("[default]\nAPI_KEY = k\ntimeout_ms=5\nother=x\n[a]\nregion_id=r\nendpoint=e\n")
    assert profile_file(None, environ) == {"AGENTBAY_API_KEY": "k", "AGENTBAY_TIMEOUT_MS": "5"}
    assert profile_file("a", environ) == {"AGENTBAY_REGION_ID": "r", "AGENTBAY_ENDPOINT": "e"}
