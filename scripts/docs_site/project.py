"""What the site takes from ``pyproject.toml``."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_PYPROJECT = (ROOT / "pyproject.toml").read_text("utf-8")

#: The address of the repository.
REPOSITORY = re.findall(r'^Repository = "(.*)"$', _PYPROJECT, re.MULTILINE)[0]
