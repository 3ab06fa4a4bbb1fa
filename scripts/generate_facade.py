"""Write the blocking package `agentbay` from the source text of `agentbay_async`.

    python scripts/generate_facade.py            write the files that differ
    python scripts/generate_facade.py --check    write nothing; print the differences and exit 1

Needs the standard library and ruff. A rule of the generator that the source does not need is an
error too, so that no dead rule stays.
"""

from __future__ import annotations

import argparse
import difflib
import subprocess
import sys
import tempfile
from pathlib import Path

from facade.modules import Writer
from facade.rules import SourceError, UsedRules
from facade.source import Source

ROOT = Path(__file__).resolve().parent.parent

#: The modules lie in a temporary directory while ruff sorts their imports.
_FIRST_PARTY = 'lint.isort.known-first-party = ["agentbay", "agentbay_async"]'


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    options = _parser().parse_args(arguments)
    rules = UsedRules()
    try:
        texts = Writer(Source(options.source), options.target.name, rules).write()
    except SourceError as error:
        print(error, file=sys.stderr)
        return 1
    texts = _format(texts)
    changed = _differences(options.target, texts)
    for path, difference in changed.items():
        print(difference if options.check else f"wrote {path}")
    if not options.check:
        _update(options.target, {path: texts.get(path) for path in changed})
    unused = [] if options.partial else rules.unused()
    for rule in unused:
        print(f"no source file needs the rule {rule!r}: delete it", file=sys.stderr)
    return 1 if unused or (options.check and changed) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Write the blocking package from the async one.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 on a difference"
    )
    parser.add_argument("--source", type=Path, default=ROOT / "src/agentbay_async")
    parser.add_argument("--target", type=Path, default=ROOT / "src/agentbay")
    parser.add_argument("--partial", action="store_true", help="allow rules without use")
    return parser


def _format(texts: dict[str, str]) -> dict[str, str]:
    """Return the texts with sorted imports, in the project's format."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _update(folder, texts)
        options = ["--quiet", "--no-cache", "--config", str(ROOT / "pyproject.toml")]
        options += ["--config", _FIRST_PARTY]
        _ruff("check", "--select=I", "--fix", *options, name)
        _ruff("format", *options, name)
        return {path: (folder / path).read_text("utf-8") for path in texts}


def _ruff(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "ruff", *arguments], check=True)


def _differences(package: Path, texts: dict[str, str]) -> dict[str, str]:
    """Return the differences between the package and the texts, by path."""
    # Bytes, because text mode would hide a change of line endings.
    existing = {
        path.relative_to(package).as_posix(): path.read_bytes().decode("utf-8")
        for path in package.rglob("*.py*")
        if _is_generated(path.relative_to(package))
    }
    return {
        path: _difference(path, existing.get(path), texts.get(path))
        for path in sorted(existing.keys() | texts.keys())
        if existing.get(path) != texts.get(path)
    }


def _is_generated(path: Path) -> bool:
    """Whether a file of the package is generated; ``_name.py`` is written by hand."""
    return path.suffix in {".py", ".pyi"} and (
        path.stem == "__init__" or not any(part.startswith("_") for part in path.parts)
    )


def _difference(path: str, old: str | None, new: str | None) -> str:
    if old is None:
        return f"{path}: missing\n"
    if new is None:
        return f"{path}: no source file any more\n"
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), path, f"{path} (generated)"
    )
    return "".join(lines)


def _update(package: Path, texts: dict[str, str | None] | dict[str, str]) -> None:
    """Write each text to its path, and delete the files whose text is ``None``."""
    for path, text in texts.items():
        file = package / path
        if text is None:
            file.unlink()
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode("utf-8"))


if __name__ == "__main__":
    sys.exit(main())
