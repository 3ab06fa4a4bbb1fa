"""The unmodified official client is a witness of the wire: ours must send what it sends.

Both perform the same operations (``wire/operations.py``) against one recorder. What they do
differently stands in ``wire/differences.toml``, each with its reason.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from wire.comparison import differences, read_table
from wire.recorder import record

from agentbay_async._protocol import schema

if TYPE_CHECKING:
    from wire.comparison import Difference
    from wire.recording import Operation

#: The action that the official client knows but no longer sends.
_RETIRED = {"ReleaseMcpSession"}
#: The operation that fails with the official client before it sends anything.
_BROKEN = {"browser: no options"}


@pytest.fixture(scope="module")
def recordings(
    official_python: str, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Operation]]:
    """Record both clients, the official one first."""

    async def both() -> list[dict[str, Operation]]:
        pythons = {"official": official_python, "ours": sys.executable}
        return await asyncio.gather(
            *(record(python, tmp_path_factory.mktemp(name)) for name, python in pythons.items())
        )

    return asyncio.run(both())


@pytest.fixture(scope="module")
def found(recordings: list[dict[str, Operation]]) -> list[Difference]:
    """Return the differences between the two."""
    return list(differences(*recordings))


def test_every_difference_to_the_official_client_is_in_the_table(
    found: list[Difference], recordings: list[dict[str, Operation]]
):
    """A new difference is a mistake, or gets a row with its reason."""
    rows = read_table()

    new = [each for each in found if not any(row.explains(each) for row in rows)]

    reasons = {each.operation: recordings[1][each.operation].reason for each in new}
    assert not new, "\n".join(f"{each}  ({reasons[each.operation]})" for each in new)


def test_every_row_of_the_table_still_occurs(found: list[Difference]):
    """A row that explains nothing, or nothing that the rows above it do not, is out of date."""
    rows = read_table()

    used = {next((row for row in rows if row.explains(each)), None) for each in found}

    assert not [row for row in rows if row not in used]


def test_all_actions_are_compared(recordings: list[dict[str, Operation]]):
    """An action that no operation sends would never be compared."""
    known = {
        kind.ACTION
        for name in schema.__all__
        if (kind := getattr(schema, name)) is not schema.Request and hasattr(kind, "ACTION")
    }

    sent = {
        request.name.partition(" ")[0]
        for operation in recordings[0].values()
        for request in operation.requests
    }

    assert len(known) == 38
    assert not known - sent - _RETIRED


def test_all_tools_are_compared(recordings: list[dict[str, Operation]], official_python: str):
    """Those that the sources of the official client call by name."""
    find = "from importlib.util import find_spec; print(find_spec('agentbay').origin)"
    found = subprocess.run(
        [official_python, "-c", find], capture_output=True, text=True, check=True
    )
    sources = Path(found.stdout.strip()).parent.glob("_async/*.py")
    pattern = re.compile(r'call_mcp_tool\w*\(\s*(?:tool_name=)?"(\w+)"')
    known = {name for source in sources for name in pattern.findall(source.read_text())}

    sent = {
        request.name.rpartition(" ")[2]
        for operation in recordings[0].values()
        for request in operation.requests
    }

    assert len(known) > 60
    assert not known - sent


def test_the_recorder_is_plausible_to_the_official_client(
    recordings: list[dict[str, Operation]],
):
    """What it does after a refusal, or an answer that it cannot read, would prove nothing."""
    failed = {
        name: operation.reason
        for name, operation in recordings[0].items()
        if operation.outcome != "succeeded" and not name.startswith("refused: ")
    }

    assert failed.keys() == _BROKEN, failed
