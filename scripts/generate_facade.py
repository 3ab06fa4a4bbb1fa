"""Write the blocking package `agentbay` from the source text of `agentbay_async`.

    python scripts/generate_facade.py            write what has changed
    python scripts/generate_facade.py --check    change nothing; exit 1 with the difference

Needs the standard library and ruff. Every rule of the generator has to be of use for the source,
so that the table of rules says what there is and no more.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from facade import output
from facade.modules import Writer
from facade.rules import SourceError, Uses
from facade.source import Source

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    options = _parser().parse_args(arguments)
    uses = Uses()
    try:
        texts = Writer(Source(options.source), options.target.name, uses).write()
    except SourceError as error:
        print(error, file=sys.stderr)
        return 1
    texts = output.format_all(texts, ROOT / "pyproject.toml")
    changed = output.differences(options.target, texts)
    if not options.check:
        output.update(options.target, texts)
    for path, difference in changed:
        print(difference if options.check else f"wrote {path}")
    unused = [] if options.partial else uses.unused()
    for rule in unused:
        print(f"the rule {rule!r} is of no use to anything: delete it", file=sys.stderr)
    return 1 if unused or (options.check and changed) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Write the blocking package from the async one.")
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit 1 on a difference"
    )
    parser.add_argument("--source", type=Path, default=ROOT / "src/agentbay_async")
    parser.add_argument("--target", type=Path, default=ROOT / "src/agentbay")
    parser.add_argument("--partial", action="store_true", help="let rules be of no use")
    return parser


if __name__ == "__main__":
    sys.exit(main())
