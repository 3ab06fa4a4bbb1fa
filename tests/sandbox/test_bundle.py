"""The program of the agent: what its start loads, and by whom it is compiled."""

from __future__ import annotations

import _json
import io
import json
import marshal
import subprocess
import sys
import zipfile
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_local.sandbox.errors import IsolationUnavailable
from agentbay_local.sandbox.host.bundle import build_bundle, interpreter_arguments
from agentbay_local.sandbox.host.programs import Interpreter, find_interpreter
from agentbay_local.sandbox.inside import wire

if TYPE_CHECKING:
    from collections.abc import Sequence

HEAVY = {"collections", "contextlib", "ctypes", "enum", "json", "re", "signal", "socket", "typing"}
FOREIGN = b"\x01\x02\r\n"
MESSAGES = [
    {"op": "run", "id": 3, "command": "echo 'ü' \udcff \U0001f600", "env": {"A\n": '"\\'}},
    {"a": [1, -2.5, True, False, None, [], {}, "", 2**70]},
]
ANSWERS = [{}, {"pid": 7, "exit": -1}, {"entry": {"path": "\udcff"}}, {"flag": True}, ["a", 1.5]]


def run_inside(program: str, bundle: Path) -> str:
    """Run a program with the interpreter of sessions, to which the bundle is the agent's."""
    options = interpreter_arguments(0, 0)
    before_program = options[: options.index("-c")]
    done = subprocess.run(
        [find_interpreter().program, *before_program, "-c", program, bundle],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert not done.returncode, done.stderr
    return done.stdout


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return the file that sessions run."""
    path = tmp_path / "bundle.zip"
    path.write_bytes(build_bundle(find_interpreter()))
    return path


def test_no_session_compiles_its_agent(bundle: Path) -> None:
    """The archive has the code of the interpreter that runs it."""
    program = (
        "import builtins, sys; sys.path.insert(0, sys.argv[1]); builtins.compile = None; "
        "import inside.agent; print('loaded')"
    )
    assert run_inside(program, bundle) == "loaded\n"


def test_an_agent_loads_no_large_modules(bundle: Path) -> None:
    """Each would make every session start later, and stay in its memory."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import inside.agent; print(*sys.modules)"
    )
    loaded = set(run_inside(program, bundle).split())
    assert "inside.agent" in loaded
    assert not HEAVY & loaded


def test_another_interpreter_compiles_what_it_runs() -> None:
    """The code of one version is of no use to another."""
    other = Interpreter(Path(sys.executable).resolve(), magic=FOREIGN)
    with zipfile.ZipFile(io.BytesIO(build_bundle(other))) as archive:
        compiled = archive.read("inside/agent.pyc")
    assert compiled[:4] == FOREIGN
    code = marshal.loads(compiled[16:])
    assert isinstance(code, CodeType)
    assert code.co_filename == "agent.py"


def test_an_interpreter_that_cannot_compile_is_named() -> None:
    """The error says which program to repair."""
    with pytest.raises(IsolationUnavailable, match="/bin/false"):
        build_bundle(Interpreter(Path("/bin/false"), magic=FOREIGN))


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("text", [json.dumps, lambda value: json.dumps(value, indent=1)])
def test_the_agent_reads_what_json_writes(message: dict[str, Any], text: Any) -> None:
    """Only a part of the module reads it."""
    assert wire.decode(text(message).encode("ascii")) == message


def test_without_the_parser_in_c_the_agent_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python without it has the module itself."""

    def missing(_: object) -> None:
        raise AttributeError

    monkeypatch.setattr(_json, "make_scanner", missing)
    parse = wire.make_decoder()
    assert [parse(json.dumps(message)) for message in MESSAGES] == MESSAGES


@pytest.mark.parametrize("answer", ANSWERS)
def test_the_answers_of_an_agent_are_json(answer: dict[str, Any] | Sequence[Any]) -> None:
    """Those without text are written without the module."""
    assert json.loads(wire.encode(answer)) == answer
