"""Formats the generated modules, writes them, and compares them with what is there."""

from __future__ import annotations

import difflib
import subprocess
import sys
import tempfile
from pathlib import Path

#: Isort has to know what is ours, wherever the files lie while they are formatted.
_OURS = 'lint.isort.known-first-party = ["agentbay", "agentbay_async"]'


def is_generated(path: Path, package: Path) -> bool:
    """Whether a file of the blocking package is the generator's.

    Modules whose names begin with an underscore are written by hand.
    """
    inside = path.relative_to(package)
    return inside.suffix in {".py", ".pyi"} and (
        inside.stem == "__init__" or not any(part.startswith("_") for part in inside.parts)
    )


def format_all(texts: dict[str, str], config: Path) -> dict[str, str]:
    """Return the texts with sorted imports, in the project's format.

    Raises:
        subprocess.CalledProcessError: ruff found something that is not Python.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder, texts)
        options = ["--quiet", "--no-cache", "--config", str(config), "--config", _OURS]
        _ruff("check", "--select=I,RUF022", "--fix", *options, name)
        _ruff("format", *options, name)
        return {path: (folder / path).read_text("utf-8") for path in texts}


def update(package: Path, texts: dict[str, str]) -> list[str]:
    """Write the texts, delete what has no source any more; return the paths that changed."""
    changed = [path for path, _ in differences(package, texts)]
    for path in changed:
        if path not in texts:
            (package / path).unlink()
    _write(package, {path: texts[path] for path in changed if path in texts})
    return changed


def differences(package: Path, texts: dict[str, str]) -> list[tuple[str, str]]:
    """Return each path where the package differs from the texts, with the difference."""
    there = {
        path.relative_to(package).as_posix(): path.read_bytes().decode("utf-8")
        for path in sorted(package.rglob("*.py*"))
        if is_generated(path, package)
    }
    return [
        (path, _difference(path, there.get(path), texts.get(path)))
        for path in sorted(there.keys() | texts.keys())
        if there.get(path) != texts.get(path)
    ]


def _difference(path: str, old: str | None, new: str | None) -> str:
    if old is None:
        return f"{path}: missing\n"
    if new is None:
        return f"{path}: an orphan, its source is gone\n"
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), path, f"{path} (generated)"
    )
    return "".join(lines)


def _write(package: Path, texts: dict[str, str]) -> None:
    for path, text in texts.items():
        file = package / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode("utf-8"))


def _ruff(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "ruff", *arguments], check=True)
