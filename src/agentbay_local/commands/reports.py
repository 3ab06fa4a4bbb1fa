"""Print the reports of ``agentbay doctor``. Needs nothing that only Linux has."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["print_report"]


def print_report(lines: Sequence[str], *, is_well: bool, as_json: bool) -> int:
    """Print a report, and return the exit code: 0 if all is well, otherwise 1.

    Args:
        lines: The lines of the report.
        is_well: What the report comes to.
        as_json: Print a JSON object, with the lines in a list.
    """
    shown = [json.dumps({"ok": is_well, "report": list(lines)})] if as_json else lines
    sys.stdout.writelines(f"{line}\n" for line in shown)
    return 0 if is_well else 1
