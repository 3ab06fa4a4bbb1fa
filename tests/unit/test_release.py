"""A release is refused unless version, changelog, tag and repository agree."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import the script."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("release")


@pytest.fixture
def workflow(release: Any) -> dict[str, str]:
    """Return the variables of the workflow of a tag."""
    return {
        "ACTIONS_ID_TOKEN_REQUEST_URL": "https://token.example.com/",
        "GITHUB_REPOSITORY": release.repository_of(ROOT),
        "GITHUB_REF_NAME": "v" + release.version_of(ROOT),
    }


def test_the_workflow_of_a_tag_may_publish(release: Any, workflow: dict[str, str]):
    """Nothing is raised."""
    release.check_publisher(workflow, release.version_of(ROOT), release.repository_of(ROOT))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ACTIONS_ID_TOKEN_REQUEST_URL", None, "push a tag, or use --dry-run"),
        ("GITHUB_REPOSITORY", "somebody/else", "this is somebody/else, but pyproject.toml"),
        ("GITHUB_REF_NAME", "v9.9.9", "the tag is v9.9.9"),
    ],
)
def test_others_may_not(
    release: Any, workflow: dict[str, str], name: str, value: str | None, words: str
):
    """A machine of a person, a fork, and a tag of another version."""
    changed = {key: text for key, text in {**workflow, name: value}.items() if text is not None}

    with pytest.raises(release.NotReadyError, match=words):
        release.check_publisher(changed, release.version_of(ROOT), release.repository_of(ROOT))


def test_the_changelog_describes_the_version(release: Any, tmp_path: Path):
    """A version that it does not know cannot be built."""
    module = tmp_path / "src" / "agentbay_async" / "_installation.py"
    module.parent.mkdir(parents=True)
    module.write_text('__version__ = "7.0.0"\n')
    (tmp_path / "CHANGELOG.md").write_text("## Unreleased\n\n## 0.1.0\n")

    with pytest.raises(release.NotReadyError, match=r"no section 7\.0\.0"):
        release.version_of(tmp_path)
