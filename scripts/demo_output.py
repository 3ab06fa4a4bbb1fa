"""Write what ``./run demo`` prints into the README, from a real run.

python scripts/demo_output.py            run the demo, and write the README
python scripts/demo_output.py --check    write nothing; exit 1 if the README shows another output
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
_BLOCK = re.compile(r"^(```console\n\$ \./run demo\n)(.*?)(^```)$", re.MULTILINE | re.DOTALL)


def main() -> int:
    """Run the demo; compare or write."""
    text = README.read_text("utf-8")
    [(_start, shown, _end)] = _BLOCK.findall(text)
    printed = run_demo()
    if "--check" in sys.argv[1:]:
        return int(shown != printed)
    README.write_text(_BLOCK.sub(lambda block: block[1] + printed + block[3], text), "utf-8")
    return 0


def run_demo() -> str:
    """Return the output of the demo."""
    command = (sys.executable, str(ROOT / "examples" / "demo.py"))
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
