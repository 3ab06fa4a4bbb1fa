"""The public names of the unmodified official client: a program that uses them must run here.

What differs stands in ``parity/differences.toml``, each with its reason.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from parity.comparison import Parity, compare, read_table, unexplained, unused

if TYPE_CHECKING:
    from collections.abc import Callable

_DUMP = Path(__file__).parent / "parity" / "dump.py"
#: The least share of names and of parameters, in percent, that are as in the official client.
_NAMES, _PARAMETERS = 96, 95


def _dump(python: str, place: Path) -> object:
    """Return the names of the package `agentbay` of an interpreter."""
    # Importing the official client writes a log file.
    env = {**os.environ, "AGENTBAY_LOG_FILE": str(place / "client.log")}
    done = subprocess.run(
        [python, str(_DUMP), "agentbay"], env=env, cwd=place, check=True, capture_output=True
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def found(official_python: str, tmp_path_factory: pytest.TempPathFactory) -> Parity:
    """Compare the two packages `agentbay`; ours has the names of `agentbay_async` too."""
    place = tmp_path_factory.mktemp("parity")
    official, ours = (_dump(python, place) for python in (official_python, sys.executable))
    assert isinstance(official, dict)
    assert isinstance(ours, dict)
    return compare(official, ours)


def test_every_missing_name_is_in_the_table(found: Parity):
    """A name that the official client has, and ours lacks, gets a row with its reason."""
    assert not unexplained(found.differences, read_table())


def test_every_row_of_the_table_is_needed(found: Parity):
    """A difference that is gone takes its row with it."""
    assert not list(unused(found.differences, read_table()))


def test_each_row_has_a_reason():
    """It tells in a sentence why the difference is meant to be."""
    assert all(len(row.reason.split()) > 3 and row.reason.endswith(".") for row in read_table())


def test_each_row_of_missing_names_tells_what_to_write_instead(found: Parity):
    """`agentbay migrate` says it to those who use such a name; of a default, there is no need."""
    missing = [name for name in found.differences if not name.endswith(("=)", " is required"))]
    assert not [
        name for row in read_table() if not row.instead for name in missing if row.explains(name)
    ]


def test_nearly_all_names_and_parameters_are_those_of_the_official_client(
    found: Parity, record_property: Callable[[str, str], None]
):
    """Names are exports, members, fields and values of enumerations."""
    names, parameters = found.share(found.names), found.share(found.parameters)
    record_property("official names", f"{names:.1f} % of {len(found.names)}")
    record_property("official parameters", f"{parameters:.1f} % of {len(found.parameters)}")

    assert len(found.names) > 1300
    assert len(found.parameters) > 700
    assert names >= _NAMES
    assert parameters >= _PARAMETERS
