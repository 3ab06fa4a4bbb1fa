"""Run the command ``agentbay``, as ``python -m agentbay``."""

import sys

from agentbay_cli.main import main

if __name__ == "__main__":
    sys.exit(main())
