"""``python -m agentbay_local``: the same as ``agentbay local``."""

from __future__ import annotations

import sys

from agentbay_local.cli import main

if __name__ == "__main__":
    sys.exit(main(["local", *sys.argv[1:]], owns_process=True))
