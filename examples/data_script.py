"""A blocking script: upload a table to a session, process it there, download the result.

AGENTBAY_ENDPOINT selects the service; without it, the sessions run on this machine.
"""

from __future__ import annotations

import csv
import os
import tempfile
from pathlib import Path

from agentbay import AgentBay, TransferProgress

SALES = [("north", 120), ("south", 80), ("north", 30), ("east", 55), ("south", 45)] * 20_000
# Runs in the session: the sum of each region, the largest first.
SUMS = r"""
tail -n +2 sales.csv |
awk -F, '{ sum[$1] += $2 } END { for (name in sum) print name "," sum[name] }' |
sort -t, -k2 -rn > sums.csv
"""


def write_table(path: Path) -> None:
    """Write the sales as a CSV file."""
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("region", "amount"))
        table.writerows(SALES)


def show(progress: TransferProgress) -> None:
    """Print a line when a transfer is complete."""
    if progress.done == progress.total:
        print(f"transferred {progress.done} bytes", flush=True)


def main() -> None:
    """Work in a session, which is deleted at the end, also after an error."""
    endpoint = os.environ.get("AGENTBAY_ENDPOINT", "local")
    with (
        tempfile.TemporaryDirectory() as here,
        AgentBay(endpoint=endpoint) as bay,
        bay.session() as session,
    ):
        table, sums = Path(here, "sales.csv"), Path(here, "sums.csv")
        write_table(table)
        receipt = session.file_system.upload_file(table, "sales.csv", progress=show).unwrap()
        print(f"uploaded, checksum verified: {receipt.verified}", flush=True)

        session.command.run(SUMS, timeout=60, check=True)
        session.file_system.download_file("sums.csv", sums).unwrap()
        for region, amount in csv.reader(sums.read_text().splitlines()):
            print(f"{region:>6} {int(amount):>10,}", flush=True)


if __name__ == "__main__":
    main()
